// Package daemon is kelpied without its main function, so that a test or another
// command can run it in a process of its own.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store/disk"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// Exit codes.
const (
	exitClean  = 0
	exitFailed = 1 // it could not start, or failed while running: trying again may help
	exitUsage  = 2 // flags, or the files that they name, are wrong: trying again does not help
)

// Announcement begins the one line that kelpied writes to its standard output,
// once it serves. The rest of the line is the address.
const Announcement = "kelpied: serving on "

// usageError is an error that another try with the same flags does not cure.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// Main runs kelpied with the arguments until ctx ends, and returns its exit code.
// It writes [Announcement] to stdout and its log to stderr.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := command(stdout, stderr)
	c.SetArgs(args)
	err := c.ExecuteContext(ctx)
	if err == nil {
		return exitClean
	}
	fmt.Fprintf(stderr, "kelpied: %v\n", err)
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

func command(stdout, stderr io.Writer) *cobra.Command {
	var f flags
	c := &cobra.Command{
		Use:               "kelpied --data DIR",
		Short:             "Serve a store to nodes of other processes and machines",
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unexpected argument %q; see kelpied --help", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			return run(c.Context(), f, stdout, slog.New(slog.NewTextHandler(stderr, nil)))
		},
	}
	c.SetOut(stdout)
	c.SetErr(stderr)
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see kelpied --help", err)}
	})
	fs := c.Flags()
	fs.StringVar(&f.data, "data", "", "`folder` of the data")
	fs.StringVar(&f.listen, "listen", "127.0.0.1:7000", "`host:port` to listen on; port 0 takes a free one")
	return c
}

type flags struct {
	data, listen string
}

// shutdownTimeout bounds the end of what is under way.
const shutdownTimeout = 10 * time.Second

func run(ctx context.Context, f flags, stdout io.Writer, log *slog.Logger) (err error) {
	if f.data == "" {
		return usageError{errors.New("--data is missing; see kelpied --help")}
	}
	net, err := httpnet.New(httpnet.Options{Listen: f.listen, Logger: log})
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	h, err := host.NewSystem(host.SystemOptions{Name: "kelpied", Network: net})
	if err != nil {
		return err
	}
	engine, err := disk.Open(f.data, disk.Options{Clock: h})
	if err != nil {
		return errors.Join(fmt.Errorf("--data: %w", err), net.Close(ctx))
	}
	server, err := remote.NewServer(h, engine, remote.ServerOptions{})
	if err != nil {
		return errors.Join(err, net.Close(ctx), engine.Close())
	}
	log.Info("serving", "address", net.Address(), "data", f.data)
	fmt.Fprintf(stdout, "%s%s\n", Announcement, net.Address())
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	return errors.Join(server.Close(), net.Close(ending), engine.Close(), h.Close(ending))
}
