package disk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
)

// open opens a directory without syncs; the engine is checked and closed after
// the test.
func open(t *testing.T, directory string) *disk.Engine {
	t.Helper()
	return openWith(t, directory, disk.Options{NoSync: true})
}

func openWith(t *testing.T, directory string, o disk.Options) *disk.Engine {
	t.Helper()
	e, err := disk.Open(directory, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Check(context.Background()); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Errorf("Check: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

func closed(t *testing.T, e *disk.Engine) {
	t.Helper()
	if err := e.Check(context.Background()); err != nil {
		t.Errorf("Check: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func commit(t *testing.T, e *disk.Engine, f func(tx store.Txn)) store.Version {
	t.Helper()
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	f(tx)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return tx.Committed()
}

func put(t *testing.T, e *disk.Engine, pairs ...string) store.Version {
	t.Helper()
	return commit(t, e, func(tx store.Txn) {
		for i := 0; i < len(pairs); i += 2 {
			tx.Set([]byte(pairs[i]), []byte(pairs[i+1]))
		}
	})
}

// rowsOf reads everything.
func rowsOf(t *testing.T, e *disk.Engine) map[string]string {
	t.Helper()
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	all := map[string]string{}
	begin := []byte{}
	for {
		rows, more, err := tx.GetRange(begin, []byte{0xff}, store.RangeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range rows {
			all[string(kv.Key)] = string(kv.Value)
		}
		if !more {
			return all
		}
		begin = append(rows[len(rows)-1].Key, 0)
	}
}

func wantRows(t *testing.T, e *disk.Engine, want map[string]string) {
	t.Helper()
	got := rowsOf(t, e)
	if len(got) != len(want) {
		t.Errorf("%d rows, want %d", len(got), len(want))
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%.40q has %d bytes, want %d, or others", k, len(got[k]), len(v))
		}
	}
}

// TestReopenedIsTheSame does all there is to do to a store, again and again, and
// compares it with a map after each time it was opened. Our verification of the
// file and bbolt's own must both find it whole.
func TestReopenedIsTheSame(t *testing.T) {
	directory, want := t.TempDir(), map[string]string{}
	r := rand.New(rand.NewPCG(1, 1))
	var last store.Version
	for round := range 12 {
		e := openWith(t, directory, disk.Options{NoSync: true, Window: 20})
		wantRows(t, e, want)
		for range 40 {
			v := commit(t, e, func(tx store.Txn) { someChanges(tx, r, want) })
			if v <= last {
				t.Fatalf("version %d behind version %d", v, last)
			}
			last = v
		}
		wantRows(t, e, want)
		if s, err := e.Stats(); err != nil || s.Rows != uint64(len(want)) || s.Version != last || s.Keys > 20*2000 {
			t.Errorf("round %d: Stats = %+v, %v, want %d rows at version %d", round, s, err, len(want), last)
		}
		if round%4 == 3 {
			if err := e.Compact(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		closed(t, e)
		boltCheck(t, filepath.Join(directory, "data.bolt"))
	}
}

// someChanges makes a few changes, seldom a great many, in want too.
func someChanges(tx store.Txn, r *rand.Rand, want map[string]string) {
	key := func() string { return fmt.Sprintf("k%0*d", 1+r.IntN(60), r.IntN(3000)) }
	switch r.IntN(10) {
	case 0: // empty key, empty value, and one that takes pages of its own
		tx.Set(nil, nil)
		want[""] = ""
		big := strings.Repeat("x", 1+r.IntN(store.MaxValueBytes))
		tx.Set([]byte("big"+key()), []byte(big))
		tx.Clear([]byte("other"))
		tx.Set([]byte("big"), []byte(big))
		want["big"] = big
		tx.ClearRange([]byte("big\x00"), []byte("bih"))
	case 1:
		a, b := key(), key()
		if a > b {
			a, b = b, a
		}
		tx.ClearRange([]byte(a), []byte(b))
		for k := range want {
			if a <= k && k < b {
				delete(want, k)
			}
		}
	default:
		for range 1 + r.IntN(100) {
			k := key()
			if r.IntN(3) == 0 {
				tx.Clear([]byte(k))
				delete(want, k)
				continue
			}
			v := strings.Repeat("v", r.IntN(200))
			tx.Set([]byte(k), []byte(v))
			want[k] = v
		}
	}
}

// boltCheck has bbolt verify a file in its own way.
func boltCheck(t *testing.T, name string) {
	t.Helper()
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.View(func(tx *bbolt.Tx) error {
		var errs []error
		for err := range tx.Check() {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}); err != nil {
		t.Errorf("bbolt's check: %v", err)
	}
}

func TestOptionsAreValidated(t *testing.T) {
	for field, o := range map[string]disk.Options{
		"Window":     {Window: -1},
		"RangeRows":  {RangeRows: -1},
		"MaxWatches": {MaxWatches: -1},
		"BatchTxns":  {BatchTxns: -1},
		"BatchBytes": {BatchBytes: -1},
	} {
		directory := filepath.Join(t.TempDir(), "new")
		if _, err := disk.Open(directory, o); err == nil || !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("%s: error %v, want one that names it", field, err)
		}
		if _, err := os.Stat(directory); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the directory was made: %v", field, err)
		}
	}
}

// TestTooLarge: the limits are the port's, and what is over them is not there.
func TestTooLarge(t *testing.T) {
	e := open(t, t.TempDir())
	for name, f := range map[string]func(tx store.Txn){
		"key":         func(tx store.Txn) { tx.Set(make([]byte, store.MaxKeyBytes+1), nil) },
		"value":       func(tx store.Txn) { tx.Set([]byte("a"), make([]byte, store.MaxValueBytes+1)) },
		"transaction": func(tx store.Txn) { overfill(tx) },
	} {
		tx := e.Begin(context.Background())
		f(tx)
		if err := tx.Commit(); !errors.Is(err, store.ErrTooLarge) {
			t.Errorf("%s: Commit = %v, want %v", name, err, store.ErrTooLarge)
		}
		tx.Cancel()
	}
	wantRows(t, e, nil)
}

func overfill(tx store.Txn) {
	for i := range store.MaxTxnBytes/store.MaxValueBytes + 1 {
		tx.Set(fmt.Appendf(nil, "%d", i), make([]byte, store.MaxValueBytes))
	}
}

// TestTwoTasksInOneTransaction: overlapping calls are refused, and nothing is
// half done.
func TestTwoTasksInOneTransaction(t *testing.T) {
	e := open(t, t.TempDir())
	for i := range 50 {
		tx := e.Begin(context.Background())
		var wg sync.WaitGroup
		var errs [4]error
		for g := range errs {
			wg.Go(func() {
				for k := range 20 {
					tx.Set(fmt.Appendf(nil, "%d/%d/%d", i, g, k), nil)
					if _, err := tx.Get([]byte("a")); err != nil {
						errs[g] = err
						return
					}
				}
			})
		}
		wg.Wait()
		met := errors.Join(errs[:]...)
		err := tx.Commit()
		if (met != nil && !errors.Is(met, store.ErrInvalid)) || (err != nil && !errors.Is(err, store.ErrInvalid)) || (met != nil && err == nil) {
			t.Fatalf("calls: %v, Commit: %v, want %v", met, err, store.ErrInvalid)
		}
		tx.Cancel()
		rows, want := 0, 0
		for k := range rowsOf(t, e) {
			if strings.HasPrefix(k, fmt.Sprintf("%d/", i)) {
				rows++
			}
		}
		if err == nil {
			want = 80
		}
		if rows != want {
			t.Fatalf("%d rows, want %d after Commit = %v", rows, want, err)
		}
	}
}

// TestCloseLetsCommitsReturn closes an engine under load: each commit has been
// applied or refused for good, and says which.
func TestCloseLetsCommitsReturn(t *testing.T) {
	for range 10 {
		directory := t.TempDir()
		e := open(t, directory)
		const writers = 8
		var (
			wg   sync.WaitGroup
			mu   sync.Mutex
			want = map[string]string{}
			some = make(chan struct{}, 1)
		)
		for w := range writers {
			wg.Go(func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("%d/%d", w, i)
					tx := e.Begin(context.Background())
					tx.Set([]byte(key), []byte("v"))
					if err := tx.Commit(); err != nil {
						if !errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrCommitUnknown) {
							t.Errorf("Commit = %v, want %v", err, store.ErrClosed)
						}
						return
					}
					mu.Lock()
					want[key] = "v"
					if len(want) == 50 {
						some <- struct{}{}
					}
					mu.Unlock()
				}
			})
		}
		<-some
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := e.Close(); err != nil {
			t.Errorf("Close again: %v", err)
		}
		again := open(t, directory)
		wantRows(t, again, want)
		closed(t, again)
	}
}

func ExampleOpen() {
	directory, err := os.MkdirTemp("", "kelpie")
	if err != nil {
		fmt.Println(err)
		return
	}

	for range 2 {
		db, err := disk.Open(directory, disk.Options{})
		if err != nil {
			fmt.Println(err)
			return
		}
		tx := db.Begin(context.Background())
		tx.Add([]byte("starts"), 1)
		if err := tx.Commit(); err != nil {
			fmt.Println(err)
		}
		tx = db.Begin(context.Background())
		value, err := tx.Get([]byte("starts"))
		tx.Cancel()
		fmt.Println(value[0], err)
		if err := db.Close(); err != nil {
			fmt.Println(err)
		}
	}
	if err := os.RemoveAll(directory); err != nil {
		fmt.Println(err)
	}
	// Output:
	// 1 <nil>
	// 2 <nil>
}
