package memory_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// open returns an engine that is checked and closed after the test.
func open(t *testing.T, o memory.Options) *memory.Engine {
	t.Helper()
	e := memory.New(o)
	t.Cleanup(func() {
		if err := e.Check(); err != nil {
			t.Errorf("Check: %v", err)
		}
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

func commit(t *testing.T, e *memory.Engine, f func(tx store.Txn)) store.Version {
	t.Helper()
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	f(tx)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return tx.Committed()
}

// TestMemoryIsBounded writes the same keys for ever, removes them, clears
// ranges over them, and looks at what is kept.
func TestMemoryIsBounded(t *testing.T) {
	const window, keys = 100, 10
	e := open(t, memory.Options{Window: window})
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 20_000 {
		commit(t, e, func(tx store.Txn) {
			k := fmt.Appendf(nil, "%02d", r.IntN(keys))
			switch r.IntN(4) {
			case 0:
				tx.Clear(k)
			case 1:
				tx.ClearRange(k, fmt.Appendf(nil, "%02d", keys))
			default:
				tx.Set(k, []byte("value"))
			}
		})
		if s := e.Stats(); s.Keys > keys || s.Revisions > window+keys*(window+1) || s.Conflicts > 2*window+2 {
			t.Fatalf("after %d commits: %+v", i+1, s)
		}
	}
	// Once everything is removed and the window has passed, nothing is left.
	commit(t, e, func(tx store.Txn) { tx.ClearRange([]byte{0}, []byte{255}) })
	for range window + 1 {
		commit(t, e, func(tx store.Txn) { tx.AddWriteConflict([]byte("x"), []byte("y")) })
	}
	if s := e.Stats(); s.Keys != 0 || s.Revisions != 0 {
		t.Errorf("with nothing stored: %+v", s)
	}
}

// TestAbandonedTransactionsHoldNothing begins transactions, reads, and forgets
// them.
func TestAbandonedTransactionsHoldNothing(t *testing.T) {
	e := open(t, memory.Options{Window: 10})
	for range 1000 {
		tx := e.Begin(context.Background())
		if _, err := tx.Get([]byte("a")); err != nil {
			t.Fatal(err)
		}
		commit(t, e, func(tx store.Txn) { tx.Set([]byte("a"), []byte("1")) })
	}
	if s := e.Stats(); s.Keys != 1 || s.Revisions > 12 {
		t.Errorf("stats are %+v", s)
	}
}

// TestWindowIsExact reads and commits at the last version inside the window and
// at the first one outside.
func TestWindowIsExact(t *testing.T) {
	const window = 7
	for age, want := range map[int]error{window - 1: nil, window: nil, window + 1: store.ErrTooOld} {
		t.Run(fmt.Sprint(age), func(t *testing.T) {
			e := open(t, memory.Options{Window: window})
			commit(t, e, func(tx store.Txn) { tx.Set([]byte("a"), []byte("before")) })
			tx := e.Begin(context.Background())
			defer tx.Cancel()
			if _, err := tx.ReadVersion(); err != nil {
				t.Fatal(err)
			}
			for range age {
				commit(t, e, func(tx store.Txn) { tx.Set([]byte("b"), nil); tx.Set([]byte("a"), nil) })
			}
			v, err := tx.Snapshot().Get([]byte("a"))
			if !errors.Is(err, want) || (want == nil && string(v) != "before") {
				t.Errorf("Get = %q, %v, want error %v", v, err, want)
			}
			tx.Set([]byte("c"), nil)
			if err := tx.Commit(); !errors.Is(err, want) {
				t.Errorf("Commit = %v, want %v", err, want)
			}
		})
	}
}

// TestTwoTasksInOneTransaction overlaps calls of one transaction: an error, no
// panic, nothing half done.
func TestTwoTasksInOneTransaction(t *testing.T) {
	e := open(t, memory.Options{})
	refused := 0
	for i := range 200 {
		tx := e.Begin(context.Background())
		var wg sync.WaitGroup
		var errs [4]error
		for g := range errs {
			wg.Go(func() {
				for k := range 50 {
					tx.Set(fmt.Appendf(nil, "%d/%d/%d", i, g, k), nil)
					if _, err := tx.Get([]byte("a")); err != nil {
						errs[g] = err
						return
					}
				}
			})
		}
		wg.Wait()
		err := tx.Commit()
		met := errors.Join(errs[:]...) != nil
		if met && !errors.Is(errors.Join(errs[:]...), store.ErrInvalid) {
			t.Fatalf("errors are %v, want %v", errs, store.ErrInvalid)
		}
		if err != nil {
			refused++
			if !errors.Is(err, store.ErrInvalid) {
				t.Fatalf("Commit = %v, want %v", err, store.ErrInvalid)
			}
		}
		if met && err == nil {
			t.Fatal("tasks met, and the transaction was committed")
		}
		tx.Cancel()
		got := e.Begin(context.Background())
		rows, _, rerr := got.GetRange(fmt.Appendf(nil, "%d/", i), fmt.Appendf(nil, "%d0", i), store.RangeOptions{})
		got.Cancel()
		if want := 200; rerr != nil || (err == nil && len(rows) != want) || (err != nil && len(rows) != 0) {
			t.Fatalf("%d rows, error %v, after Commit = %v", len(rows), rerr, err)
		}
	}
	t.Logf("%d of 200 transactions were refused", refused)
}

func TestTooManyWatches(t *testing.T) {
	e := open(t, memory.Options{MaxWatches: 3})
	var ws []store.Watch
	commit(t, e, func(tx store.Txn) {
		for range 4 {
			w, err := tx.Watch([]byte("a"))
			if err != nil {
				t.Fatal(err)
			}
			ws = append(ws, w)
		}
	})
	if err := ws[3].Wait(context.Background()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Wait of the fourth watch = %v, want %v", err, store.ErrUnavailable)
	}
	ws[0].Cancel()
	commit(t, e, func(tx store.Txn) {
		if _, err := tx.Watch([]byte("b")); err != nil {
			t.Fatal(err)
		}
	})
	commit(t, e, func(tx store.Txn) { tx.Set([]byte("a"), nil); tx.Set([]byte("b"), nil) })
	for _, w := range ws[1:3] {
		if err := w.Wait(context.Background()); err != nil {
			t.Errorf("Wait = %v", err)
		}
	}
	if n := e.Stats().Watches; n != 0 {
		t.Errorf("%d watches are left", n)
	}
}

// TestWatchesFireInOrder has several watches of several keys fire in one commit
// and looks at the order of their events: it must not hang on chance.
func TestWatchesFireInOrder(t *testing.T) {
	var first []int
	for run := range 5 {
		c := &countingClock{Clock: clock.System()}
		e := open(t, memory.Options{Clock: c})
		commit(t, e, func(tx store.Txn) {
			for i := range 30 {
				if _, err := tx.Watch([]byte{'a' + byte(i*7%10)}); err != nil {
					t.Fatal(err)
				}
			}
		})
		commit(t, e, func(tx store.Txn) {
			for i := range 10 {
				tx.Set([]byte{'a' + byte(i*3%10)}, []byte("1"))
			}
		})
		if run == 0 {
			first = c.order
		}
		if len(c.order) != 30 || fmt.Sprint(c.order) != fmt.Sprint(first) {
			t.Errorf("run %d: order %v, want %v", run, c.order, first)
		}
	}
}

// countingClock numbers its events and notes the order in which they are set.
type countingClock struct {
	clock.Clock
	made  int
	order []int
}

type countingEvent struct {
	clock.Event
	c *countingClock
	n int
}

func (c *countingClock) NewEvent() clock.Event {
	c.made++
	return &countingEvent{c.Clock.NewEvent(), c, c.made}
}

func (e *countingEvent) Set() {
	e.c.order = append(e.c.order, e.n)
	e.Event.Set()
}

// TestBuffersAreNotShared commits many transactions of different shapes side by
// side, since they hand their buffers on.
func TestBuffersAreNotShared(t *testing.T) {
	e := open(t, memory.Options{})
	r := rand.New(rand.NewPCG(2, 2))
	type openTxn struct {
		tx   store.Txn
		want map[string]string
	}
	var open []openTxn
	state := map[string]string{}
	for i := range 5000 {
		if len(open) < 5 {
			open = append(open, openTxn{e.Begin(context.Background()), map[string]string{}})
		}
		at := r.IntN(len(open))
		o := open[at]
		k, v := fmt.Sprintf("k%d", r.IntN(300)), fmt.Sprintf("%0*d", r.IntN(40), i)
		o.tx.Set([]byte(k), []byte(v))
		o.want[k] = v
		if got, err := o.tx.Get([]byte(k)); err != nil || string(got) != v {
			t.Fatalf("Get = %q, %v, want %q", got, err, v)
		}
		if r.IntN(30) > 0 {
			continue
		}
		open = append(open[:at:at], open[at+1:]...)
		if r.IntN(3) == 0 {
			o.tx.Cancel()
			continue
		}
		if err := o.tx.Commit(); err != nil {
			t.Fatal(err)
		}
		for k, v := range o.want {
			state[k] = v
		}
	}
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	rows, more, err := tx.GetRange([]byte{0}, []byte{255}, store.RangeOptions{})
	if err != nil || more || len(rows) != len(state) {
		t.Fatalf("%d rows, more %v, error %v, want %d rows", len(rows), more, err, len(state))
	}
	for _, kv := range rows {
		if state[string(kv.Key)] != string(kv.Value) {
			t.Errorf("%s is %q, want %q", kv.Key, kv.Value, state[string(kv.Key)])
		}
	}
}

// TestLargeTransactions writes many keys in an order that does not help.
func TestLargeTransactions(t *testing.T) {
	const n = 50_000
	e := open(t, memory.Options{})
	commit(t, e, func(tx store.Txn) {
		for i := range n {
			tx.Set(fmt.Appendf(nil, "%08d", i*7919%n), []byte("v"))
		}
		for i := range n {
			if _, err := tx.Get(fmt.Appendf(nil, "x%08d", i)); err != nil {
				t.Fatal(err)
			}
		}
	})
	if s := e.Stats(); s.Keys != n {
		t.Errorf("%d keys, want %d", s.Keys, n)
	}
}

// TestVersionsAreConsecutive: a run is deterministic because versions are.
func TestVersionsAreConsecutive(t *testing.T) {
	e := open(t, memory.Options{})
	for i := range 5 {
		if v := commit(t, e, func(tx store.Txn) { tx.Set([]byte("a"), nil) }); v != store.Version(i+2) {
			t.Errorf("commit %d has version %d, want %d", i+1, v, i+2)
		}
	}
}

func ExampleNew() {
	db := memory.New(memory.Options{})
	defer db.Close()

	tx := db.Begin(context.Background())
	tx.Set([]byte("greeting"), []byte("hello"))
	tx.Add([]byte("visits"), 1)
	if err := tx.Commit(); err != nil {
		fmt.Println(err)
	}

	tx = db.Begin(context.Background())
	defer tx.Cancel()
	value, err := tx.Get([]byte("greeting"))
	fmt.Printf("%s %v\n", value, err)
	// Output: hello <nil>
}
