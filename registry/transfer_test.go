package registry_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

func payload(s string) registry.TransferOptions {
	return registry.TransferOptions{Payload: []byte(s)}
}

// next returns the next assignment of a session, nil when none comes within d.
func (c *client) next(ctx context.Context, s *registry.Session, d time.Duration) *registry.Claim {
	c.b.t.Helper()
	ctx, cancel := c.h.WithTimeout(ctx, d)
	defer cancel()
	for cl, err := range s.Assignments(ctx) {
		if err == nil {
			return cl
		}
		wantErr(c.b.t, "no assignment", err, context.DeadlineExceeded)
	}
	return nil
}

func (c *client) wantPayload(cl *registry.Claim, want string) {
	c.b.t.Helper()
	if cl == nil || !cl.Valid() || string(cl.Payload()) != want {
		c.b.t.Errorf("assignment %+v, want a valid one with %q", cl, want)
	}
}

func (c *client) wantConsistent(ctx context.Context) {
	c.b.t.Helper()
	c.sleep(ctx, ttl/10)
	if err := c.Check(ctx); err != nil {
		c.b.t.Error(err)
	}
}

// abandon runs f with a context that ends while the next commit is in flight. The
// commit is applied at once, or by the function returned.
func (c *client) abandon(ctx context.Context, what string, atOnce bool, f func(context.Context) error) (late func() error) {
	c.b.t.Helper()
	ctx, cancel := c.h.WithCancel(ctx)
	c.faulty.commit = func(commit func() error) error {
		c.faulty.commit = nil
		late = commit
		if atOnce {
			if err := commit(); err != nil {
				c.b.t.Errorf("commit: %v", err)
			}
		}
		cancel(nil)
		return store.ErrCommitUnknown
	}
	wantErr(c.b.t, what, f(ctx), registry.ErrUnknown)
	return late
}

func (c *client) abandonTransfer(ctx context.Context, cl *registry.Claim, to registry.NodeID, p string, atOnce bool) (late func() error) {
	c.b.t.Helper()
	return c.abandon(ctx, "abandoned transfer", atOnce, func(ctx context.Context) error {
		_, err := cl.Transfer(ctx, registry.Target{Node: to}, payload(p))
		return err
	})
}

func TestTransferMovesAnActorWithItsPayload(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		first := c.claim(ctx, s1, "a")
		o, err := first.Transfer(ctx, registry.Target{Node: "n2", Incarnation: s2.Incarnation()}, payload("state"))
		if err != nil || o.Node != "n2" || o.Incarnation != s2.Incarnation() || o.Token <= first.Token() || o.Address != c.h.Name() {
			t.Errorf("transfer: %+v, %v", o, err)
		}
		if now, err := c.Lookup(ctx, "a"); err != nil || now != o {
			t.Errorf("lookup: %+v, %v, want %+v", now, err, o)
		}
		if first.Valid() || !errors.Is(clock.Cause(first.Context()), registry.ErrNotOwner) {
			t.Errorf("the former owner: valid %v, %v", first.Valid(), clock.Cause(first.Context()))
		}
		c.wantConsistent(ctx)
		second := c.next(ctx, s2, time.Second)
		c.wantPayload(second, "state")
		if second.Token() != o.Token || second.Session() != s2 || second.Actor() != "a" {
			t.Errorf("handle %+v", second)
		}
		c.wantConsistent(ctx)
		_, err = c.db.Transact(ctx, func(tx store.Tx) error { return registry.Guard(tx, first) })
		wantErr(t, "guard of the former owner", err, registry.ErrNotOwner)
		_, err = c.db.Transact(ctx, func(tx store.Tx) error { return registry.Guard(tx, second) })
		wantErr(t, "guard of the new owner", err, nil)
		_, err = first.Transfer(ctx, registry.Target{Node: "n2"}, payload("state"))
		wantErr(t, "second transfer", err, registry.ErrNotOwner)
		wantErr(t, "release after the transfer", first.Release(ctx), registry.ErrNotOwner)
		if err := second.Release(ctx); err != nil {
			t.Error(err)
		}
		c.wantConsistent(ctx)
	})
}

func TestTransferToAndFroHandsOutTheLastPayload(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		cl := c.claim(ctx, s1, "a")
		for i, p := range []string{"one", "", "three", "four", "five"} {
			from, to := s1, s2
			if i%2 == 1 {
				from, to = s2, s1
			}
			o, err := cl.Transfer(ctx, registry.Target{Node: to.Node()}, payload(p))
			if err != nil || cl.Session() != from {
				t.Fatalf("transfer %d: %v", i, err)
			}
			if cl = c.next(ctx, to, time.Second); cl.Token() != o.Token {
				t.Errorf("transfer %d: token %v, want %v", i, cl.Token(), o.Token)
			}
			c.wantPayload(cl, p)
		}
		c.wantConsistent(ctx)
	})
}

