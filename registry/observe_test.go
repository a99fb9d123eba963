package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
)

func TestDeadNodesActorComesToWhoWaits(t *testing.T) {
	b := newBench(t)
	var died, got time.Duration
	p := b.process("dying", registry.Options{}, func(ctx context.Context, c *client) {
		c.claim(ctx, c.join(ctx, "n1"), "a")
	})
	b.world.After(5*time.Second, "crash", func() { died = b.world.Now(); p.Crash() })
	b.process("waiting", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n2")
		c.sleep(ctx, time.Second)
		cl, err := s.ClaimWait(ctx, "a")
		if err != nil || !cl.Valid() {
			t.Errorf("claim: %v", err)
		}
		got = b.world.Now()
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
	b.until(20 * time.Second)
	if took := got - died; got == 0 || took < ttl-ttl/3 || took > ttl+ttl/2 {
		t.Errorf("died at %v, taken over at %v", died, got)
	}
}

func TestWaiterGetsAReleasedActorAtOnce(t *testing.T) {
	b := newBench(t)
	var released, got time.Duration
	b.process("holder", registry.Options{}, func(ctx context.Context, c *client) {
		cl := c.claim(ctx, c.join(ctx, "n1"), "a")
		c.sleep(ctx, 10*time.Second)
		released = b.world.Now()
		if err := cl.Release(ctx); err != nil {
			t.Error(err)
		}
	})
	b.process("waiter", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n2")
		c.sleep(ctx, time.Second)
		if _, err := s.ClaimWait(ctx, "a"); err != nil {
			t.Error(err)
		}
		got = b.world.Now()
	})
	b.until(20 * time.Second)
	if got == 0 || got-released > 50*time.Millisecond {
		t.Errorf("released at %v, claimed at %v", released, got)
	}
}

// Between the observer's last look and the commit of its revocation a renewal
// arrives: the revocation must lose.
func TestRevocationLosesToARenewal(t *testing.T) {
	b := newBench(t)
	b.process("holder", registry.Options{}, func(ctx context.Context, c *client) {
		c.claim(ctx, c.join(ctx, "n1"), "a")
		c.faulty.down = true
	})
	var lost, revoked int
	b.process("observer", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n2")
		c.sleep(ctx, ttl/6)
		renewals := 2
		c.watchEvents = func(e registry.Event) {
			switch e.Kind {
			case registry.EventRevokeStart:
				c.faulty.commit = func(commit func() error) error {
					c.faulty.commit = nil
					if renewals > 0 {
						renewals--
						tx := b.engine.Begin(ctx)
						tx.SetStamped([]byte(registry.DefaultNamespace+"\x00bn1\x00"), append([]byte{1}, make([]byte, 18)...), 1)
						if err := tx.Commit(); err != nil {
							t.Error(err)
						}
					}
					return commit()
				}
			case registry.EventRevokeEnd:
				c.faulty.commit = nil
				if errors.Is(e.Err, registry.ErrRenewed) {
					lost++
				} else if e.Err == nil {
					revoked++
				}
			default:
			}
		}
		if _, err := s.ClaimWait(ctx, "a"); err != nil {
			t.Error(err)
		}
	})
	b.until(10 * ttl)
	if lost != 2 || revoked != 1 {
		t.Errorf("%d revocations lost to a renewal, %d succeeded", lost, revoked)
	}
}

func TestRestartedProcessWaitsForItsNodeID(t *testing.T) {
	b := newBench(t)
	joined := 0
	p := b.process("node", registry.Options{}, func(ctx context.Context, c *client) {
		if _, err := c.Join(ctx, "n1", registry.JoinOptions{Wait: true}); err != nil {
			t.Error(err)
		}
		joined++
	})
	b.world.After(5*time.Second, "crash", func() { p.Crash(); p.Restart() })
	b.until(20 * time.Second)
	if joined != 2 {
		t.Errorf("joined %d times", joined)
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		c.claim(ctx, s1, "a")
		wctx, cancel := c.h.WithTimeout(ctx, 3*ttl)
		defer cancel()
		_, err := s2.ClaimWait(wctx, "a")
		wantErr(t, "claim and wait", err, context.DeadlineExceeded)
		wantErr(t, "claim and wait", err, registry.ErrHeld)
		other := c.b.client(c.h, registry.Options{})
		jctx, cancel := c.h.WithTimeout(ctx, 3*ttl)
		defer cancel()
		_, err = other.Join(jctx, "n1", registry.JoinOptions{Wait: true})
		wantErr(t, "join and wait", err, context.DeadlineExceeded)
		wantErr(t, "join and wait", err, registry.ErrNodeInUse)
		if !s1.Valid() {
			t.Error("a session that renews was revoked")
		}
	})
}

func TestNodesWithFastAndSlowClocksKeepTheirLeases(t *testing.T) {
	b := newBench(t)
	const drift = 0.1
	var sessions []*registry.Session
	for i, rate := range []int64{100_000_000, -100_000_000} {
		p := b.world.Process([]string{"fast", "slow"}[i], sim.ProcessOptions{RatePPB: rate})
		p.Start(func(ctx context.Context, h *sim.Host) {
			c := b.client(h, registry.Options{MaxDrift: drift})
			s := c.join(ctx, registry.NodeID(h.Name()))
			sessions = append(sessions, s)
			c.claim(ctx, s, registry.ActorID(h.Name()))
			c.sleep(ctx, ttl)
			for range 3 {
				wctx, cancel := h.WithTimeout(ctx, 5*ttl)
				_, err := s.ClaimWait(wctx, map[string]registry.ActorID{"fast": "slow", "slow": "fast"}[h.Name()])
				wantErr(t, h.Name(), err, context.DeadlineExceeded)
				cancel()
			}
		})
	}
	b.until(20 * ttl)
	for _, s := range sessions {
		if s.Health() != registry.Healthy {
			t.Errorf("%s is %v", s.Node(), s.Health())
		}
	}
}
