package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// claims makes the session the owner of n actors.
func (c *client) claims(ctx context.Context, s *registry.Session, n int) []registry.ActorID {
	actors := make([]registry.ActorID, n)
	for i := range actors {
		actors[i] = registry.ActorID(fmt.Sprintf("%s-%03d", s.Node(), i))
		c.claim(ctx, s, actors[i])
	}
	return actors
}

// owned returns how many actors each node owns.
func (c *client) owned(ctx context.Context) map[registry.NodeID]int {
	owned := make(map[registry.NodeID]int)
	for l, err := range c.List(ctx, registry.ListOptions{}) {
		if err != nil {
			c.b.t.Error(err)
			break
		}
		owned[l.Owner.Node]++
	}
	return owned
}

func (c *client) drain(ctx context.Context, s *registry.Session, o registry.DrainOptions, want registry.Drained) {
	c.b.t.Helper()
	got, err := s.Drain(ctx, o)
	if err != nil || got.Moved != want.Moved || got.Released != want.Released || got.Left != want.Left || len(got.Kept) != 0 {
		c.b.t.Errorf("drained %+v, %v, want %+v", got, err, want)
	}
}

func TestDrainMovesEverything(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s, one, two := c.join(ctx, "s"), c.join(ctx, "one"), c.join(ctx, "two")
		actors := c.claims(ctx, s, 40)
		var progress []registry.Drained
		got, err := s.Drain(ctx, registry.DrainOptions{
			Strategy: registry.LeastLoaded{},
			HandOff: func(_ context.Context, cl *registry.Claim) ([]byte, error) {
				if !cl.Valid() {
					t.Errorf("the hand-off of %q has no Valid claim", cl.Actor())
				}
				return []byte("state of " + cl.Actor()), nil
			},
			Progress: func(d registry.Drained) { progress = append(progress, d) },
		})
		if err != nil || got.Moved != 40 || got.Released != 0 || got.Left != 0 || len(got.Kept) != 0 {
			t.Errorf("drained %+v, %v", got, err)
		}
		if len(progress) != 40 || progress[0].Moved != 1 || progress[0].Left != 39 || progress[39].Moved != 40 || progress[39].Left != 0 {
			t.Errorf("progress: %+v", progress)
		}
		if owned := c.owned(ctx); owned["one"] != 20 || owned["two"] != 20 {
			t.Errorf("the others own %v", owned)
		}
		for _, a := range actors {
			o, err := c.Lookup(ctx, a)
			if err != nil {
				t.Error(err)
				continue
			}
			cl := c.claim(ctx, map[registry.NodeID]*registry.Session{"one": one, "two": two}[o.Node], a)
			if string(cl.Payload()) != "state of "+string(a) {
				t.Errorf("%q came with %q", a, cl.Payload())
			}
		}
		_, err = s.Claim(ctx, "new")
		wantErr(t, "claim", err, registry.ErrDraining)
		_, err = c.Place(ctx, "new", on(s))
		wantErr(t, "place", err, registry.ErrInvalid)
		c.drain(ctx, s, registry.DrainOptions{}, registry.Drained{})
		c.sleep(ctx, time.Second)
		c.check(ctx)
		if err := s.Leave(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestDrainReleasesWhatNobodyTakes(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		if _, err := c.Join(ctx, "small", registry.JoinOptions{Capacity: 3}); err != nil {
			t.Error(err)
		}
		if _, err := c.Join(ctx, "not-ready", registry.JoinOptions{NotReady: true}); err != nil {
			t.Error(err)
		}
		c.claims(ctx, s, 10)
		c.drain(ctx, s, registry.DrainOptions{}, registry.Drained{Moved: 3, Released: 7})
		if owned := c.owned(ctx); len(owned) != 1 || owned["small"] != 3 {
			t.Errorf("owned: %v", owned)
		}
		c.check(ctx)
	})
}

// What was sent to a node that drains before it has accepted the actor goes on to
// the next.
func TestDrainPassesOnWhatNobodyHasAccepted(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		o := on(s)
		o.Payload = []byte("seed")
		c.place(ctx, "x", o)
		next := c.join(ctx, "next")
		c.drain(ctx, s, registry.DrainOptions{
			HandOff: func(_ context.Context, cl *registry.Claim) ([]byte, error) {
				t.Errorf("%q was handed off by a node that never served it", cl.Actor())
				return nil, nil
			},
		}, registry.Drained{Moved: 1})
		if cl := c.claim(ctx, next, "x"); string(cl.Payload()) != "seed" {
			t.Errorf("payload %q", cl.Payload())
		}
		c.sleep(ctx, time.Second)
		c.check(ctx)
	})
}

