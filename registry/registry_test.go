package registry_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

func TestClaimGivesTheActorToOneNode(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		cl := c.claim(ctx, s1, "a")
		if !cl.Valid() || cl.Token() == 0 || cl.Actor() != "a" || cl.Session() != s1 {
			t.Errorf("claim is %+v", cl)
		}
		_, err := s2.Claim(ctx, "a")
		var held *registry.HeldError
		if !errors.As(err, &held) || held.Owner.Node != "n1" || held.Owner.Token != cl.Token() || held.Owner.Address != "client" {
			t.Errorf("second claim: %v", err)
		}
		wantErr(t, "second claim", err, registry.ErrHeld)
		o, err := c.Lookup(ctx, "a")
		if err != nil || o != held.Owner {
			t.Errorf("lookup: %+v, %v", o, err)
		}
		if got := s1.Claims(); !reflect.DeepEqual(got, []registry.ActorID{"a"}) {
			t.Errorf("claims of n1: %v", got)
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestClaimingTwiceGivesTheSameHandle(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		if first, second := c.claim(ctx, s, "a"), c.claim(ctx, s, "a"); first != second {
			t.Errorf("tokens %v and %v", first.Token(), second.Token())
		}
	})
}

func TestReleaseFreesTheActorAndTokensGrow(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		first := c.claim(ctx, s1, "a")
		cctx := first.Context()
		if err := first.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if first.Valid() {
			t.Error("a released claim is valid")
		}
		wantErr(t, "context of a released claim", clock.Cause(cctx), registry.ErrNotOwner)
		wantErr(t, "context made after the release", clock.Cause(first.Context()), registry.ErrNotOwner)
		wantErr(t, "second release", first.Release(ctx), registry.ErrNotOwner)
		_, err := c.Lookup(ctx, "a")
		wantErr(t, "lookup", err, registry.ErrUnowned)
		second := c.claim(ctx, s2, "a")
		if second.Token() <= first.Token() {
			t.Errorf("token %v after %v", second.Token(), first.Token())
		}
		var other *registry.NotOwnerError
		if err := first.Release(ctx); !errors.As(err, &other) || other.Owner.Node != "n2" || !second.Valid() {
			t.Errorf("release of an old claim: %v", err)
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestNodeIDIsRefusedWhileInUse(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		other := c.b.client(c.h, registry.Options{})
		s := c.join(ctx, "n1")
		cl := c.claim(ctx, s, "a")
		_, err := other.Join(ctx, "n1", registry.JoinOptions{})
		var use *registry.InUseError
		if !errors.As(err, &use) || use.Incarnation != s.Incarnation() || use.Address != "client" {
			t.Errorf("second join: %v", err)
		}
		wantErr(t, "second join", err, registry.ErrNodeInUse)

		s2, err := other.Join(ctx, "n1", registry.JoinOptions{Replace: true})
		if err != nil || s2.Incarnation() <= s.Incarnation() || !s2.Replaced() {
			t.Fatalf("replacing join: %v", err)
		}
		if _, err := s2.Claim(ctx, "a"); err != nil {
			t.Errorf("claim of the replaced session's actor: %v", err)
		}
		c.sleep(ctx, ttl)
		if cl.Valid() || s.Health() != registry.Lost {
			t.Error("the replaced session has not noticed after a renewal")
		}
		wantErr(t, "context of the replaced session", clock.Cause(s.Context()), registry.ErrSessionLost)
	})
}

