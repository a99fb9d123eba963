// Command trial runs seeds of one scenario and says in JSON which failed. It is
// simrun run with nothing around it: what package mutants builds with each known bug,
// since most of the time of a score goes into compiling and linking.
//
// It exits with 0 when all held, 1 when one failed or could not be judged, and 2
// when it did not do what was asked.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/scenario"
)

const (
	exitHeld = iota
	exitViolated
	exitUsage
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	v, err := try(args, stderr)
	if err == nil {
		err = json.NewEncoder(stdout).Encode(v)
	}
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "trial: %v\n", err)
		return exitUsage
	case len(v.Failures) > 0 || v.Unknown > 0:
		return exitViolated
	}
	return exitHeld
}

// verdict is what is printed; package mutants reads it.
type verdict struct {
	Seeds    uint64    `json:"seeds"`   // that were run
	Unknown  uint64    `json:"unknown"` // of which so many could not be judged
	Failures []failure `json:"failures"`
}

// failure is one seed's.
type failure struct {
	Scenario  string `json:"scenario"`
	Seed      uint64 `json:"seed"`
	Rule      string `json:"rule"`
	Signature string `json:"signature"`
	Message   string `json:"message"`
}

// try runs seeds until they are done or one has failed.
func try(args []string, stderr io.Writer) (verdict, error) {
	var (
		v       = verdict{Failures: []failure{}}
		flags   = flag.NewFlagSet("trial", flag.ContinueOnError)
		name    = flags.String("scenario", "", "the scenario")
		from    = flags.Uint64("from", 0, "first seed")
		seeds   = flags.Uint64("seeds", 1, "seeds to run")
		workers = flags.Int("workers", runtime.GOMAXPROCS(0), "worlds run at a time")
	)
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		return v, err
	}
	if flags.NArg() > 0 {
		return v, fmt.Errorf("unknown argument %q", flags.Arg(0))
	}
	if *seeds == 0 || *from+(*seeds-1) < *from {
		return v, fmt.Errorf("seeds %d from %d: not a range of seeds", *seeds, *from)
	}
	s, err := scenario.Find(*name)
	if err != nil {
		return v, err
	}
	defer batch.CollectLess()()
	tally, err := batch.Run(context.Background(), batch.Options{
		Subjects: []batch.Subject{batch.Of(s)}, Workers: *workers, MaxFailures: 1,
		Jobs: func(i uint64) (batch.Job, bool) { return batch.Job{Seed: *from + i}, i < *seeds },
		OnResult: func(_ *batch.Subject, r *scenario.Result) {
			if f := r.Failure; f != nil {
				v.Failures = append(v.Failures, failure{r.Scenario, r.Seed, f.Rule, f.Signature, f.Message})
			}
		},
	})
	if err != nil {
		return v, err
	}
	v.Seeds, v.Unknown = tally.Seeds, tally.Unknown
	if v.Seeds == 0 {
		return v, errors.New("no seed was run")
	}
	return v, nil
}
