package command

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/artifact"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/report"
	"github.com/kelpie-registry/kelpie/scenario"
)

// Defaults of run and fuzz.
const (
	defaultSeeds       = 200 // for each scenario: all of them in under 15 s on two cores
	defaultFrom        = 1
	defaultOut         = "simrun-out"
	defaultMaxFailures = 100 // of run; fuzz goes on
)

// batchFlags are the flags that run and fuzz share.
type batchFlags struct {
	scenarios   []string
	store       *choice
	workers     count
	out         string
	json        bool
	maxFailures count
	failFast    bool
	keepGoing   bool
	profile     profile
}

// add defines the flags. maxFailures is the default of --max-failures, 0 for
// none.
func (f *batchFlags) add(c *cobra.Command, maxFailures uint64) {
	f.store = storeFlag()
	f.workers = count{value: uint64(runtime.GOMAXPROCS(0)), min: 1, max: maxWorkers}
	f.maxFailures = count{value: maxFailures, min: 1, max: maxSeeds}
	fs := c.Flags()
	fs.StringArrayVar(&f.scenarios, "scenario", nil, "run the scenario of this `name`; may be repeated (default all)")
	fs.Var(f.store, "store", "store to run on; both: even seeds simfdb, odd seeds memory")
	fs.Var(&f.workers, "workers", "worlds run at a time; changes no result")
	fs.StringVar(&f.out, "out", defaultOut, "`folder` for artifacts, made when something fails")
	fs.BoolVar(&f.json, "json", false, "print one JSON object in place of the table")
	fs.Var(&f.maxFailures, "max-failures", "stop after so many failed runs")
	fs.BoolVar(&f.failFast, "fail-fast", false, "stop after the first failed run")
	fs.BoolVar(&f.keepGoing, "keep-going", false, "never stop because of failed runs")
	f.profile.add(c)
	if maxFailures == 0 {
		fs.Lookup("max-failures").DefValue = ""
	}
	c.MarkFlagsMutuallyExclusive("max-failures", "fail-fast", "keep-going")
}

// failures returns how many failed runs end the batch, 0 for none.
func (f *batchFlags) failures() uint64 {
	switch {
	case f.keepGoing:
		return 0
	case f.failFast:
		return 1
	}
	return f.maxFailures.value
}

func (a *app) runCommand() *cobra.Command {
	var (
		f     batchFlags
		seeds = count{value: defaultSeeds, min: 1, max: maxSeeds}
		from  = count{value: defaultFrom, max: math.MaxUint64}
		seed  = count{max: math.MaxUint64}
		plan  string
		twice bool
	)
	c := &cobra.Command{
		Use:   "run",
		Short: "Run seeds of the scenarios and print what they showed",
		Long: `Run runs seeds of every scenario, or of those named, and prints a table: the
runs, the operations checked, the faults that had an effect, which of the events that a
scenario declares did happen, and the speed. A batch large enough in which a
declared event never happened fails: it was not testing what it says.

A failed run leaves an artifact and the command that replays it. The trace hash
folds all runs in the order of their seeds: it is the same for any --workers, on
any machine, and differs as soon as one event of one run does.`,
		Example: `  simrun run
  simrun run --scenario expired-vs-renew --scenario mixed --seeds 10000
  simrun run --scenario mixed --seed 42 --store simfdb
  simrun run --scenario mixed --seed 42 --plan plan.json
  simrun run --seeds 100 --check-determinism
  simrun run --json | jq .trace_hash`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("seed") {
				from.value, seeds.value = seed.value, 1
			}
			if from.value > math.MaxUint64-(seeds.value-1) {
				return fmt.Errorf("--from %d and --seeds %d go beyond the last seed, %d", from.value, seeds.value, uint64(math.MaxUint64))
			}
			b := batchRun{app: a, flags: &f, command: "run", from: from.value, twice: twice}
			if err := b.prepare(c, plan); err != nil {
				return err
			}
			n := seeds.value
			total := n * uint64(len(b.subjects))
			b.bar = countBar(a.stderr, "run", "seeds", total)
			return b.do(c.Context(), func(i uint64) (batch.Job, bool) {
				return batch.Job{Subject: int(i / n), Seed: from.value + i%n}, i < total
			})
		},
	}
	f.add(c, defaultMaxFailures)
	fs := c.Flags()
	fs.Var(&seeds, "seeds", "seeds for each scenario")
	fs.Var(&seed, "seed", "run this one seed")
	fs.Var(&from, "from", "first seed")
	fs.StringVar(&plan, "plan", "", "inject the faults in this `file`, not those that the seed draws")
	fs.BoolVar(&twice, "check-determinism", false, "run every seed twice and demand the same trace")
	c.MarkFlagsMutuallyExclusive("seed", "seeds")
	c.MarkFlagsMutuallyExclusive("seed", "from")
	return c
}

