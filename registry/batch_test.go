package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

func actorIDs(n int) []registry.ActorID {
	ids := make([]registry.ActorID, n)
	for i := range ids {
		ids[i] = registry.ActorID(fmt.Sprintf("a%03d", i))
	}
	return ids
}

func TestABatchClaimsAndReleasesWhatItCan(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		ids := actorIDs(120)
		other := c.claim(ctx, s2, ids[7])
		mine := c.claim(ctx, s1, ids[70])
		commits := 0
		c.faulty.commit = func(commit func() error) error {
			commits++
			return commit()
		}
		claims, errs, err := s1.ClaimAll(ctx, ids...)
		if err != nil || len(claims) != 120 || len(errs) != 120 || commits != 3 {
			t.Errorf("%d claims, %d errors, %v, %d commits", len(claims), len(errs), err, commits)
		}
		var held *registry.HeldError
		if !errors.As(errs[7], &held) || held.Owner.Token != other.Token() || claims[7] != nil {
			t.Errorf("the one that is held: %v", errs[7])
		}
		if claims[70] != mine {
			t.Errorf("the one that it had: %+v", claims[70])
		}
		owners, err := c.LookupAll(ctx, ids...)
		if err != nil {
			t.Error(err)
		}
		for i, cl := range claims {
			if i != 7 && (errs[i] != nil || !cl.Valid() || cl.Actor() != ids[i] || owners[i].Token != cl.Token()) {
				t.Errorf("%q: %v, %v, owner %v", ids[i], cl, errs[i], owners[i])
			}
		}
		claims[7] = claims[119]
		if err := claims[119].Release(ctx); err != nil {
			t.Error(err)
		}
		claims = claims[:119]
		commits = 0
		errs, err = s1.ReleaseAll(ctx, claims...)
		if err != nil || commits != 3 {
			t.Errorf("%v, %d commits", err, commits)
		}
		for i, err := range errs {
			if i == 7 {
				wantErr(t, "released before", err, registry.ErrNotOwner)
			} else if err != nil || claims[i].Valid() {
				t.Errorf("%q: %v", ids[i], err)
			}
		}
		c.faulty.commit = nil
		c.wantConsistent(ctx)
	})
}

func TestABatchInDoubtIsResolved(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			s, other := c.join(ctx, "n1"), c.join(ctx, "n2")
			ids := actorIDs(3)
			c.claim(ctx, other, ids[1])
			c.faulty.unknownOnce(applied)
			claims, errs, err := s.ClaimAll(ctx, ids...)
			if err != nil || errs[0] != nil || errs[2] != nil {
				t.Errorf("%v, %v", errs, err)
			}
			wantErr(t, "held", errs[1], registry.ErrHeld)
			c.faulty.unknownOnce(applied)
			errs, err = s.ReleaseAll(ctx, claims[0], claims[2])
			if err != nil || errors.Join(errs...) != nil {
				t.Errorf("%v, %v", errs, err)
			}
			resolved := 0
			for _, e := range c.events {
				if e.Kind == registry.EventResolved && e.Actor != "" && e.Applied == applied {
					resolved++
				}
			}
			if resolved != 4 {
				t.Errorf("%d resolved as %v", resolved, applied)
			}
			c.wantConsistent(ctx)
		})
	}
}

// A batch whose caller does not wait: what it got is given back, actor by actor, and
// its releases may be done again one by one.
func TestAnAbandonedBatch(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			s := c.join(ctx, "n1")
			ids := actorIDs(3)
			c.abandon(ctx, "claims", applied, func(ctx context.Context) error {
				_, errs, err := s.ClaimAll(ctx, ids...)
				if err != nil || errs[0] == nil || errs[1] == nil || errs[2] == nil {
					t.Errorf("%v, %v", errs, err)
				}
				return errs[2]
			})
			c.sleep(ctx, ttl/4)
			if got := c.gaveBack(); (len(got) == 3) != applied || (len(got) == 0) == applied {
				t.Errorf("gave back %v", got)
			}
			claims, _, err := s.ClaimAll(ctx, ids...)
			if err != nil {
				t.Error(err)
			}
			c.abandon(ctx, "releases", applied, func(ctx context.Context) error {
				errs, err := s.ReleaseAll(ctx, claims...)
				if err != nil || !errors.Is(errs[0], registry.ErrUnknown) || !errors.Is(errs[1], registry.ErrUnknown) {
					t.Errorf("%v, %v", errs, err)
				}
				return errs[2]
			})
			wantErr(t, "once more", claims[0].Release(ctx), nil)
			errs, err := s.ReleaseAll(ctx, claims[1:]...)
			wantErr(t, "the others", errors.Join(append(errs, err)...), nil)
			c.wantConsistent(ctx)
		})
	}
}

