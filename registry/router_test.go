package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/registry"
)

func (c *client) router() (*registry.Router, *registry.Cache) {
	c.b.t.Helper()
	cache := c.cache(registry.CacheOptions{MaxStale: time.Hour})
	r, err := c.NewRouter(cache, registry.RouterOptions{})
	if err != nil {
		c.b.t.Fatal(err)
	}
	return r, cache
}

// echo serves a session's actors: who answers, with which token, to what.
func (c *client) echo(s *registry.Session) {
	r, _ := c.router()
	r.Handle(s, "echo", func(_ context.Context, cl *registry.Claim, req []byte) ([]byte, error) {
		if string(req) == "fail" {
			return nil, errMine
		}
		return fmt.Appendf(nil, "%s by %s", req, s.Node()), nil
	})
}

// serveAndClaim is a node that serves, claims the actor at a time and releases it
// at another, if that is not zero.
func serveAndClaim(id registry.NodeID, actor registry.ActorID, at, until time.Duration) func(context.Context, *client) {
	return func(ctx context.Context, c *client) {
		s := c.join(ctx, id)
		c.echo(s)
		c.sleep(ctx, at-c.b.world.Now())
		cl, err := s.ClaimWait(ctx, actor)
		if err != nil {
			c.b.t.Errorf("%s: %v", id, err)
			return
		}
		if until == 0 {
			return
		}
		c.sleep(ctx, until-c.b.world.Now())
		if err := cl.Release(ctx); err != nil {
			c.b.t.Errorf("%s: %v", id, err)
		}
	}
}

func TestCallsFollowTheActor(t *testing.T) {
	b := newBench(t)
	b.process("one", registry.Options{}, serveAndClaim("n1", "a", time.Second, 5*time.Second))
	b.process("two", registry.Options{}, serveAndClaim("n2", "a", 3*time.Second, 10*time.Second))
	b.process("three", registry.Options{}, serveAndClaim("n3", "a", 8*time.Second, 0))
	b.run(func(ctx context.Context, c *client) {
		r, _ := c.router()
		_, err := r.Call(ctx, "a", "echo", []byte("early"))
		wantErr(t, "before the first claim", err, registry.ErrUnowned)
		for _, step := range []struct {
			at   time.Duration
			want string
		}{{2, "x by n1"}, {4, "x by n1"}, {6, "x by n2"}, {7, "x by n2"}, {11, "x by n3"}} {
			c.sleep(ctx, step.at*time.Second-b.world.Now())
			if res, err := r.Call(ctx, "a", "echo", []byte("x")); err != nil || string(res) != step.want {
				t.Errorf("at %v s: %q, %v, want %q", int(step.at), res, err, step.want)
			}
		}
		_, err = r.Call(ctx, "a", "echo", []byte("fail"))
		var remote *network.RemoteError
		if !errors.As(err, &remote) || remote.Message != errMine.Error() {
			t.Errorf("an error of the handler: %v", err)
		}
	})
}

// TestCallFindsTheSuccessorOfADeadOwner: the address that the cache has answers
// no more.
func TestCallFindsTheSuccessorOfADeadOwner(t *testing.T) {
	b := newBench(t)
	dead := b.process("one", registry.Options{}, serveAndClaim("n1", "a", time.Second, 0))
	b.process("two", registry.Options{}, serveAndClaim("n2", "a", 3*time.Second, 0))
	b.world.After(5*time.Second, "crash", dead.Crash)
	b.run(func(ctx context.Context, c *client) {
		r, _ := c.router()
		c.sleep(ctx, 2*time.Second)
		if res, err := r.Call(ctx, "a", "echo", []byte("x")); err != nil || string(res) != "x by n1" {
			t.Errorf("%q, %v", res, err)
		}
		c.sleep(ctx, 18*time.Second)
		short, cancel := c.h.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		res, err := r.Call(short, "a", "echo", []byte("x"))
		if err != nil || string(res) != "x by n2" {
			t.Errorf("after the death: %q, %v", res, err)
		}
	})
}

