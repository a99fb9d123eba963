package sim

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestOptions of [Test]. The zero value is ready for use. The flags -sim.seed,
// -sim.seeds, -sim.from, -sim.plan and -sim.trace, and the environment
// variables KELPIE_SEED and so on, go before it.
type TestOptions struct {
	// Seeds is the number of seeds to run, at most MaxSeeds. Default:
	// [DefaultSeeds], or [DefaultShortSeeds] with -short.
	Seeds int
	// From is the first seed. Default: 1.
	From uint64
	// Recheck runs one in so many passing seeds a second time, to see that it
	// does the same again; below zero none. Default: 10.
	Recheck int
	// World is passed to each world. Its Arena and OnEvent are replaced.
	World Options
}

// RuleScenario is the rule of a failure for an error that a scenario returns
// by itself.
const RuleScenario = "scenario"

// RuleNondeterminism is the rule of a failure for a seed of which two runs
// differ.
const RuleNondeterminism = "nondeterminism"

// Test runs a scenario in one world for each seed, each as a subtest named by
// its seed. The scenario sets the world up, runs it and returns an error if it
// did not end as it should; it fails as well when the world does.
//
// Seeds that fail, and a share of those that pass, run twice and must do the
// same. Failures with one [Failure.Signature] are reported in full once, with
// the one command that reproduces them, and then by their seeds only.
func Test(t *testing.T, scenario func(w *World) error, o TestOptions) {
	t.Helper()
	r := &runner{scenario: scenario, o: o, arena: NewArena(), seeds: make(map[string][]uint64)}
	defer r.arena.Close()
	from, count, err := seedRange(o)
	if err == nil {
		r.plan, err = lookupPlan(o.World.Plan)
	}
	if err == nil {
		r.trace, err = lookupTrace()
	}
	if err != nil {
		t.Fatal(err)
	}
	_, r.planGiven = lookup("plan")
	r.pkg = callerPackage()
	r.name = t.Name()
	if r.o.Recheck == 0 {
		r.o.Recheck = 10
	}
	for i := range count {
		seed := from + i
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) { r.test(t, seed, i) })
	}
	if len(r.seeds) > 0 && count > 1 {
		t.Log(r.summary())
	}
}

// runner is one call of Test.
type runner struct {
	scenario  func(w *World) error
	o         TestOptions
	arena     *Arena
	plan      string
	planGiven string // flag or variable that set the plan; "" when none did
	trace     bool
	pkg, name string
	order     []string            // signatures in the order of their first failure
	seeds     map[string][]uint64 // by signature
}

// outcome is what one run came to.
type outcome struct {
	hash    Hash
	events  uint64
	plan    string
	failure *Failure
}

func (a outcome) same(b outcome) bool {
	if a.hash != b.hash || (a.failure == nil) != (b.failure == nil) {
		return false
	}
	return a.failure == nil || a.failure.Signature() == b.failure.Signature()
}

func (r *runner) test(t *testing.T, seed, i uint64) {
	t.Helper()
	o := r.o.World
	o.Arena, o.OnEvent, o.Plan = r.arena, nil, r.plan
	first := o
	if r.trace {
		first.Trace = logWriter{t}
	}
	a := r.once(seed, first)
	if a.failure == nil && (r.o.Recheck < 0 || i%uint64(r.o.Recheck) != 0) {
		return
	}
	if b := r.once(seed, o); !a.same(b) {
		a.failure = &Failure{Rule: RuleNondeterminism, Err: &stuckError{
			text:  r.divergence(seed, o, a, b),
			where: "two runs of one seed differ",
		}}
	}
	if a.failure != nil {
		r.report(t, seed, a)
	}
}

// once runs the scenario in a world of its own.
func (r *runner) once(seed uint64, o Options) (res outcome) {
	w := NewWorld(seed, o)
	defer w.Close()
	defer func() {
		if v := recover(); v != nil {
			w.caught(v)
		}
		if f := w.Failure(); f != nil {
			res.failure = f
		}
		res.hash, res.events, res.plan = w.Hash(), w.Stats().Events, w.Plan()
	}()
	err := r.scenario(w)
	if err == nil || w.Failure() != nil {
		return res
	}
	if !errors.As(err, &res.failure) {
		res.failure = &Failure{Rule: RuleScenario, At: w.Now(), Event: w.Stats().Events, Err: err}
	}
	return res
}

// report fails the subtest.
func (r *runner) report(t *testing.T, seed uint64, a outcome) {
	t.Helper()
	signature := a.failure.Signature()
	known := r.seeds[signature]
	r.seeds[signature] = append(known, seed)
	if len(known) > 0 {
		t.Errorf("same failure as seed %d: %s", known[0], signature)
		return
	}
	r.order = append(r.order, signature)
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %v\n", seed, a.failure)
	if a.failure.Stack != "" {
		b.WriteString(a.failure.Stack)
	}
	fmt.Fprintf(&b, "trace hash %s after %d events\n", a.hash, a.events)
	if a.plan != "" {
		fmt.Fprintf(&b, "plan %s\n", a.plan)
	}
	fmt.Fprintf(&b, "reproduce with: %s", r.command(seed))
	t.Error(b.String())
}

// command is the one command that runs the seed again.
func (r *runner) command(seed uint64) string {
	parts := strings.Split(r.name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexpQuote(p) + "$"
	}
	c := fmt.Sprintf("go test %s -run '%s' -sim.seed=%d", r.pkg, strings.Join(parts, "/"), seed)
	if r.planGiven != "" {
		value, _ := lookup("plan")
		c += " -sim.plan='" + strings.ReplaceAll(value, "'", `'\''`) + "'"
	}
	return c
}

// regexpQuote quotes what a test name may have of regular expressions' marks,
// but for the slash, at which names are split.
func regexpQuote(s string) string {
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`\.+*?()|[]{}^$`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// summary lists the signatures, the most frequent first.
func (r *runner) summary() string {
	slices.SortStableFunc(r.order, func(a, b string) int {
		return cmp.Compare(len(r.seeds[b]), len(r.seeds[a]))
	})
	var b strings.Builder
	b.WriteString("failures by signature:")
	for _, s := range r.order {
		fmt.Fprintf(&b, "\n%6d seeds, first %d: %s", len(r.seeds[s]), r.seeds[s][0], s)
	}
	return b.String()
}

// logWriter writes lines to a test's log.
type logWriter struct{ t *testing.T }

func (l logWriter) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}

// callerPackage returns the import path of the package whose test called Test.
func callerPackage() string {
	pc, _, _, ok := runtime.Caller(2)
	if !ok {
		return "."
	}
	name := runtime.FuncForPC(pc).Name()
	slash := strings.LastIndexByte(name, '/') + 1
	dot := strings.IndexByte(name[slash:], '.')
	if dot < 0 {
		return "."
	}
	return strings.TrimSuffix(name[:slash+dot], "_test")
}
