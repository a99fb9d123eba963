package registry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// BenchmarkCacheLookup asks for actors out of many, while another task keeps
// replacing entries: actors at random, for which most of the time goes into
// fetching memory, and actors as they are wanted in practice, some much more often
// than others. The plain map is there for comparison: it reads no clock, and finds
// the very strings that it is asked for, so that it need not compare them.
func BenchmarkCacheLookup(b *testing.B) {
	for _, entries := range []int{1_000, 1_000_000} {
		actors := make([]registry.ActorID, entries)
		for i := range actors {
			actors[i] = registry.ActorID(fmt.Sprintf("player/%07d", i))
		}
		rnd := rand.New(rand.NewPCG(1, 2))
		zipf := rand.NewZipf(rnd, 1.1, 1, uint64(entries-1))
		for _, access := range []struct {
			name string
			next func() uint64
		}{
			{"uniform", func() uint64 { return rnd.Uint64N(uint64(entries)) }},
			{"zipf", zipf.Uint64},
		} {
			wanted := make([]registry.ActorID, 1<<16)
			for i := range wanted {
				wanted[i] = actors[access.next()]
			}
			name := fmt.Sprintf("entries=%d/access=%s", entries, access.name)
			b.Run(name+"/cache", func(b *testing.B) { benchmarkCache(b, actors, wanted) })
			b.Run(name+"/map", func(b *testing.B) { benchmarkMap(b, actors, wanted) })
		}
	}
}

func benchmarkCache(b *testing.B, actors, wanted []registry.ActorID) {
	b.Helper()
	r, h := onHost(b, inMemory)
	s, err := r.Join(b.Context(), "n", registry.JoinOptions{Address: "10.0.0.1:7000"})
	if err != nil {
		b.Fatal(err)
	}
	cache, err := r.NewCache(registry.CacheOptions{Entries: 2 * len(actors), MaxStale: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer cache.Close()
	owner := registry.Owner{Node: "n", Incarnation: s.Incarnation(), Token: 1, Address: "10.0.0.1:7000"}
	for _, a := range actors {
		cache.Learn(a, owner, h.Uptime())
	}
	h.Go("updater", func(ctx context.Context) {
		for i := 0; ctx.Err() == nil; i++ {
			owner.Token++
			cache.Learn(actors[i*7919%len(actors)], owner, h.Uptime())
			_ = h.Sleep(ctx, 100*time.Microsecond) // some thousand updates a second
		}
	})
	runtime.GC()
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := cache.Lookup(ctx, wanted[i&(1<<16-1)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

func benchmarkMap(b *testing.B, actors, wanted []registry.ActorID) {
	b.Helper()
	m := make(map[registry.ActorID]*registry.Owner, len(actors))
	for _, a := range actors {
		m[a] = &registry.Owner{Node: "n", Token: 1}
	}
	runtime.GC()
	var mu sync.RWMutex
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		mu.RLock()
		o := m[wanted[i&(1<<16-1)]]
		mu.RUnlock()
		if o.Token != 1 {
			b.Fatal("lost")
		}
		i++
	}
}
