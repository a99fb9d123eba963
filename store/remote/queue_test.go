package remote

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// slowRanges is an engine that takes its time to read a range.
type slowRanges struct {
	store.Engine
	host host.Host
	took time.Duration
}

func (e slowRanges) Begin(ctx context.Context) store.Txn {
	return slowTxn{e.Engine.Begin(ctx), ctx, e}
}

type slowTxn struct {
	store.Txn
	ctx    context.Context
	engine slowRanges
}

func (t slowTxn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	if err := t.engine.host.Sleep(t.ctx, t.engine.took); err != nil {
		return nil, false, err
	}
	return t.Txn.GetRange(begin, end, o)
}

// A renewal is a small commit. It must not wait for what others read.
func TestASmallCommitDoesNotWaitForABigRead(t *testing.T) {
	const slow = time.Second
	c := newCluster(t, 1, 0, ServerOptions{})
	c.world.Process("slow", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		if _, err := NewServer(h, slowRanges{c.inner, h, slow}, ServerOptions{}); err != nil {
			t.Error(err)
		}
	})
	c.servers = []network.Address{"slow"}
	h := c.process("client")
	e := c.open(t, h, Options{})
	var read, renewed time.Duration
	h.Go("read", func(ctx context.Context) {
		tx := e.Begin(ctx)
		for i := range 20 {
			tx.Set([]byte{'k', byte(i)}, make([]byte, store.MaxValueBytes))
		}
		if _, _, err := tx.GetRange([]byte("a"), []byte("z"), store.RangeOptions{}); err != nil {
			t.Error(err)
		}
		read = h.Monotonic()
	})
	h.Go("renew", func(ctx context.Context) {
		_ = h.Sleep(ctx, 100*time.Millisecond)
		begun := h.Monotonic()
		for range 10 {
			tx := e.Begin(ctx)
			tx.Set([]byte("lease"), nil)
			if err := tx.Commit(); err != nil {
				t.Error(err)
			}
		}
		renewed = h.Monotonic() - begun
	})
	if err := c.world.Run(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if read < slow || renewed == 0 || renewed > slow/20 {
		t.Errorf("the read ended at %v, ten commits took %v meanwhile", read, renewed)
	}
}
