package optimistic_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/optimistic"
)

// begun is a commit in a goroutine of its own.
type begun struct {
	tx  store.Txn
	end clock.Event
	err error
}

// start begins a commit and returns once it waits for the base.
func start(ctx context.Context, t *testing.T, e *optimistic.Engine, f func(tx store.Txn)) *begun {
	t.Helper()
	before := e.Stats().Waiting
	b := &begun{tx: e.Begin(ctx), end: clock.System().NewEvent()}
	f(b.tx)
	b.commit()
	for e.Stats().Waiting == before && !b.end.IsSet() {
		_ = clock.System().Sleep(context.Background(), 0)
	}
	return b
}

// commitLater is start of a transaction that need not get as far.
func commitLater(tx store.Txn) *begun {
	b := &begun{tx: tx, end: clock.System().NewEvent()}
	b.commit()
	return b
}

func (b *begun) commit() {
	go func() {
		b.err = b.tx.Commit()
		b.end.Set()
	}()
}

// wait returns the commit's error.
func (b *begun) wait(t *testing.T) error {
	t.Helper()
	if err := b.end.Wait(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b.err
}

func set(key, value string) func(store.Txn) {
	return func(tx store.Txn) { tx.Set([]byte(key), []byte(value)) }
}

func read(t *testing.T, e *optimistic.Engine, key string) string {
	t.Helper()
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	v, err := tx.Get([]byte(key))
	if err != nil {
		t.Fatalf("Get(%q): %v", key, err)
	}
	if v == nil {
		return "-"
	}
	return string(v)
}

// flushAll flushes until nothing waits.
func flushAll(t *testing.T, e *optimistic.Engine) {
	t.Helper()
	for {
		if n, err := e.Flush(); n == 0 || err != nil {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

func checked(t *testing.T, e *optimistic.Engine) {
	t.Helper()
	if err := e.Check(); err != nil {
		t.Errorf("Check: %v", err)
	}
}

// TestNothingIsSeenBeforeItIsDurable looks from all sides at a commit that the
// base has, and that is not durable yet.
func TestNothingIsSeenBeforeItIsDurable(t *testing.T) {
	ctx, g := context.Background(), newGate()
	e := optimistic.Over(&g.base, 0, optimistic.Options{})
	reader := e.Begin(ctx)
	defer reader.Cancel()
	watcher := e.Begin(ctx)
	w, err := watcher.Watch([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := watcher.Commit(); err != nil {
		t.Fatal(err)
	}
	rival := e.Begin(ctx)
	if _, err := rival.Get([]byte("a")); err != nil {
		t.Fatal(err)
	}
	rival.Set([]byte("b"), nil)
	a := start(ctx, t, e, set("a", "1"))
	before, err := reader.ReadVersion()
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	n, err := flushing(t, e, g, func(let func(error)) {
		if got := read(t, e, "a"); got != "-" {
			t.Errorf("a reads %q before it is durable", got)
		}
		if a.end.IsSet() {
			t.Error("the commit returned before it was durable")
		}
		if err := w.Wait(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended before the commit was durable: %v", err)
		}
		// A commit that read what is being changed loses, although it read what
		// is still visible, and may try again once it is not. It does not wait
		// for longer than its context.
		loses := func(b *begun) {
			if err := b.wait(t); !errors.Is(err, store.ErrConflict) {
				t.Errorf("Commit of what read a = %v, want %v", err, store.ErrConflict)
			}
		}
		hasty, cancel := context.WithCancel(ctx)
		tx := e.Begin(hasty)
		if _, err := tx.Get([]byte("a")); err != nil {
			t.Error(err)
		}
		tx.Set([]byte("b"), nil)
		loser := commitLater(rival)
		hastyLoser := commitLater(tx)
		cancel()
		_ = hastyLoser.wait(t) // refused, or cut short: which of them is chance
		checked(t, e)
		let(nil)
		loses(loser)
	})
	if n != 1 || err != nil || a.wait(t) != nil {
		t.Fatalf("Flush = %d, %v, the commit %v", n, err, a.err)
	}
	if err := w.Wait(ctx); err != nil {
		t.Errorf("Wait = %v", err)
	}
	if got := read(t, e, "a"); got != "1" {
		t.Errorf("a reads %q, want 1", got)
	}
	if v, err := reader.Get([]byte("a")); v != nil || err != nil {
		t.Errorf("a reader at version %d sees %q, %v", before, v, err)
	}
	if a.tx.Committed() <= before {
		t.Errorf("committed at %d, a reader before it had %d", a.tx.Committed(), before)
	}
	checked(t, e)
}

// TestOneWriteServesManyCommits lets commits wait for each other.
func TestOneWriteServesManyCommits(t *testing.T) {
	ctx, g := context.Background(), newGate()
	var woken atomic.Int32
	e := optimistic.Over(&g.base, 0, optimistic.Options{Wake: func() { woken.Add(1) }})
	first := start(ctx, t, e, set("a", "1"))
	var rest []*begun
	if n, err := flushing(t, e, g, func(let func(error)) {
		for range 10 {
			rest = append(rest, start(ctx, t, e, func(tx store.Txn) { tx.Add([]byte("n"), 1) }))
		}
		let(nil)
	}); n != 1 || err != nil || first.wait(t) != nil {
		t.Fatalf("Flush = %d, %v", n, err)
	}
	if n, err := flushing(t, e, g, func(let func(error)) { let(nil) }); n != 10 || err != nil {
		t.Fatalf("Flush = %d, %v, want 10 commits", n, err)
	}
	seen := map[store.Version]bool{}
	for _, b := range rest {
		if err := b.wait(t); err != nil {
			t.Fatal(err)
		}
		seen[b.tx.Committed()] = true
	}
	if len(seen) != 10 || g.base.commits != 2 || woken.Load() != 1 {
		t.Errorf("%d versions in %d writes, woken %d times, want 10, 2, 1", len(seen), g.base.commits, woken.Load())
	}
	if got := read(t, e, "n"); got != "\x0a\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("n is %q", got)
	}
	checked(t, e)
	if err := g.base.err(); err != nil {
		t.Error(err)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	for name, o := range map[string]optimistic.Options{
		"by commits": {BatchTxns: 2},
		"by bytes":   {BatchBytes: 250}, // two commits have more
	} {
		t.Run(name, func(t *testing.T) {
			var base mapBase
			e := optimistic.Over(&base, 0, o)
			var all []*begun
			for i := range 5 {
				all = append(all, start(context.Background(), t, e, set(fmt.Sprint(i), "0123456789012345678901234567890123456789012345678901234567890123456789")))
			}
			checked(t, e)
			for _, want := range []int{2, 2, 1, 0} {
				if n, err := e.Flush(); n != want || err != nil {
					t.Errorf("Flush = %d, %v, want %d", n, err, want)
				}
			}
			for i, b := range all {
				if err := b.wait(t); err != nil || b.tx.Committed() != store.Version(i+2) {
					t.Errorf("commit %d: %v at version %d", i, err, b.tx.Committed())
				}
			}
			checked(t, e)
		})
	}
}

// TestContextEndsWhileTheBaseWrites: the commit is in doubt, and takes effect.
func TestContextEndsWhileTheBaseWrites(t *testing.T) {
	g := newGate()
	e := optimistic.Over(&g.base, 0, optimistic.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	b := start(ctx, t, e, set("a", "1"))
	if _, err := flushing(t, e, g, func(let func(error)) {
		cancel()
		if err := b.wait(t); !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, context.Canceled) || b.tx.Committed() != 0 {
			t.Errorf("Commit = %v at version %d, want %v and %v", err, b.tx.Committed(), store.ErrCommitUnknown, context.Canceled)
		}
		let(nil)
	}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, e, "a"); got != "1" {
		t.Errorf("a is %q: the commit was under way and nothing stopped it", got)
	}
	checked(t, e)
}

// TestFailedWriteEndsEverything fails the first of two batches.
func TestFailedWriteEndsEverything(t *testing.T) {
	ctx, g := context.Background(), newGate()
	e := optimistic.Over(&g.base, 0, optimistic.Options{})
	reader := e.Begin(ctx)
	if _, err := reader.Get([]byte("a")); err != nil {
		t.Fatal(err)
	}
	watcher := e.Begin(ctx)
	w, err := watcher.Watch([]byte("z"))
	if err != nil {
		t.Fatal(err)
	}
	if err := watcher.Commit(); err != nil {
		t.Fatal(err)
	}
	a := start(ctx, t, e, set("a", "1"))
	var b *begun
	cause := errors.New("the disk burns")
	n, err := flushing(t, e, g, func(let func(error)) {
		b = start(ctx, t, e, set("b", "1"))
		let(cause)
	})
	if n != 1 || !errors.Is(err, cause) {
		t.Errorf("Flush = %d, %v, want %v", n, err, cause)
	}
	if err := a.wait(t); !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, cause) {
		t.Errorf("the commit being written: %v, want %v and %v", err, store.ErrCommitUnknown, cause)
	}
	refused := func(call string, err error) {
		t.Helper()
		if !errors.Is(err, optimistic.ErrFailed) || !errors.Is(err, store.ErrClosed) || !errors.Is(err, cause) || errors.Is(err, store.ErrCommitUnknown) || store.Retryable(err) {
			t.Errorf("%s: %v, want %v with its cause", call, err, optimistic.ErrFailed)
		}
	}
	refused("the commit behind it", b.wait(t))
	refused("the watch", w.Wait(ctx))
	_, err = reader.Get([]byte("b"))
	refused("a read of a transaction under way", err)
	tx := e.Begin(ctx)
	tx.Set([]byte("c"), nil)
	refused("a new commit", tx.Commit())
	if n, err := e.Flush(); n != 0 || err != nil {
		t.Errorf("Flush = %d, %v: nothing may be written any more", n, err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	checked(t, e)
	if g.base.commits != 0 {
		t.Errorf("%d writes", g.base.commits)
	}
}

// TestCommitsThatWaitSurviveClose: what was accepted before the end is written.
func TestCommitsThatWaitSurviveClose(t *testing.T) {
	var base mapBase
	e := optimistic.Over(&base, 0, optimistic.Options{})
	b := start(context.Background(), t, e, set("a", "1"))
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	tx := e.Begin(context.Background())
	tx.Set([]byte("b"), nil)
	if err := tx.Commit(); !errors.Is(err, store.ErrClosed) || errors.Is(err, optimistic.ErrFailed) {
		t.Errorf("Commit = %v, want %v", err, store.ErrClosed)
	}
	flushAll(t, e)
	if err := b.wait(t); err != nil || base.data["a"] != "1" || len(base.data) != 1 {
		t.Errorf("Commit = %v, the base has %v", err, base.data)
	}
}

// TestReadsOfTheBaseFail: the caller learns it, and nothing else is lost.
func TestReadsOfTheBaseFail(t *testing.T) {
	base := &mapBase{data: map[string]string{"a": "1"}}
	e := optimistic.Over(base, 7, optimistic.Options{})
	base.wrong = errors.New("unreadable sector")
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	if _, err := tx.Get([]byte("a")); !errors.Is(err, base.wrong) {
		t.Errorf("Get = %v", err)
	}
	if _, _, err := tx.GetRange([]byte("a"), []byte("b"), store.RangeOptions{}); !errors.Is(err, base.wrong) {
		t.Errorf("GetRange = %v", err)
	}
	w, err := tx.Watch([]byte("a"))
	if !errors.Is(err, base.wrong) || w != nil {
		t.Errorf("Watch = %v, %v", w, err)
	}
	tx.Set([]byte("a"), nil)
	if err := tx.Commit(); !errors.Is(err, base.wrong) || errors.Is(err, store.ErrCommitUnknown) {
		t.Errorf("Commit = %v", err)
	}
	base.wrong = nil
	if got := read(t, e, "a"); got != "1" || e.Stats().Version != 7 {
		t.Errorf("a is %q at version %d, want 1 at 7", got, e.Stats().Version)
	}
	checked(t, e)
}

// TestMapHoldsTheWindowOnly writes more than the window and looks at what is
// kept in memory.
func TestMapHoldsTheWindowOnly(t *testing.T) {
	var base mapBase
	e := optimistic.Over(&base, 0, optimistic.Options{Window: 10})
	for i := range 500 {
		b := start(context.Background(), t, e, set(fmt.Sprint(i%100), fmt.Sprint(i)))
		flushAll(t, e)
		if err := b.wait(t); err != nil {
			t.Fatal(err)
		}
		if s := e.Stats(); s.Keys > 10 || s.Revisions > 20 || s.Conflicts > 10 {
			t.Fatalf("after %d commits: %+v", i+1, s)
		}
	}
	checked(t, e)
	if got := read(t, e, "50"); got != "450" {
		t.Errorf("50 is %q, want 450", got)
	}
	if err := base.err(); err != nil {
		t.Error(err)
	}
}
