package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simstore"
	"github.com/kelpie-registry/kelpie/store"
)

// TestFailOverTakesNoLongerThanItsBound kills an owner at any phase of its
// renewals, while a node waits whose clock runs as slow, or as fast, as it may.
func TestFailOverTakesNoLongerThanItsBound(t *testing.T) {
	const (
		drift = 0.05
		way   = 5 * time.Millisecond
	)
	var longest, bound time.Duration
	for seed := range uint64(400) {
		b := newBench(t)
		b.world.Net().SetDefault(sim.Link{LatencyMin: way / 2, LatencyMax: way})
		server := simstore.NewServer(b.world, b.engine, &simstore.Faults{Server: "server"})
		rate := int64(drift * 1e9)
		if seed%2 == 0 {
			rate = -rate
		}
		// A process is a registry behind the wire, with a session.
		process := func(name string, rate int64, f func(ctx context.Context, r *registry.Registry, s *registry.Session)) *sim.Process {
			p := b.world.Process(name, sim.ProcessOptions{RatePPB: rate})
			p.Start(func(ctx context.Context, h *sim.Host) {
				db, err := store.Open(server.Connect(h), h, h.Rand(), store.Options{})
				if err != nil {
					t.Error(err)
					return
				}
				r, err := registry.Open(h, db, registry.Options{TTL: ttl, MaxDrift: drift})
				if err != nil {
					t.Error(err)
					return
				}
				s, err := r.Join(ctx, registry.NodeID(name), registry.JoinOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				f(ctx, r, s)
			})
			return p
		}
		var got time.Duration
		held := false
		owner := process("owner", -rate, func(ctx context.Context, _ *registry.Registry, s *registry.Session) {
			if _, err := s.Claim(ctx, "a"); err != nil {
				t.Error(err)
			}
			held = true
		})
		b.until(time.Second)
		if !held {
			t.Fatalf("seed %d: the owner owns nothing", seed)
		}
		process("waiter", rate, func(ctx context.Context, r *registry.Registry, s *registry.Session) {
			bound = r.Bounds(2*way, 1).FailOver
			if _, err := s.ClaimWait(ctx, "a"); err != nil {
				t.Error(err)
			}
			got = b.world.Now()
		})
		died := 5*time.Second + time.Duration(b.world.Rand(fmt.Sprint("test ", seed)).Int64N(int64(2*time.Second)))
		b.world.After(died-b.world.Now(), "crash", owner.Crash)
		b.until(20 * time.Second)
		if got == 0 {
			t.Fatalf("seed %d: nobody took over", seed)
		}
		longest = max(longest, got-died)
	}
	if longest > bound || longest < bound-bound/8 {
		t.Errorf("the longest fail-over took %v, the bound is %v: want no more, and not much less", longest, bound)
	}
}

func TestBoundsOfTheDefaults(t *testing.T) {
	newBench(t).run(func(_ context.Context, c *client) {
		r := c.b.client(c.h, registry.Options{TTL: registry.DefaultTTL}).Registry
		b := r.Bounds(0, 1)
		if b.Belief != 30*time.Second || b.Silence != 30*time.Second || b.FailOver.Round(100*time.Millisecond) != 34400*time.Millisecond {
			t.Errorf("%+v", b)
		}
		if with := r.Bounds(time.Second, 1).FailOver - b.FailOver; with != 12*time.Second {
			t.Errorf("a store that takes a second adds %v", with)
		}
		if with := r.Bounds(0, 1024).FailOver - b.FailOver; with.Round(10*time.Millisecond) != 3110*time.Millisecond {
			t.Errorf("1,024 nodes add %v", with)
		}
	})
}
