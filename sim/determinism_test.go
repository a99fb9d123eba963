package sim_test

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// chat runs the chatter of a seed and returns its hash and counts.
func chat(t testing.TB, seed uint64, o sim.Options) (sim.Hash, sim.Stats) {
	t.Helper()
	w := sim.NewWorld(seed, o)
	defer w.Close()
	chatter(w)
	mustRun(t, w, chatterTime)
	return w.Hash(), w.Stats()
}

func TestChatterUsesAllThatCanHappen(t *testing.T) {
	_, s := chat(t, 1, sim.Options{})
	for name, n := range map[string]uint64{
		"Events": s.Events, "Switches": s.Switches, "Tasks": s.Tasks, "Timers": s.Timers, "Messages": s.Messages,
		"Delivered": s.Delivered, "Dropped": s.Dropped, "Duplicated": s.Duplicated, "Reordered": s.Reordered, "Calls": s.Calls,
	} {
		if n == 0 {
			t.Errorf("Stats.%s is 0", name)
		}
	}
}

func TestOneSeedGivesOneHash(t *testing.T) {
	for seed := range uint64(20) {
		a, sa := chat(t, seed, sim.Options{})
		b, sb := chat(t, seed, sim.Options{})
		if a != b || sa != sb {
			t.Errorf("seed %d: %v %+v, then %v %+v", seed, a, sa, b, sb)
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	seen := make(map[sim.Hash]uint64)
	for seed := range uint64(50) {
		h, _ := chat(t, seed, sim.Options{})
		if other, ok := seen[h]; ok {
			t.Errorf("seeds %d and %d have one hash", other, seed)
		}
		seen[h] = seed
	}
}

func TestHashDoesNotDependOnGOMAXPROCS(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for seed := range uint64(5) {
		runtime.GOMAXPROCS(1)
		a, _ := chat(t, seed, sim.Options{})
		runtime.GOMAXPROCS(2)
		b, _ := chat(t, seed, sim.Options{})
		if a != b {
			t.Errorf("seed %d: %v with one processor, %v with two", seed, a, b)
		}
	}
}

// The value itself is fixed, so that other machines, builds with -race and
// later versions of Go are held to it. Change it with the simulator.
func TestHashIsTheSameEverywhere(t *testing.T) {
	const want = "12ef109c8c3ce6837d9d0a01038ac240"
	if h, s := chat(t, 42, sim.Options{}); h.String() != want {
		t.Errorf("seed 42 has hash %v after %d events, want %s", h, s.Events, want)
	}
}

func TestTracingDoesNotChangeTheHash(t *testing.T) {
	plain, s := chat(t, 3, sim.Options{})
	var text bytes.Buffer
	var events uint64
	var last uint64
	traced, _ := chat(t, 3, sim.Options{Trace: &text, OnEvent: func(index, hash uint64) {
		events++
		if index != events {
			t.Fatalf("event %d is reported as %d", events, index)
		}
		last = hash
	}})
	if plain != traced {
		t.Errorf("hash is %v without a trace and %v with one", plain, traced)
	}
	if events != s.Events || last == 0 {
		t.Errorf("%d events reported, the last with hash %d, want %d", events, last, s.Events)
	}
	if text.Len() == 0 {
		t.Error("the trace is empty")
	}
}

func TestRunInPiecesDoesTheSame(t *testing.T) {
	whole, _ := chat(t, 5, sim.Options{})
	w := sim.NewWorld(5, sim.Options{})
	defer w.Close()
	chatter(w)
	for at := time.Duration(0); at < chatterTime; at += 13 * time.Millisecond {
		mustRun(t, w, at)
	}
	mustRun(t, w, chatterTime)
	if got := w.Hash(); got != whole {
		t.Errorf("hash is %v in pieces and %v in one run", got, whole)
	}
}

func TestOnEventShowsWhereTwoRunsPart(t *testing.T) {
	record := func(extra bool) (hashes []uint64) {
		w := sim.NewWorld(1, sim.Options{OnEvent: func(_, hash uint64) { hashes = append(hashes, hash) }})
		defer w.Close()
		chatter(w)
		if extra {
			w.After(123*time.Millisecond, "extra", func() { w.Note("extra", "") })
		}
		mustRun(t, w, 123*time.Millisecond)
		return hashes
	}
	a, b := record(false), record(true)
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if i == 0 || i > len(a) || len(a) >= len(b) {
		t.Errorf("runs of %d and %d events part at %d", len(a), len(b), i)
	}
}

func TestNamedStreamsAreIndependentAndRepeat(t *testing.T) {
	read := func(w *sim.World, stream string) (s string) {
		for range 3 {
			s += fmt.Sprint(w.Rand(stream).Uint64(), " ")
		}
		return s
	}
	v, w := world(t, sim.Options{}), world(t, sim.Options{})
	a, b := read(v, "a"), read(v, "b")
	if a == b {
		t.Error("two streams give the same numbers")
	}
	if got := read(w, "b"); got != b {
		t.Error("a stream depends on what was read before from another")
	}
	if got := read(w, "a"); got != a {
		t.Error("two worlds of one seed differ in a stream")
	}
	if got := read(w, "a"); got == a {
		t.Error("a stream starts again")
	}
}

func TestDrawIsAFunctionOfSeedStreamAndIds(t *testing.T) {
	w := world(t, sim.Options{})
	other := sim.NewWorld(2, sim.Options{})
	defer other.Close()
	x := w.Draw("s", 1, 2)
	if y := w.Draw("s", 1, 2); x != y {
		t.Errorf("one draw is %d, then %d", x, y)
	}
	seen := map[uint64]string{x: "s 1 2"}
	for name, y := range map[string]uint64{
		"other seed": other.Draw("s", 1, 2), "other stream": w.Draw("r", 1, 2), "other order": w.Draw("s", 2, 1),
		"fewer": w.Draw("s", 1), "none": w.Draw("s"), "more": w.Draw("s", 1, 2, 0), "zeros": w.Draw("s", 0, 0),
	} {
		if twin, ok := seen[y]; ok {
			t.Errorf("%s and %s give one number", name, twin)
		}
		seen[y] = name
	}
}

// order returns in which order tasks run that are ready at one instant.
func order(t testing.TB, seed uint64, names ...string) (got []string) {
	t.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	defer w.Close()
	for _, name := range names {
		process(w, name, func(ctx ctxT, h *hostT) {
			_ = h.Sleep(ctx, time.Millisecond)
			got = append(got, name)
		})
	}
	mustRun(t, w, time.Second)
	return got
}

func TestSeedsExploreTheOrderOfOneInstant(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(200) {
		seen[fmt.Sprint(order(t, seed, "a", "b", "c"))]++
	}
	if len(seen) != 6 {
		t.Errorf("%d of 6 orders seen: %v", len(seen), seen)
	}
	for o, n := range seen {
		if n < 10 {
			t.Errorf("order %s seen %d times of 200", o, n)
		}
	}
}

func TestTakingAwayAProcessLeavesTheOrderOfTheOthers(t *testing.T) {
	for seed := range uint64(100) {
		var without []string
		for _, name := range order(t, seed, "a", "b", "c") {
			if name != "b" {
				without = append(without, name)
			}
		}
		if got := order(t, seed, "a", "c"); fmt.Sprint(got) != fmt.Sprint(without) {
			t.Fatalf("seed %d: order %v without b, %v with it", seed, got, without)
		}
	}
}
