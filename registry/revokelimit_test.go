package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// kill starts n nodes that each own the actor of their number, and crashes them all
// at a time.
func (b *bench) kill(n int, at time.Duration) {
	b.t.Helper()
	for i := range n {
		p := b.process(fmt.Sprintf("dead-%d", i), registry.Options{}, func(ctx context.Context, c *client) {
			c.claim(ctx, c.join(ctx, registry.NodeID(c.h.Name())), actorNo(i))
		})
		b.world.After(at-b.world.Now(), "crash", p.Crash)
	}
}

func actorNo(i int) registry.ActorID { return registry.ActorID(fmt.Sprintf("actor-%d", i)) }

// Nine of ten nodes die at once. At most two times the limit are revoked in any TTL,
// and all in the end.
func TestRevocationsAreLimited(t *testing.T) {
	const dead, limit = 9, 3
	for _, o := range []registry.Options{
		{RevokeMin: limit, RevokeShare: 0.01},
		{RevokeMin: 1, RevokeShare: 0.35}, // of ten live nodes; fewer of those that are left
	} {
		b := newBench(t)
		b.kill(dead, 5*time.Second)
		var revoked []time.Duration
		limited, over, putOff := 0, 0, 0
		b.process("waiting", o, func(ctx context.Context, c *client) {
			s := c.join(ctx, "survivor")
			c.sleep(ctx, time.Second)
			c.watchEvents = func(e registry.Event) {
				switch {
				case e.Kind == registry.EventRevokeLimited:
					if limited++; limited != over+1 {
						t.Error("the limit was told of twice without an end in between")
					}
				case e.Kind == registry.EventRevokeLimitOver:
					if over++; limited != over {
						t.Error("an end of the limit was told that had no beginning")
					}
					putOff += e.Count
				case e.Kind == registry.EventRevokeEnd && e.Err == nil:
					revoked = append(revoked, b.world.Now())
				default:
				}
			}
			for i := range dead {
				c.h.Go("wait", func(ctx context.Context) {
					if _, err := s.ClaimWait(ctx, actorNo(i)); err != nil {
						t.Error(err)
					}
				})
			}
			c.sleep(ctx, 4*ttl)
			if used, most, err := c.RevocationLimit(ctx); err != nil || used < 1 || used > limit || most < 1 || most > limit {
				t.Errorf("%d of %d used: %v", used, most, err)
			}
		})
		b.until(2 * time.Minute)
		// At most once a window, in each of which one was revoked at least.
		if len(revoked) != dead || limited < 1 || limited > dead || over != limited || putOff < dead-limit {
			t.Fatalf("%d of %d dead nodes were revoked, the limit began to hold %d times and ended %d times, for %d sessions", len(revoked), dead, limited, over, putOff)
		}
		for i := 2 * limit; i < dead; i++ {
			if within := revoked[i] - revoked[i-2*limit]; within < ttl {
				t.Errorf("%d revocations within %v", 2*limit+1, within)
			}
		}
		if revoked[limit]-revoked[0] < ttl {
			t.Errorf("revocation %d came %v after the first", limit+1, revoked[limit]-revoked[0])
		}
	}
}

// A window that was used up long ago does not delay the next revocation: who waits
// has seen it for as long as the silence lasts.
func TestOldWindowDelaysNobody(t *testing.T) {
	b := newBench(t)
	b.kill(2, 30*time.Second)
	b.process("waiting", registry.Options{RevokeMin: 1, RevokeShare: 0.01}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "survivor")
		c.sleep(ctx, time.Second)
		// One revocation used up the window.
		if _, err := c.db.Transact(ctx, func(tx store.Tx) error {
			tx.SetStamped(c.LedgerKey(), []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 1)
			return nil
		}); err != nil {
			t.Error(err)
		}
		if used, most, err := c.RevocationLimit(ctx); err != nil || used != 1 || most != 1 {
			t.Errorf("%d of %d used: %v", used, most, err)
		}
		if _, err := s.ClaimWait(ctx, actorNo(0)); err != nil {
			t.Error(err)
		}
		if took, most := b.world.Now()-30*time.Second, c.Bounds(0, 1).FailOver; took > most {
			t.Errorf("the fail-over took %v, at most %v expected", took, most)
		}
		// And the second has to wait for the window of the first.
		first := b.world.Now()
		if _, err := s.ClaimWait(ctx, actorNo(1)); err != nil {
			t.Error(err)
		}
		if took := b.world.Now() - first; took < ttl {
			t.Errorf("the next session was revoked %v later", took)
		}
	})
	b.until(time.Minute)
}

func TestCorruptLedgerIsAnError(t *testing.T) {
	for name, v := range map[string][]byte{
		"short":   {1, 2, 3},
		"format":  make([]byte, 15),
		"unused":  append([]byte{1}, make([]byte, 14)...),
		"nothing": {},
	} {
		newBench(t).run(func(ctx context.Context, c *client) {
			if _, err := c.db.Transact(ctx, func(tx store.Tx) error { tx.Set(c.LedgerKey(), v); return nil }); err != nil {
				t.Error(err)
			}
			_, _, err := c.RevocationLimit(ctx)
			wantErr(t, name, err, registry.ErrCorrupt)
			s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
			c.claim(ctx, s1, "a")
			_, err = s2.ClaimWait(ctx, "a")
			wantErr(t, name, err, registry.ErrCorrupt)
		})
	}
}
