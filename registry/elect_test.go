package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

var errMine = errors.New("mine")

func TestElectedNodeLeadsUntilItReturns(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		a, b := c.join(ctx, "a"), c.join(ctx, "b")
		var order []string
		first := c.h.NewEvent()
		second := c.h.NewEvent()
		c.h.Go("first", func(ctx context.Context) {
			err := a.Elect(ctx, "leader", func(ctx context.Context, cl *registry.Claim) error {
				order = append(order, "a leads")
				first.Set()
				c.sleep(ctx, 5*time.Second)
				if !cl.Valid() || ctx.Err() != nil {
					t.Errorf("a: valid %t, context %v", cl.Valid(), ctx.Err())
				}
				order = append(order, "a is done")
				return errMine
			})
			if !errors.Is(err, errMine) || errors.Is(err, registry.ErrSessionLost) {
				t.Errorf("a: %v", err)
			}
		})
		c.h.Go("second", func(ctx context.Context) {
			defer second.Set()
			_ = first.Wait(ctx)
			err := b.Elect(ctx, "leader", func(context.Context, *registry.Claim) error {
				order = append(order, "b leads")
				return nil
			})
			if err != nil {
				t.Errorf("b: %v", err)
			}
		})
		if err := second.Wait(ctx); err != nil {
			t.Error(err)
		}
		if want := []string{"a leads", "a is done", "b leads"}; !slices.Equal(order, want) {
			t.Errorf("%q, want %q", order, want)
		}
		if _, err := c.Lookup(ctx, "leader"); !errors.Is(err, registry.ErrUnowned) {
			t.Errorf("after both: %v", err)
		}
	})
}

func TestLeaderThatIsCutOffIsToldAndReplaced(t *testing.T) {
	b := newBench(t)
	var lost, led time.Duration
	b.process("old", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "old")
		err := s.Elect(ctx, "leader", func(ctx context.Context, cl *registry.Claim) error {
			c.sleep(ctx, time.Second)
			c.faulty.down = true
			err := c.h.Sleep(ctx, time.Hour)
			lost = b.world.Now()
			if cause := clock.Cause(ctx); !errors.Is(cause, registry.ErrSessionLost) || cl.Valid() {
				t.Errorf("the leader's context ended with %v, valid %t", cause, cl.Valid())
			}
			return err
		})
		if !errors.Is(err, registry.ErrSessionLost) || !errors.Is(err, context.Canceled) {
			t.Errorf("old: %v", err)
		}
	})
	b.process("new", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "new")
		c.sleep(ctx, 500*time.Millisecond)
		err := s.Elect(ctx, "leader", func(context.Context, *registry.Claim) error {
			led = b.world.Now()
			return nil
		})
		if err != nil {
			t.Errorf("new: %v", err)
		}
	})
	b.until(30 * time.Second)
	if lost == 0 || led <= lost || led > lost+ttl {
		t.Errorf("the old leader was told at %v, the new one led at %v", lost, led)
	}
}

func TestElectEndsWithItsContext(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		a, b := c.join(ctx, "a"), c.join(ctx, "b")
		ctxA, cancelA := c.h.WithCancel(ctx)
		done := c.h.NewEvent()
		c.h.Go("a", func(context.Context) {
			err := a.Elect(ctxA, "leader", func(ctx context.Context, _ *registry.Claim) error {
				return c.h.Sleep(ctx, time.Hour)
			})
			if !errors.Is(err, context.Canceled) || errors.Is(err, registry.ErrSessionLost) {
				t.Errorf("a: %v", err)
			}
			done.Set()
		})
		c.sleep(ctx, time.Second)
		short, cancel := c.h.WithTimeout(ctx, time.Second)
		defer cancel()
		err := b.Elect(short, "leader", func(context.Context, *registry.Claim) error {
			t.Error("b led")
			return nil
		})
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, registry.ErrHeld) {
			t.Errorf("b: %v", err)
		}
		cancelA(nil)
		if err := done.Wait(ctx); err != nil {
			t.Error(err)
		}
		// It gave the leadership up although its context had ended.
		if _, err := c.Lookup(ctx, "leader"); !errors.Is(err, registry.ErrUnowned) {
			t.Errorf("after the end: %v", err)
		}
		wantErr(t, "no callback", a.Elect(ctx, "leader", nil), registry.ErrInvalid)
		nothing := func(context.Context, *registry.Claim) error { return nil }
		wantErr(t, "an empty name", a.Elect(ctx, "", nothing), registry.ErrInvalid)
		if err := a.Leave(ctx); err != nil {
			t.Error(err)
		}
		wantErr(t, "after leaving", a.Elect(ctx, "leader", nothing), registry.ErrSessionLost)
	})
}