func TestDoubtfulTransferIsResolved(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
			cl := c.claim(ctx, s1, "a")
			c.faulty.unknownOnce(applied)
			o, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
			now, lookErr := c.Lookup(ctx, "a")
			if err != nil || lookErr != nil || o != now || o.Node != "n2" {
				t.Errorf("transfer: %+v, %v; lookup %+v, %v", o, err, now, lookErr)
			}
			c.wantPayload(c.next(ctx, s2, time.Second), "x")
			var told []bool
			for _, e := range c.events {
				if e.Kind == registry.EventResolved {
					told = append(told, e.Applied)
				}
			}
			if len(told) != 1 || told[0] != applied {
				t.Errorf("resolved %v, want %v", told, applied)
			}
			c.wantConsistent(ctx)
		})
	}
}

// A transfer in doubt that is repeated finds its own effect, and does not make it
// a second time.
func TestTransferInDoubtMayBeRepeated(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
			cl := c.claim(ctx, s1, "a")
			late := c.abandonTransfer(ctx, cl, "n2", "x", applied)
			before, err := c.Lookup(ctx, "a")
			if err != nil {
				t.Error(err)
			}
			o, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
			if err != nil || o.Node != "n2" || (o == before) != applied {
				t.Errorf("again: %+v, %v; before %+v", o, err, before)
			}
			if !applied && late() == nil {
				t.Error("the first transfer took effect after the second")
			}
			got := c.next(ctx, s2, time.Second)
			c.wantPayload(got, "x")
			if got.Token() != o.Token {
				t.Errorf("token %v, want %v", got.Token(), o.Token)
			}
			c.wantConsistent(ctx)
		})
	}
}

// After a transfer in doubt that took effect, other calls say that somebody else is
// the owner; after one that did not, they make it fail.
func TestAfterATransferInDoubt(t *testing.T) {
	transferTo := func(to registry.NodeID, p string) func(context.Context, *registry.Claim) error {
		return func(ctx context.Context, cl *registry.Claim) error {
			_, err := cl.Transfer(ctx, registry.Target{Node: to}, payload(p))
			return err
		}
	}
	calls := map[string]struct {
		call    func(context.Context, *registry.Claim) error
		applied error // when the transfer in doubt took effect
	}{
		"another target":  {transferTo("n3", "x"), registry.ErrNotOwner},
		"another payload": {transferTo("n2", "y"), registry.ErrNotOwner},
		"release":         {func(ctx context.Context, cl *registry.Claim) error { return cl.Release(ctx) }, registry.ErrNotOwner},
		"claim": {func(ctx context.Context, cl *registry.Claim) error {
			again, err := cl.Session().Claim(ctx, "a")
			if err == nil && (again.Token() <= cl.Token() || !again.Valid() || cl.Valid()) {
				err = errors.New("no new token")
			}
			return err
		}, registry.ErrHeld},
	}
	for name, tt := range calls {
		for _, applied := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				newBench(t).run(func(ctx context.Context, c *client) {
					s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
					c.join(ctx, "n3")
					cl := c.claim(ctx, s1, "a")
					late := c.abandonTransfer(ctx, cl, "n2", "x", applied)
					err := tt.call(ctx, cl)
					if applied {
						wantErr(t, name, err, tt.applied)
						c.wantPayload(c.next(ctx, s2, time.Second), "x")
					} else {
						wantErr(t, name, err, nil)
						if late() == nil {
							t.Error("the transfer took effect later")
						}
					}
					c.wantConsistent(ctx)
				})
			})
		}
	}
}

// Where a transfer in doubt has gone on to others, it is known that it took effect,
// and no longer with which token.
func TestTransferInDoubtThatWentOn(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		cl := c.claim(ctx, s1, "a")
		c.abandonTransfer(ctx, cl, "n2", "x", true)
		if err := c.next(ctx, s2, time.Second).Release(ctx); err != nil {
			t.Error(err)
		}
		mine := c.claim(ctx, s1, "a")
		o, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
		if err != nil || o != (registry.Owner{Node: "n2"}) {
			t.Errorf("%+v, %v", o, err)
		}
		if !mine.Valid() {
			t.Error("the newer claim is gone")
		}
		c.wantConsistent(ctx)
	})
}

func TestReleaseInDoubtThenTransfer(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
			cl := c.claim(ctx, s1, "a")
			late := c.abandon(ctx, "release", applied, cl.Release)
			_, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
			if applied {
				wantErr(t, "transfer of what was released", err, registry.ErrNotOwner)
			} else {
				wantErr(t, "transfer", err, nil)
				if late() == nil {
					t.Error("the release took effect after the transfer")
				}
				c.wantPayload(c.next(ctx, s2, time.Second), "x")
			}
			c.wantConsistent(ctx)
		})
	}
}

