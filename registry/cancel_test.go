package registry_test

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
)

// calls are all calls that take a context, on a registry in which n1 owns a.
var calls = map[string]func(ctx context.Context, c *client, cl *registry.Claim) error{
	"join": func(ctx context.Context, c *client, _ *registry.Claim) error {
		_, err := c.Join(ctx, "n2", registry.JoinOptions{})
		return err
	},
	"replace": func(ctx context.Context, c *client, _ *registry.Claim) error {
		_, err := c.Join(ctx, "n1", registry.JoinOptions{Replace: true})
		return err
	},
	"claim": func(ctx context.Context, _ *client, cl *registry.Claim) error {
		_, err := cl.Session().Claim(ctx, "b")
		return err
	},
	"claim and wait": func(ctx context.Context, _ *client, cl *registry.Claim) error {
		_, err := cl.Session().ClaimWait(ctx, "b")
		return err
	},
	"lookup": func(ctx context.Context, c *client, _ *registry.Claim) error {
		_, err := c.Lookup(ctx, "a")
		return err
	},
	"lookup all": func(ctx context.Context, c *client, _ *registry.Claim) error {
		_, err := c.LookupAll(ctx, "a", "b")
		return err
	},
	"list": func(ctx context.Context, c *client, _ *registry.Claim) error {
		for _, err := range c.List(ctx, registry.ListOptions{}) {
			if err != nil {
				return err
			}
		}
		return nil
	},
	"check": func(ctx context.Context, c *client, _ *registry.Claim) error { return c.Check(ctx) },
	"advance the epoch": func(ctx context.Context, c *client, _ *registry.Claim) error {
		_, err := c.AdvanceEpoch(ctx)
		return err
	},
	"release": func(ctx context.Context, _ *client, cl *registry.Claim) error { return cl.Release(ctx) },
	"leave":   func(ctx context.Context, _ *client, cl *registry.Claim) error { return cl.Session().Leave(ctx) },
}

// A call whose context ends as it asks the store for something, whatever that
// is, ends with the context's error and has changed nothing.
func TestContextsCancelledDuringACallChangeNothing(t *testing.T) {
	for name, call := range calls {
		asked := -1 // so often does the call ask
		for n := 0; asked < 0; n++ {
			newBench(t).run(func(ctx context.Context, c *client) {
				cl := c.claim(ctx, c.join(ctx, "n1"), "a")
				before := c.rows(ctx)
				cctx, cancel := c.h.WithCancel(ctx)
				defer cancel(nil)
				asks := 0
				c.faulty.asked = func() {
					if asks++; asks > n {
						cancel(nil)
					}
				}
				err := call(cctx, c, cl)
				c.faulty.asked = nil
				if asks <= n {
					asked = asks
					return
				}
				wantErr(t, name, err, context.Canceled)
				if errors.Is(err, registry.ErrUnknown) || !reflect.DeepEqual(before, c.rows(ctx)) {
					t.Errorf("%s has changed something, or may have: %v", name, err)
				}
			})
		}
		if asked == 0 {
			t.Errorf("%s does not ask the store", name)
		}
	}
}

// A call whose context ends while its commit is under way does not know what
// became of it. It says so, and why it did not find out.
func TestContextsCancelledDuringACommitLeaveTheOutcomeUnknown(t *testing.T) {
	for _, name := range []string{"join", "replace", "claim", "claim and wait", "release", "leave"} {
		for _, applied := range []bool{true, false} {
			newBench(t).run(func(ctx context.Context, c *client) {
				cl := c.claim(ctx, c.join(ctx, "n1"), "a")
				before := c.rows(ctx)
				cctx, cancel := c.h.WithCancel(ctx)
				c.faulty.unknownOnce(applied)
				unknown := c.faulty.commit
				c.faulty.commit = func(commit func() error) error {
					defer cancel(nil)
					return unknown(commit)
				}
				err := calls[name](cctx, c, cl)
				wantErr(t, name, err, registry.ErrUnknown)
				wantErr(t, name, err, context.Canceled)
				if changed := !reflect.DeepEqual(before, c.rows(ctx)); changed != applied {
					t.Errorf("%s: applied %v, changed %v", name, applied, changed)
				}
			})
		}
	}
}