func TestLeaveFreesEverythingAtOnce(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		cl := c.claim(ctx, s1, "a")
		if err := s1.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		if cl.Valid() || s1.Valid() || s1.Health() != registry.Lost {
			t.Error("a claim outlives its session")
		}
		if err := s1.Leave(ctx); err != nil {
			t.Errorf("second leave: %v", err)
		}
		wantErr(t, "release after leave", cl.Release(ctx), registry.ErrSessionLost)
		_, err := s1.Claim(ctx, "b")
		wantErr(t, "claim after leave", err, registry.ErrSessionLost)
		if next := c.claim(ctx, s2, "a"); next.Token() <= cl.Token() {
			t.Errorf("token %v after %v", next.Token(), cl.Token())
		}
		if s, err := c.Join(ctx, "n1", registry.JoinOptions{}); err != nil || s.Incarnation() <= s1.Incarnation() {
			t.Errorf("join after leave: %v", err)
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
}

func TestFailingRenewalsDegradeAndThenLoseTheSession(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		var told []registry.Health
		s, err := c.Join(ctx, "n1", registry.JoinOptions{OnHealth: func(h registry.Health) { told = append(told, h) }})
		if err != nil {
			t.Fatal(err)
		}
		cl := c.claim(ctx, s, "a")
		c.sleep(ctx, 10*ttl+ttl/100) // not at the instant of a renewal
		if s.Health() != registry.Healthy || !cl.Valid() {
			t.Errorf("after 10 TTL: %v", s.Health())
		}
		c.faulty.down = true
		c.sleep(ctx, ttl/3+ttl/6+ttl/4)
		if s.Health() != registry.Degraded || !cl.Valid() {
			t.Errorf("with the store down: %v, valid %v", s.Health(), cl.Valid())
		}
		_, err = s.Claim(ctx, "b")
		wantErr(t, "claim of a degraded node", err, registry.ErrDegraded)
		c.faulty.down = false
		c.sleep(ctx, ttl/3)
		if s.Health() != registry.Healthy || !cl.Valid() {
			t.Errorf("with the store back: %v", s.Health())
		}
		c.faulty.down = true
		c.sleep(ctx, ttl)
		if s.Health() != registry.Lost || cl.Valid() || s.LeaseLeft() > 0 {
			t.Errorf("a TTL without renewals: %v", s.Health())
		}
		c.faulty.down = false
		c.sleep(ctx, 2*ttl)
		if cl.Valid() {
			t.Error("a lost claim came back")
		}
		want := []registry.Health{registry.Degraded, registry.Healthy, registry.Degraded, registry.Lost}
		if !reflect.DeepEqual(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
		again := c.join(ctx, "n1") // its own lost session is no obstacle
		if !again.Replaced() {
			t.Error("the lost session was gone already")
		}
	})
}

func TestValidEndsDuringAPause(t *testing.T) {
	b := newBench(t)
	var cl *registry.Claim
	p := b.process("node", registry.Options{}, func(ctx context.Context, c *client) {
		cl = c.claim(ctx, c.join(ctx, "n1"), "a")
	})
	b.until(time.Second / 2)
	p.Pause()
	b.until(ttl + time.Second/2)
	if cl.Valid() {
		t.Error("a claim is valid although the process has been paused for a TTL")
	}
	p.Resume()
	b.until(ttl + time.Second)
	if cl.Valid() || cl.Session().Health() != registry.Lost {
		t.Error("the session came back after the pause")
	}
}

func TestGuardFencesTheStore(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s1 := c.join(ctx, "n1")
		cl := c.claim(ctx, s1, "a")
		write := func(cl *registry.Claim, value string) error {
			_, err := c.db.Transact(ctx, func(tx store.Tx) error {
				if err := registry.Guard(tx, cl); err != nil {
					return err
				}
				tx.Set([]byte("data"), []byte(value))
				return nil
			})
			return err
		}
		if err := write(cl, "one"); err != nil {
			t.Fatal(err)
		}
		// Ownership that ends between the guard's read and the commit.
		tx := b.engine.Begin(ctx)
		if err := registry.Guard(tx, cl); err != nil {
			t.Fatal(err)
		}
		tx.Set([]byte("data"), []byte("late"))
		if err := cl.Release(ctx); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "commit after the release", tx.Commit(), store.ErrConflict)
		wantErr(t, "guard after the release", write(cl, "later"), registry.ErrNotOwner)
		next := c.claim(ctx, c.join(ctx, "n2"), "a")
		wantErr(t, "guard of the old owner", write(cl, "later"), registry.ErrNotOwner)
		if err := write(next, "two"); err != nil {
			t.Error(err)
		}
		if err := next.Session().Leave(ctx); err != nil {
			t.Error(err)
		}
		wantErr(t, "guard after leaving", write(next, "later"), registry.ErrSessionLost)
	})
}

func TestAdvancingTheEpochEndsSessionsAndRaisesTokens(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		first := c.claim(ctx, s, "a")
		if e, err := c.AdvanceEpoch(ctx); e != 1 || err != nil {
			t.Fatalf("epoch %d, %v", e, err)
		}
		_, err := c.Lookup(ctx, "a")
		wantErr(t, "lookup", err, registry.ErrUnowned)
		s2 := c.join(ctx, "n1")
		second := c.claim(ctx, s2, "a")
		if second.Token()>>56 != 1 || s2.Incarnation()>>56 != 1 || second.Token() <= first.Token() {
			t.Errorf("token %v, incarnation %v", second.Token(), s2.Incarnation())
		}
		for range 254 - 1 {
			if _, err := c.AdvanceEpoch(ctx); err != nil {
				t.Fatal(err)
			}
		}
		_, err = c.AdvanceEpoch(ctx)
		wantErr(t, "epoch 255", err, registry.ErrInvalid)
	})
}

