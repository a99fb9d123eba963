package simfdb_test

import (
	"context"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simfdb"
	"github.com/kelpie-registry/kelpie/store"
)

// A client commits, the whole cluster crashes and comes back, and the client
// reads what it wrote.
func Example() {
	w := sim.NewWorld(1, sim.Options{})
	defer w.Close()
	cluster := simfdb.NewCluster(w, simfdb.Options{})
	w.Invariant("cluster", cluster.Invariants)

	w.Process("node", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		db, err := store.Open(cluster.Client(h), h, h.Rand(), store.Options{})
		if err != nil {
			panic(err)
		}
		if _, err := db.Transact(h.Context(), func(tx store.Tx) error {
			tx.Set([]byte("color"), []byte("green"))
			return nil
		}); err != nil {
			panic(err)
		}
		for _, name := range cluster.Servers() {
			w.Lookup(name).Restart()
		}
		if err := db.Read(h.Context(), func(r store.Reader) error {
			color, err := r.Get([]byte("color"))
			fmt.Printf("%s, after %d recovery\n", color, cluster.Counts().Recoveries)
			return err
		}); err != nil {
			panic(err)
		}
	})
	if err := w.Run(time.Minute); err != nil {
		panic(err)
	}
	// Output: green, after 1 recovery
}

// The client's own vocabulary: three transactions add to a counter, and another
// one reads it.
func ExampleClient_Transact() {
	w := sim.NewWorld(1, sim.Options{})
	defer w.Close()
	cluster := simfdb.NewCluster(w, simfdb.Options{})

	w.Process("node", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		db := cluster.Client(h)
		for range 3 {
			if _, err := db.Transact(func(t *simfdb.Transaction) (any, error) {
				t.Add([]byte("count/green"), []byte{1, 0})
				return nil, t.Options().SetTimeout(5000)
			}); err != nil {
				panic(err)
			}
		}
		t := db.CreateTransaction()
		begin, end := simfdb.FirstGreaterOrEqual([]byte("count/")), simfdb.FirstGreaterOrEqual([]byte("count0"))
		for it := t.Snapshot().GetRange(begin, end, simfdb.RangeOptions{}).Iterator(); it.Advance(); {
			kv, err := it.Get()
			fmt.Printf("%s = %v %v\n", kv.Key, kv.Value, err)
		}
	})
	if err := w.Run(time.Minute); err != nil {
		panic(err)
	}
	// Output: count/green = [3 0] <nil>
}
