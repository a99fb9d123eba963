package registry_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// onHost returns a registry of a real host on an engine, both of which it closes.
func onHost(b *testing.B, open func(h host.Host) (store.Engine, error)) (*registry.Registry, *host.System) {
	b.Helper()
	h, err := host.NewSystem(host.SystemOptions{Name: "node-1"})
	if err != nil {
		b.Fatal(err)
	}
	e, err := open(h)
	if err != nil {
		b.Fatal(err)
	}
	db, err := store.Open(e, h, h.Rand(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	reg, err := registry.Open(h, db, registry.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := errors.Join(h.Close(context.Background()), e.Close()); err != nil {
			b.Error(err)
		}
	})
	return reg, h
}

// joined returns a session of onHost, which it ends.
func joined(b *testing.B, open func(h host.Host) (store.Engine, error)) *registry.Session {
	b.Helper()
	ctx := context.Background()
	reg, _ := onHost(b, open)
	session, err := reg.Join(ctx, "node-1", registry.JoinOptions{Address: "10.0.0.1:7000"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := session.Leave(ctx); err != nil {
			b.Error(err)
		}
	})
	return session
}

func inMemory(h host.Host) (store.Engine, error) {
	return memory.New(memory.Options{Clock: h}), nil
}

func actor(i int) registry.ActorID { return registry.ActorID(fmt.Sprintf("account/%016d", i)) }

// BenchmarkClaimRelease claims and releases actors, distinct ones in each
// goroutine, of one node: ns/op is the mean of a pair, the quantiles are those
// of one claim with its release.
func BenchmarkClaimRelease(b *testing.B) {
	for _, engine := range []struct {
		name string
		open func(h host.Host) (store.Engine, error)
	}{
		{"memory", inMemory},
		{"disk", func(h host.Host) (store.Engine, error) { return disk.Open(b.TempDir(), disk.Options{Clock: h}) }},
	} {
		for _, goroutines := range []int{1, 4, 16, 64} {
			b.Run(fmt.Sprintf("store=%s/goroutines=%d", engine.name, goroutines), func(b *testing.B) {
				session := joined(b, engine.open)
				times := make([][]time.Duration, goroutines)
				errs := make([]error, goroutines)
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for g := range goroutines {
					pairs := b.N / goroutines
					if g < b.N%goroutines {
						pairs++
					}
					wg.Go(func() { times[g], errs[g] = claimAndRelease(session, g, pairs) })
				}
				wg.Wait()
				b.StopTimer()
				if err := errors.Join(errs...); err != nil {
					b.Fatal(err)
				}
				all := slices.Sorted(slices.Values(slices.Concat(times...)))
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pairs/s")
				b.ReportMetric(float64(all[len(all)/2].Nanoseconds())/1e3, "p50-µs")
				b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds())/1e3, "p99-µs")
			})
		}
	}
}

// claimAndRelease returns how long each pair took.
func claimAndRelease(session *registry.Session, g, pairs int) ([]time.Duration, error) {
	ctx := context.Background()
	times := make([]time.Duration, 0, pairs)
	for i := range pairs {
		start := time.Now()
		claim, err := session.Claim(ctx, actor(g*1000+i%1000))
		if err == nil {
			err = claim.Release(ctx)
		}
		if err != nil {
			return times, err
		}
		times = append(times, time.Since(start))
	}
	return times, nil
}

// BenchmarkValid asks a claim whether it is valid, on the machine's clock.
func BenchmarkValid(b *testing.B) {
	claim, err := joined(b, inMemory).Claim(context.Background(), "a")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !claim.Valid() {
			b.Fatal("not valid")
		}
	}
}

// BenchmarkMillionOwned claims a million actors and reports the memory that each
// takes, in the store and in the node that owns it, window of the store
// included.
func BenchmarkMillionOwned(b *testing.B) {
	const actors = 1_000_000
	for b.Loop() {
		session := joined(b, inMemory)
		before := heap()
		claims := make([]*registry.Claim, actors)
		for i := range claims {
			var err error
			if claims[i], err = session.Claim(context.Background(), actor(i)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/actors, "B/actor")
		if !claims[actors-1].Valid() {
			b.Fatal("the last claim is not valid")
		}
	}
}

// heap returns the bytes of the heap that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