func TestBadArgumentsChangeNothing(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		before := c.rows(ctx)
		for _, id := range []string{"", "\xff", strings.Repeat("x", 2000)} {
			_, err := s.Claim(ctx, registry.ActorID(id))
			wantErr(t, "claim", err, registry.ErrInvalid)
			_, err = s.ClaimWait(ctx, registry.ActorID(id))
			wantErr(t, "claim and wait", err, registry.ErrInvalid)
			_, err = c.Lookup(ctx, registry.ActorID(id))
			wantErr(t, "lookup", err, registry.ErrInvalid)
			_, err = c.Join(ctx, registry.NodeID(id), registry.JoinOptions{})
			wantErr(t, "join", err, registry.ErrInvalid)
		}
		_, err := c.Join(ctx, "n2", registry.JoinOptions{Address: strings.Repeat("x", registry.MaxAddressBytes+1)})
		wantErr(t, "join with a long address", err, registry.ErrInvalid)
		_, err = registry.Open(nil, c.db, registry.Options{})
		wantErr(t, "open without a host", err, registry.ErrInvalid)
		_, err = registry.Open(c.h, nil, registry.Options{})
		wantErr(t, "open without a store", err, registry.ErrInvalid)
		if after := c.rows(ctx); !reflect.DeepEqual(before, after) {
			t.Error("the store has changed")
		}
	})
}

func TestCancelledContextsChangeNothing(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		cl := c.claim(ctx, s, "a")
		before := c.rows(ctx)
		dead, cancel := c.h.WithCancel(ctx)
		cancel(nil)
		_, err := s.Claim(dead, "b")
		wantErr(t, "claim", err, context.Canceled)
		_, err = s.ClaimWait(dead, "b")
		wantErr(t, "claim and wait", err, context.Canceled)
		_, err = c.Lookup(dead, "a")
		wantErr(t, "lookup", err, context.Canceled)
		_, err = c.Join(dead, "n2", registry.JoinOptions{})
		wantErr(t, "join", err, context.Canceled)
		wantErr(t, "check", c.Check(dead), context.Canceled)
		_, err = c.AdvanceEpoch(dead)
		wantErr(t, "advance the epoch", err, context.Canceled)
		wantErr(t, "release", cl.Release(dead), context.Canceled)
		wantErr(t, "leave", s.Leave(dead), context.Canceled)
		if after := c.rows(ctx); !reflect.DeepEqual(before, after) {
			t.Error("the store has changed")
		}
		if cl.Valid() || s.Valid() {
			t.Error("the holder believes again")
		}
		if err := s.Leave(ctx); err != nil {
			t.Errorf("leave again: %v", err)
		}
	})
}

func TestCheckFindsWhatDoesNotAgree(t *testing.T) {
	for name, spoil := range map[string]func(tx store.Tx, rows []store.KeyValue){
		"index lost":   func(tx store.Tx, rows []store.KeyValue) { tx.Clear(find(rows, "o")) },
		"load wrong":   func(tx store.Tx, rows []store.KeyValue) { tx.Add(find(rows, "l"), 1) },
		"load lost":    func(tx store.Tx, rows []store.KeyValue) { tx.Clear(find(rows, "l")) },
		"actor lost":   func(tx store.Tx, rows []store.KeyValue) { tx.Clear(find(rows, "a")) },
		"actor spoilt": func(tx store.Tx, rows []store.KeyValue) { tx.Set(find(rows, "a"), []byte("x")) },
	} {
		newBench(t).run(func(ctx context.Context, c *client) {
			c.claim(ctx, c.join(ctx, "n1"), "a")
			if err := c.Check(ctx); err != nil {
				t.Errorf("%s: before: %v", name, err)
			}
			rows := c.rows(ctx)
			if _, err := c.db.Transact(ctx, func(tx store.Tx) error { spoil(tx, rows); return nil }); err != nil {
				t.Error(err)
			}
			wantErr(t, name, c.Check(ctx), registry.ErrCorrupt)
		})
	}
}

// find returns the first key with the tag.
func find(rows []store.KeyValue, tag string) []byte {
	for _, kv := range rows {
		if strings.HasPrefix(string(kv.Key), registry.DefaultNamespace+"\x00"+tag) {
			return kv.Key
		}
	}
	panic("no key with tag " + tag)
}
