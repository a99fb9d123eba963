package registry_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// abandonClaim claims an actor and gives up with the commit in flight. The
// commit is applied at once, or by the function returned.
func (c *client) abandonClaim(ctx context.Context, s *registry.Session, a registry.ActorID, atOnce bool) (late func() error) {
	c.b.t.Helper()
	cctx, cancel := c.h.WithCancel(ctx)
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
	_, err := s.Claim(cctx, a)
	wantErr(c.b.t, "abandoned claim", err, registry.ErrUnknown)
	return late
}

// gaveBack returns the attempts to give an actor back that freed it.
func (c *client) gaveBack() (tokens []registry.Token) {
	begun := make(map[uint64]registry.Token)
	for _, e := range c.events {
		switch e.Kind {
		case registry.EventGiveBackStart:
			begun[e.ID] = e.Token
		case registry.EventGiveBackEnd:
			if begun[e.ID] != e.Token {
				c.b.t.Errorf("attempt %d begins with token %v and ends with %v", e.ID, begun[e.ID], e.Token)
			}
			if e.Err == nil {
				tokens = append(tokens, e.Token)
			}
		default:
		}
	}
	return tokens
}

func TestAbandonedClaimIsGivenBack(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		c.abandonClaim(ctx, s1, "a", true)
		o, err := c.Lookup(ctx, "a")
		if err != nil || o.Node != "n1" {
			t.Errorf("lookup: %+v, %v", o, err)
		}
		c.sleep(ctx, ttl/10)
		if got := c.gaveBack(); !slices.Equal(got, []registry.Token{o.Token}) {
			t.Errorf("gave back %v, want %v", got, o.Token)
		}
		if cl := c.claim(ctx, s2, "a"); cl == nil || !cl.Valid() {
			t.Error("the actor is not free")
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}

// The commit of an abandoned claim is on its way still when the doubt is settled:
// it must not take effect any more.
func TestAbandonedClaimDoesNotTakeEffectLater(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		late := c.abandonClaim(ctx, c.join(ctx, "n1"), "a", false)
		c.sleep(ctx, ttl/10)
		if late() == nil {
			t.Error("the late claim took effect")
		}
		if got := c.gaveBack(); got != nil {
			t.Errorf("gave back %v", got)
		}
		_, err := c.Lookup(ctx, "a")
		wantErr(t, "lookup", err, registry.ErrUnowned)
	})
}

// Giving back is itself in doubt, applied or not.
func TestGivingBackResolvesItsOwnDoubt(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			s := c.join(ctx, "n1")
			c.abandonClaim(ctx, s, "a", true)
			c.faulty.unknownOnce(applied)
			c.sleep(ctx, ttl/6)
			if got := c.gaveBack(); len(got) != 1 {
				t.Errorf("gave back %v", got)
			}
			_, err := c.Lookup(ctx, "a")
			wantErr(t, "lookup", err, registry.ErrUnowned)
			if err := c.Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestClaimingAgainKeepsWhatAnAbandonedClaimGot(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		c.abandonClaim(ctx, s, "a", true)
		cl := c.claim(ctx, s, "a")
		c.sleep(ctx, ttl)
		if got := c.gaveBack(); got != nil || cl == nil || !cl.Valid() {
			t.Errorf("gave back %v", got)
		}
		if o, err := c.Lookup(ctx, "a"); err != nil || o.Token != cl.Token() {
			t.Errorf("lookup: %+v, %v", o, err)
		}
	})
}

