package simfdb

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// BenchmarkWorld runs whole worlds of 60 virtual seconds: three clients and 150
// transactions, each of which reads two keys and writes one. It reports what a
// transaction costs, its share of the cluster's start included.
func BenchmarkWorld(b *testing.B) {
	arena := sim.NewArena()
	defer arena.Close()
	b.ReportAllocs()
	var seed, transactions, events uint64
	for b.Loop() {
		seed++
		w := sim.NewWorld(seed, sim.Options{Arena: arena})
		c := NewCluster(w, Options{})
		for i := range 3 {
			w.Process(fmt.Sprint("node-", i), sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
				worker(ctx, h, c.Client(h))
			})
		}
		if err := w.Run(60 * time.Second); err != nil {
			b.Fatal(err)
		}
		transactions += c.Counts().Committed
		events += w.Stats().Events
		w.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(transactions), "µs/txn")
	b.ReportMetric(float64(events)/float64(transactions), "events/txn")
	b.ReportMetric(float64(transactions)/float64(b.N), "txn/op")
}

func worker(ctx context.Context, h *sim.Host, cl *Client) {
	mine, shared := []byte("beat/"+h.Name()), []byte("state")
	for range 50 {
		if h.Sleep(ctx, time.Second+time.Duration(h.Rand().IntN(200))*time.Millisecond) != nil {
			return
		}
		for {
			tx := cl.Begin(ctx)
			if err := beat(tx, mine, shared); err == nil {
				break
			} else if !store.Retryable(err) {
				panic(err)
			}
		}
	}
}

func beat(tx store.Txn, mine, shared []byte) error {
	if _, err := tx.GetAll(mine, shared); err != nil {
		return err
	}
	tx.SetStamped(mine, make([]byte, 10), 0)
	err := tx.Commit()
	if errors.Is(err, context.Canceled) {
		return err
	}
	return err
}
