package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
)

// BenchmarkPlace places actors on sixteen nodes that take up what they are given, by
// each strategy, and asks for actors that have an owner; a claim of one node, beside
// it, is what nobody has to be chosen for.
func BenchmarkPlace(b *testing.B) {
	for _, strategy := range []struct {
		name string
		make func() registry.Strategy
	}{
		{"power-of-two", func() registry.Strategy { return registry.PowerOfTwo{} }},
		{"least-loaded", func() registry.Strategy { return registry.LeastLoaded{} }},
		{"round-robin", func() registry.Strategy { return &registry.RoundRobin{} }},
		{"rendezvous", func() registry.Strategy { return registry.Rendezvous{} }},
	} {
		for _, goroutines := range []int{1, 16} {
			b.Run(fmt.Sprintf("strategy=%s/goroutines=%d", strategy.name, goroutines), func(b *testing.B) {
				s, o := strategy.make(), registry.PlaceOptions{}
				o.Strategy = s
				r := accepting(b, 16)
				inParallel(b, goroutines, func(ctx context.Context, i int) error {
					_, err := r.Place(ctx, actor(i), o)
					return err
				})
			})
		}
	}
	b.Run("found/goroutines=1", func(b *testing.B) {
		r := accepting(b, 16)
		if _, err := r.Place(b.Context(), "a", registry.PlaceOptions{}); err != nil {
			b.Fatal(err)
		}
		inParallel(b, 1, func(ctx context.Context, _ int) error {
			p, err := r.Place(ctx, "a", registry.PlaceOptions{})
			if err == nil && p.New {
				err = errors.New("placed twice")
			}
			return err
		})
	})
	b.Run("claim/goroutines=1", func(b *testing.B) {
		session := joined(b, inMemory)
		inParallel(b, 1, func(ctx context.Context, i int) error {
			_, err := session.Claim(ctx, actor(i))
			return err
		})
	})
}

// accepting returns the registry of nodes that take up what they are given.
func accepting(b *testing.B, nodes int) *registry.Registry {
	b.Helper()
	ctx := context.Background()
	r, h := onHost(b, inMemory)
	for i := range nodes {
		s, err := r.Join(ctx, registry.NodeID(fmt.Sprintf("node-%d", i)), registry.JoinOptions{Address: "10.0.0.1:7000"})
		if err != nil {
			b.Fatal(err)
		}
		h.Go("acceptor", func(ctx context.Context) {
			for _, err := range s.Assignments(ctx) {
				if err != nil {
					return // it ends with the host
				}
			}
		})
	}
	return r
}

// inParallel shares b.N calls among goroutines.
func inParallel(b *testing.B, goroutines int, do func(ctx context.Context, i int) error) {
	b.Helper()
	var next atomic.Int64
	errs := make([]error, goroutines)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N) && errs[g] == nil; i = next.Add(1) {
				errs[g] = do(context.Background(), int(i))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if err := errors.Join(errs...); err != nil {
		b.Fatal(err)
	}
}
