package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// stateOf returns what the registry says of a node.
func (c *client) stateOf(ctx context.Context, id registry.NodeID) registry.NodeState {
	c.b.t.Helper()
	nodes, err := c.Nodes(ctx)
	if err != nil {
		c.b.t.Error(err)
	}
	for _, n := range nodes {
		if n.ID == id {
			return n.State
		}
	}
	return 0
}

func count(events []registry.Event, kind registry.EventKind) (n int) {
	for _, e := range events {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// A node cannot renew for most of its lease, and then can again: its monitor marks
// it, its renewal takes that back, and nobody revokes it.
func TestMonitorMarksWhoMissesRenewals(t *testing.T) {
	b := newBench(t)
	var cut *client
	b.process("cut", registry.Options{}, func(ctx context.Context, c *client) {
		cut = c
		s := c.join(ctx, "n1")
		c.sleep(ctx, 4*ttl)
		c.faulty.down = true
		c.sleep(ctx, ttl*13/16) // of which up to a third is no miss yet
		c.faulty.down = false
		c.sleep(ctx, ttl)
		if s.Health() != registry.Healthy {
			t.Errorf("the session is %v", s.Health())
		}
	})
	b.process("monitor", registry.Options{LookEvery: ttl / 30}, func(ctx context.Context, c *client) {
		c.join(ctx, "n2")
		c.sleep(ctx, 4*ttl-time.Millisecond)
		if state := c.stateOf(ctx, "n1"); state != registry.NodeActive {
			t.Errorf("before its renewals are missed the node is %v", state)
		}
		c.sleep(ctx, ttl*13/16)
		if state := c.stateOf(ctx, "n1"); state != registry.NodeDegraded {
			t.Errorf("without renewals the node is %v", state)
		}
		c.sleep(ctx, ttl)
		if state := c.stateOf(ctx, "n1"); state != registry.NodeActive {
			t.Errorf("once it renews again the node is %v", state)
		}
		if marked, silent := count(c.events, registry.EventMarked), count(c.events, registry.EventSilent); marked != 1 || silent != 0 {
			t.Errorf("%d times marked, %d times silent", marked, silent)
		}
	})
	b.until(8 * ttl)
	if n := count(cut.events, registry.EventUnmarked); n != 1 {
		t.Errorf("%d marks were taken back", n)
	}
}

// The only monitor's own renewals fail while it can read: it may be the one that is
// cut off, so it revokes nobody, although it is not lost yet.
func TestMonitorThatIsDegradedJudgesNobody(t *testing.T) {
	b := newBench(t)
	p := b.process("dying", registry.Options{}, func(ctx context.Context, c *client) { c.join(ctx, "n1") })
	b.world.After(5*time.Second, "crash", p.Crash)
	b.process("monitor", registry.Options{DegradedAfter: 1, LookEvery: ttl / 30}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "n2")
		c.sleep(ctx, 5*time.Second)
		c.faulty.commit = func(func() error) error { return store.ErrTooLarge } // reads go on
		c.sleep(ctx, ttl*5/4)
		for s.Health() != registry.Lost {
			c.sleep(ctx, ttl/100)
		}
		if n := count(c.events, registry.EventSilent) + count(c.events, registry.EventMarked); n != 0 {
			t.Errorf("it judged %d times", n)
		}
		c.faulty.commit = nil
		if state := c.stateOf(ctx, "n1"); state != registry.NodeActive {
			t.Errorf("the dead node is %v", state)
		}
		c.join(ctx, "n2")
		c.sleep(ctx, 2*ttl)
		if state := c.stateOf(ctx, "n1"); state != registry.NodeFailed {
			t.Errorf("with a healthy monitor the dead node is %v", state)
		}
	})
	b.until(8 * ttl)
}

// An outage of the store for everybody is nobody's death, if it is shorter than
// what is left of the leases.
func TestOutageOfTheStoreIsNoDeath(t *testing.T) {
	b := newBench(t)
	var all []*client
	for _, name := range []registry.NodeID{"n1", "n2", "n3", "n4", "n5"} {
		b.process(string(name), registry.Options{}, func(ctx context.Context, c *client) {
			all = append(all, c)
			s := c.join(ctx, name)
			c.sleep(ctx, 8*ttl)
			if s.Health() != registry.Healthy {
				t.Errorf("%s is %v", name, s.Health())
			}
		})
	}
	for i := range 3 {
		b.until(time.Duration(2*i+2)*ttl + time.Duration(i)*ttl/9)
		for _, c := range all {
			c.faulty.down = true
		}
		b.until(b.world.Now() + ttl*5/9)
		for _, c := range all {
			c.faulty.down = false
		}
	}
	b.until(9 * ttl)
	for _, c := range all {
		if n := count(c.events, registry.EventSilent); n != 0 {
			t.Errorf("%d sessions were taken for silent", n)
		}
	}
}

// All that a node watches over costs one transaction a look, and nothing is read
// oftener than LookEvery.
func TestMonitorLooksAtAllAtOnce(t *testing.T) {
	b := newBench(t)
	for _, name := range []registry.NodeID{"n1", "n2", "n3", "n4", "n5", "n6"} {
		b.process(string(name), registry.Options{Monitors: -1}, func(ctx context.Context, c *client) { c.join(ctx, name) })
	}
	begun := 0
	b.process("monitor", registry.Options{LookEvery: ttl / 10}, func(ctx context.Context, c *client) {
		c.join(ctx, "monitor")
		c.sleep(ctx, 2*ttl)
		c.faulty.Engine = counting{b.engine, &begun}
		c.sleep(ctx, 10*ttl)
		c.faulty.Engine = b.engine
	})
	b.until(13 * ttl)
	// A hundred looks, thirty renewals, and the roster's polls.
	if begun < 100 || begun > 100+31+101 {
		t.Errorf("%d transactions in ten TTLs", begun)
	}
}
