package mutants

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Limits and default of [Options].
const (
	DefaultSeeds = 500
	MaxSeeds     = 10_000_000
	MaxWorkers   = 1024
)

// Options of [Run]. The zero value scores every mutant of the module around the
// working directory.
type Options struct {
	// Root is the module's root, or a directory below it. Default: the working
	// directory.
	Root string
	// Names are the mutants to score. Default: all.
	Names []string
	// Seeds is how many seeds of each of its scenarios a mutant may survive; 1 to
	// [MaxSeeds]. Default: [DefaultSeeds].
	Seeds int
	// Workers is how many seeds of one mutant are run at a time; 0 to [MaxWorkers].
	// Default: as many as there are processors.
	Workers int
	// Progress, when not nil, is told each result, in the order of the catalogue.
	Progress func(Result)
}

// Errors of [Run].
var (
	// ErrOptions: a field of [Options] is out of its range.
	ErrOptions = errors.New("mutants: bad options")
	// ErrControl: the unchanged code fails a scenario, so that a failure of a
	// mutant would say nothing.
	ErrControl = errors.New("mutants: the unchanged code fails; no score")
	// ErrBuild: the scenarios could not be built, unchanged or with a mutant.
	ErrBuild = errors.New("mutants: build failed")
)

// Run scores mutants, two at a time. It first makes sure that every patch
// applies, then builds the scenarios unchanged and runs those that it will
// need, then does the same with each mutant until a seed fails.
//
// A mutant that survives is a result, not an error. Errors: [ErrOptions],
// [ErrUnknownMutant], [ErrNoSource], [ErrNoToolchain], [ErrDoesNotApply],
// [ErrBuild], [ErrControl], that of ctx, and those of a trial; the report then holds
// the results so far. Nothing is left behind but entries of Go's build cache.
func Run(ctx context.Context, o Options) (Report, error) {
	return runMutants(ctx, catalogue, o)
}

func runMutants(ctx context.Context, from []Mutant, o Options) (rep Report, err error) {
	began := time.Now()
	defer func() { rep.Wall = time.Since(began) }()
	if err := ctx.Err(); err != nil {
		return rep, err
	}
	if err := o.fill(); err != nil {
		return rep, err
	}
	ms, err := choose(from, o.Names)
	if err != nil {
		return rep, err
	}
	s, err := newScorer(o, ms)
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if rep.ControlSeeds, err = s.control(ctx, ms); err != nil {
		return rep, err
	}
	return rep, s.scoreAll(ctx, ms, func(res Result) {
		rep.add(res)
		if o.Progress != nil {
			o.Progress(res)
		}
	})
}

func (o *Options) fill() error {
	if o.Root == "" {
		o.Root = "."
	}
	if o.Seeds == 0 {
		o.Seeds = DefaultSeeds
	}
	if o.Seeds < 1 || o.Seeds > MaxSeeds {
		return fmt.Errorf("%w: Seeds is %d, must be from 1 to %d", ErrOptions, o.Seeds, MaxSeeds)
	}
	if o.Workers < 0 || o.Workers > MaxWorkers {
		return fmt.Errorf("%w: Workers is %d, must be from 0 to %d", ErrOptions, o.Workers, MaxWorkers)
	}
	return nil
}

// choose returns the named mutants, each once, in the order of the catalogue.
func choose(from []Mutant, names []string) ([]Mutant, error) {
	if len(names) == 0 {
		return from, nil
	}
	for _, n := range names {
		if _, err := findIn(from, n); err != nil {
			return nil, err
		}
	}
	var ms []Mutant
	for _, m := range from {
		if slices.Contains(names, m.Name) {
			ms = append(ms, m)
		}
	}
	return ms, nil
}

// scorer builds and runs inside one temporary directory.
type scorer struct {
	o       Options
	root    string
	gocmd   string
	dir     string
	changed map[string]map[string][]byte // by mutant: its files
}

func newScorer(o Options, ms []Mutant) (*scorer, error) {
	s := &scorer{o: o, changed: make(map[string]map[string][]byte, len(ms))}
	var err error
	if s.root, err = FindRoot(o.Root); err != nil {
		return nil, err
	}
	if s.gocmd, err = findGo(); err != nil {
		return nil, err
	}
	var refused []error
	for _, m := range ms {
		files, err := Apply(m, s.root)
		refused = append(refused, err)
		s.changed[m.Name] = files
	}
	if err := errors.Join(refused...); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "kelpie-mutants-"); err != nil {
		return nil, fmt.Errorf("mutants: %w", err)
	}
	return s, nil
}

