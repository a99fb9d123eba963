// Package daemon is kelpied without its main function, so that a test or another
// command can run it in a process of its own.
//
// It puts package remote's server in front of a store and serves it by package
// httpnet: what those promise holds. It adds who may call, what is said of its
// state, and an end that loses nothing: every commit that was acknowledged is in
// the store, and what is under way when it is told to end is finished first.
package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
)

// Exit codes of [Main].
const (
	ExitClean  = 0
	ExitFailed = 1 // it could not start, or failed while running: trying again may help
	ExitUsage  = 2 // flags, or the files that they name, are wrong: trying again does not help
)

// Announcement begins the one line that kelpied writes to its standard output, once
// it serves. The rest of the line is the address, as "host:port".
const Announcement = "kelpied: serving on "

// usageError is an error that another try with the same flags does not cure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usage returns a usageError.
func usage(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// Run is [Main] until the first SIGINT or SIGTERM. The second ends the process at
// once, with 128 and the number of the signal as its exit code, as shells have it.
func Run(args []string, stdout, stderr io.Writer) int {
	return untilSignals(func(ctx context.Context) int { return Main(ctx, args, stdout, stderr) })
}

// untilSignals runs a process whose context the first signal ends.
func untilSignals(process func(context.Context) int) int {
	ctx, end := context.WithCancel(context.Background())
	defer end()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	done := make(chan struct{})
	defer close(done)
	go func() {
		for range 2 {
			select {
			case s := <-signals:
				if ctx.Err() != nil {
					number, _ := s.(syscall.Signal)
					os.Exit(128 + int(number))
				}
				end()
			case <-done:
				return
			}
		}
	}()
	return process(ctx)
}

// Main runs kelpied with the arguments until ctx ends, which is how it is told to
// end in order, and returns its exit code. It writes [Announcement] to stdout, and
// its log and its last error to stderr.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := command(stdout, stderr)
	c.SetArgs(args)
	err := c.ExecuteContext(ctx)
	if err == nil {
		return ExitClean
	}
	fmt.Fprintf(stderr, "kelpied: %s\n", oneLine(err.Error()))
	if errors.As(err, new(usageError)) {
		return ExitUsage
	}
	return ExitFailed
}

// oneLine joins the lines of a message.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func command(stdout, stderr io.Writer) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:   "kelpied --data DIR",
		Short: "Serve a store to nodes of other processes and machines",
		Long: `kelpied puts a server in front of a store, so that nodes in many processes share
one registry: they open it with store/remote. It listens on loopback unless told
otherwise, and elsewhere only with TLS and with authentication.

It prints one line, "` + Announcement + `HOST:PORT", once it serves; its log goes to
stderr. GET /healthz, /readyz and /version answer without a token, /stats with one.
SIGINT or SIGTERM ends it in order: what is under way is finished. A second one ends
it at once; nothing that was acknowledged is lost then either.

Exit codes: 0 an orderly end; 1 it could not start, or failed while running; 2 flags,
or the files that they name, are wrong, and nothing was changed; 128 and the number of
the signal after a second one.`,
		Example: `  kelpied --data /var/lib/kelpie
  kelpied --data /var/lib/kelpie --listen 10.0.0.5:7000 \
    --tls-cert server.pem --tls-key server.key --token-file tokens`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("unexpected argument %q; see kelpied --help", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return usageError{err}
			}
			return newProcess(f, f.logger(stderr)).run(c.Context(), stdout)
		},
	}
	c.SetOut(stdout)
	c.SetErr(stderr)
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usage("%w; see kelpied --help", err)
	})
	f.define(c.Flags())
	return c
}

// logger returns the log that the flags ask for. They have been checked.
func (f *flags) logger(w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if f.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// version is the version of the module, which not every build knows.
func version() string { return cmp.Or(build.This().Version, "unknown") }
