package scenario_test

import (
	"runtime"
	"testing"

	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/sim"
)

// BenchmarkWorld runs worlds as one worker of simrun does: one after another in
// one arena. Besides the time of a world it reports
//
//	live-KiB/world   the most that one world kept alive: heap and coroutine stacks,
//	                 looked at every thousand events of twenty worlds
//	grown-KiB        what the arena kept after the last world beyond what it kept
//	                 after those twenty: growth, were there any
func BenchmarkWorld(b *testing.B) {
	for _, s := range scenario.All() {
		for _, kind := range []string{scenario.StoreSimFDB, scenario.StoreMemory} {
			b.Run(s.Name+"/"+kind, func(b *testing.B) {
				b.ReportAllocs()
				before := live()
				arena := sim.NewArena()
				defer arena.Close()
				world := func(seed uint64, look func(index, hash uint64)) {
					r, err := s.Run(scenario.Config{Seed: seed, Store: kind, Arena: arena, OnEvent: look})
					if err != nil || r.Failure != nil {
						b.Fatalf("seed %d: %v, %+v", seed, err, r.Failure)
					}
				}
				peak := before
				for seed := range uint64(20) {
					world(seed, func(index, _ uint64) {
						if index%1000 == 0 {
							peak = max(peak, live())
						}
					})
				}
				rest := live()
				seed := uint64(20)
				for b.Loop() {
					world(seed, nil)
					seed++
				}
				b.ReportMetric(float64(peak-before)/1024, "live-KiB/world")
				b.ReportMetric((float64(live())-float64(rest))/1024, "grown-KiB")
			})
		}
	}
}

// live returns the bytes of heap and stacks that are in use.
func live() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