// A release in doubt, and then a claim in doubt that writes a new record: the old
// handle has nothing to release any more, whatever became of the claim.
func TestReleaseInDoubtIsSupersededByAnAbandonedClaim(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			s := c.join(ctx, "n1")
			first := c.claim(ctx, s, "a")
			octx, cancel := c.h.WithCancel(ctx)
			c.faulty.commit = func(func() error) error {
				c.faulty.commit = nil
				cancel(nil)
				return store.ErrCommitUnknown
			}
			wantErr(t, "release", first.Release(octx), registry.ErrUnknown)
			c.abandonClaim(ctx, s, "a", applied)
			wantErr(t, "second release", first.Release(ctx), registry.ErrSuperseded)
			c.sleep(ctx, ttl/6)
			if got := c.gaveBack(); len(got) != 1 || (got[0] == first.Token()) == applied {
				t.Errorf("gave back %v, first %v", got, first.Token())
			}
			_, err := c.Lookup(ctx, "a")
			wantErr(t, "lookup", err, registry.ErrUnowned)
			wantErr(t, "third release", first.Release(ctx), registry.ErrSuperseded)
			if err := c.Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// overtakenSettling has a session release an actor and claim it again, both in doubt, and
// lets that claim take effect when the session is about to give back the record before.
// Then comes next in place of the commit. It returns the handle that was released.
func (c *client) overtakenSettling(ctx context.Context, s *registry.Session, a registry.ActorID, next func(commit func() error) error) *registry.Claim {
	c.b.t.Helper()
	first := c.claim(ctx, s, a)
	octx, cancel := c.h.WithCancel(ctx)
	c.faulty.commit = func(func() error) error {
		c.faulty.commit = nil
		cancel(nil)
		return store.ErrCommitUnknown
	}
	wantErr(c.b.t, "release", first.Release(octx), registry.ErrUnknown)
	c.faulty.late = true
	late := c.abandonClaim(ctx, s, a, false)
	c.faulty.commit = func(commit func() error) error {
		c.faulty.commit = nil
		if err := late(); err != nil {
			c.b.t.Errorf("the late claim: %v", err)
		}
		return next(commit)
	}
	return first
}

// What is given back in the end is what the claim got, and that is what is told.
func TestAClaimThatOvertakesTheGivingBackIsGivenBack(t *testing.T) {
	for name, next := range map[string]func(commit func() error) error{
		"a conflict": func(commit func() error) error { return commit() },
		"in doubt":   func(func() error) error { return store.ErrCommitUnknown },
	} {
		newBench(t).run(func(ctx context.Context, c *client) {
			first := c.overtakenSettling(ctx, c.join(ctx, "n1"), "a", next)
			c.sleep(ctx, ttl/6)
			var begun, without []registry.Token
			for _, e := range c.events {
				switch {
				case e.Kind == registry.EventGiveBackStart:
					begun = append(begun, e.Token)
				case e.Kind == registry.EventGiveBackEnd && e.Err != nil:
					wantErr(t, name, e.Err, registry.ErrNotOwner)
					without = append(without, e.Token)
				}
			}
			if len(begun) != 2 || begun[0] != first.Token() || begun[1] <= first.Token() ||
				!slices.Equal(without, begun[:1]) || !slices.Equal(c.gaveBack(), begun[1:]) {
				t.Errorf("%s: began to give back %v, of them without effect %v, gave back %v; released was %v", name, begun, without, c.gaveBack(), first.Token())
			}
			_, err := c.Lookup(ctx, "a")
			wantErr(t, "lookup", err, registry.ErrUnowned)
			if err := c.Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// The second attempt to give back is in doubt, and on its way while the session claims
// the actor once more: it must not take the record from under the new handle.
func TestAClaimIsSafeFromAnOvertakenGivingBackInDoubt(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		var late func() error
		s := c.join(ctx, "n1")
		c.overtakenSettling(ctx, s, "a", func(commit func() error) error {
			c.faulty.commit = func(commit func() error) error {
				late = commit
				c.faulty.commit = func(func() error) error { return store.ErrUnavailable }
				return store.ErrCommitUnknown
			}
			return commit()
		})
		ended := func(e registry.Event) bool {
			return e.Kind == registry.EventGiveBackEnd && errors.Is(e.Err, registry.ErrUnknown)
		}
		for !slices.ContainsFunc(c.events, ended) {
			c.sleep(ctx, time.Millisecond)
		}
		c.faulty.commit = nil
		cl := c.claim(ctx, s, "a")
		if late() == nil {
			t.Error("the late commit took effect")
		}
		if o, err := c.Lookup(ctx, "a"); err != nil || cl == nil || !cl.Valid() || o.Token != cl.Token() {
			t.Errorf("lookup: %+v, %v", o, err)
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}

// A claim that fails for sure leaves the old handle its release.
func TestFailedClaimSupersedesNothing(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		first := c.claim(ctx, s, "a")
		octx, cancel := c.h.WithCancel(ctx)
		c.faulty.commit = func(func() error) error {
			cancel(nil)
			return store.ErrCommitUnknown
		}
		wantErr(t, "release", first.Release(octx), registry.ErrUnknown)
		cctx, cancel := c.h.WithCancel(ctx)
		c.faulty.commit = func(func() error) error {
			c.faulty.commit = nil
			cancel(nil)
			return store.ErrUnavailable
		}
		if _, err := s.Claim(cctx, "a"); err == nil {
			t.Error("the claim succeeded")
		}
		if err := first.Release(ctx); err != nil {
			t.Errorf("second release: %v", err)
		}
		_, err := c.Lookup(ctx, "a")
		wantErr(t, "lookup", err, registry.ErrUnowned)
	})
}

// TestClosingTheHostEndsTheSettler: the host ends, and with it the context of a
// session that has neither been lost nor left.
func TestClosingTheHostEndsTheSettler(t *testing.T) {
	h, err := host.NewSystem(host.SystemOptions{})
	if err != nil {
		t.Fatal(err)
	}
	engine := &faulty{Engine: memory.New(memory.Options{Clock: h})}
	db, err := store.Open(engine, h, h.Rand(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := registry.Open(h, db, registry.Options{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Join(t.Context(), "n", registry.JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	engine.commit = func(func() error) error {
		once.Do(cancel)
		return store.ErrCommitUnknown
	}
	_, err = s.Claim(ctx, "a")
	wantErr(t, "a claim whose caller gives up", err, registry.ErrUnknown)
	if err := h.Close(t.Context()); err != nil { // without the end it would wait for ever
		t.Error(err)
	}
}
