package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// counting counts the transactions that an engine is asked for.
type counting struct {
	store.Engine
	begun *int
}

func (c counting) Begin(ctx context.Context) store.Txn {
	*c.begun++
	return c.Engine.Begin(ctx)
}

// A hundred tasks of one session that wait for an actor cost what one costs, and
// all get the handle.
func TestTasksThatWaitForOneActorShareTheWork(t *testing.T) {
	cost := func(tasks int) (transactions, got int) {
		b := newBench(t)
		b.process("holder", registry.Options{}, func(ctx context.Context, c *client) {
			cl := c.claim(ctx, c.join(ctx, "n1"), "a")
			c.sleep(ctx, 10*time.Second)
			if err := cl.Release(ctx); err != nil {
				t.Error(err)
			}
		})
		b.process("waiters", registry.Options{}, func(ctx context.Context, c *client) {
			s := c.join(ctx, "n2")
			c.sleep(ctx, time.Second)
			var first *registry.Claim
			c.faulty.Engine = counting{b.engine, &transactions}
			for range tasks {
				c.h.Go("waiter", func(ctx context.Context) {
					cl, err := s.ClaimWait(ctx, "a")
					if err != nil || !cl.Valid() || first != nil && first != cl {
						t.Errorf("claim %p after %p: %v", cl, first, err)
					}
					first = cl
					got++
				})
			}
		})
		b.until(15 * time.Second)
		return transactions, got
	}
	one, _ := cost(1)
	// Each of the others has come too early to share the first claim's answer, but
	// not the second's.
	if hundred, got := cost(100); got != 100 || hundred > one+2 {
		t.Errorf("%d of 100 tasks got the actor, with %d transactions; one needs %d", got, hundred, one)
	}
}

// When the task that does the work gives up, another goes on; those who wait keep
// their own deadlines, and their errors say who holds the actor.
func TestWaitGoesOnWhenTheFirstGivesUp(t *testing.T) {
	b := newBench(t)
	b.process("holder", registry.Options{}, func(ctx context.Context, c *client) {
		cl := c.claim(ctx, c.join(ctx, "n1"), "a")
		c.sleep(ctx, 10*time.Second)
		if err := cl.Release(ctx); err != nil {
			t.Error(err)
		}
	})
	ended := 0
	b.process("waiters", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n2")
		c.sleep(ctx, time.Second)
		for i, patience := range []time.Duration{2 * time.Second, 4 * time.Second, 3 * time.Second, time.Minute} {
			c.h.Go("waiter", func(ctx context.Context) {
				began := b.world.Now()
				ctx, cancel := c.h.WithTimeout(ctx, patience)
				defer cancel()
				_, err := s.ClaimWait(ctx, "a")
				ended++
				if i == 3 {
					if took := b.world.Now() - 10*time.Second; err != nil || took > 100*time.Millisecond {
						t.Errorf("claimed %v after the release: %v", took, err)
					}
					return
				}
				wantErr(t, "wait", err, context.DeadlineExceeded)
				wantErr(t, "wait", err, registry.ErrHeld)
				if took := b.world.Now() - began; took != patience {
					t.Errorf("waited for %v, not %v", took, patience)
				}
			})
		}
	})
	b.until(15 * time.Second)
	if ended != 4 {
		t.Errorf("%d of 4 waits have ended", ended)
	}
}

// A claim that was under way already when a call came may have been lost again
// before the call: it does not answer it.
func TestWaitDoesNotShareAClaimOfBefore(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		reads := 0
		c.faulty.Engine = counting{c.b.engine, &reads}
		c.faulty.commit = func(commit func() error) error {
			c.faulty.commit = nil
			if err := commit(); err != nil {
				return err
			}
			c.h.Go("late", func(ctx context.Context) {
				before := reads
				if _, err := s.ClaimWait(ctx, "a"); err != nil {
					t.Error(err)
				}
				if reads == before {
					t.Error("the call was answered without a look at the store")
				}
			})
			c.sleep(ctx, time.Second)
			return nil
		}
		if _, err := s.ClaimWait(ctx, "a"); err != nil {
			t.Error(err)
		}
		c.sleep(ctx, time.Second)
	})
}

// Two nodes that wait for one actor take turns by their ranks.
func TestWaitersTakeTurnsByRank(t *testing.T) {
	const stagger = 200 * time.Millisecond
	winners := make(map[string]int)
	for _, actor := range []registry.ActorID{"a", "b", "c", "d", "e", "f"} {
		b := newBench(t)
		b.process("holder", registry.Options{}, func(ctx context.Context, c *client) {
			cl := c.claim(ctx, c.join(ctx, "n0"), actor)
			c.sleep(ctx, 10*time.Second)
			if err := cl.Release(ctx); err != nil {
				t.Error(err)
			}
		})
		var got time.Duration
		for _, name := range []registry.NodeID{"n1", "n2"} {
			b.process(string(name), registry.Options{Stagger: stagger, Monitors: -1}, func(ctx context.Context, c *client) {
				s := c.join(ctx, name)
				s.RankAmong([]registry.NodeID{"n1", "n2"})
				c.sleep(ctx, time.Second)
				if _, err := s.ClaimWait(ctx, actor); err == nil {
					got = b.world.Now()
					winners[string(name)]++
				}
			})
		}
		b.until(14 * time.Second)
		if took := got - 10*time.Second; got == 0 || took > stagger/2 {
			t.Errorf("%q was claimed %v after its release", actor, took)
		}
	}
	if winners["n1"] == 0 || winners["n2"] == 0 || winners["n1"]+winners["n2"] != 6 {
		t.Errorf("who won: %v", winners)
	}
}