// cancelling is the strategy that calls f, and chooses the first node.
func cancelling(f func()) registry.Strategy {
	return registry.StrategyFunc(func(_ registry.ActorID, candidates []registry.Node, _ *rand.Rand) (registry.NodeID, error) {
		f()
		return candidates[0].ID, nil
	})
}

// A drain that was cut short has taken up what nobody had accepted, and has not given
// it away: whoever asks for what the session was given gets it, with what was sent.
func TestDrainCutShortLeavesWhatNobodyHasAccepted(t *testing.T) {
	for _, how := range []string{"assignments", "claim", "drain"} {
		t.Run(how, func(t *testing.T) {
			b := newBench(t)
			b.run(func(ctx context.Context, c *client) {
				s := c.join(ctx, "s")
				o := on(s)
				o.Payload = []byte("seed")
				p := c.place(ctx, "x", o)
				next := c.join(ctx, "next")
				short, cancel := c.h.WithCancel(ctx)
				got, err := s.Drain(short, registry.DrainOptions{Strategy: cancelling(func() { cancel(nil) })})
				if err == nil || got.Left != 1 {
					t.Errorf("the drain that was cut short: %+v, %v", got, err)
				}
				c.sleep(ctx, time.Second)
				c.check(ctx)
				var cl *registry.Claim
				switch how {
				case "assignments":
					for got, err := range s.Assignments(ctx) {
						if cl = got; err != nil {
							t.Error(err)
						}
						break
					}
				case "claim":
					cl = c.claim(ctx, s, "x")
				case "drain":
					c.drain(ctx, s, registry.DrainOptions{}, registry.Drained{Moved: 1})
					cl = c.claim(ctx, next, "x")
				}
				if !cl.Valid() || string(cl.Payload()) != "seed" || how != "drain" && cl.Token() != p.Owner.Token {
					t.Errorf("the handle: token %v, valid %v, payload %q; placed with token %v", cl.Token(), cl.Valid(), cl.Payload(), p.Owner.Token)
				}
				c.sleep(ctx, time.Second)
				c.check(ctx)
				if how == "drain" {
					return
				}
				if again := c.claim(ctx, s, "x"); again != cl {
					t.Error("it is handed out twice")
				}
				served := false
				c.drain(ctx, s, registry.DrainOptions{HandOff: func(context.Context, *registry.Claim) ([]byte, error) {
					served = true
					return nil, nil
				}}, registry.Drained{Moved: 1})
				if !served {
					t.Error("it was served, and not handed off")
				}
				c.check(ctx)
			})
		})
	}
}

// A drain has left in doubt whether it passed an actor on, and a claim of the node, in
// doubt as well, may have replaced its record since: another drain goes on.
func TestDrainAfterAClaimInDoubtOfWhatIsPassedOn(t *testing.T) {
	for _, claimed := range []bool{false, true} {
		b := newBench(t)
		b.run(func(ctx context.Context, c *client) {
			s := c.join(ctx, "s")
			o := on(s)
			o.Payload = []byte("seed")
			c.place(ctx, "x", o)
			next := c.join(ctx, "next")
			short, cancel := c.h.WithCancel(ctx)
			got, err := s.Drain(short, registry.DrainOptions{Strategy: cancelling(func() {
				c.faulty.commit = func(func() error) error {
					c.faulty.commit = nil
					cancel(nil)
					return store.ErrCommitUnknown
				}
			})})
			if err == nil || got.Left != 1 {
				t.Errorf("the drain that was cut short: %+v, %v", got, err)
			}
			c.abandonClaim(ctx, s, "x", claimed)
			c.drain(ctx, s, registry.DrainOptions{}, registry.Drained{Moved: 1})
			if cl := c.claim(ctx, next, "x"); cl == nil || !cl.Valid() {
				t.Error("it has not come to the next node")
			}
			c.sleep(ctx, time.Second)
			c.check(ctx)
		})
	}
}

// A claim in doubt is settled while a drain passes on what the session was given since:
// that is not what the claim has got.
func TestSettlingLeavesToADrainWhatItPassesOn(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s, other := c.join(ctx, "s"), b.client(c.h, b.options)
		c.abandonClaim(ctx, s, "x", false)
		c.faulty.down = true
		c.sleep(ctx, ttl/6+time.Millisecond) // the first attempt to settle it has failed
		o := on(s)
		o.Payload = []byte("seed")
		other.place(ctx, "x", o)
		next := other.join(ctx, "next")
		c.faulty.down = false
		passed := false
		c.drain(ctx, s, registry.DrainOptions{Strategy: cancelling(func() {
			c.sleep(ctx, ttl/6)
			passed = true
		})}, registry.Drained{Moved: 1})
		if got := c.gaveBack(); len(got) != 0 || !passed {
			t.Errorf("gave back %v while it was passed on", got)
		}
		if cl := other.claim(ctx, next, "x"); string(cl.Payload()) != "seed" {
			t.Errorf("payload %q", cl.Payload())
		}
		c.check(ctx)
	})
}

