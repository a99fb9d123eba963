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

// wire is a bench whose processes reach the store over a network.
type wire struct {
	*bench
	server *simstore.Server
}

// newWire returns one in which a message takes from way/2 to way.
func newWire(t testing.TB, way time.Duration) *wire {
	b := newBench(t)
	b.world.Net().SetDefault(sim.Link{LatencyMin: way / 2, LatencyMax: way})
	return &wire{b, simstore.NewServer(b.world, b.engine, &simstore.Faults{Server: "server"})}
}

// node is a process with a registry, that has joined with its name.
func (w *wire) node(name string, rate int64, o registry.Options, f func(ctx context.Context, h *sim.Host, r *registry.Registry, s *registry.Session)) *sim.Process {
	return w.nodeOver(func(e store.Engine) store.Engine { return e }, name, rate, o, f)
}

// nodeOver is node, with what it makes of its store.
func (w *wire) nodeOver(made func(store.Engine) store.Engine, name string, rate int64, o registry.Options, f func(ctx context.Context, h *sim.Host, r *registry.Registry, s *registry.Session)) *sim.Process {
	p := w.world.Process(name, sim.ProcessOptions{RatePPB: rate})
	p.Start(func(ctx context.Context, h *sim.Host) {
		db, err := store.Open(made(w.server.Connect(h)), h, h.Rand(), store.Options{})
		if err != nil {
			w.t.Error(err)
			return
		}
		r, err := registry.Open(h, db, o)
		if err != nil {
			w.t.Error(err)
			return
		}
		s, err := r.Join(ctx, registry.NodeID(name), registry.JoinOptions{})
		if err != nil {
			w.t.Error(err)
			return
		}
		f(ctx, h, r, s)
	})
	return p
}

// longest kills owners at any phase of their renewals, with clocks at both ends of
// drift, and returns the longest that it took until others had what they wait for.
func longest(t *testing.T, drift float64, way time.Duration, wait func(w *wire, rate int64, done func())) time.Duration {
	t.Helper()
	var longest time.Duration
	for seed := range uint64(400) {
		w := newWire(t, way)
		rate := int64(drift * 1e9)
		if seed%2 == 0 {
			rate = -rate
		}
		held := false
		owner := w.node("owner", -rate, registry.Options{TTL: ttl, MaxDrift: drift, Monitors: -1}, func(ctx context.Context, _ *sim.Host, _ *registry.Registry, s *registry.Session) {
			if _, err := s.Claim(ctx, "a"); err != nil {
				t.Error(err)
			}
			held = true
		})
		w.until(time.Second)
		if !held {
			t.Fatalf("seed %d: the owner owns nothing", seed)
		}
		var got time.Duration
		wait(w, rate, func() { got = w.world.Now() })
		died := 5*time.Second + time.Duration(w.world.Rand(fmt.Sprint("test ", seed)).Int64N(int64(2*time.Second)))
		w.world.After(died-w.world.Now(), "crash", owner.Crash)
		w.until(20 * time.Second)
		if got == 0 {
			t.Fatalf("seed %d: it never happened", seed)
		}
		longest = max(longest, got-died)
	}
	return longest
}

func TestFailOverTakesNoLongerThanItsBound(t *testing.T) {
	const (
		drift = 0.05
		way   = 5 * time.Millisecond
	)
	for _, c := range []struct {
		nodes  int
		paused bool // the waiter stands still in the middle of one of its renewals, long before
	}{{1, false}, {500, false}, {500, true}} {
		var bound time.Duration
		nodes, paused := c.nodes, 0
		took := longest(t, drift, way, func(w *wire, rate int64, done func()) {
			o := registry.Options{TTL: ttl, MaxDrift: drift, Monitors: -1}
			var waiter *sim.Process
			standStill := func(e store.Engine) store.Engine {
				if !c.paused {
					return e
				}
				return &faulty{Engine: e, commit: func(commit func() error) error {
					if at := w.world.Now(); at > 3*time.Second && at < 3*time.Second+ttl/3 {
						w.world.After(0, "stand still", waiter.Pause)
						w.world.After(ttl/10, "go on", waiter.Resume)
						paused++
					}
					return commit()
				}}
			}
			waiter = w.nodeOver(standStill, "waiter", rate, o, func(ctx context.Context, h *sim.Host, r *registry.Registry, s *registry.Session) {
				bound = r.Bounds(2*way, nodes).FailOver
				if nodes > 1 {
					// It ranks itself among nodes of which no other waits.
					o.Monitors = 1
					ranked, err := registry.Open(h, r.DB(), o)
					if err != nil {
						t.Error(err)
						return
					}
					bound = ranked.Bounds(2*way, nodes).FailOver
					ids := []registry.NodeID{"owner", "waiter"}
					for i := range nodes - 2 {
						ids = append(ids, registry.NodeID(fmt.Sprint("other-", i)))
					}
					s.RankAmong(ids)
				}
				if _, err := s.ClaimWait(ctx, "a"); err != nil {
					t.Error(err)
				}
				done()
			})
		})
		if took > bound || took < bound-bound/8 {
			t.Errorf("among %d nodes, paused %v, the longest fail-over took %v, the bound is %v: want no more, and not much less", nodes, c.paused, took, bound)
		}
		if c.paused && paused < 400 {
			t.Errorf("the waiter stood still in %d of 400 runs", paused)
		}
	}
}

