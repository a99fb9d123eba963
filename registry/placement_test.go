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

func (c *client) place(ctx context.Context, a registry.ActorID, o registry.PlaceOptions) registry.Placed {
	c.b.t.Helper()
	p, err := c.Place(ctx, a, o)
	if err != nil {
		c.b.t.Errorf("place %q: %v", a, err)
	}
	return p
}

func (c *client) check(ctx context.Context) {
	c.b.t.Helper()
	if err := c.Check(ctx); err != nil {
		c.b.t.Error(err)
	}
}

// on is the strategy that chooses the session's node.
func on(s *registry.Session) registry.PlaceOptions {
	return registry.PlaceOptions{Strategy: fixed(s.Node())}
}

func TestPlaceFindsOrMakesAnOwner(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		one, two := c.join(ctx, "one"), c.join(ctx, "two")
		p := c.place(ctx, "x", on(one))
		if !p.New || p.Owner.Node != "one" || p.Owner.Incarnation != one.Incarnation() || p.Owner.Token == 0 || p.Owner.Address != c.h.Name() {
			t.Errorf("placed %+v", p)
		}
		if o, err := c.Lookup(ctx, "x"); err != nil || o != p.Owner {
			t.Errorf("lookup: %v, %v, want %v", o, err, p.Owner)
		}
		again := c.place(ctx, "x", on(two))
		if again.New || again.Owner != p.Owner {
			t.Errorf("placed again: %+v", again)
		}
		if cl := c.claim(ctx, one, "x"); cl.Token() != p.Owner.Token || !cl.Valid() {
			t.Errorf("the node's handle has token %v, want %v", cl.Token(), p.Owner.Token)
		}
		_, err := two.Claim(ctx, "x")
		wantErr(t, "claim by the other", err, registry.ErrHeld)
		c.check(ctx)

		if err := one.Leave(ctx); err != nil {
			t.Error(err)
		}
		moved := c.place(ctx, "x", on(two))
		if !moved.New || moved.Owner.Node != "two" || moved.Owner.Token <= p.Owner.Token {
			t.Errorf("after the owner has left: %+v, before %+v", moved, p)
		}
		c.check(ctx)
	})
}

func TestPlaceWithoutNodes(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		_, err := c.Place(ctx, "x", registry.PlaceOptions{})
		wantErr(t, "without nodes", err, registry.ErrNoNode)
		s := c.join(ctx, "one")
		if p := c.place(ctx, "x", registry.PlaceOptions{MaxStale: time.Hour}); p.Owner.Node != "one" {
			t.Errorf("what was known before a node came was believed: %+v", p)
		}
		if err := s.Leave(ctx); err != nil {
			t.Error(err)
		}
		_, err = c.Place(ctx, "x", registry.PlaceOptions{MaxStale: time.Hour})
		wantErr(t, "after the only node has left", err, registry.ErrNoNode)
		if _, err := c.Lookup(ctx, "x"); !errors.Is(err, registry.ErrUnowned) {
			t.Errorf("lookup: %v", err)
		}
	})
}

func TestPlaceAsksAnotherNodeWhenOneHasGone(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := map[registry.NodeID]*registry.Session{"one": c.join(ctx, "one"), "two": c.join(ctx, "two")}
		first := registry.StrategyFunc(func(_ registry.ActorID, candidates []registry.Node, _ *rand.Rand) (registry.NodeID, error) {
			return candidates[0].ID, nil
		})
		o := registry.PlaceOptions{Strategy: first, MaxStale: time.Hour}
		if p := c.place(ctx, "x", o); p.Owner.Node != "one" {
			t.Errorf("placed on %+v", p)
		}
		if err := s["one"].Leave(ctx); err != nil {
			t.Error(err)
		}
		if p := c.place(ctx, "y", o); p.Owner.Node != "two" {
			t.Errorf("placed on %+v", p)
		}
		again := c.join(ctx, "one") // another incarnation of the id is another choice
		if p := c.place(ctx, "z", o); p.Owner.Node == "one" && p.Owner.Incarnation != again.Incarnation() {
			t.Errorf("placed on an ended incarnation: %+v", p)
		}
		c.check(ctx)
	})
}

