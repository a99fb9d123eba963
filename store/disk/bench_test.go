package disk_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
)

// The rows are those of a registry: see registry/keys.go and records.go.

const (
	benchNodes = 8
	nodeBytes  = 16 // of a node id, "node-0000000000n"
	actorBytes = 24 // of an actor id, "account/0000000000001234"
)

var benchPrefix = []byte("default\x00")

func nodeID(n int) string { return fmt.Sprintf("node-%0*d", nodeBytes-5, n) }

func actorID(i int) string { return fmt.Sprintf("account/%0*d", actorBytes-8, i) }

func tagged(tag byte, parts ...string) []byte {
	k := append(append([]byte(nil), benchPrefix...), tag)
	for _, p := range parts {
		k = append(append(k, p...), 0)
	}
	return k
}

func sessionKey(tag byte, n int, rest string) []byte {
	k := tagged(tag, nodeID(n))
	k = binary.BigEndian.AppendUint64(k, 4711)
	if rest != "" {
		k = append(append(k, rest...), 0)
	}
	return k
}

func stateKey(n int) []byte         { return tagged('n', nodeID(n)) }
func actorKey(i int) []byte         { return tagged('a', actorID(i)) }
func ownedKey(n, i int) []byte      { return sessionKey('o', n, actorID(i)) }
func loadKey(n int) []byte          { return sessionKey('l', n, "") }
func actorRecord(n int) []byte      { return append(make([]byte, 1+10+1+8+16), nodeID(n)...) }
func stampedRecord(b []byte) []byte { b[0] = 1; return b }

// claim is what a claim of actor i by node n does to the store.
func claim(ctx context.Context, e store.Engine, n, i int) error {
	tx := e.Begin(ctx)
	defer tx.Cancel()
	if _, err := tx.GetAll(stateKey(n), actorKey(i)); err != nil {
		return err
	}
	tx.SetStamped(actorKey(i), stampedRecord(actorRecord(n)), 1)
	tx.Set(ownedKey(n, i), nil)
	tx.Add(loadKey(n), 1)
	return tx.Commit()
}

// rawClaim is the same rows in bbolt.
func rawClaim(b *bbolt.Bucket, n, i int) error {
	if b.Get(stateKey(n)) != nil || b.Get(actorKey(i)) == nil {
		return fmt.Errorf("actor %d is not there, or a state is", i)
	}
	if err := b.Put(actorKey(i), actorRecord(n)); err != nil {
		return err
	}
	if err := b.Put(ownedKey(n, i), nil); err != nil {
		return err
	}
	load := make([]byte, 8)
	copy(load, b.Get(loadKey(n)))
	return b.Put(loadKey(n), load)
}

// noOrder returns the numbers below n in no order.
func noOrder(n int) []int { return rand.New(rand.NewPCG(1, 1)).Perm(n) }

// fill makes owned actors in an order, piece of them in one transaction.
func fill(tb testing.TB, e store.Engine, order []int, piece int) {
	tb.Helper()
	for i := 0; i < len(order); i += piece {
		tx := e.Begin(context.Background())
		for _, id := range order[i:min(i+piece, len(order))] {
			tx.Set(actorKey(id), stampedRecord(actorRecord(id%benchNodes)))
			tx.Set(ownedKey(id%benchNodes, id), nil)
		}
		if err := tx.Commit(); err != nil {
			tb.Fatal(err)
		}
	}
}

const benchActors = 100_000

func openBench(b *testing.B, o disk.Options) *disk.Engine {
	b.Helper()
	e, err := disk.Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	return e
}

func openRaw(b *testing.B) *bbolt.DB {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.bolt"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	const piece = 5000
	order := noOrder(benchActors)
	for i := 0; i < benchActors; i += piece {
		if err := db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("rows"))
			for _, id := range order[i : i+piece] {
				if err != nil {
					break
				}
				if err = bucket.Put(actorKey(id), actorRecord(id%benchNodes)); err == nil {
					err = bucket.Put(ownedKey(id%benchNodes, id), nil)
				}
			}
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
	return db
}

