package registry_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// readCount is an engine that counts what is read from it.
type readCount struct {
	store.Engine
	reads, rows, bytes atomic.Int64 // round trips; keys with a value; bytes of both
}

func (c *readCount) Begin(ctx context.Context) store.Txn {
	return &readCountTxn{Txn: c.Engine.Begin(ctx), c: c}
}

type readCountTxn struct {
	store.Txn
	c *readCount
}

func (t *readCountTxn) GetAll(keys ...[]byte) ([][]byte, error) {
	vs, err := t.Txn.GetAll(keys...)
	t.c.reads.Add(1)
	for i, v := range vs {
		if v != nil {
			t.c.rows.Add(1)
			t.c.bytes.Add(int64(len(keys[i]) + len(v)))
		}
	}
	return vs, err
}

func (t *readCountTxn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	rows, more, err := t.Txn.GetRange(begin, end, o)
	t.c.reads.Add(1)
	t.c.rows.Add(int64(len(rows)))
	for _, kv := range rows {
		t.c.bytes.Add(int64(len(kv.Key) + len(kv.Value)))
	}
	return rows, more, err
}

// besideCounted returns two registries on one store in memory, what the second of them
// reads being counted. Their host ends with the benchmark.
func besideCounted(b *testing.B) (plain, counting *registry.Registry, counted *readCount) {
	b.Helper()
	h, err := host.NewSystem(host.SystemOptions{Name: "node"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := h.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
	})
	engine := memory.New(memory.Options{Clock: h})
	counted = &readCount{Engine: engine}
	open := func(e store.Engine) *registry.Registry {
		db, err := store.Open(e, h, h.Rand(), store.Options{})
		if err != nil {
			b.Fatal(err)
		}
		r, err := registry.Open(h, db, registry.Options{TTL: time.Hour, Monitors: -1})
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	return open(engine), open(counted), counted
}

// BenchmarkNodeChange measures what a change of a node costs each of those who
// follow the nodes: the round trips, rows and bytes that a watcher reads until it
// has been told. In a burst, 100 changes are made while the watcher is busy, and the
// figures are still those of one change.
func BenchmarkNodeChange(b *testing.B) {
	for _, c := range []struct{ nodes, burst int }{{10, 1}, {1000, 1}, {10_000, 1}, {1000, 100}} {
		b.Run(fmt.Sprintf("nodes=%d/burst=%d", c.nodes, c.burst), func(b *testing.B) {
			benchmarkNodeChange(b, c.nodes, c.burst)
		})
	}
}

func benchmarkNodeChange(b *testing.B, nodes, burst int) {
	b.Helper()
	ctx := b.Context()
	nodesReg, watchReg, counted := besideCounted(b)
	join := func(i int) *registry.Session {
		s, err := nodesReg.Join(ctx, registry.NodeID(fmt.Sprintf("node-%05d", i)), registry.JoinOptions{Address: "10.0.0.1:7000"})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	var last *registry.Session
	for i := range nodes {
		last = join(i)
	}
	told := make(chan int, burst)
	turn := make(chan struct{})
	wctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		for u, err := range watchReg.WatchNodes(wctx, registry.ResumePoint{}) {
			if err != nil {
				ended <- err
				return
			}
			told <- len(u.Changes)
			<-turn
		}
	}()
	<-told
	counted.reads.Store(0)
	counted.rows.Store(0)
	counted.bytes.Store(0)
	changes := 0
	b.ResetTimer()
	for b.Loop() {
		for i := range burst {
			if (changes+i)%2 == 1 {
				last = join(nodes - 1)
				continue
			}
			if err := last.Leave(ctx); err != nil {
				b.Fatal(err)
			}
		}
		for wait := burst; wait > 0; {
			turn <- struct{}{}
			wait -= <-told
		}
		changes += burst
	}
	b.StopTimer()
	stop()
	close(turn)
	if err := <-ended; wctx.Err() == nil {
		b.Error(err)
	}
	b.ReportMetric(float64(counted.reads.Load())/float64(changes), "reads/change")
	b.ReportMetric(float64(counted.rows.Load())/float64(changes), "rows/change")
	b.ReportMetric(float64(counted.bytes.Load())/float64(changes), "bytes/change")
}
