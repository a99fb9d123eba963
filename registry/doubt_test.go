package registry_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

func TestDoubtfulCommitsAreResolved(t *testing.T) {
	for _, applied := range []bool{true, false} {
		newBench(t).run(func(ctx context.Context, c *client) {
			c.faulty.unknownOnce(applied)
			s := c.join(ctx, "n1")
			c.faulty.unknownOnce(applied)
			cl := c.claim(ctx, s, "a")
			if o, err := c.Lookup(ctx, "a"); err != nil || o.Token != cl.Token() || o.Incarnation != s.Incarnation() {
				t.Errorf("lookup: %+v, %v; claimed with %v", o, err, cl.Token())
			}
			c.faulty.unknownOnce(applied)
			if err := cl.Release(ctx); err != nil {
				t.Errorf("release: %v", err)
			}
			_, err := c.Lookup(ctx, "a")
			wantErr(t, "lookup", err, registry.ErrUnowned)
			c.faulty.unknownOnce(applied)
			if err := s.Leave(ctx); err != nil {
				t.Errorf("leave: %v", err)
			}
			var told []bool
			for _, e := range c.events {
				if e.Kind == registry.EventResolved {
					told = append(told, e.Applied)
				}
			}
			if want := []bool{applied, applied, applied, applied}; !reflect.DeepEqual(told, want) {
				t.Errorf("resolved %v, want %v", told, want)
			}
			if err := c.Check(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}

// A release that stayed in doubt may still be on its way. It must not take the
// record from under a later claim of the same session.
func TestClaimAfterADoubtfulReleaseGetsANewToken(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		first := c.claim(ctx, s, "a")
		octx, cancel := c.h.WithTimeout(ctx, ttl/2)
		defer cancel()
		var late func() error
		c.faulty.commit = func(commit func() error) error {
			late = commit
			cancel()
			return store.ErrCommitUnknown
		}
		wantErr(t, "release", first.Release(octx), registry.ErrUnknown)
		c.faulty.commit = nil
		second := c.claim(ctx, s, "a")
		if second.Token() <= first.Token() || !second.Valid() || first.Valid() {
			t.Errorf("token %v after %v", second.Token(), first.Token())
		}
		if late() == nil {
			t.Error("the late release took effect")
		}
		if o, err := c.Lookup(ctx, "a"); err != nil || o.Token != second.Token() {
			t.Errorf("lookup: %+v, %v", o, err)
		}
	})
}

// A release that failed for sure leaves the record as it was: the session may
// take it up again under the same token, with a new handle.
func TestClaimAfterAFailedReleaseSupersedesTheHandle(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		first := c.claim(ctx, s, "a")
		dead, cancel := c.h.WithCancel(ctx)
		cancel(nil)
		wantErr(t, "release", first.Release(dead), context.Canceled)
		second := c.claim(ctx, s, "a")
		if second == first || second.Token() != first.Token() || first.Valid() || !second.Valid() {
			t.Errorf("token %v after %v", second.Token(), first.Token())
		}
		wantErr(t, "release of the old handle", first.Release(ctx), registry.ErrSuperseded)
		if !second.Valid() {
			t.Error("the old handle's release ended the new one")
		}
		if err := second.Release(ctx); err != nil {
			t.Error(err)
		}
		wantErr(t, "release of the old handle", first.Release(ctx), registry.ErrNotOwner)
	})
}

// A join in doubt that took effect and was then ended by somebody else must not
// be denied, nor done a second time.
func TestDoubtfulJoinThatWasOvertakenStaysUnknown(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		newBench(t).run(func(ctx context.Context, c *client) {
			other := c.b.client(c.h, registry.Options{})
			c.faulty.commit = func(commit func() error) error {
				c.faulty.commit = nil
				if err := commit(); err != nil {
					t.Error(err)
				}
				s, err := other.Join(ctx, "n1", registry.JoinOptions{Replace: true})
				if err != nil {
					t.Error(err)
				}
				if leaves {
					if err := s.Leave(ctx); err != nil {
						t.Error(err)
					}
				}
				return store.ErrCommitUnknown
			}
			_, err := c.Join(ctx, "n1", registry.JoinOptions{Wait: true})
			wantErr(t, "overtaken join", err, registry.ErrUnknown)
		})
	}
}
