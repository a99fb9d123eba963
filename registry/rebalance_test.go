package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// fewestMoves is how many actors must move until no two nodes differ by more than
// one: those above the average, the fullest being left with the remainder.
func fewestMoves(loads []int) int {
	sum, sorted := 0, slices.Sorted(slices.Values(loads))
	slices.Reverse(sorted)
	for _, n := range loads {
		sum += n
	}
	moves := 0
	for i, n := range sorted {
		target := sum / len(loads)
		if i < sum%len(loads) {
			target++
		}
		moves += max(0, n-target)
	}
	return moves
}

func TestRebalanceMovesTheFewest(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 30 {
		loads := make([]int, 2+r.IntN(4))
		for i := range loads {
			loads[i] = r.IntN(12)
		}
		b := newBench(t)
		b.run(func(ctx context.Context, c *client) {
			sessions := make([]*registry.Session, len(loads))
			for i, n := range loads {
				sessions[i] = c.join(ctx, registry.NodeID(fmt.Sprintf("n%d", i)))
				c.claims(ctx, sessions[i], n)
			}
			moved := 0
			for range 2 { // the second finds nothing to do
				for _, i := range r.Perm(len(loads)) {
					res, err := sessions[i].Rebalance(ctx, registry.RebalanceOptions{})
					if err != nil || !res.Balanced || len(res.Kept) > 0 {
						t.Errorf("%v: rebalance: %+v, %v", loads, res, err)
					}
					moved += len(res.Moved)
				}
			}
			owned := c.owned(ctx)
			least, most := 1000, 0
			for _, s := range sessions {
				least, most = min(least, owned[s.Node()]), max(most, owned[s.Node()])
			}
			if want := fewestMoves(loads); most-least > 1 || moved != want {
				t.Errorf("%v: became %v by %d moves, want %d", loads, owned, moved, want)
			}
			c.check(ctx)
		})
	}
}

func TestRebalanceFollowsCapacity(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		var s *registry.Session
		for i, capacity := range []int64{10, 20, 30} {
			n, err := c.Join(ctx, registry.NodeID(fmt.Sprintf("n%d", i)), registry.JoinOptions{Capacity: capacity})
			if err != nil {
				t.Error(err)
			}
			if i == 0 {
				s = n
			}
		}
		c.claims(ctx, s, 30) // over its capacity: its own claims are not bounded by it
		res, err := s.Rebalance(ctx, registry.RebalanceOptions{})
		if owned := c.owned(ctx); err != nil || len(res.Moved) != 25 || owned["n0"] != 5 || owned["n1"] != 10 || owned["n2"] != 15 {
			t.Errorf("%d moved, %v, owned %v", len(res.Moved), err, owned)
		}
	})
}

func TestRebalanceSaysWhatItMoved(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s, other := c.join(ctx, "s"), c.join(ctx, "other")
		if _, err := c.Join(ctx, "not-ready", registry.JoinOptions{NotReady: true}); err != nil {
			t.Error(err)
		}
		c.claims(ctx, s, 20)
		res, err := s.Rebalance(ctx, registry.RebalanceOptions{Max: 4})
		if err != nil || len(res.Moved) != 4 || res.Balanced {
			t.Errorf("rebalance: %+v, %v", res, err)
		}
		for _, m := range res.Moved {
			if o, err := c.Lookup(ctx, m.Actor); err != nil || o != m.To || o.Node != "other" {
				t.Errorf("%q: %v, %v, want %v", m.Actor, o, err, m.To)
			}
		}
		stop, cancel := c.h.WithCancel(ctx)
		handed := 0
		res, err = s.Rebalance(stop, registry.RebalanceOptions{HandOff: func(_ context.Context, cl *registry.Claim) ([]byte, error) {
			if handed++; handed == 3 {
				cancel(nil)
			}
			return []byte(cl.Actor()), nil
		}})
		cancel(nil)
		if !errors.Is(err, context.Canceled) || len(res.Moved) != 2 || c.owned(ctx)["other"] != 6 {
			t.Errorf("told to stop: %+v, %v, owned %v", res, err, c.owned(ctx))
		}
		if cl := c.claim(ctx, other, res.Moved[0].Actor); string(cl.Payload()) != string(cl.Actor()) {
			t.Errorf("payload %q", cl.Payload())
		}
		broken := errors.New("broken")
		res, err = s.Rebalance(ctx, registry.RebalanceOptions{HandOff: func(context.Context, *registry.Claim) ([]byte, error) { return nil, broken }})
		if err != nil || len(res.Moved) != 0 || len(res.Kept) == 0 || !errors.Is(res.Kept[0].Err, broken) {
			t.Errorf("hand-offs that fail: %+v, %v", res, err)
		}
		for _, id := range s.Claims() {
			if cl := c.claim(ctx, s, id); !cl.Valid() {
				t.Errorf("%q was given up without a hand-off", id)
			}
		}
		c.check(ctx)
	})
}