func TestTwoBatchesOfTheSameActors(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		ids := actorIDs(20)
		reversed := make([]registry.ActorID, len(ids))
		for i := range ids {
			reversed[len(ids)-1-i] = ids[i]
		}
		done := c.h.NewEvent()
		var theirs []*registry.Claim
		c.h.Go("other", func(ctx context.Context) {
			theirs, _, _ = s.ClaimAll(ctx, reversed...) // compared below
			done.Set()
		})
		mine, errs, err := s.ClaimAll(ctx, ids...)
		if werr := done.Wait(ctx); err != nil || errors.Join(errs...) != nil || werr != nil {
			t.Errorf("%v, %v, %v", errs, err, werr)
		}
		for i := range mine {
			if mine[i] != theirs[len(ids)-1-i] {
				t.Errorf("%q has two handles", ids[i])
			}
		}
	})
}

func TestABatchHidesNoError(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		ids := actorIDs(60)
		c.claim(ctx, s, ids[3])
		for _, kv := range c.rows(ctx) { // that actor's record becomes nonsense
			if strings.Contains(string(kv.Key), "a"+string(ids[3])) {
				if _, err := c.db.Transact(ctx, func(tx store.Tx) error {
					tx.Set(kv.Key, []byte("nonsense"))
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		}
		claims, errs, err := s.ClaimAll(ctx, ids...)
		if err != nil {
			t.Error(err)
		}
		for i := range ids {
			if i == 3 {
				wantErr(t, "the corrupt one", errs[i], registry.ErrCorrupt)
			} else if errs[i] != nil || !claims[i].Valid() {
				t.Errorf("%q: %v", ids[i], errs[i])
			}
		}
		if err := s.Leave(ctx); err != nil {
			t.Error(err)
		}
		_, errs, err = s.ClaimAll(ctx, ids[:2]...)
		wantErr(t, "of an ended session", errors.Join(errs[0], err), registry.ErrSessionLost)
	})
}

func TestBatchesRefuseBadInput(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s1, s2 := c.join(ctx, "n1"), c.join(ctx, "n2")
		cl, foreign := c.claim(ctx, s1, "x"), c.claim(ctx, s2, "y")
		before := len(c.rows(ctx))
		for says, ids := range map[string][]registry.ActorID{
			"1001 actors, at most 1000":      actorIDs(registry.MaxBatch + 1),
			"actors[1]: ":                    {"a", ""},
			"actors[2] is \"a\", as is acto": {"a", "b", "a"},
		} {
			_, _, err := s1.ClaimAll(ctx, ids...)
			wantErr(t, says, err, registry.ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		}
		for says, claims := range map[string][]*registry.Claim{
			"claims[1]": {cl, nil},
			"claims[0]": {foreign},
			"as is":     {cl, cl},
		} {
			_, err := s1.ReleaseAll(ctx, claims...)
			wantErr(t, says, err, registry.ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%v, want %q", err, says)
			}
		}
		if !cl.Valid() || len(c.rows(ctx)) != before {
			t.Error("something changed")
		}
		if claims, errs, err := s1.ClaimAll(ctx); len(claims) != 0 || len(errs) != 0 || err != nil {
			t.Errorf("of nothing: %v, %v, %v", claims, errs, err)
		}
		dead, cancel := c.h.WithCancel(ctx)
		cancel(nil)
		_, errs, err := s1.ClaimAll(dead, "a", "b")
		wantErr(t, "cancelled", errors.Join(errs[1], err), context.Canceled)
		if _, err := c.Lookup(ctx, "a"); !errors.Is(err, registry.ErrUnowned) {
			t.Errorf("lookup: %v", err)
		}
	})
}
