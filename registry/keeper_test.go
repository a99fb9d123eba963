package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// A join takes most of the lease that it begins, and then the store is fast: the
// session must be renewed before its first lease ends.
func TestSlowJoinIsRenewedInTime(t *testing.T) {
	for _, slow := range []time.Duration{ttl / 2, ttl * 3 / 4, ttl * 9 / 10} {
		for _, before := range []bool{false, true} {
			newBench(t).run(func(ctx context.Context, c *client) {
				c.faulty.commit = func(commit func() error) error {
					c.faulty.commit = nil
					if before {
						c.sleep(ctx, slow)
						return commit()
					}
					defer c.sleep(ctx, slow)
					return commit()
				}
				s := c.join(ctx, "n1")
				if left := s.LeaseLeft(); left > ttl-slow {
					t.Errorf("the lease of a join that took %v has %v left", slow, left)
				}
				c.sleep(ctx, 10*time.Millisecond) // degraded until the renewal that is overdue
				cl := c.claim(ctx, s, "a")
				if cl == nil {
					return
				}
				c.sleep(ctx, 3*ttl)
				if !cl.Valid() || s.Health() != registry.Healthy {
					t.Errorf("after a join that took %v the session is %v", slow, s.Health())
				}
			})
		}
	}
}

// Whatever transaction shows that the session is over, the node stops believing
// at once, and not only when the keeper asks.
func TestSessionEndsWithTheFirstTransactionThatShowsIt(t *testing.T) {
	for name, ask := range map[string]func(ctx context.Context, s *registry.Session, held *registry.Claim) error{
		"claim": func(ctx context.Context, s *registry.Session, _ *registry.Claim) error {
			_, err := s.Claim(ctx, "b")
			return err
		},
		"release": func(ctx context.Context, _ *registry.Session, held *registry.Claim) error { return held.Release(ctx) },
	} {
		newBench(t).run(func(ctx context.Context, c *client) {
			other := c.b.client(c.h, registry.Options{})
			s := c.join(ctx, "n1")
			cl, held := c.claim(ctx, s, "a"), c.claim(ctx, s, "c")
			if _, err := other.Join(ctx, "n1", registry.JoinOptions{Replace: true}); err != nil {
				t.Error(err)
			}
			if !cl.Valid() {
				t.Errorf("%s: the claim became invalid before anything was asked", name)
			}
			wantErr(t, name, ask(ctx, s, held), registry.ErrSessionLost)
			if cl.Valid() || s.Health() != registry.Lost || s.Context().Err() == nil {
				t.Errorf("%s: the session goes on", name)
			}
		})
	}
}
