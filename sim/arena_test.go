package sim_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// settled returns the number of goroutines once it stands at most at limit, or
// has not come down for a while.
func settled(limit int) int {
	n := runtime.NumGoroutine()
	for i := 0; n > limit && i < 1000; i++ {
		runtime.Gosched()
		n = runtime.NumGoroutine()
	}
	return n
}

func TestClosedWorldLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for seed := range uint64(20) {
		w := sim.NewWorld(seed, sim.Options{})
		chatter(w)
		mustRun(t, w, chatterTime)
		w.Close()
		w.Close()
	}
	if after := settled(before); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

func TestWorldThatFailedLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for name, f := range map[string]func(){
		"panic":  func() { panic("x") },
		"goexit": runtime.Goexit,
	} {
		w := sim.NewWorld(1, sim.Options{})
		chatter(w)
		process(w, "p", func(ctx ctxT, h *hostT) { _ = h.Sleep(ctx, time.Millisecond); f() })
		if err := w.Run(chatterTime); err == nil {
			t.Errorf("%s: no failure", name)
		}
		w.Close()
	}
	w := sim.NewWorld(1, sim.Options{})
	chatter(w)
	w.Close() // before it ran
	if after := settled(before); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

func TestArenaIsUsedAgain(t *testing.T) {
	before := runtime.NumGoroutine()
	a := sim.NewArena()
	within := 0
	for seed := range uint64(50) {
		w := sim.NewWorld(seed, sim.Options{Arena: a})
		chatter(w)
		mustRun(t, w, chatterTime)
		shared := w.Hash()
		w.Close()
		if own, _ := chat(t, seed, sim.Options{}); own != shared {
			t.Errorf("seed %d: hash is %v in an arena that was used and %v in a new one", seed, shared, own)
		}
		if seed == 10 {
			within = runtime.NumGoroutine()
		}
	}
	if after := runtime.NumGoroutine(); after > within+5 {
		t.Errorf("%d goroutines after 50 worlds, %d after 10", after, within)
	}
	a.Close()
	a.Close()
	if after := settled(before); after > before {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

func TestWorldsRunSideBySide(t *testing.T) {
	const workers, seeds = 4, 20
	var hashes [workers][seeds]sim.Hash
	var group sync.WaitGroup
	for worker := range workers {
		group.Go(func() {
			a := sim.NewArena()
			defer a.Close()
			for seed := range uint64(seeds) {
				hashes[worker][seed], _ = chat(t, seed, sim.Options{Arena: a})
			}
		})
	}
	group.Wait()
	for worker := range workers {
		if hashes[worker] != hashes[0] {
			t.Errorf("worker %d has other hashes than worker 0", worker)
		}
	}
}

func TestArenaServesOneWorldAtATime(t *testing.T) {
	a := sim.NewArena()
	w := sim.NewWorld(1, sim.Options{Arena: a})
	mustPanic(t, "a second world", func() { sim.NewWorld(2, sim.Options{Arena: a}) })
	mustPanic(t, "Close with a world", a.Close)
	w.Close()
	a.Close()
	mustPanic(t, "a world in a closed arena", func() { sim.NewWorld(2, sim.Options{Arena: a}) })
}

func TestClosedWorldCanBeReadAndNotChanged(t *testing.T) {
	w := sim.NewWorld(1, sim.Options{})
	chatter(w)
	mustRun(t, w, chatterTime)
	p := w.Lookup("n1")
	h := p.Host()
	hash := w.Hash()
	w.Close()
	stats := w.Stats()
	p.Crash()
	p.Restart()
	p.SetRate(1)
	h.Go("x", func(ctxT) { t.Error("runs") })
	h.SendTo(nil, "n0", "in", 1)
	w.After(0, "x", func() { t.Error("runs") })
	w.Note("a", "b")
	w.Net().Cut("n0", "n1")
	w.Fail("x", nil)
	if w.Hash() != hash || w.Stats() != stats || w.Failure() != nil || w.Now() != chatterTime {
		t.Error("a closed world changed")
	}
	mustPanic(t, "Run of a closed world", func() { _ = w.Run(time.Hour) })
}

func TestMemoryStaysFlatOverManyWorlds(t *testing.T) {
	if testing.Short() {
		t.Skip("runs 10000 worlds")
	}
	a := sim.NewArena()
	defer a.Close()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	var early uint64
	for seed := range uint64(10_000) {
		w := sim.NewWorld(seed, sim.Options{Arena: a})
		chatter(w)
		mustRun(t, w, 2*time.Millisecond)
		w.Close()
		if seed == 1000 {
			early = heap()
		}
	}
	if late := heap(); late > early+1<<20 {
		t.Errorf("%d bytes after 10000 worlds, %d after 1000", late, early)
	}
}
