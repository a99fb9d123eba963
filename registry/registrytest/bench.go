package registrytest

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// Clients are the numbers of clients for which [Claims] is measured.
var Clients = []int{1, 16, 64, 256}

// batch is how often each client does a thing before it does the other.
const batch = 16

// Claims measures claims beside bare read-modify-writes by the same clients in
// the same run, by turns, for each of [Clients]. Every client is a node of its
// own, claims an actor that nobody wants, and changes a key that nobody else
// touches. Metrics: claims/s, rmw/s, and claims/rmw, their ratio. fresh returns
// a connection to a fresh store, which is closed at the end.
func Claims(b *testing.B, fresh func(testing.TB) store.Engine) {
	b.Helper()
	for _, clients := range Clients {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			w := &world{ctx: b.Context(), ttl: registry.DefaultTTL, engine: fresh(b)}
			defer closeWorld(b, w)
			nodes, err := w.joinAll(clients)
			if err != nil {
				b.Fatal(err)
			}
			var claims, rmws phase
			value := make([]byte, 100)
			for round := 0; b.Loop(); round++ {
				claims.run(b, nodes, func(i int, n *node, turn int) error {
					_, err := n.Claim(w.ctx, registry.ActorID(fmt.Sprintf("%d/%d/%d", i, round, turn)))
					return err
				})
				rmws.run(b, nodes, func(i int, n *node, _ int) error {
					key := binary.BigEndian.AppendUint32([]byte("registrytest/bare/"), uint32(i))
					return n.change(w.ctx, key, func([]byte) []byte { return value })
				})
			}
			b.ReportMetric(claims.rate(), "claims/s")
			b.ReportMetric(rmws.rate(), "rmw/s")
			b.ReportMetric(claims.rate()/rmws.rate(), "claims/rmw")
			b.ReportMetric(0, "ns/op") // a round of both says nothing
		})
	}
}

// phase is one of the things that are measured by turns.
type phase struct {
	took time.Duration
	done int
}

// run does f a batch of times on each node, all nodes at once.
func (p *phase) run(b *testing.B, nodes []*node, f func(i int, n *node, turn int) error) {
	b.Helper()
	c := clock.System()
	began := c.Monotonic()
	err := together(nodes, func(i int, n *node) error {
		for turn := range batch {
			if err := f(i, n, turn); err != nil {
				return err
			}
		}
		return nil
	})
	p.took += c.Monotonic() - began
	p.done += batch * len(nodes)
	if err != nil {
		b.Fatal(err)
	}
}

// rate is in operations a second.
func (p *phase) rate() float64 { return float64(p.done) / p.took.Seconds() }

// change reads a key and writes what f makes of it.
func (n *node) change(ctx context.Context, key []byte, f func(value []byte) []byte) error {
	_, err := n.db.Transact(ctx, func(tx store.Tx) error {
		v, err := tx.Get(key)
		if err != nil {
			return err
		}
		tx.Set(key, f(v))
		return nil
	})
	return err
}

func closeWorld(b *testing.B, w *world) {
	b.Helper()
	if err := w.close(); err != nil {
		b.Error(err)
	}
}

// herdTTL is the lease of the nodes of [Herd].
const herdTTL = 2 * time.Second

// Herd measures an actor of a dead node that so many clients want, beside as many
// clients that increment one key, once each, with nothing but the store's
// conflicts and their backoff between them. Metrics: takeover-ms, from the end
// of the dead node's silence (its TTL and the drift) to the first claim;
// revokes, the revocations that contenders began for it; increments-ms, until
// the last increment was done; increment-p99-ms.
func Herd(b *testing.B, fresh func(testing.TB) store.Engine, clients int) {
	b.Helper()
	w := &world{ctx: b.Context(), ttl: herdTTL, engine: fresh(b)}
	defer closeWorld(b, w)
	var revokes atomic.Int64
	nodes := make([]*node, clients)
	for i := range nodes {
		var err error
		if nodes[i], err = w.contender(fmt.Sprintf("node-%d", i+1), &revokes); err != nil {
			b.Fatal(err)
		}
	}
	c := clock.System()
	var takeover, increments time.Duration
	var each []time.Duration
	rounds := 0
	for ; b.Loop(); rounds++ {
		took, err := w.takeOver(nodes, rounds)
		if err != nil {
			b.Fatal(err)
		}
		takeover += took
		began := c.Monotonic()
		latencies := make([]time.Duration, clients)
		if err := together(nodes, func(i int, n *node) error {
			defer func() { latencies[i] = c.Monotonic() - began }()
			return n.change(w.ctx, counterKey, func(v []byte) []byte {
				if len(v) != 8 {
					v = make([]byte, 8)
				}
				return binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(v)+1)
			})
		}); err != nil {
			b.Fatal(err)
		}
		increments += c.Monotonic() - began
		each = append(each, latencies...)
	}
	slices.Sort(each)
	b.ReportMetric(milliseconds(takeover)/float64(rounds), "takeover-ms")
	b.ReportMetric(float64(revokes.Load())/float64(rounds), "revokes")
	b.ReportMetric(milliseconds(increments)/float64(rounds), "increments-ms")
	b.ReportMetric(milliseconds(each[len(each)*99/100]), "increment-p99-ms")
	b.ReportMetric(0, "ns/op") // both, and the wait for the lease
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// contender joins a node that counts the revocations that it begins.
func (w *world) contender(name string, revokes *atomic.Int64) (*node, error) {
	n, err := w.process(name, w.ttl)
	if err != nil {
		return nil, err
	}
	n.reg, err = registry.Open(n.host, n.db, registry.Options{TTL: w.ttl, Events: func(e registry.Event) {
		if e.Kind == registry.EventRevokeStart {
			revokes.Add(1)
		}
	}})
	if err == nil {
		n.Session, err = n.reg.Join(w.ctx, registry.NodeID(name), registry.JoinOptions{})
	}
	return n, err
}

// takeOver lets a node die that has an actor which all nodes want, and returns
// how long after its silence the first of them had it.
func (w *world) takeOver(nodes []*node, round int) (time.Duration, error) {
	wanted := registry.ActorID(fmt.Sprintf("actor-%d", round))
	dead, err := w.join(fmt.Sprintf("dead-%d", round))
	if err != nil {
		return 0, err
	}
	if _, err := dead.Claim(w.ctx, wanted); err != nil {
		return 0, err
	}
	if err := dead.kill(); err != nil {
		return 0, err
	}
	c := clock.System()
	silent := c.Monotonic() + w.ttl + time.Duration(float64(w.ttl)*registry.DefaultMaxDrift)
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var first atomic.Int64
	if err := together(nodes, func(_ int, n *node) error {
		if _, err := n.ClaimWait(ctx, wanted); err != nil {
			if ctx.Err() != nil {
				return nil // another has it
			}
			return err
		}
		first.Store(int64(c.Monotonic()))
		cancel()
		return nil
	}); err != nil {
		return 0, err
	}
	return time.Duration(first.Load()) - silent, nil
}
