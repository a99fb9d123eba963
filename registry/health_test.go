package registry_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
)

// Changes of health that come while one is being told are told after it, by
// whichever task they come from.
func TestHealthIsToldInOrder(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		var told []registry.Health
		telling := 0
		s, err := c.Join(ctx, "n1", registry.JoinOptions{OnHealth: func(h registry.Health) {
			if telling++; telling > 1 {
				t.Error("two changes are told at once")
			}
			if h == registry.Degraded {
				c.sleep(ctx, 2*ttl)
			}
			told = append(told, h)
			telling--
		}})
		if err != nil {
			t.Fatal(err)
		}
		// The timer tells of the degradation; the end comes with a claim.
		c.faulty.down = true
		for s.Health() == registry.Healthy {
			c.sleep(ctx, ttl/100)
		}
		c.faulty.down = false
		if _, err := c.Join(ctx, "n1", registry.JoinOptions{Replace: true}); err != nil {
			t.Fatal(err)
		}
		c.sleep(ctx, 3*ttl)
		want := []registry.Health{registry.Degraded, registry.Lost}
		if !slices.Equal(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// lateHost is a machine whose timers never come, and that can be held up right
// after a look at the clock.
type lateHost struct {
	host.Host
	looked func() // called after the next look at the clock
}

func (h *lateHost) Monotonic() time.Duration {
	now := h.Host.Monotonic()
	if f := h.looked; f != nil {
		h.looked = nil
		f()
	}
	return now
}

func (h *lateHost) AfterFunc(time.Duration, func()) clock.Timer { return neverFired{} }

type neverFired struct{}

func (neverFired) Stop() bool { return true }

// A renewal finds that the lease lasts still, the process stands still, and who
// asks next is told that it has run out. That is final: the renewal comes too
// late.
func TestClaimThatWasInvalidIsNotRenewed(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		var cl *registry.Claim
		asked := false
		h := &lateHost{Host: c.h}
		o := registry.Options{TTL: ttl, Events: func(e registry.Event) {
			if e.Kind != registry.EventRenewed || asked {
				return
			}
			c.sleep(ctx, cl.Session().LeaseLeft()-time.Millisecond)
			h.looked = func() {
				c.sleep(ctx, 2*time.Millisecond)
				if asked = true; cl.Valid() || cl.Session().Health() != registry.Lost {
					t.Error("a claim is valid after the end of its lease")
				}
			}
		}}
		r, err := registry.Open(h, c.db, o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := r.Join(ctx, "n1", registry.JoinOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cl = c.claim(ctx, s, "a")
		c.sleep(ctx, ttl+ttl/2)
		if !asked {
			t.Fatal("the renewal did not look at the clock")
		}
		if cl.Valid() || s.LeaseLeft() != 0 {
			t.Errorf("the claim is valid again, for %v", s.LeaseLeft())
		}
		if cause := clock.Cause(s.Context()); !errors.Is(cause, registry.ErrExpired) {
			t.Errorf("the session ended because of %v", cause)
		}
	})
}
