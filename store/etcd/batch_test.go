package etcd_test

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/kelpie-registry/kelpie/store"
)

// together begins n transactions, and commits them while the first request is
// held up, so that the others wait for it and travel together.
func together(t *testing.T, s *wireState, e store.Engine, n int, f func(i int, tx store.Txn)) []store.Txn {
	t.Helper()
	free, first := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.holdIf(func(r *etcdserverpb.TxnRequest) <-chan struct{} {
		if isRead(r) {
			return nil
		}
		once.Do(func() { close(first) })
		return free
	})
	var committing sync.WaitGroup
	txs := make([]store.Txn, n)
	for i := range n {
		tx := e.Begin(t.Context())
		txs[i] = tx
		f(i, tx)
		committing.Go(func() {
			if err := tx.Commit(); err != nil {
				t.Errorf("transaction %d: %v", i, err)
			}
		})
	}
	<-first
	s.holdIf(nil)
	close(free)
	committing.Wait()
	return txs
}

func TestCommitsThatTravelTogetherShareAVersionButNoStamp(t *testing.T) {
	var s wireState
	e := open(t, withWire(fresh(t), &s))
	const n = 200
	before := s.writes.Load()
	txs := together(t, &s, e, n, func(i int, tx store.Txn) {
		tx.SetStamped(fmt.Appendf(nil, "k%d", i), make([]byte, store.StampBytes), 0)
		tx.Add([]byte("n"), 1)
	})
	if requests := s.writes.Load() - before; requests > n/4 {
		t.Errorf("%d commits took %d requests", n, requests)
	}
	seen := map[string]int{}
	for i, tx := range txs {
		stamp := read(t, e, fmt.Sprintf("k%d", i))
		if v := binary.BigEndian.Uint64([]byte(stamp)); v != uint64(tx.Committed()) {
			t.Errorf("transaction %d has version %d and stamp %x", i, tx.Committed(), stamp)
		}
		if other, ok := seen[stamp]; ok {
			t.Errorf("transactions %d and %d have the stamp %x", other, i, stamp)
		}
		seen[stamp] = i
	}
	if got := counter(t, e, "n"); got != n {
		t.Errorf("the counter is %d, want %d", got, n)
	}
}

// TestCommitsThatAreInEachOthersWayTravelApart has many blind writers of one
// key: each must have a version of its own.
func TestCommitsThatAreInEachOthersWayTravelApart(t *testing.T) {
	var s wireState
	e := open(t, withWire(fresh(t), &s))
	txs := together(t, &s, e, 20, func(i int, tx store.Txn) { tx.Set([]byte("k"), fmt.Append(nil, i)) })
	seen := map[store.Version]bool{}
	var last store.Version
	var want string
	for i, tx := range txs {
		if seen[tx.Committed()] {
			t.Errorf("two writers of one key have version %d", tx.Committed())
		}
		seen[tx.Committed()] = true
		if tx.Committed() > last {
			last, want = tx.Committed(), fmt.Sprint(i)
		}
	}
	if v := read(t, e, "k"); v != want {
		t.Errorf("the key holds %q, the last writer wrote %q", v, want)
	}
}

func TestARefusalStrikesNobodyElse(t *testing.T) {
	var s wireState
	o := fresh(t)
	e := open(t, withWire(o, &s))
	other := open(t, o)
	const n = 30
	free, first := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.holdIf(func(r *etcdserverpb.TxnRequest) <-chan struct{} {
		if isRead(r) {
			return nil
		}
		once.Do(func() { close(first) })
		return free
	})
	errs := make([]error, n)
	var committing sync.WaitGroup
	for i := range n {
		tx := e.Begin(t.Context())
		if _, err := tx.Get(fmt.Appendf(nil, "k%d", i)); err != nil {
			t.Fatal(err)
		}
		tx.Set(fmt.Appendf(nil, "k%d", i), []byte("mine"))
		committing.Go(func() { errs[i] = tx.Commit() })
	}
	<-first
	for i := 0; i < n; i += 3 {
		set(t, other, fmt.Sprintf("k%d", i), "theirs")
	}
	s.holdIf(nil)
	close(free)
	committing.Wait()
	for i, err := range errs {
		want := "mine"
		if i%3 == 0 {
			want = "theirs"
		}
		if (err != nil) != (want == "theirs") {
			t.Errorf("transaction %d: error %v", i, err)
		}
		if v := read(t, other, fmt.Sprintf("k%d", i)); v != want {
			t.Errorf("key %d holds %q, want %q", i, v, want)
		}
	}
}

// TestWriteSkewIsRefusedOnOneJourney has pairs of transactions read what the
// other of the pair writes, all waiting for the same request.
func TestWriteSkewIsRefusedOnOneJourney(t *testing.T) {
	var s wireState
	e := open(t, withWire(fresh(t), &s))
	const pairs = 10
	free, first := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.holdIf(func(r *etcdserverpb.TxnRequest) <-chan struct{} {
		if isRead(r) {
			return nil
		}
		once.Do(func() { close(first) })
		return free
	})
	var committing sync.WaitGroup
	commit := func(tx store.Txn, err *error) { committing.Go(func() { *err = tx.Commit() }) }
	var ignored [2]error
	for i := range ignored { // as many requests as travel at a time
		tx := e.Begin(t.Context())
		tx.Set(fmt.Appendf(nil, "first%d", i), nil)
		commit(tx, &ignored[i])
	}
	<-first
	var errs [2 * pairs]error
	for i := range errs {
		tx := e.Begin(t.Context())
		pair, side := i/2, i%2
		if _, err := tx.Get(fmt.Appendf(nil, "k%d/%d", pair, side)); err != nil {
			t.Fatal(err)
		}
		tx.Set(fmt.Appendf(nil, "k%d/%d", pair, 1-side), nil)
		commit(tx, &errs[i])
	}
	s.holdIf(nil)
	close(free)
	committing.Wait()
	for i := range pairs {
		a, b := errs[2*i], errs[2*i+1]
		if (a == nil) == (b == nil) {
			t.Errorf("pair %d: errors %v and %v, want one refusal", i, a, b)
		}
	}
}