// All nodes rebalance at once, with a store that takes its time: no move makes
// things worse, and no actor goes round in circles.
func TestRebalanceOfAllAtOnce(t *testing.T) {
	for seed := range uint64(10) {
		b := newBench(t)
		b.run(func(ctx context.Context, c *client) {
			r := rand.New(rand.NewPCG(seed, 1))
			loads := make([]int, 6)
			sessions := make([]*registry.Session, len(loads))
			for i := range loads {
				loads[i] = r.IntN(20)
				sessions[i] = c.join(ctx, registry.NodeID(fmt.Sprintf("n%d", i)))
				c.claims(ctx, sessions[i], loads[i])
			}
			c.faulty.begin = func(ctx context.Context) { c.sleep(ctx, time.Duration(r.IntN(3000))*time.Microsecond) }
			moved, running := 0, len(loads)
			for _, s := range sessions {
				c.h.Go("rebalance", func(ctx context.Context) {
					res, err := s.Rebalance(ctx, registry.RebalanceOptions{})
					if err != nil || !res.Balanced {
						t.Errorf("seed %d: %+v, %v", seed, res, err)
					}
					moved += len(res.Moved)
					running--
				})
			}
			for running > 0 {
				c.sleep(ctx, 100*time.Millisecond)
			}
			owned := c.owned(ctx)
			least, most := 1000, 0
			for _, s := range sessions {
				least, most = min(least, owned[s.Node()]), max(most, owned[s.Node()])
			}
			if want := fewestMoves(loads); most-least > 1 || moved > want+len(loads) {
				t.Errorf("seed %d: %v became %v by %d moves, the fewest are %d", seed, loads, owned, moved, want)
			}
			c.check(ctx)
		})
	}
}

func TestRebalanceInDoubt(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		c.join(ctx, "other")
		c.claims(ctx, s, 10)
		r := rand.New(rand.NewPCG(2, 1))
		c.faulty.commit = func(commit func() error) error {
			if r.IntN(3) == 0 {
				if r.IntN(2) == 0 {
					_ = commit()
				}
				return store.ErrCommitUnknown
			}
			return commit()
		}
		var moved int
		for range 40 {
			res, err := s.Rebalance(ctx, registry.RebalanceOptions{})
			for _, k := range res.Kept {
				if errors.Is(k.Err, registry.ErrUnknown) {
					t.Errorf("the doubt about %q was not resolved: %v", k.Actor, k.Err)
				}
			}
			if moved += len(res.Moved); err == nil && res.Balanced {
				break
			}
		}
		c.faulty.commit = nil
		if owned := c.owned(ctx); moved != 5 || owned["other"] != 5 {
			t.Errorf("moved %d, owned %v", moved, owned)
		}
		c.check(ctx)
	})
}

func TestRebalanceOfASessionThatDrainsOrIsOver(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "s")
		c.join(ctx, "other")
		c.claims(ctx, s, 6)
		stop, cancel := c.h.WithCancel(ctx)
		_, err := s.Drain(stop, registry.DrainOptions{Progress: func(registry.Drained) { cancel(nil) }, Concurrency: 1})
		wantErr(t, "drain", err, context.Canceled)
		_, err = s.Rebalance(ctx, registry.RebalanceOptions{})
		wantErr(t, "while it drains", err, registry.ErrDraining)
		if err := s.Leave(ctx); err != nil {
			t.Error(err)
		}
		_, err = s.Rebalance(ctx, registry.RebalanceOptions{})
		wantErr(t, "after it has left", err, registry.ErrSessionLost)
	})
}
