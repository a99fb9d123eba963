package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// sweepOptions make a sweep of many actors last for a few TTLs.
func sweepOptions(rate int) registry.Options {
	return registry.Options{TTL: ttl, SweepRate: rate, NodeRetention: 4 * ttl}
}

// die has a node claim so many actors, and die.
func (b *bench) die(node registry.NodeID, actors int) {
	b.t.Helper()
	owns := false
	p := b.process(string(node), registry.Options{TTL: ttl, Monitors: -1}, func(ctx context.Context, c *client) {
		s := c.join(ctx, node)
		for from := 0; from < actors; from += registry.MaxBatch {
			var batch []registry.ActorID
			for i := from; i < min(from+registry.MaxBatch, actors); i++ {
				batch = append(batch, actorNo(i))
			}
			_, errs, err := s.ClaimAll(ctx, batch...)
			if err := errors.Join(append(errs, err)...); err != nil {
				b.t.Error(err)
				return
			}
		}
		owns = true
	})
	b.until(b.world.Now() + ttl/2)
	if !owns {
		b.t.Fatal("the node did not get its actors")
	}
	p.Crash()
}

// rowsOf counts the rows whose key names the node.
func (c *client) rowsOf(ctx context.Context, node registry.NodeID) (n int) {
	for _, kv := range c.rows(ctx) {
		if !bytes.HasPrefix(kv.Key, []byte("kelpie\x00c")) && bytes.Contains(kv.Key, []byte(string(node)+"\x00")) {
			n++
		}
	}
	return n
}