// TestElectWaitsOutagesOut: commits that fail, and some that end unknown.
func TestElectWaitsOutagesOut(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "a")
		failures := 0
		c.faulty.commit = func(commit func() error) error {
			if failures < 20 {
				failures++
				return fmt.Errorf("no luck: %w", []error{store.ErrUnavailable, store.ErrCommitUnknown}[failures%2])
			}
			return commit()
		}
		led := false
		err := s.Elect(ctx, "leader", func(context.Context, *registry.Claim) error {
			led = true
			return nil
		})
		if err != nil || !led || failures != 20 {
			t.Errorf("led %t after %d failures, %v", led, failures, err)
		}
	})
}

func TestFollowTellsEachChange(t *testing.T) {
	b := newBench(t)
	var seen []registry.NodeID
	var at []time.Duration
	b.process("observer", registry.Options{}, func(ctx context.Context, c *client) {
		for owner, err := range c.Follow(ctx, "leader") {
			if err != nil {
				t.Error(err)
			}
			seen, at = append(seen, owner.Node), append(at, b.world.Now())
			if owner.Node == "b" {
				b.world.Stop()
			}
		}
	})
	var crash *sim.Process
	crash = b.process("a", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "a")
		c.sleep(ctx, 2*time.Second)
		cl := c.claim(ctx, s, "leader") // at 2 s
		c.sleep(ctx, 2*time.Second)
		if err := cl.Release(ctx); err != nil { // at 4 s
			t.Error(err)
		}
		c.sleep(ctx, 2*time.Second)
		c.claim(ctx, s, "leader") // at 6 s
		c.sleep(ctx, 2*time.Second)
		if err := s.Leave(ctx); err != nil { // at 8 s
			t.Error(err)
		}
		c.claim(ctx, c.join(ctx, "a2"), "leader")
		c.sleep(ctx, 2*time.Second)
		crash.Crash()
	})
	b.process("b", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "b")
		c.sleep(ctx, 9*time.Second)
		if _, err := s.ClaimWait(ctx, "leader"); err != nil {
			t.Error(err)
		}
	})
	b.until(time.Minute)
	// Between a and a2, and between a2 and b, nobody owns it for a moment, which
	// may be left out.
	owners := slices.DeleteFunc(slices.Clone(seen), func(n registry.NodeID) bool { return n == "" })
	if want := []registry.NodeID{"a", "a", "a2", "b"}; !slices.Equal(owners, want) {
		t.Fatalf("seen %q at %v", seen, at)
	}
	for i, planned := range []time.Duration{0, 2, 4, 6, 8} {
		if late := at[i] - planned*time.Second; late < 0 || late > 100*time.Millisecond {
			t.Errorf("change %d, %q, was seen at %v, planned at %v", i, seen[i], at[i], planned*time.Second)
		}
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		short, cancel := c.h.WithTimeout(ctx, time.Second)
		defer cancel()
		var seen []registry.Owner
		var end error
		for owner, err := range c.Follow(short, "leader") {
			seen, end = append(seen, owner), err
		}
		if len(seen) != 2 || !errors.Is(end, context.DeadlineExceeded) {
			t.Errorf("%v, %v", seen, end)
		}
		for _, err := range c.Follow(ctx, "") {
			wantErr(t, "an empty id", err, registry.ErrInvalid)
		}
		n := 0
		for _, err := range c.Follow(ctx, "leader") {
			wantErr(t, "the first element", err, nil)
			n++
			break
		}
		if n != 1 {
			t.Errorf("%d elements", n)
		}
	})
}

func TestFollowWaitsOutagesOut(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "a")
		c.faulty.down = true
		c.h.Go("outage", func(ctx context.Context) {
			c.sleep(ctx, time.Second)
			c.faulty.down = false
			c.sleep(ctx, time.Second) // a renewal
			c.claim(ctx, s, "leader")
		})
		for owner, err := range c.Follow(ctx, "leader") {
			if err != nil {
				t.Fatal(err)
			}
			if owner.Node == "a" {
				break
			}
		}
	})
}