// control runs the unchanged code on all that the mutants will be run on.
func (s *scorer) control(ctx context.Context, ms []Mutant) (seeds int, err error) {
	binary, _, err := s.build(ctx, "control", nil)
	if err != nil {
		return 0, err
	}
	defer discard(binary)
	var done []string
	for _, m := range ms {
		for _, scenario := range m.Scenarios {
			if slices.Contains(done, scenario) {
				continue
			}
			done = append(done, scenario)
			v, err := s.batch(scenario, 0, s.o.Seeds).run(ctx, binary, s.root)
			if err != nil {
				return 0, err
			}
			if f := v.first(); f != nil {
				return 0, fmt.Errorf("%w: scenario %q, seed %d: %s: %s", ErrControl, scenario, f.Seed, f.Rule, f.Message)
			}
			if v.Unknown > 0 {
				return 0, fmt.Errorf("%w: scenario %q: %d of %d seeds could not be judged", ErrControl, scenario, v.Unknown, s.o.Seeds)
			}
			seeds += s.o.Seeds
		}
	}
	return seeds, nil
}

// scoring is how many mutants are scored at one time. Much of a build waits for one
// compilation, of the package that was changed.
const scoring = 2

// scored is what became of one mutant.
type scored struct {
	res Result
	err error
}

// scoreAll scores mutants and tells their results in order, until one fails to be
// scored.
func (s *scorer) scoreAll(ctx context.Context, ms []Mutant, tell func(Result)) error {
	ctx, cancel := context.WithCancel(ctx)
	var scorers sync.WaitGroup
	defer scorers.Wait()
	defer cancel()
	done, next := make([]chan scored, len(ms)), make(chan int, len(ms))
	for i := range ms {
		done[i] = make(chan scored, 1)
		next <- i
	}
	close(next)
	for range scoring {
		scorers.Go(func() {
			for i := range next {
				res, err := s.score(ctx, ms[i])
				done[i] <- scored{res, err}
			}
		})
	}
	for i := range done {
		d := <-done[i]
		if d.err == nil && ctx.Err() != nil {
			d.err = context.Cause(ctx)
		}
		if d.err != nil {
			return fmt.Errorf("mutant %q: %w", ms[i].Name, d.err)
		}
		tell(d.res)
	}
	return nil
}

// firstBatch is the size of a mutant's first batch of seeds. Each further one is
// batchGrowth times as large: a mutant that is found soon is not made to wait
// for a large batch, and one that is not pays few starts of a process.
const (
	firstBatch  = 32
	batchGrowth = 4
)

// score runs one mutant until a seed fails.
func (s *scorer) score(ctx context.Context, m Mutant) (res Result, err error) {
	res = Result{Mutant: m.Name, Title: m.Title}
	binary, took, err := s.build(ctx, m.Name, s.changed[m.Name])
	if err != nil {
		return res, err
	}
	defer discard(binary)
	res.Build = took
	began := time.Now()
	defer func() { res.Wall = time.Since(began) }()
	for _, scenario := range m.Scenarios {
		res.Tried = append(res.Tried, scenario)
		for from, size := 0, firstBatch; from < s.o.Seeds; from, size = from+size, size*batchGrowth {
			size = min(size, s.o.Seeds-from)
			v, err := s.batch(scenario, from, size).run(ctx, binary, s.root)
			if err != nil {
				return res, err
			}
			if f := v.first(); f != nil {
				res.Caught, res.Scenario, res.Seed, res.Rule, res.Message = true, scenario, f.Seed, f.Rule, f.Message
				res.Seeds += int(f.Seed) - from + 1
				return res, nil
			}
			res.Seeds += size
		}
	}
	return res, nil
}

// discard removes what was built and written for one binary, early: the whole
// temporary directory goes at the end, and that one reports its error.
func discard(binary string) { _ = os.RemoveAll(filepath.Dir(binary)) }

func (s *scorer) batch(scenario string, from, seeds int) batch {
	return batch{
		scenario: scenario, from: uint64(from), seeds: seeds, workers: s.o.Workers,
	}
}

// build builds the program that runs a trial with the changed files in place, into
// a directory of its own.
func (s *scorer) build(ctx context.Context, name string, changed map[string][]byte) (binary string, took time.Duration, err error) {
	began := time.Now()
	dir := filepath.Join(s.dir, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", 0, fmt.Errorf("%w: %w", ErrBuild, err)
	}
	binary = filepath.Join(dir, "trial")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	over, err := writeOverlay(dir, s.root, changed)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", ErrBuild, err)
	}
	// Neither a symbol table nor a revision is wanted: both cost time.
	cmd := exec.CommandContext(ctx, s.gocmd, "build", "-overlay", over, "-ldflags=-s -w", "-buildvcs=false", "-o", binary, trialPackage)
	// Asked to end, go clears up; killed, it would leave its own temporary directory.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Env = append(os.Environ(), "GOTMPDIR="+dir)
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = s.root, &out, &out, killAfter
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", 0, context.Cause(ctx)
		}
		return "", 0, fmt.Errorf("%w: go %s: %w\n%s", ErrBuild, strings.Join(cmd.Args[1:], " "), err, tail(out.String()))
	}
	return binary, time.Since(began), nil
}