// Nobody wants the actor. The monitors end the session nevertheless: three, or the
// last of the three, which waits for its turn.
func TestDetectionTakesNoLongerThanItsBound(t *testing.T) {
	const (
		drift = 0.05
		way   = 5 * time.Millisecond
	)
	for _, alone := range []bool{false, true} {
		var bound time.Duration
		took := longest(t, drift, way, func(w *wire, rate int64, done func()) {
			names := []string{"m1", "m2", "m3"}
			if alone {
				names = names[:1]
			}
			for _, name := range names {
				o := registry.Options{TTL: ttl, MaxDrift: drift}
				o.Events = func(e registry.Event) {
					if e.Kind != registry.EventRevokeEnd || e.Node != "owner" || e.Err != nil {
						return
					}
					if !e.Monitor {
						t.Error("the session was revoked by somebody who is no monitor")
					}
					done()
				}
				w.node(name, rate, o, func(_ context.Context, _ *sim.Host, r *registry.Registry, _ *registry.Session) {
					bound = r.Bounds(2*way, 4).Detection
				})
			}
		})
		if took > bound || took < bound-bound/6 {
			t.Errorf("alone %v: the longest detection took %v, the bound is %v: want no more, and not much less", alone, took, bound)
		}
	}
}

// The monitor that marked the session dies before it can revoke it. The others leave it
// its turn, and then take theirs.
func TestDetectionWhenTheMarkerDies(t *testing.T) {
	const (
		drift = 0.05
		way   = 5 * time.Millisecond
	)
	var most time.Duration
	died := 0
	took := longest(t, drift, way, func(w *wire, rate int64, done func()) {
		for _, name := range []string{"m1", "m2", "m3"} {
			var p *sim.Process
			o := registry.Options{TTL: ttl, MaxDrift: drift}
			o.Events = func(e registry.Event) {
				switch {
				case e.Node != "owner":
				case e.Kind == registry.EventMarked:
					died++
					w.world.After(0, "crash the marker", p.Crash)
				case e.Kind == registry.EventRevokeEnd && e.Err == nil:
					done()
				}
			}
			p = w.node(name, rate, o, func(_ context.Context, _ *sim.Host, r *registry.Registry, _ *registry.Session) {
				unit := max(ttl/200, 4*2*way)
				most = r.Bounds(2*way, 4).Detection + time.Duration(float64(ttl/8+ttl/64+unit)/(1-drift)) + 1
			})
		}
	})
	if took > most || took < most-most/6 {
		t.Errorf("the longest detection took %v: want %v at most, and not much less", took, most)
	}
	if died < 400 {
		t.Errorf("%d markers died, in 400 runs", died)
	}
}

func TestBoundsOfTheDefaults(t *testing.T) {
	newBench(t).run(func(_ context.Context, c *client) {
		r := c.b.client(c.h, registry.Options{TTL: registry.DefaultTTL}).Registry
		b := r.Bounds(0, 1)
		if b.Belief != 30*time.Second || b.Silence != 30*time.Second || b.FailOver.Round(100*time.Millisecond) != 35300*time.Millisecond {
			t.Errorf("%+v", b)
		}
		if b.Detection.Round(100*time.Millisecond) != 35600*time.Millisecond {
			t.Errorf("detection within %v", b.Detection)
		}
		const quick = 37 * time.Millisecond // four times which is less than a Stagger
		with := r.Bounds(quick, 1)
		if more := with.FailOver - b.FailOver; more != 11*quick {
			t.Errorf("a store that takes %v adds %v to a fail-over", quick, more)
		}
		if more := with.Detection - b.Detection; more != 5*quick {
			t.Errorf("a store that takes %v adds %v to a detection", quick, more)
		}
		slow := r.Bounds(100*time.Millisecond, 1024)
		if more := (slow.FailOver - r.Bounds(0, 1024).FailOver).Round(10 * time.Millisecond); more != 6280*time.Millisecond {
			t.Errorf("turns of 400 ms in place of 150 ms add %v to a fail-over", more)
		}
		slow, slower := r.Bounds(time.Second, 1024), r.Bounds(2*time.Second, 1024)
		if more := slower.FailOver - slow.FailOver; more != 11*time.Second {
			t.Errorf("turns are bounded by the TTL, and still a store that takes a second more adds %v", more)
		}
		if more := r.Bounds(0, 1024).FailOver - b.FailOver; more.Round(10*time.Millisecond) != 3110*time.Millisecond {
			t.Errorf("1,024 nodes add %v", more)
		}
		alone := c.b.client(c.h, registry.Options{TTL: registry.DefaultTTL, Monitors: -1}).Registry.Bounds(0, 1024)
		if alone.FailOver.Round(100*time.Millisecond) != 34400*time.Millisecond || alone.Detection != 0 {
			t.Errorf("without monitors: %+v", alone)
		}
	})
}