// The owner of many actors dies. One transaction ends its session, nobody waits for
// the sweep to claim one, the sweep keeps to its rate, another node goes on when the
// first sweeper dies, and nothing is left in the end, the node neither.
func TestSweepIsBoundedAndResumes(t *testing.T) {
	const actors, rate = 10_000, 2_000
	b := newBench(t)
	b.die("dead", actors)
	var (
		revocations int
		revoked     time.Duration
		swept       = make(map[string]int)
		batches     []time.Duration // at which a hundred were swept
		procs       = make(map[string]*sim.Process)
		killed      string
		forgotten   int
	)
	for _, name := range []registry.NodeID{"n1", "n2", "n3"} {
		procs[string(name)] = b.process(string(name), sweepOptions(rate), func(ctx context.Context, c *client) {
			c.watchEvents = func(e registry.Event) {
				switch e.Kind {
				case registry.EventRevokeEnd:
					if e.Err == nil && e.Node == "dead" {
						revocations++
						revoked = b.world.Now()
					}
				case registry.EventSwept:
					swept[string(name)] += e.Count
					batches = append(batches, b.world.Now())
					if killed == "" && swept[string(name)] > actors/2 {
						killed = string(name)
						b.world.After(time.Millisecond, "kill", procs[killed].Crash)
					}
				case registry.EventForgotten:
					if e.Node == "dead" {
						forgotten++
					}
				default:
				}
			}
			c.join(ctx, name)
		})
	}
	b.process("client", registry.Options{Monitors: -1}, func(ctx context.Context, c *client) {
		s := c.join(ctx, "client")
		for revoked == 0 {
			c.sleep(ctx, time.Millisecond)
		}
		for i := range 20 {
			before := b.world.Now()
			c.claim(ctx, s, actorNo(i*actors/20))
			if took := b.world.Now() - before; took > 10*time.Millisecond {
				t.Errorf("a claim took %v while the sweep was under way", took)
			}
		}
		c.sleep(ctx, 12*ttl)
		if n := c.rowsOf(ctx, "dead"); n != 0 {
			t.Errorf("%d rows of the dead node are left", n)
		}
		if len(s.Claims()) != 20 {
			t.Errorf("the client has %v", s.Claims())
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
	b.until(b.world.Now() + 16*ttl)
	if revocations != 1 || killed == "" || forgotten == 0 {
		t.Fatalf("%d revocations, %q was killed in its sweep, forgotten %d times", revocations, killed, forgotten)
	}
	total := 0
	for _, n := range swept {
		total += n
	}
	if total != actors-20 || swept[killed] == total {
		t.Errorf("swept: %v", swept)
	}
	for i := rate/100 + 1; i < len(batches); i++ {
		if took := batches[i] - batches[i-rate/100-1]; took < time.Second {
			t.Errorf("more than %d actors were swept within %v", rate, took)
		}
	}
}

// What an earlier incarnation of a node that lives has left is swept as well, and
// what the living one has is not.
func TestSweepClearsEarlierIncarnations(t *testing.T) {
	b := newBench(t)
	b.die("n1", 30)
	b.process("again", registry.Options{Monitors: -1}, func(ctx context.Context, c *client) {
		s, err := c.Join(ctx, "n1", registry.JoinOptions{Wait: true})
		if err != nil {
			t.Error(err)
			return
		}
		for i := range 10 {
			c.claim(ctx, s, registry.ActorID(fmt.Sprint("new-", i)))
		}
	})
	b.process("monitor", sweepOptions(1000), func(ctx context.Context, c *client) {
		c.join(ctx, "n2")
		c.sleep(ctx, 8*ttl)
		var listed []registry.ActorID
		for l, err := range c.List(ctx, registry.ListOptions{}) {
			if err != nil {
				t.Error(err)
			}
			listed = append(listed, l.Actor)
		}
		// Ten records, ten rows of the index, the load, the session and its beat.
		if n := c.rowsOf(ctx, "n1"); len(listed) != 10 || n != 13 {
			t.Errorf("%d rows of the node, and the actors %v", n, listed)
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
	b.until(10 * ttl)
}

// A session that left owns nothing, and its node is forgotten in the end; one that
// comes back before is not.
func TestNodesThatAreGoneAreForgotten(t *testing.T) {
	b := newBench(t)
	for _, name := range []registry.NodeID{"gone", "back"} {
		b.process(string(name), registry.Options{Monitors: -1}, func(ctx context.Context, c *client) {
			s := c.join(ctx, name)
			c.claim(ctx, s, registry.ActorID(name))
			if err := s.Leave(ctx); err != nil {
				t.Error(err)
			}
			if c.sleep(ctx, 4*ttl); name == "back" {
				c.join(ctx, name)
			}
		})
	}
	b.process("monitor", registry.Options{NodeRetention: 6 * ttl}, func(ctx context.Context, c *client) {
		c.join(ctx, "n2")
		c.sleep(ctx, 5*ttl)
		if state := c.stateOf(ctx, "gone"); state != registry.NodeLeft {
			t.Errorf("before NodeRetention is over the node is %v", state)
		}
		c.sleep(ctx, 5*ttl)
		if n := c.rowsOf(ctx, "gone"); n != 0 {
			t.Errorf("%d rows are left of the node that is gone", n)
		}
		if state := c.stateOf(ctx, "back"); state != registry.NodeActive {
			t.Errorf("the node that came back is %v", state)
		}
		if n := count(c.events, registry.EventForgotten); n != 1 {
			t.Errorf("%d nodes were forgotten", n)
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
	})
	b.until(12 * ttl)
}

// An index entry of nothing is removed, and the record that names another session
// is left alone.
func TestSweepLeavesRecordsOfOthersAlone(t *testing.T) {
	b := newBench(t)
	b.die("dead", 1)
	b.process("monitor", sweepOptions(1000), func(ctx context.Context, c *client) {
		s := c.join(ctx, "n2")
		mine := c.claim(ctx, s, "mine")
		for _, kv := range c.rows(ctx) {
			if key := bytes.Replace(kv.Key, []byte(actorNo(0)), []byte("mine"), 1); bytes.HasPrefix(kv.Key, []byte("kelpie\x00odead")) {
				if _, err := c.db.Transact(ctx, func(tx store.Tx) error { tx.Set(key, nil); return nil }); err != nil {
					t.Error(err)
				}
			}
		}
		if err := c.Check(ctx); err == nil {
			t.Error("the entry of nothing was not found")
		}
		c.sleep(ctx, 4*ttl)
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
		if err := mine.Release(ctx); err != nil {
			t.Error(err)
		}
	})
	b.until(6 * ttl)
}