// batchRun is one batch under way, for run and fuzz.
type batchRun struct {
	app      *app
	life     context.Context // ends when the command is interrupted
	flags    *batchFlags
	command  string
	from     uint64
	twice    bool
	subjects []batch.Subject
	options  batch.Options
	folder   *artifact.Folder
	bar      progress
	report   report.Report
}

// prepare checks the input. Nothing is written before it has passed.
func (b *batchRun) prepare(c *cobra.Command, plan string) (err error) {
	b.life = c.Context()
	if b.subjects, err = b.app.choose(b.flags.scenarios); err != nil {
		return err
	}
	if f := c.Flags().Lookup("plan"); f != nil && f.Changed {
		if b.options.Plan, err = b.app.readPlan(plan); err != nil {
			return err
		}
	}
	if b.folder, err = artifact.NewFolder(b.flags.out); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return b.flags.profile.check()
}

// do runs the batch and prints the report.
func (b *batchRun) do(ctx context.Context, jobs func(uint64) (batch.Job, bool)) error {
	f := b.flags
	o := &b.options
	o.Subjects, o.Jobs, o.Workers = b.subjects, jobs, int(f.workers.value)
	o.Store, o.Twice, o.MaxFailures, o.OnResult = f.store.value, b.twice, f.failures(), b.result
	defer batch.CollectLess()()
	stop, err := f.profile.start()
	if err != nil {
		return err
	}
	tally, err := batch.Run(ctx, *o)
	b.bar.close()
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	r := &b.report
	r.Command, r.Workers, r.From, r.Tally, r.AnyPlan = b.command, o.Workers, b.from, tally, o.Plan != nil
	r.Interrupted = b.life.Err() != nil
	write := r.WriteText
	if f.json {
		write = r.WriteJSON
	}
	if err := write(b.app.stdout); err != nil {
		return fmt.Errorf("cannot print the report: %w", err)
	}
	switch {
	case r.Interrupted:
		return &exitError{exitInterrupted, "interrupted; the report is about what was done until then"}
	case !r.Held():
		return exit(exitViolation)
	}
	return nil
}

// result takes in one result, in order.
func (b *batchRun) result(s *batch.Subject, r *scenario.Result) {
	b.bar.step()
	if r.Failure == nil && r.Unknown == "" {
		return
	}
	e := report.EntryOf(r)
	if b.folder.Wants(e.Signature) {
		b.keep(s, r, &e)
	}
	if r.Failure != nil {
		b.report.Failures.Add(e)
	} else {
		b.report.Unknowns.Add(e)
	}
}

// keep writes the run's artifact and notes in e how to replay it.
func (b *batchRun) keep(s *batch.Subject, r *scenario.Result, e *report.Entry) {
	a, err := artifact.Record(s.Guarded, r)
	if err != nil {
		e.Note = "no artifact: " + err.Error()
		return
	}
	path, err := b.folder.Keep(e.Signature, a)
	if err != nil {
		e.Note = "no artifact: " + err.Error()
		return
	}
	e.Artifact, e.Replay = path, "go run ./cmd/simrun replay "+quoted(path)
	if a.TraceHash != r.Hash.String() {
		e.Note = fmt.Sprintf("the run does not repeat itself: its trace hash was %v, and %s when it was recorded", r.Hash, a.TraceHash)
	}
}
