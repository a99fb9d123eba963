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
