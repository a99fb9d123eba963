package registry_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// give claims actors for one session and transfers them to another.
func (c *client) give(ctx context.Context, from, to *registry.Session, actors ...registry.ActorID) {
	c.b.t.Helper()
	for _, a := range actors {
		if _, err := c.claim(ctx, from, a).Transfer(ctx, registry.Target{Node: to.Node()}, payload("for "+string(a))); err != nil {
			c.b.t.Error(err)
		}
	}
}

// Each assignment is returned once, to one of several consumers, those that wait
// and those that come later, and more than one page of them.
func TestAssignmentsAreReturnedOnce(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		var want, got []registry.ActorID
		for i := range 150 {
			want = append(want, registry.ActorID(fmt.Sprintf("a%03d", i)))
		}
		c.give(ctx, s1, s2, want[:100]...)
		for range 2 {
			c.h.Go("consumer", func(ctx context.Context) {
				for cl, err := range s2.Assignments(ctx) {
					if err != nil {
						return // the bench is over
					}
					c.wantPayload(cl, "for "+string(cl.Actor()))
					got = append(got, cl.Actor())
				}
			})
		}
		c.sleep(ctx, time.Second)
		c.give(ctx, s1, s2, want[100:]...)
		c.sleep(ctx, time.Second)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("got %d assignments: %v", len(got), got)
		}
		for _, kv := range c.rows(ctx) {
			if len(kv.Value) > 0 && string(kv.Value[len(kv.Value)-4:]) == "a000" {
				t.Errorf("a row is left: %q", kv.Key)
			}
		}
		c.wantConsistent(ctx)
	})
}

// A consumer that stops leaves the rest to the next one.
func TestAssignmentsAreTakenUpAgain(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		c.give(ctx, s1, s2, "a", "b", "c")
		for _, a := range []registry.ActorID{"a", "b", "c"} {
			cl := c.next(ctx, s2, time.Second)
			c.wantPayload(cl, "for "+string(a))
		}
		if cl := c.next(ctx, s2, time.Second); cl != nil {
			t.Errorf("one more: %v", cl.Actor())
		}
	})
}

func TestAssignmentsEndWithTheSession(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		c.b.world.After(c.b.world.Now()+ttl/20, "leave", func() {
			c.h.Go("leave", func(ctx context.Context) {
				if err := s.Leave(ctx); err != nil {
					t.Error(err)
				}
			})
		})
		var last error
		began := c.b.world.Now()
		for _, err := range s.Assignments(ctx) {
			last = err
		}
		wantErr(t, "the end", last, registry.ErrSessionLost)
		if took := c.b.world.Now() - began; took > ttl/10 {
			t.Errorf("noticed after %v", took)
		}
	})
}

// Failures of the store are waited out.
func TestAssignmentsOutliveAnOutage(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		other := c.b.client(c.h, registry.Options{})
		s1, s2 := other.join(ctx, "n1"), c.join(ctx, "n2")
		c.faulty.down = true
		c.h.Go("up", func(ctx context.Context) {
			c.sleep(ctx, ttl/4)
			other.give(ctx, s1, s2, "a")
			c.faulty.down = false
		})
		c.wantPayload(c.next(ctx, s2, ttl), "for a")
		c.wantConsistent(ctx)
	})
}

// The rows of accepted actors are cleared although the store is away at first.
func TestAcceptedRowsAreClearedInTheEnd(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
			c.give(ctx, s1, s2, "a")
			n := len(c.rows(ctx))
			c.faulty.unknownOnce(applied)
			cl := c.claim(ctx, s2, "a")
			c.wantPayload(cl, "for a")
			c.sleep(ctx, ttl/4)
			if left := len(c.rows(ctx)); left != n-1 {
				t.Errorf("%d rows, want %d", left, n-1)
			}
			if again := c.claim(ctx, s2, "a"); again != cl {
				t.Errorf("claimed again: %+v", again)
			}
			c.wantConsistent(ctx)
		})
	}
}

// What an ended session was given and did not ask for goes to the next claimant
// without the payload.
func TestAssignmentOfADeadSession(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		c.give(ctx, s1, s2, "a")
		if err := s2.Leave(ctx); err != nil {
			t.Error(err)
		}
		again := c.join(ctx, "n2")
		if cl := c.next(ctx, again, time.Second); cl != nil {
			t.Errorf("the next incarnation was given %+v", cl)
		}
		cl := c.claim(ctx, again, "a")
		c.wantPayload(cl, "")
		c.wantConsistent(ctx)
	})
}

// A call finds a session that was given the actor and has not asked for it.
func TestACallMakesTheNodeAcceptTheActor(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		r, _ := c.router()
		var served []*registry.Claim
		r.Handle(s2, "get", func(_ context.Context, cl *registry.Claim, _ []byte) ([]byte, error) {
			served = append(served, cl)
			return cl.Payload(), nil
		})
		c.give(ctx, s1, s2, "a")
		for range 2 {
			if res, err := r.Call(ctx, "a", "get", nil); err != nil || string(res) != "for a" {
				t.Errorf("%q, %v", res, err)
			}
		}
		if len(served) != 2 || served[0] != served[1] || !served[0].Valid() {
			t.Errorf("served by %v", served)
		}
		if cl := c.next(ctx, s2, time.Second); cl != nil {
			t.Errorf("returned twice: %v", cl.Actor())
		}
		c.wantConsistent(ctx)
	})
}

// A call does not revive a claim that its holder is giving up, nor what a claim in
// doubt has got.
func TestACallRevivesNothing(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		r, _ := c.router()
		r.Handle(s2, "get", func(context.Context, *registry.Claim, []byte) ([]byte, error) {
			t.Error("the handler ran")
			return nil, nil
		})
		c.give(ctx, s1, s2, "a")
		cl := c.next(ctx, s2, time.Second)
		c.abandon(ctx, "release", false, cl.Release)
		_, err := r.Call(ctx, "a", "get", nil)
		wantErr(t, "of what is being released", err, registry.ErrNotOwner)
		c.abandonClaim(ctx, s2, "b", true)
		_, err = r.Call(ctx, "b", "get", nil)
		if err == nil {
			t.Error("a claim in doubt was served")
		}
	})
}

// Lost on the way: a handle of an actor that was given to a session which has ended
// since is never valid.
func TestAHandleOfAnEndedSessionIsNotValid(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		r, _ := c.router()
		r.Handle(s2, "get", func(context.Context, *registry.Claim, []byte) ([]byte, error) {
			t.Error("the handler ran")
			return nil, nil
		})
		c.give(ctx, s1, s2, "a")
		if _, err := c.Join(ctx, "n2", registry.JoinOptions{Address: c.h.Name(), Replace: true}); err != nil {
			t.Error(err)
		}
		_, err := r.Call(ctx, "a", "get", nil)
		wantErr(t, "call", err, registry.ErrUnowned)
		if cl := c.next(ctx, s1, ttl/10); cl != nil {
			t.Errorf("%+v", cl)
		}
		var last error
		for _, err := range s2.Assignments(ctx) {
			last = err
		}
		wantErr(t, "assignments", last, registry.ErrSessionLost)
	})
}
