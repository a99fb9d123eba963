package mutants

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What this package knows of the program that it builds, which runs seeds of one
// scenario: its place, its flags, its exit codes and what it prints.

const trialPackage = "./cmd/simrun/internal/trial"

// Exit codes of a trial.
const (
	exitHeld     = 0
	exitViolated = 1
)

// batch is one call of a trial.
type batch struct {
	scenario string
	from     uint64 // the first seed
	seeds    int
	workers  int // 0: as many as it likes
}

func (b batch) args() []string {
	args := []string{
		"--scenario", b.scenario, "--from", strconv.FormatUint(b.from, 10), "--seeds", strconv.Itoa(b.seeds),
	}
	if b.workers > 0 {
		args = append(args, "--workers", strconv.Itoa(b.workers))
	}
	return args
}

// verdict is what a trial reports of a batch.
type verdict struct {
	Seeds    *int      `json:"seeds"`   // that were run
	Unknown  int       `json:"unknown"` // of which so many could not be judged
	Failures []failure `json:"failures"`
}

// first returns the failure with the lowest seed, or nil. A trial adds up seeds in
// order, so no lower one can have failed.
func (v *verdict) first() *failure {
	if len(v.Failures) == 0 {
		return nil
	}
	f := slices.MinFunc(v.Failures, func(a, b failure) int { return cmp.Compare(a.Seed, b.Seed) })
	return &f
}

// failure is one seed's violation.
type failure struct {
	Scenario  string `json:"scenario"`
	Seed      uint64 `json:"seed"`
	Rule      string `json:"rule"`
	Signature string `json:"signature"`
	Message   string `json:"message"`
}

// testbedRules are rules by which a trial says that the testbed itself failed:
// they are no detection.
var testbedRules = []string{"harness", "harness-panic", "determinism"}

// errTrial: a trial did not do what was asked of it, so it says nothing.
var errTrial = errors.New("mutants: a trial failed")

// A batch that takes longer than stuckAfter and stuckPerSeed for each of its
// seeds is given up: the mutant has made a loop that the simulator cannot see.
const (
	stuckAfter   = time.Minute
	stuckPerSeed = time.Second
)

// killAfter is how long a trial may take to end once it was asked to.
const killAfter = 5 * time.Second

// run runs the batch.
func (b batch) run(ctx context.Context, binary, dir string) (*verdict, error) {
	limit := stuckAfter + time.Duration(b.seeds)*stuckPerSeed
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(bounded, binary, b.args()...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = dir, &stdout, &stderr, killAfter
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case bounded.Err() != nil:
		return nil, fmt.Errorf("%w: trial %s: still running after %v", errTrial, strings.Join(b.args(), " "), limit)
	}
	if code := cmd.ProcessState.ExitCode(); code != exitHeld && code != exitViolated {
		return nil, fmt.Errorf("%w: trial %s: %w\n%s", errTrial, strings.Join(b.args(), " "), err, tail(stderr.String()))
	}
	v, err := b.read(stdout.Bytes())
	if err != nil {
		return nil, fmt.Errorf("%w: trial %s: %w", errTrial, strings.Join(b.args(), " "), err)
	}
	return v, nil
}

// read reads a trial's report and makes sure that it is about the batch.
func (b batch) read(report []byte) (*verdict, error) {
	var v verdict
	if err := json.Unmarshal(report, &v); err != nil {
		return nil, fmt.Errorf("its report cannot be read: %w", err)
	}
	for _, f := range v.Failures {
		switch {
		case f.Scenario != b.scenario || f.Seed < b.from || f.Seed-b.from >= uint64(b.seeds):
			return nil, fmt.Errorf("it reports seed %d of scenario %q, which was not asked for", f.Seed, f.Scenario)
		case slices.Contains(testbedRules, f.Rule):
			return nil, fmt.Errorf("seed %d: the testbed itself failed: %s: %s", f.Seed, f.Rule, f.Message)
		}
	}
	if len(v.Failures) == 0 && (v.Seeds == nil || *v.Seeds != b.seeds) {
		return nil, fmt.Errorf("no seed failed, yet not all of %d were run", b.seeds)
	}
	return &v, nil
}

// tail returns the end of what a command said.
func tail(s string) string {
	const limit = 4 << 10
	if s = strings.TrimSpace(s); len(s) > limit {
		s = "… " + s[len(s)-limit:]
	}
	return s
}
