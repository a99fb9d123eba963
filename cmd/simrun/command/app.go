package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/conform"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
)

// Exit codes.
const (
	exitHeld        = 0
	exitViolation   = 1 // also for what stayed undecided
	exitUsage       = 2 // wrong usage or bad input; nothing was written
	exitDiverged    = 3
	exitInterrupted = 130 // 128 + SIGINT, as shells have it
)

// app is the command with its surroundings.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	subjects       []batch.Subject
	stores         []soak.Store // of soak
	conformStores  []conform.Store
}

// exitError ends the command with a code other than that of bad input. What
// there is to say has been said when message is empty.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

func exit(code int) error {
	if code == exitHeld {
		return nil
	}
	return &exitError{code: code}
}

// main runs the command and returns its exit code.
func (a *app) main(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var e *exitError
	switch {
	case err == nil:
		return exitHeld
	case !errors.As(err, &e):
		e = &exitError{code: exitUsage, message: err.Error()}
	}
	if e.message != "" {
		fmt.Fprintf(a.stderr, "simrun: %s\n", oneLine(e.message))
	}
	return e.code
}

// oneLine joins the lines of a message.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "simrun",
		Short: "Run the registry in simulated worlds and judge what it did",
		Long: `simrun runs the registry's production code in simulated worlds, one for each
seed: clocks that disagree, a network that loses messages, a store that fails,
processes that crash and stand still. Each world is judged while it runs and
after. The same seed makes the same world, to the last event.

Exit codes: 0 all held; 1 a violation was found, or something stayed undecided;
2 wrong usage or bad input, and nothing was written; 3 a replay diverged from its
recording; 130 interrupted. "go run" turns every code but 0 into 1; its last line
on stderr, "exit status N", has the code.`,
		Example: `  simrun run                              # every scenario, some hundreds of seeds
  simrun run --scenario mixed --seed 42   # one world
  simrun replay simrun-out/FILE.json      # a failure again, bit for bit
  simrun fuzz --for 10m                   # fresh seeds until the time is up
  simrun soak --store memory --for 20s    # the registry for real`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(a.runCommand(), a.replayCommand(), a.scenariosCommand(), a.checkCommand(),
		a.fuzzCommand(), a.soakCommand(), a.mutantsCommand(), a.conformCommand(), a.benchCommand())
	root.AddCommand(a.roleCommands()...)
	var names []string
	for _, c := range root.Commands() {
		if c.Hidden {
			continue
		}
		names = append(names, c.Name())
	}
	known := strings.Join(names, ", ")
	root.Args = cobra.ArbitraryArgs
	root.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("no command; there are: %s; see simrun --help", known)
		}
		return fmt.Errorf("unknown command %q; there are: %s", args[0], known)
	}
	return root
}

// find returns the subject of that name.
func (a *app) find(name string) (*batch.Subject, error) {
	names := make([]string, 0, len(a.subjects))
	for i := range a.subjects {
		if a.subjects[i].Name == name {
			return &a.subjects[i], nil
		}
		names = append(names, a.subjects[i].Name)
	}
	return nil, fmt.Errorf("unknown scenario %q; there are: %s", name, strings.Join(names, ", "))
}

// choose returns the subjects of those names, each once and in the order of the
// catalogue's; all of them when there are no names.
func (a *app) choose(names []string) ([]batch.Subject, error) {
	if len(names) == 0 {
		return a.subjects, nil
	}
	wanted := make(map[string]bool, len(names))
	for _, name := range names {
		if _, err := a.find(name); err != nil {
			return nil, err
		}
		wanted[name] = true
	}
	var chosen []batch.Subject
	for _, s := range a.subjects {
		if wanted[s.Name] {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}
