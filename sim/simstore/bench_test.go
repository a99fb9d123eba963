package simstore

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// BenchmarkTransaction measures a read and a write of one key at a server, the
// memory engine's part included.
func BenchmarkTransaction(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: 1 << 60})
	defer w.Close()
	clock := w.Process("clock", sim.ProcessOptions{})
	clock.Start(idle)
	inner := memory.New(memory.Options{Clock: clock.Host()})
	server := NewServer(w, inner, &Faults{})
	key, value := []byte("key"), make([]byte, 100)
	done := 0
	w.Process("client", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		e := server.Connect(h)
		for ctx.Err() == nil {
			tx := e.Begin(ctx)
			if _, err := tx.Get(key); err != nil {
				panic(err)
			}
			tx.Set(key, value)
			if err := tx.Commit(); err != nil {
				panic(err)
			}
			done++
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		for n := done; done == n; {
			if err := w.Run(w.Now() + time.Millisecond); err != nil {
				b.Fatal(err)
			}
		}
	}
}
