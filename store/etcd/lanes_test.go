package etcd_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
)

func counter(t *testing.T, e store.Engine, key string) int64 {
	t.Helper()
	v := read(t, e, key)
	if len(v) != 8 {
		t.Fatalf("the counter is %q", v)
	}
	return int64(binary.LittleEndian.Uint64([]byte(v)))
}

func add(t *testing.T, e store.Engine, key string, delta int64) {
	t.Helper()
	commit(t, e, func(tx store.Txn) { tx.Add([]byte(key), delta) })
}

// dataRows counts the rows of values and of lanes.
func dataRows(t *testing.T, e *etcd.Engine) int {
	t.Helper()
	return len(slices.DeleteFunc(rowsOf(t, e), func(r string) bool { return !strings.HasPrefix(r, "d") }))
}

func TestAdditionsUseAsManyLanesAsThereAreAtATime(t *testing.T) {
	e := open(t, fresh(t))
	for range 100 {
		add(t, e, "n", 3)
	}
	if n := dataRows(t, e); n != 1 {
		t.Errorf("100 additions, one after the other, left %d rows, want 1", n)
	}
	const tasks, each = 8, 50
	var adding sync.WaitGroup
	for range tasks {
		adding.Go(func() {
			for range each {
				tx := e.Begin(t.Context())
				tx.Add([]byte("n"), 1)
				if err := tx.Commit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	adding.Wait()
	if n := counter(t, e, "n"); n != 300+tasks*each {
		t.Errorf("the sum is %d, want %d", n, 300+tasks*each)
	}
	if n := dataRows(t, e); n > tasks {
		t.Errorf("additions of %d tasks left %d rows", tasks, n)
	}
}

// TestALaneForgetsWhatWasOverwritten has another engine write the counter in
// each way while this one goes on adding to its lane.
func TestALaneForgetsWhatWasOverwritten(t *testing.T) {
	ten := binary.LittleEndian.AppendUint64(nil, 10)
	for _, tc := range []struct {
		name string
		do   func(tx store.Txn)
		want int64 // after an addition of 1
	}{
		{"set", func(tx store.Txn) { tx.Set([]byte("n"), ten) }, 11},
		{"clear", func(tx store.Txn) { tx.Clear([]byte("n")) }, 1},
		{"clear range", func(tx store.Txn) { tx.ClearRange([]byte("a"), []byte("z")) }, 1},
		{"clear range, then set", func(tx store.Txn) {
			tx.ClearRange([]byte("a"), []byte("z"))
			tx.Set([]byte("n"), ten)
		}, 11},
		{"set, then add", func(tx store.Txn) { tx.Set([]byte("n"), ten); tx.Add([]byte("n"), 2) }, 13},
		{"add", func(tx store.Txn) { tx.Add([]byte("n"), 2) }, 108},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := fresh(t)
			mine, theirs := open(t, o), open(t, o)
			add(t, mine, "n", 5)
			add(t, mine, "n", 100)
			commit(t, theirs, tc.do)
			add(t, mine, "n", 1)
			if n := counter(t, theirs, "n"); n != tc.want {
				t.Errorf("the counter is %d, want %d", n, tc.want)
			}
			add(t, mine, "n", 1)
			if n := counter(t, mine, "n"); n != tc.want+1 {
				t.Errorf("and then %d, want %d", n, tc.want+1)
			}
		})
	}
}

// TestARangeCutBetweenTheLanesOfAKeyKeepsThemTogether reads pages that end in
// the middle of a counter.
func TestARangeCutBetweenTheLanesOfAKeyKeepsThemTogether(t *testing.T) {
	o := fresh(t)
	o.RangeRows = 50 // and a page is not much larger
	const engines, keys = 5, 40
	var all []*etcd.Engine
	for range engines {
		all = append(all, open(t, o))
	}
	for _, e := range all {
		commit(t, e, func(tx store.Txn) {
			for k := range keys {
				tx.Add([]byte{'n', byte(k)}, int64(k))
			}
		})
	}
	tx := all[0].Begin(t.Context())
	defer tx.Cancel()
	for _, reverse := range []bool{false, true} {
		rows, more, err := tx.GetRange([]byte("n"), []byte("o"), store.RangeOptions{Reverse: reverse})
		if err != nil || more || len(rows) != keys {
			t.Fatalf("%d rows, more %v, error %v, want %d", len(rows), more, err, keys)
		}
		for _, kv := range rows {
			if n := binary.LittleEndian.Uint64(kv.Value); n != engines*uint64(kv.Key[1]) {
				t.Errorf("reverse %v: counter %d is %d, want %d", reverse, kv.Key[1], n, engines*uint64(kv.Key[1]))
			}
		}
	}
}

// TestRowsOfACutRangeBelongToTheCaller changes the rows of a range that takes
// several pages, and reads the keys again, from memory where it can.
func TestRowsOfACutRangeBelongToTheCaller(t *testing.T) {
	o := fresh(t)
	o.RangeRows = 50
	const keys = 40
	for range 3 {
		e := open(t, o)
		commit(t, e, func(tx store.Txn) {
			for k := range keys {
				tx.Add([]byte{'n', byte(k)}, 7)
			}
		})
	}
	e := open(t, o)
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	rows, _, err := tx.GetRange([]byte("n"), []byte("o"), store.RangeOptions{})
	if err != nil || len(rows) != keys {
		t.Fatalf("%d rows, error %v", len(rows), err)
	}
	for _, kv := range rows {
		clear(kv.Value)
	}
	db := newDB(t, e)
	for k := range keys {
		var v []byte
		if _, err := db.Transact(t.Context(), func(tx store.Tx) (err error) {
			v, err = tx.Get([]byte{'n', byte(k)})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if n := binary.LittleEndian.Uint64(v); n != 21 {
			t.Errorf("counter %d is %d after the caller changed its row, want 21", k, n)
		}
	}
}