// TestAnOwnerOfThePastDoesNotServe: a claim that is not Valid, and one whose
// token is below the one that the caller knows.
func TestAnOwnerOfThePastDoesNotServe(t *testing.T) {
	b := newBench(t)
	old := b.process("one", registry.Options{}, serveAndClaim("n1", "a", time.Second, 0))
	b.process("two", registry.Options{}, serveAndClaim("n2", "a", 3*time.Second, 0))
	b.world.After(5*time.Second, "pause", old.Pause)
	b.world.After(15*time.Second, "resume", old.Resume)
	b.run(func(ctx context.Context, c *client) {
		r, _ := c.router()
		c.sleep(ctx, 2*time.Second)
		if res, err := r.Call(ctx, "a", "echo", []byte("x")); err != nil || string(res) != "x by n1" {
			t.Errorf("%q, %v", res, err)
		}
		c.sleep(ctx, 4*time.Second) // the old owner stands still, and the cache knows nothing
		res, err := r.Call(ctx, "a", "echo", []byte("x"))
		if err != nil || string(res) != "x by n2" {
			t.Errorf("asked during its pause: %q, %v, want n2", res, err)
		}
		if at := b.world.Now(); at < 15*time.Second {
			t.Errorf("answered at %v, before the old owner was back", at)
		}
	})
}

func TestACallThatMayHaveRunIsNotRepeated(t *testing.T) {
	b := newBench(t)
	calls := 0
	server := b.process("one", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		r, _ := c.router()
		r.Handle(s, "once", func(ctx context.Context, _ *registry.Claim, _ []byte) ([]byte, error) {
			calls++
			return nil, c.h.Sleep(ctx, time.Hour)
		})
		c.claim(ctx, s, "a")
	})
	b.world.After(5*time.Second, "crash", server.Crash)
	b.run(func(ctx context.Context, c *client) {
		r, _ := c.router()
		c.sleep(ctx, time.Second)
		short, cancel := c.h.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_, err := r.Call(short, "a", "once", nil)
		wantErr(t, "the owner died", err, network.ErrNoReply)
		if calls != 1 {
			t.Errorf("the handler ran %d times", calls)
		}
	})
}

func TestRouterGivesUpOnARing(t *testing.T) {
	b := newBench(t)
	// A node that owns the actor in the store and whose process does not know.
	b.process("one", registry.Options{}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		c.claim(ctx, s, "a")
		other := c.join(ctx, "n2")
		c.echo(other)
	})
	b.run(func(ctx context.Context, c *client) {
		c.sleep(ctx, time.Second)
		r, _ := c.router()
		_, err := r.Call(ctx, "a", "echo", nil)
		var not *registry.NotOwnerError
		if !errors.As(err, &not) || not.Owner.Node != "n1" {
			t.Errorf("%v, want a NotOwnerError that names n1", err)
		}
		_, err = r.Call(ctx, "a", "nobody serves this", nil)
		wantErr(t, "a method that nobody serves", err, registry.ErrNotOwner)
		_, err = r.Call(ctx, "", "echo", nil)
		wantErr(t, "an empty id", err, registry.ErrInvalid)
		_, err = c.h.Network().Call(ctx, "one", "echo", []byte("garbage"))
		var remote *network.RemoteError
		if !errors.As(err, &remote) {
			t.Errorf("garbage: %v", err)
		}
	})
}

func TestRouterOptionsOutOfRangeAreNamed(t *testing.T) {
	b := newBench(t)
	b.run(func(_ context.Context, c *client) {
		cache := c.cache(registry.CacheOptions{})
		_, err := c.NewRouter(nil, registry.RouterOptions{})
		wantErr(t, "no cache", err, registry.ErrInvalid)
		_, err = b.client(c.h, registry.Options{}).NewRouter(cache, registry.RouterOptions{})
		wantErr(t, "another registry's cache", err, registry.ErrInvalid)
		for _, hops := range []int{-1, registry.MaxHops + 1} {
			_, err = c.NewRouter(cache, registry.RouterOptions{Hops: hops})
			wantErr(t, fmt.Sprint(hops, " hops"), err, registry.ErrInvalid)
		}
	})
}