// rawGroups commits groups of txns claims, one Update and so one sync for each.
func rawGroups(db *bbolt.DB, r *rand.Rand, groups, txns int) error {
	for range groups {
		if err := db.Update(func(tx *bbolt.Tx) error {
			bucket := tx.Bucket([]byte("rows"))
			for range txns {
				i := r.IntN(benchActors)
				if err := rawClaim(bucket, i%benchNodes, i); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// manyClaims commits n claims from several goroutines.
func manyClaims(e store.Engine, writers, n int, conflicts *atomic.Int64) error {
	var (
		wg   sync.WaitGroup
		left atomic.Int64
		errs = make([]error, writers)
	)
	left.Store(int64(n))
	for w := range writers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), 1))
			for left.Add(-1) >= 0 && errs[w] == nil {
				i := r.IntN(benchActors)
				for {
					errs[w] = claim(context.Background(), e, i%benchNodes, i)
					if !store.Retryable(errs[w]) {
						break
					}
					conflicts.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// BenchmarkCommits compares three ways to commit claims durably, in turns and
// on the same device:
//
//   - txn/s: this engine, with so many goroutines that commit one after the other;
//   - raw-txn/s: bbolt, one Update for each claim;
//   - best-txn/s: bbolt, one Update for as many claims as there are writers, back
//     to back: what a group commit that loses no time at all would reach, since
//     each writer waits for its answer and so at most that many share a sync.
//
// ratio is txn/s by best-txn/s. bbolt alone has no transactions with reads of
// their own, no conflicts, no check values and no watches.
func BenchmarkCommits(b *testing.B) {
	for _, writers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			e, raw, best := openBench(b, disk.Options{}), openRaw(b), openRaw(b)
			fill(b, e, noOrder(benchActors), 5000)
			r := rand.New(rand.NewPCG(1, 1))
			const groups = 20
			var spent [3]time.Duration
			var conflicts atomic.Int64
			before, err := e.Stats()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				for i, run := range []func() error{
					func() error { return manyClaims(e, writers, groups*writers, &conflicts) },
					func() error { return rawGroups(raw, r, groups, 1) },
					func() error { return rawGroups(best, r, groups, writers) },
				} {
					start := time.Now()
					if err := run(); err != nil {
						b.Fatal(err)
					}
					spent[i] += time.Since(start)
				}
			}
			after, err := e.Stats()
			if err != nil {
				b.Fatal(err)
			}
			rate := func(i, txns int) float64 { return float64(b.N*txns) / spent[i].Seconds() }
			b.ReportMetric(rate(0, groups*writers), "txn/s")
			b.ReportMetric(rate(1, groups), "raw-txn/s")
			b.ReportMetric(rate(2, groups*writers), "best-txn/s")
			b.ReportMetric(rate(0, groups*writers)/rate(2, groups*writers), "ratio")
			b.ReportMetric(float64(after.Commits-before.Commits)/float64(after.Batches-before.Batches), "txn/batch")
			b.ReportMetric(float64(conflicts.Load())/float64(b.N*groups*writers), "conflicts/txn")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkMillionActors opens and checks a store of a million owned actors,
// reads in it, and reports what it takes on the disk for each: as claims in no
// order, or in the order of the ids, left it, and once compacted.
func BenchmarkMillionActors(b *testing.B) {
	rising := make([]int, 1_000_000)
	for i := range rising {
		rising[i] = i
	}
	b.Run("claimed=in-no-order", func(b *testing.B) { manyActors(b, noOrder(len(rising))) })
	b.Run("claimed=in-order", func(b *testing.B) { manyActors(b, rising) })
}

func manyActors(b *testing.B, order []int) {
	b.Helper()
	actors := len(order)
	directory := b.TempDir()
	e, err := disk.Open(directory, disk.Options{NoSync: true, Window: 1})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, e, order, 500)
	size := func(b *testing.B) {
		b.Helper()
		s, err := e.Stats()
		if err != nil || s.Rows != uint64(2*actors) {
			b.Fatal(s, err)
		}
		b.ReportMetric(float64(s.FileBytes)/float64(actors), "file-B/actor")
		b.ReportMetric(float64(s.FileBytes-s.FreeBytes)/float64(actors), "used-B/actor")
	}
	reopen := func(b *testing.B) {
		b.Helper()
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		e, err = disk.Open(directory, disk.Options{})
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
	}
	open := func(b *testing.B) {
		b.Helper()
		b.StopTimer()
		for range b.N {
			reopen(b)
		}
		size(b)
	}
	b.Run("open", open)
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			if err := e.Check(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("lookup", func(b *testing.B) {
		r := rand.New(rand.NewPCG(1, 1))
		for b.Loop() {
			i := r.IntN(actors)
			tx := e.Begin(context.Background())
			if v, err := tx.Get(actorKey(i)); err != nil || v == nil {
				b.Fatal(i, err)
			}
			tx.Cancel()
		}
	})
	b.Run("compact", func(b *testing.B) {
		for b.Loop() {
			if err := e.Compact(context.Background()); err != nil {
				b.Fatal(err)
			}
		}
		size(b)
	})
	b.Run("open-compacted", open)
	if err := e.Close(); err != nil {
		b.Fatal(err)
	}
}
