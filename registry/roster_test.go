package registry_test

import (
	"context"
	"reflect"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
)

func TestASessionKnowsTheNodes(t *testing.T) {
	b := newBench(t)
	b.run(func(ctx context.Context, c *client) {
		s1 := c.join(ctx, "n1")
		if got := s1.Nodes(); len(got) != 0 {
			t.Errorf("before the first read: %v", states(got))
		}
		s2, err := c.Join(ctx, "n2", registry.JoinOptions{NotReady: true, Labels: map[string]string{"zone": "b"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range []struct {
			do   func() error
			want []string
		}{
			{func() error { return nil }, []string{"n1 active", "n2 joining"}},
			{func() error { return s2.Activate(ctx) }, []string{"n1 active", "n2 active"}},
			{func() error { return s2.Leave(ctx) }, []string{"n1 active", "n2 left"}},
			{func() error { s2 = c.join(ctx, "n2"); return nil }, []string{"n1 active", "n2 active"}},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			c.sleep(ctx, ttl/10)
			if got := states(s1.Nodes()); !reflect.DeepEqual(got, step.want) {
				t.Errorf("known are %v, want %v", got, step.want)
			}
		}
		if got := s1.Nodes(); got[1].Incarnation != s2.Incarnation() || got[1].TTL != ttl {
			t.Errorf("n2 is known as %+v", got[1])
		}
		s1.Nodes()[0].State = registry.NodeFailed // the caller's own
		if got := s1.Nodes(); got[0].State != registry.NodeActive {
			t.Error("a caller has changed what the session knows")
		}
	})
}

func TestASessionWithoutMonitorsKnowsNoNodes(t *testing.T) {
	b := newBench(t)
	b.process("client", registry.Options{Monitors: -1}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		c.sleep(ctx, ttl/10)
		if got := s.Nodes(); len(got) != 0 {
			t.Errorf("known are %v", states(got))
		}
		b.world.Stop()
	})
	b.until(ttl)
}

func TestASessionLearnsOfNodesAgainAfterTheStoreWasDown(t *testing.T) {
	b := newBench(t)
	b.process("n2", registry.Options{}, func(ctx context.Context, c *client) {
		c.sleep(ctx, ttl/5)
		c.join(ctx, "n2")
	})
	b.run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n1")
		c.sleep(ctx, ttl/10)
		c.faulty.down = true
		c.sleep(ctx, ttl/4)
		if got := states(s.Nodes()); !reflect.DeepEqual(got, []string{"n1 active"}) {
			t.Errorf("while the store is down, known are %v", got)
		}
		c.faulty.down = false
		c.sleep(ctx, ttl/2)
		if got := states(s.Nodes()); !reflect.DeepEqual(got, []string{"n1 active", "n2 active"}) {
			t.Errorf("known are %v", got)
		}
	})
}
