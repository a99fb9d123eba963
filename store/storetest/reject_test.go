package storetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

const testWindow = 1000

// simulatedHarness runs the suite in the simulator on an engine that wrap has
// broken; a nil wrap leaves it whole.
func simulatedHarness(wrap func() *broken) Harness {
	h := Harness{
		Patience: 10 * time.Second, // of virtual time
		Age: func(ctx context.Context, w World, client int) error {
			for range testWindow + 1 {
				tx := w.Engine(client).Begin(ctx)
				tx.Set([]byte("age"), nil)
				if err := tx.Commit(); err != nil {
					return err
				}
			}
			return nil
		},
		New: func(tb testing.TB, seed uint64) World {
			return simulated(tb, seed, wrap)
		},
		Disconnect: func(w World, client int, during func() error) error {
			w.Engine(client).(*line).cuts++
			return during()
		},
	}
	h.setDefaults()
	return h
}

// line is a client's connection. A watch that was set before it was cut ends
// when it has news; a deaf one does not.
type line struct {
	store.Engine
	cuts int
	deaf bool
}

func (l *line) Begin(ctx context.Context) store.Txn {
	tx := l.Engine.Begin(ctx)
	return &hooked{tx, hooks{watch: func(key []byte) (store.Watch, error) {
		w, err := tx.Watch(key)
		if err != nil {
			return nil, err
		}
		cuts := l.cuts
		return &hookedWatch{Watch: w, wait: func(ctx context.Context) error {
			if err := w.Wait(ctx); err != nil || cuts == l.cuts {
				return err
			}
			if l.deaf {
				return fmt.Errorf("no news: %w", context.DeadlineExceeded)
			}
			return fmt.Errorf("connection lost: %w", store.ErrUnavailable)
		}}, nil
	}}}
}

func simulated(tb testing.TB, seed uint64, wrap func() *broken) World {
	w := sim.NewWorld(seed, sim.Options{})
	tb.Cleanup(w.Close)
	var processes [Clients]*sim.Process
	for i := range processes {
		processes[i] = w.Process(fmt.Sprintf("client-%d", i), sim.ProcessOptions{})
		processes[i].Start(func(context.Context, *sim.Host) {})
	}
	inner := memory.New(memory.Options{Clock: processes[0].Host(), Window: testWindow})
	var e store.Engine = inner
	deaf := false
	if wrap != nil {
		b := wrap()
		b.Engine = inner
		e, deaf = b, b.deaf
	}
	return &Hosts{
		Host: func(client int) host.Host { return processes[client].Host() },
		Connect: func(client int) store.Engine {
			h := processes[client].Host()
			slow := Yielding(e, func() { _ = h.Sleep(h.Context(), time.Duration(h.Rand().IntN(100))*time.Microsecond) })
			return &line{Engine: slow, deaf: deaf}
		},
		Step:  func() error { return w.Run(w.Now() + time.Second) },
		Check: inner.Check,
	}
}

// rejections runs cases on an engine and returns those that reject it.
func rejections(tb testing.TB, wrap func() *broken, cases []check) map[string]error {
	h := simulatedHarness(wrap)
	found := map[string]error{}
	for _, c := range cases {
		if err := h.judge(tb, c); err != nil {
			found[c.name] = err
		}
	}
	return found
}

func TestCorrectEngineIsAccepted(t *testing.T) {
	for name, err := range rejections(t, nil, suite()) {
		t.Errorf("%s: %v", name, err)
	}
}

// TestBrokenEnginesAreRejected shows that each bug is found, by the cases that
// are there to find it.
func TestBrokenEnginesAreRejected(t *testing.T) {
	for _, b := range slices.Concat(conflictBugs, viewBugs, commitBugs, stampBugs, lifeBugs, watchBugs, crowdBugs) {
		t.Run(b.name, func(t *testing.T) {
			var cases []check
			for _, c := range suite() {
				if slices.Contains(b.rejected, c.name) {
					cases = append(cases, c)
				}
			}
			if len(cases) != len(b.rejected) || len(cases) == 0 {
				t.Fatalf("there are not all of the cases %q", b.rejected)
			}
			found := rejections(t, b.make, cases)
			for _, want := range b.rejected {
				if found[want] == nil {
					t.Errorf("not rejected by %q; by %q", want, slices.Sorted(maps.Keys(rejections(t, b.make, suite()))))
				}
			}
		})
	}
}

// TestEveryCaseRejectsSomething demands a bug for each case of the suite, so
// that none is there for show.
func TestEveryCaseRejectsSomething(t *testing.T) {
	named := map[string]bool{}
	for _, b := range slices.Concat(conflictBugs, viewBugs, commitBugs, stampBugs, lifeBugs, watchBugs, crowdBugs) {
		for _, name := range b.rejected {
			named[name] = true
		}
	}
	for _, c := range suite() {
		if !named[c.name] {
			t.Errorf("no bug is there to be rejected by %q", c.name)
		}
	}
}

// TestLackingFeaturesAreLeftAlone runs the suite on an engine that panics when
// it is asked for what its harness says it lacks.
func TestLackingFeaturesAreLeftAlone(t *testing.T) {
	never := func(store.Engine, store.Txn) hooks {
		return hooks{
			stamp:         func([]byte, []byte, int) { panic("SetStamped") },
			readConflict:  func([]byte, []byte) { panic("AddReadConflict") },
			writeConflict: func([]byte, []byte) { panic("AddWriteConflict") },
			watch:         func([]byte) (store.Watch, error) { panic("Watch") },
		}
	}
	h := simulatedHarness(byTxn(never))
	h.Lacks = []Feature{Watches, Stamps, ExplicitConflicts, PreciseConflicts, WriteConflicts, Window, Limits}
	h.Age = nil
	ran := 0
	for _, c := range suite() {
		if slices.ContainsFunc(c.needs, func(f Feature) bool { return !h.has(f) }) {
			continue
		}
		ran++
		if err := h.judge(t, c); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if ran < 30 {
		t.Errorf("%d cases ran", ran)
	}

	// One at a time, so that no case leans on another feature in silence.
	for _, f := range h.Lacks {
		one := simulatedHarness(nil)
		one.Lacks, one.Histories = []Feature{f}, 3
		for _, c := range suite() {
			if slices.Contains(c.needs, f) {
				continue
			}
			if err := one.judge(t, c); err != nil {
				t.Errorf("without %s: %s: %v", f, c.name, err)
			}
		}
	}
}