// With a release and a transfer in doubt and the actor gone, nothing tells which of
// them it was.
func TestReleaseAndTransferInDoubt(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		cl := c.claim(ctx, s1, "a")
		c.abandon(ctx, "release", false, cl.Release)
		c.abandonTransfer(ctx, cl, "n2", "x", true)
		if err := c.next(ctx, s2, time.Second).Release(ctx); err != nil {
			t.Error(err)
		}
		_, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
		wantErr(t, "transfer", err, registry.ErrUnknown)
		_, err = cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("y"))
		wantErr(t, "another transfer", err, registry.ErrNotOwner)
		wantErr(t, "release", cl.Release(ctx), nil)
		c.wantConsistent(ctx)
	})
}

func TestSeveralTransfersInDoubt(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1 := c.join(ctx, "n1")
		c.join(ctx, "n2")
		s3 := c.join(ctx, "n3")
		cl := c.claim(ctx, s1, "a")
		first := c.abandonTransfer(ctx, cl, "n2", "x", false)
		c.abandonTransfer(ctx, cl, "n3", "y", true)
		if first() == nil {
			t.Error("the first transfer took effect after the second")
		}
		_, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
		wantErr(t, "the transfer that lost", err, registry.ErrNotOwner)
		if o, err := cl.Transfer(ctx, registry.Target{Node: "n3"}, payload("y")); err != nil || o.Node != "n3" || o.Token <= cl.Token() {
			t.Errorf("the transfer that won: %+v, %v", o, err)
		}
		c.wantPayload(c.next(ctx, s3, time.Second), "y")
		c.wantConsistent(ctx)
	})
}

func TestTransferToASessionThatTakesNothing(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1 := c.join(ctx, "n1")
		cl := c.claim(ctx, s1, "a")
		left := c.join(ctx, "left")
		if err := left.Leave(ctx); err != nil {
			t.Error(err)
		}
		live := c.join(ctx, "n2")
		if _, err := c.Join(ctx, "joining", registry.JoinOptions{NotReady: true}); err != nil {
			t.Error(err)
		}
		for name, tt := range map[string]struct {
			to    registry.Target
			state registry.NodeState
		}{
			"never joined":        {registry.Target{Node: "n9"}, 0},
			"left":                {registry.Target{Node: "left"}, registry.NodeLeft},
			"joining":             {registry.Target{Node: "joining"}, registry.NodeJoining},
			"another incarnation": {registry.Target{Node: "n2", Incarnation: live.Incarnation() + 1}, 0},
			"own, another":        {registry.Target{Node: "n1", Incarnation: s1.Incarnation() + 1}, 0},
		} {
			_, err := cl.Transfer(ctx, tt.to, payload("x"))
			var not *registry.NotActiveError
			if !errors.As(err, &not) || not.Node != tt.to.Node || not.State != tt.state {
				t.Errorf("%s: %v", name, err)
			}
			wantErr(t, name, err, registry.ErrNotActive)
		}
		if !cl.Valid() {
			t.Error("the claim was given up for nobody")
		}
		c.wantConsistent(ctx)
	})
}

// The target ends after it was looked at: the transaction finds out.
func TestTargetThatEndsMeanwhileGetsNothing(t *testing.T) {
	for _, doubt := range []bool{false, true} {
		newBench(t).run(func(ctx context.Context, c *client) {
			other := c.b.client(c.h, registry.Options{})
			s1 := c.join(ctx, "n1")
			s2, s3 := other.join(ctx, "n2"), other.join(ctx, "n3")
			cl := c.claim(ctx, s1, "a")
			var late func() error
			c.faulty.commit = func(commit func() error) error {
				c.faulty.commit = nil
				if err := s2.Leave(ctx); err != nil {
					t.Error(err)
				}
				if late = commit; doubt {
					return store.ErrCommitUnknown
				}
				return commit()
			}
			_, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
			wantErr(t, "transfer", err, registry.ErrNotActive)
			if late() == nil {
				t.Error("the transfer to an ended session took effect")
			}
			if cl.Valid() {
				t.Error("the holder believes again")
			}
			if o, err := cl.Transfer(ctx, registry.Target{Node: "n3"}, payload("y")); err != nil || o.Node != "n3" {
				t.Errorf("to another target: %+v, %v", o, err)
			}
			c.wantPayload(other.next(ctx, s3, time.Second), "y")
			c.wantConsistent(ctx)
		})
	}
}