func TestPlaceRefusesBadInput(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		live, gone := c.join(ctx, "live"), c.join(ctx, "gone")
		if err := gone.Leave(ctx); err != nil {
			t.Error(err)
		}
		before := len(c.rows(ctx))
		broken := errors.New("broken")
		for _, x := range []struct {
			name  string
			actor registry.ActorID
			o     registry.PlaceOptions
			want  error
			says  string
		}{
			{"no actor", "", registry.PlaceOptions{}, registry.ErrInvalid, "actor id is empty"},
			{"a long actor", registry.ActorID(strings.Repeat("x", registry.MaxActorIDBytes+1)), registry.PlaceOptions{}, registry.ErrInvalid, "1024"},
			{"not UTF-8", "\xff", registry.PlaceOptions{}, registry.ErrInvalid, "UTF-8"},
			{"a large payload", "x", registry.PlaceOptions{Payload: make([]byte, registry.MaxPayloadBytes+1)}, registry.ErrInvalid, "PlaceOptions.Payload has 65537 bytes"},
			{"very stale", "x", registry.PlaceOptions{MaxStale: registry.MaxTTL + 1}, registry.ErrInvalid, "PlaceOptions.MaxStale"},
			{"an unknown node", "x", registry.PlaceOptions{Strategy: fixed("nobody")}, registry.ErrInvalid, `registry_test.fixed chose node "nobody"`},
			{"no node", "x", registry.PlaceOptions{Strategy: fixed("")}, registry.ErrInvalid, `chose node ""`},
			{"a dead node", "x", registry.PlaceOptions{Strategy: fixed("gone")}, registry.ErrInvalid, `chose node "gone"`},
			{"a strategy that fails", "x", registry.PlaceOptions{Strategy: registry.StrategyFunc(
				func(registry.ActorID, []registry.Node, *rand.Rand) (registry.NodeID, error) { return "", broken },
			)}, broken, "strategy registry.StrategyFunc"},
			{"a rule that nobody satisfies", "x", registry.PlaceOptions{Strategy: registry.Affinity{Rules: []registry.LabelRule{{Key: "zone", Required: true}}}}, registry.ErrNoNode, `"zone"`},
		} {
			_, err := c.Place(ctx, x.actor, x.o)
			if !errors.Is(err, x.want) || !strings.Contains(fmt.Sprint(err), x.says) {
				t.Errorf("%s: %v, want %v that says %q", x.name, err, x.want, x.says)
			}
		}
		if after := len(c.rows(ctx)); after != before {
			t.Errorf("%d rows became %d", before, after)
		}
		if p := c.place(ctx, "x", registry.PlaceOptions{}); p.Owner.Node != live.Node() {
			t.Errorf("placed on %+v", p)
		}
	})
}

func TestPlaceAfterAStrategyThatPanicked(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		c.join(ctx, "one")
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			_, _ = c.Place(ctx, "x", registry.PlaceOptions{Strategy: registry.StrategyFunc(
				func(registry.ActorID, []registry.Node, *rand.Rand) (registry.NodeID, error) { panic("oh") },
			)})
		}()
		c.place(ctx, "x", registry.PlaceOptions{})
	})
}

func TestPlacesOfOneActorShareWhatTheyFind(t *testing.T) {
	b := newBench(t)
	b.options.Monitors = -1 // whose reads would be counted too
	b.run(func(ctx context.Context, c *client) {
		c.join(ctx, "one")
		c.join(ctx, "two")
		const callers = 200
		var begun, returned, made int
		c.faulty.begin = func(ctx context.Context) {
			begun++
			c.sleep(ctx, time.Millisecond)
		}
		var owner registry.Owner
		for range callers {
			c.h.Go("caller", func(ctx context.Context) {
				p := c.place(ctx, "x", registry.PlaceOptions{})
				returned++
				if p.New {
					made++
				}
				if owner != (registry.Owner{}) && p.Owner != owner {
					t.Errorf("%v and %v", p.Owner, owner)
				}
				owner = p.Owner
			})
		}
		c.sleep(ctx, 500*time.Millisecond)
		// A look, a read of the nodes, a placement, and a look for all who came later.
		if returned != callers || made != 1 || begun != 4 {
			t.Errorf("%d returned, %d made the owner, %d transactions", returned, made, begun)
		}
	})
}

// An answer that was found before a call was made is none for that call.
func TestPlaceDoesNotAnswerFromBeforeItsCall(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "one")
		cl := c.claim(ctx, s, "x")
		looked, released := c.h.NewEvent(), c.h.NewEvent()
		c.faulty.commit = func(commit func() error) error {
			err := commit()
			c.faulty.commit = nil
			looked.Set()
			_ = released.Wait(ctx)
			return err
		}
		c.h.Go("first", func(ctx context.Context) { c.place(ctx, "x", registry.PlaceOptions{}) })
		_ = looked.Wait(ctx)
		if err := cl.Release(ctx); err != nil {
			t.Error(err)
		}
		second := c.h.NewEvent()
		c.h.Go("second", func(ctx context.Context) {
			if p := c.place(ctx, "x", registry.PlaceOptions{}); p.Owner.Token == cl.Token() {
				t.Errorf("the owner was released before the call: %+v", p)
			}
			second.Set()
		})
		c.sleep(ctx, time.Millisecond)
		released.Set()
		if err := second.Wait(ctx); err != nil {
			t.Error(err)
		}
	})
}

