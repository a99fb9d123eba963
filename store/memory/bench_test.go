package memory_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

const benchKeys = 10_000

func benchKey(i int) []byte { return fmt.Appendf(nil, "actor/%08d", i) }

// filled returns an engine with n keys of 64-byte values.
func filled(b *testing.B, n int) *memory.Engine {
	b.Helper()
	e := memory.New(memory.Options{})
	value := make([]byte, 64)
	for i := 0; i < n; i += 1000 {
		tx := e.Begin(context.Background())
		for k := i; k < min(i+1000, n); k++ {
			tx.Set(benchKey(k), value)
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	return e
}

// getSet is a transaction of two gets and two sets.
func getSet(e *memory.Engine, a, b, value []byte) error {
	tx := e.Begin(context.Background())
	for _, key := range [][]byte{a, b} {
		if _, err := tx.Get(key); err != nil {
			return err
		}
		tx.Set(key, value)
	}
	return tx.Commit()
}

func BenchmarkGetSet(b *testing.B) {
	for _, goroutines := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			e := filled(b, benchKeys)
			keys := make([][]byte, benchKeys)
			for i := range keys {
				keys[i] = benchKey(i)
			}
			b.ReportAllocs()
			b.ResetTimer()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			var conflicts atomic.Int64
			for g := range goroutines {
				wg.Go(func() {
					value := make([]byte, 64)
					for i := g * 7919; left.Add(-1) >= 0; i += 13 {
						if err := getSet(e, keys[i%benchKeys], keys[(i+5000)%benchKeys], value); err != nil {
							conflicts.Add(1)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "txn/s")
			b.ReportMetric(float64(conflicts.Load())/float64(b.N), "conflicts/txn")
			if err := e.Check(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkWorld is what a simulated world costs: a new engine, a few keys and
// a hundred small transactions.
func BenchmarkWorld(b *testing.B) {
	keys := make([][]byte, 20)
	for i := range keys {
		keys[i] = benchKey(i)
	}
	value := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		e := memory.New(memory.Options{})
		for i := range 100 {
			if err := getSet(e, keys[i%20], keys[(i+7)%20], value); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		memory.New(memory.Options{})
	}
}

func BenchmarkGetRange(b *testing.B) {
	e := filled(b, benchKeys)
	for _, rows := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tx := e.Begin(context.Background())
				got, _, err := tx.GetRange(benchKey(benchKeys/2), []byte("actor0"), store.RangeOptions{Limit: rows})
				if err != nil || len(got) != rows {
					b.Fatal(len(got), err)
				}
				tx.Cancel()
			}
		})
	}
}

// BenchmarkMillionActors reports the memory of a million owned actors: for each
// a record of 52 bytes under a key of 34, and an empty value in an index under a
// key of 59, as a registry writes them, and the window.
func BenchmarkMillionActors(b *testing.B) {
	const actors = 1_000_000
	record := make([]byte, 52)
	for b.Loop() {
		before := heap()
		e := memory.New(memory.Options{})
		for i := range actors {
			tx := e.Begin(context.Background())
			tx.Set(fmt.Appendf(nil, "default\x00aaccount/%016d\x00", i), record)
			tx.Set(fmt.Appendf(nil, "default\x00onode-00000000001\x0012345678account/%016d\x00", i), nil)
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/actors, "B/actor")
		runtime.KeepAlive(e)
	}
}

// heap returns the bytes of the heap that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