func TestDrainHoldsUpNobodyForOne(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		c.join(ctx, "next")
		c.claims(ctx, s, 30)
		broken := errors.New("broken")
		stuck := c.h.NewEvent()
		var late time.Duration
		o := registry.DrainOptions{
			Concurrency: 2,
			PerActor:    time.Second,
			HandOff: func(_ context.Context, cl *registry.Claim) ([]byte, error) {
				switch cl.Actor() {
				case "s-003":
					_ = stuck.Wait(c.h.Context()) // deaf to its context
				case "s-007":
					return nil, broken
				case "s-029":
					late = c.h.Monotonic()
				}
				return nil, nil
			},
		}
		began := c.h.Monotonic()
		got, err := s.Drain(ctx, o)
		wantErr(t, "drain", err, registry.ErrNotDrained)
		if got.Moved != 28 || got.Left != 2 || len(got.Kept) != 2 || got.Kept[0].Actor != "s-003" || got.Kept[1].Actor != "s-007" {
			t.Errorf("drained %+v", got)
		}
		if len(got.Kept) == 2 {
			wantErr(t, "the stuck one", got.Kept[0].Err, context.DeadlineExceeded)
			wantErr(t, "the broken one", got.Kept[1].Err, broken)
		}
		if late-began > 100*time.Millisecond || c.h.Monotonic()-began > 1100*time.Millisecond {
			t.Errorf("the last was handed off after %v, all took %v", late-began, c.h.Monotonic()-began)
		}
		if ids := s.Claims(); len(ids) != 2 {
			t.Errorf("claims %v are Valid", ids)
		}
		stuck.Set()
		o.HandOff = nil
		c.drain(ctx, s, o, registry.Drained{Moved: 2})
		c.check(ctx)
	})
}

func TestDrainIsTakenUpAgain(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		c.join(ctx, "next")
		c.claims(ctx, s, 50)
		moved := 0
		for round := 0; ; round++ {
			short, cancel := c.h.WithCancel(ctx)
			n := 0
			got, err := s.Drain(short, registry.DrainOptions{Concurrency: 3, Progress: func(registry.Drained) {
				if n++; n == 10 {
					cancel(nil)
				}
			}})
			cancel(nil)
			moved += got.Moved
			if owned := c.owned(ctx); got.Left != owned["s"] || moved != owned["next"] || got.Released != 0 {
				t.Errorf("round %d: %+v, moved %d in all, owned %v", round, got, moved, owned)
			}
			if err == nil {
				break
			}
			if round > 10 || !errors.Is(err, context.Canceled) {
				t.Errorf("round %d: %v", round, err)
				break
			}
		}
		if moved != 50 {
			t.Errorf("moved %d of 50", moved)
		}
		c.check(ctx)
	})
}

// Claims that were under way when the drain began are drained as well.
func TestDrainForgetsNoClaim(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		c.join(ctx, "next")
		r := rand.New(rand.NewPCG(1, 1))
		c.faulty.begin = func(ctx context.Context) { c.sleep(ctx, time.Duration(r.IntN(2000))*time.Microsecond) }
		got := 0
		for i := range 10 {
			c.h.Go("claimer", func(ctx context.Context) {
				for j := range 100 {
					_, err := s.Claim(ctx, registry.ActorID(fmt.Sprintf("a-%d-%d", i, j)))
					if err != nil {
						wantErr(t, "claim", err, registry.ErrDraining)
						return
					}
					got++
				}
				t.Error("a session that drains went on claiming")
			})
		}
		c.sleep(ctx, 20*time.Millisecond)
		d, err := s.Drain(ctx, registry.DrainOptions{})
		if err != nil || d.Moved != got || d.Left != 0 || got < 50 {
			t.Errorf("drained %+v, %v after %d claims", d, err, got)
		}
		if owned := c.owned(ctx); owned["s"] != 0 || owned["next"] != got {
			t.Errorf("owned %v after %d claims", owned, got)
		}
		if ids := s.Claims(); len(ids) != 0 {
			t.Errorf("claims %v are Valid", ids)
		}
		c.check(ctx)
	})
}

