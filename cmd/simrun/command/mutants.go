package command

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/report"
	"github.com/kelpie-registry/kelpie/mutants"
)

func (a *app) mutantsCommand() *cobra.Command {
	m := mutating{
		app:     a,
		seeds:   count{value: mutants.DefaultSeeds, min: 1, max: mutants.MaxSeeds},
		workers: count{min: 1, max: mutants.MaxWorkers},
	}
	c := &cobra.Command{
		Use:   "mutants",
		Short: "Put known bugs into the registry and see them found",
		Long: `Mutants builds the registry with one known bug at a time, as a patch that is
applied to the build and never to the source, and runs seeds of the scenarios
that should find it until one does. A bug that survives its seeds fails the
command: the testbed would have let it through.

It needs the source of the repository, and a go command.`,
		Example: `  simrun mutants
  simrun mutants --mutant renew-resurrects --mutant token-restarts
  simrun mutants --list`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return m.do(c) },
	}
	fs := c.Flags()
	fs.StringArrayVar(&m.names, "mutant", nil, "score the mutant of this `name`; may be repeated (default all)")
	fs.Var(&m.seeds, "seeds", "seeds that a mutant may survive, of each of its scenarios")
	fs.Var(&m.workers, "workers", "worlds run at a time (default as run)")
	fs.BoolVar(&m.list, "list", false, "list the mutants and run nothing")
	fs.BoolVar(&m.json, "json", false, "print one JSON object in place of the table")
	fs.Lookup("workers").DefValue = ""
	return c
}

// mutating is one score under way.
type mutating struct {
	app            *app
	names          []string
	seeds, workers count
	list, json     bool
}

func (m *mutating) do(c *cobra.Command) error {
	if m.list {
		return m.print()
	}
	total := uint64(len(m.names))
	if total == 0 {
		total = uint64(len(mutants.List()))
	}
	bar := countBar(m.app.stderr, "mutants", "mutants", total)
	rep, err := mutants.Run(c.Context(), mutants.Options{
		Names: m.names, Seeds: int(m.seeds.value), Workers: int(m.workers.value),
		Progress: func(mutants.Result) { bar.step() },
	})
	bar.close()
	interrupted := c.Context().Err() != nil
	switch {
	case errors.Is(err, mutants.ErrControl):
		// Not a matter of input: the code as it is breaks its promises.
		return &exitError{exitViolation, err.Error()}
	case err != nil && !interrupted:
		return err
	}
	if m.json {
		err = m.app.printJSON(rep)
	} else {
		_, err = m.app.stdout.Write(mutantTable(&rep))
	}
	switch {
	case err != nil:
		return err
	case interrupted:
		return &exitError{exitInterrupted, "interrupted; the report is about what was done until then"}
	case len(rep.Survivors) > 0:
		return exit(exitViolation)
	}
	return nil
}

// print lists the catalogue.
func (m *mutating) print() error {
	if m.json {
		return m.app.printJSON(map[string]any{"mutants": mutants.List()})
	}
	var b strings.Builder
	for _, x := range mutants.List() {
		fmt.Fprintf(&b, "%s\n    %s\n    tried in: %s\n", x.Name, x.Title, strings.Join(x.Scenarios, ", "))
	}
	_, err := fmt.Fprint(m.app.stdout, b.String())
	return err
}

// mutantTable describes the score for people.
func mutantTable(rep *mutants.Report) []byte {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "MUTANT\tCAUGHT BY\tRULE\tSEED\tSEEDS\tSECONDS\tBUILD")
	for i := range rep.Results {
		r := &rep.Results[i]
		seed, rule, by := "-", "-", "SURVIVED"
		if r.Caught {
			seed, rule, by = fmt.Sprint(r.Seed), r.Rule, r.Scenario
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%.1f\t%.1f\n",
			r.Mutant, by, rule, seed, report.Grouped(uint64(r.Seeds)), r.Wall.Seconds(), r.Build.Seconds())
	}
	tw.Flush() // a bytes.Buffer never fails
	fmt.Fprintf(&b, "\n%d of %s caught, after a median of %s; the unchanged code held in %s; %.0f s in all\n",
		len(rep.Results)-len(rep.Survivors), report.Plural(uint64(len(rep.Results)), "mutant"),
		report.Plural(uint64(rep.MedianSeeds), "seed"), report.Plural(uint64(rep.ControlSeeds), "seed"), rep.Wall.Seconds())
	if len(rep.Survivors) > 0 {
		fmt.Fprintf(&b, "SURVIVED: %s\n", strings.Join(rep.Survivors, ", "))
	}
	return b.Bytes()
}