// whenPlacing calls f when a placement's transaction is about to begin.
func (c *client) whenPlacing(f func()) {
	c.watchEvents = func(e registry.Event) {
		if e.Kind == registry.EventPlaceStart {
			f()
		}
	}
}

func TestPlaceInDoubt(t *testing.T) {
	for _, applied := range []bool{true, false} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			b := newBench(t)
			b.run(func(ctx context.Context, c *client) {
				s := c.join(ctx, "one")
				c.whenPlacing(func() {
					c.watchEvents = nil
					c.faulty.unknownOnce(applied)
				})
				p := c.place(ctx, "x", registry.PlaceOptions{})
				if !p.New || p.Owner.Node != "one" {
					t.Errorf("placed %+v", p)
				}
				if cl := c.claim(ctx, s, "x"); cl.Token() != p.Owner.Token {
					t.Errorf("token %v, placed with %v", cl.Token(), p.Owner.Token)
				}
				c.check(ctx)
			})
		})
	}
}

// The node has got the actor and has given it up before the doubt is looked into:
// another placement is another operation.
func TestPlaceInDoubtWhoseEffectIsGone(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "one")
		var token registry.Token
		c.watchEvents = func(e registry.Event) {
			switch {
			case e.Kind == registry.EventPlaceStart && token == 0:
				c.faulty.unknownOnce(true)
			case e.Kind == registry.EventDoubt && token == 0:
				cl := c.claim(ctx, s, "x")
				token = cl.Token()
				if err := cl.Release(ctx); err != nil {
					t.Error(err)
				}
			}
		}
		p := c.place(ctx, "x", registry.PlaceOptions{})
		if !p.New || token == 0 || p.Owner.Token <= token {
			t.Errorf("placed %+v, the token before was %v", p, token)
		}
		var ends []error
		for _, e := range c.events {
			if e.Kind == registry.EventPlaceEnd {
				ends = append(ends, e.Err)
			}
		}
		if len(ends) != 2 || !errors.Is(ends[0], registry.ErrUnknown) || ends[1] != nil {
			t.Errorf("attempts ended with %v", ends)
		}
		c.check(ctx)
	})
}

func TestPlaceStaysUnknown(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		c.join(ctx, "one")
		c.whenPlacing(func() {
			c.faulty.commit = func(func() error) error { return store.ErrCommitUnknown }
		})
		short, cancel := c.h.WithTimeout(ctx, 100*time.Millisecond)
		defer cancel()
		_, err := c.Place(short, "x", registry.PlaceOptions{})
		wantErr(t, "in doubt to the end", err, registry.ErrUnknown)
		c.watchEvents, c.faulty.commit = nil, nil
		c.place(ctx, "x", registry.PlaceOptions{})
	})
}

func TestPlaceReadsNodesOnceInAWhile(t *testing.T) {
	b := newBench(t)
	b.options.Monitors = -1 // whose reads would be counted too
	b.run(func(ctx context.Context, c *client) {
		c.join(ctx, "one")
		reads := 0
		c.faulty.ranges = func() { reads++ }
		for i := range 20 {
			c.place(ctx, registry.ActorID(fmt.Sprintf("a-%d", i)), registry.PlaceOptions{})
		}
		once := reads
		c.sleep(ctx, ttl/20)
		c.place(ctx, "b", registry.PlaceOptions{})
		again := reads - once
		c.place(ctx, "c", registry.PlaceOptions{MaxStale: -1})
		c.place(ctx, "d", registry.PlaceOptions{MaxStale: -1})
		if once == 0 || again != once || reads != 4*once {
			t.Errorf("%d range reads for 20 placements, %d for one later, %d in all", once, again, reads)
		}
	})
}

// What a process has placed counts before it reads the loads again.
func TestPlacesBetweenTwoReadsAreSpread(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		for i := range 5 {
			c.join(ctx, registry.NodeID(fmt.Sprintf("node-%d", i)))
		}
		owned := make(map[registry.NodeID]int)
		for i := range 50 {
			p := c.place(ctx, registry.ActorID(fmt.Sprintf("a-%d", i)), registry.PlaceOptions{Strategy: registry.LeastLoaded{}, MaxStale: time.Hour})
			owned[p.Owner.Node]++
		}
		for n, k := range owned {
			if k != 10 {
				t.Errorf("%q owns %d of 50", n, k)
			}
		}
	})
}