func TestTransferRefusesBadInput(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1 := c.join(ctx, "n1")
		c.join(ctx, "n2")
		cl := c.claim(ctx, s1, "a")
		before := c.rows(ctx)
		long := strings.Repeat("x", registry.MaxPayloadBytes+1)
		for name, tt := range map[string]struct {
			to   registry.Target
			o    registry.TransferOptions
			says string
		}{
			"no target":        {registry.Target{}, payload(""), "Target.Node"},
			"bad target":       {registry.Target{Node: "\xff"}, payload(""), "Target.Node"},
			"itself":           {registry.Target{Node: "n1"}, payload(""), "Target"},
			"itself by number": {registry.Target{Node: "n1", Incarnation: s1.Incarnation()}, payload(""), "Target"},
			"payload too long": {registry.Target{Node: "n2"}, payload(long), "TransferOptions.Payload has 65537 bytes, at most 65536"},
		} {
			_, err := cl.Transfer(ctx, tt.to, tt.o)
			wantErr(t, name, err, registry.ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want %q in it", name, err, tt.says)
			}
		}
		dead, cancel := c.h.WithCancel(ctx)
		cancel(nil)
		_, err := cl.Transfer(dead, registry.Target{Node: "n2"}, payload(""))
		wantErr(t, "cancelled before", err, context.Canceled)
		if !cl.Valid() || len(c.rows(ctx)) != len(before) {
			t.Errorf("something changed: valid %v, %d rows, before %d", cl.Valid(), len(c.rows(ctx)), len(before))
		}
		if _, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload(long[1:])); err != nil {
			t.Errorf("the longest payload: %v", err)
		}
	})
}

func TestTransferByAnEndedSession(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		cl := c.claim(ctx, s1, "a")
		if err := s1.Leave(ctx); err != nil {
			t.Error(err)
		}
		_, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
		wantErr(t, "transfer", err, registry.ErrSessionLost)
		if got := c.next(ctx, s2, time.Second); got != nil {
			t.Errorf("assignment %+v", got)
		}
	})
}

// A claim of the target is in doubt when the transfer arrives. Settling that doubt
// must not give back what was given.
func TestSettlingKeepsWhatTheSessionWasGiven(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		other := c.b.client(c.h, registry.Options{})
		s1, s2 := other.join(ctx, "n1"), c.join(ctx, "n2")
		late := c.abandonClaim(ctx, s2, "a", false)
		c.faulty.down = true
		o, err := other.claim(ctx, s1, "a").Transfer(ctx, registry.Target{Node: "n2"}, payload("x"))
		if err != nil {
			t.Error(err)
		}
		c.faulty.down = false
		c.sleep(ctx, ttl/6)
		if late() == nil {
			t.Error("the late claim took effect")
		}
		if got := c.gaveBack(); got != nil {
			t.Errorf("gave back %v", got)
		}
		got := c.next(ctx, s2, time.Second)
		c.wantPayload(got, "x")
		if got.Token() != o.Token {
			t.Errorf("token %v, want %v", got.Token(), o.Token)
		}
		c.wantConsistent(ctx)
	})
}

// Of a given actor whose holder is giving it up, and a claim in doubt, nothing is
// left: neither owner nor inbox row.
func TestSettlingGivesBackWhatItsHolderGaveUp(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		if _, err := c.claim(ctx, s1, "a").Transfer(ctx, registry.Target{Node: "n2"}, payload("x")); err != nil {
			t.Error(err)
		}
		got := c.next(ctx, s2, time.Second)
		c.abandonTransfer(ctx, got, "n1", "y", false)
		c.abandonClaim(ctx, s2, "a", false)
		c.sleep(ctx, ttl/6)
		if tokens := c.gaveBack(); len(tokens) != 1 || tokens[0] != got.Token() {
			t.Errorf("gave back %v, want %v", tokens, got.Token())
		}
		_, err := got.Transfer(ctx, registry.Target{Node: "n1"}, payload("y"))
		wantErr(t, "transfer", err, registry.ErrSuperseded)
		c.wantConsistent(ctx)
	})
}

func TestTwoTransfersOfOneClaim(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1 := c.join(ctx, "n1")
		to := map[registry.NodeID]*registry.Session{"n2": c.join(ctx, "n2"), "n3": c.join(ctx, "n3")}
		cl := c.claim(ctx, s1, "a")
		done := c.h.NewEvent()
		var other error
		c.h.Go("other", func(ctx context.Context) {
			_, other = cl.Transfer(ctx, registry.Target{Node: "n3"}, payload("n3"))
			done.Set()
		})
		_, err := cl.Transfer(ctx, registry.Target{Node: "n2"}, payload("n2"))
		if werr := done.Wait(ctx); werr != nil {
			t.Error(werr)
		}
		if (err == nil) == (other == nil) {
			t.Errorf("both or neither won: %v, %v", err, other)
		}
		wantErr(t, "the loser", errors.Join(err, other), registry.ErrNotOwner)
		o, err := c.Lookup(ctx, "a")
		if err != nil {
			t.Error(err)
		}
		c.wantPayload(c.next(ctx, to[o.Node], time.Second), string(o.Node))
		c.wantConsistent(ctx)
	})
}