func TestDrainCountsExactlyWhenCommitsAreInDoubt(t *testing.T) {
	for seed := range uint64(20) {
		b := newBench(t)
		b.run(func(ctx context.Context, c *client) {
			s := c.join(ctx, "s")
			if _, err := c.Join(ctx, "small", registry.JoinOptions{Capacity: 12}); err != nil {
				t.Error(err)
			}
			c.claims(ctx, s, 20)
			r := rand.New(rand.NewPCG(seed, 1))
			c.faulty.commit = func(commit func() error) error {
				switch r.IntN(4) {
				case 0:
					return store.ErrCommitUnknown
				case 1:
					if err := commit(); err != nil {
						return err
					}
					return store.ErrCommitUnknown
				}
				return commit()
			}
			left, moved := 20, 0
			for done := false; !done; {
				short, cancel := c.h.WithTimeout(ctx, time.Duration(1+r.IntN(50))*time.Millisecond)
				d, err := s.Drain(short, registry.DrainOptions{Concurrency: 4})
				cancel()
				done = err == nil
				moved += d.Moved
				if d.Left >= 0 {
					// Between two drains the session may have given back what a claim
					// in doubt had got.
					if sum := d.Moved + d.Released + d.Gone + d.Left; sum > left || d.Gone < 0 {
						t.Errorf("seed %d: %+v of %d", seed, d, left)
					}
					left = d.Left
				} else {
					left = 20
				}
			}
			c.faulty.commit = nil
			d, err := s.Drain(ctx, registry.DrainOptions{})
			if err != nil || d.Left != 0 {
				t.Errorf("seed %d: drained %+v, %v", seed, d, err)
			}
			if moved += d.Moved; c.owned(ctx)["small"] != moved || moved > 12 {
				t.Errorf("seed %d: moved %d, owned %v", seed, moved, c.owned(ctx))
			}
			c.check(ctx)
		})
	}
}

func TestDrainOfASessionThatIsOver(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		c.claims(ctx, s, 3)
		if _, err := c.Join(ctx, "s", registry.JoinOptions{Replace: true}); err != nil {
			t.Error(err)
		}
		d, err := s.Drain(ctx, registry.DrainOptions{})
		wantErr(t, "drain", err, registry.ErrSessionLost)
		if d.Moved != 0 || d.Left != 0 {
			t.Errorf("drained %+v", d)
		}
	})
}

func TestDrainWithoutAStore(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		c.claims(ctx, s, 3)
		o := registry.DrainOptions{PerActor: 100 * time.Millisecond, Progress: func(d registry.Drained) { c.faulty.down = true }}
		c.join(ctx, "next")
		d, err := s.Drain(ctx, o)
		if err == nil || d.Left != -1 {
			t.Errorf("drained %+v, %v", d, err)
		}
		c.faulty.down = false
		c.sleep(ctx, 100*time.Millisecond)
		d, err = s.Drain(ctx, registry.DrainOptions{})
		if err != nil || d.Left != 0 {
			t.Errorf("drained %+v, %v", d, err)
		}
	})
}

func TestDrainAndRebalanceRefuseBadOptions(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		for _, x := range []struct {
			o    registry.DrainOptions
			says string
		}{
			{registry.DrainOptions{Concurrency: -1}, "DrainOptions.Concurrency is -1, must be from 1 to 1000"},
			{registry.DrainOptions{Concurrency: registry.MaxDrainConcurrency + 1}, "DrainOptions.Concurrency is 1001"},
			{registry.DrainOptions{PerActor: -1}, "DrainOptions.PerActor is -1ns, must be above 0"},
		} {
			_, err := s.Drain(ctx, x.o)
			if !errors.Is(err, registry.ErrInvalid) || !strings.Contains(fmt.Sprint(err), x.says) {
				t.Errorf("%+v: %v", x.o, err)
			}
		}
		for _, x := range []struct {
			o    registry.RebalanceOptions
			says string
		}{
			{registry.RebalanceOptions{Max: -1}, "RebalanceOptions.Max is -1, must be from 1 to 1000000"},
			{registry.RebalanceOptions{Max: registry.MaxMoves + 1}, "RebalanceOptions.Max is 1000001"},
			{registry.RebalanceOptions{PerActor: -1}, "RebalanceOptions.PerActor is -1ns, must be above 0"},
		} {
			_, err := s.Rebalance(ctx, x.o)
			if !errors.Is(err, registry.ErrInvalid) || !strings.Contains(fmt.Sprint(err), x.says) {
				t.Errorf("%+v: %v", x.o, err)
			}
		}
		if _, err := s.Claim(ctx, "x"); err != nil {
			t.Errorf("a refused drain has changed something: %v", err)
		}
	})
}
