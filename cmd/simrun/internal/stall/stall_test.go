package stall_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/stall"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// conforms holds a memory engine behind a stall to the suite of the port.
func conforms(t *testing.T, kind stall.Kind, size time.Duration, histories int) {
	t.Helper()
	storetest.Run(t, storetest.Harness{
		New: func(_ testing.TB, seed uint64) storetest.World {
			inner := memory.New(memory.Options{})
			e := stall.New(inner, clock.System(), seed)
			e.Stall(kind, size)
			return storetest.Goroutines(e, inner.Check)
		},
		Lacks:     []storetest.Feature{storetest.Window, storetest.Limits},
		Histories: histories,
	})
}

func TestWithoutAStallTheEngineConforms(t *testing.T) { conforms(t, stall.None, 0, 10) }

func TestADelayedEngineConforms(t *testing.T) {
	conforms(t, stall.Delay, 20*time.Microsecond, 5)
}

// engine returns a stalled memory engine and the one inside.
func engine(t *testing.T, kind stall.Kind) (*stall.Engine, store.Engine) {
	t.Helper()
	inner := memory.New(memory.Options{})
	e := stall.New(inner, clock.System(), 1)
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	e.Stall(kind, time.Microsecond)
	return e, inner
}

// set writes key in one transaction.
func set(ctx context.Context, e store.Engine, key string) error {
	tx := e.Begin(ctx)
	defer tx.Cancel()
	tx.Set([]byte(key), []byte("v"))
	return tx.Commit()
}

// has reports whether key is there.
func has(t *testing.T, e store.Engine, key string) bool {
	t.Helper()
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	v, err := tx.Get([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return v != nil
}

func TestRefusedCallsDoNothing(t *testing.T) {
	e, inner := engine(t, stall.Refuse)
	if err := set(t.Context(), e, "a"); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("error %v, want %v", err, store.ErrUnavailable)
	}
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	if _, err := tx.Get([]byte("a")); !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("error of a read %v, want %v", err, store.ErrUnavailable)
	}
	if has(t, inner, "a") {
		t.Error("a refused commit was applied")
	}
}

func TestFrozenCallsEndWithTheirContextOrTheStall(t *testing.T) {
	e, inner := engine(t, stall.Freeze)
	var known, unknown int
	for i := range 64 {
		key := fmt.Sprint(i)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		err := set(ctx, e, key)
		cancel()
		switch {
		case errors.Is(err, store.ErrCommitUnknown):
			unknown++
			if !has(t, inner, key) {
				t.Errorf("key %s: the answer was held back, and the commit with it", key)
			}
		case errors.Is(err, context.DeadlineExceeded):
			known++
			if has(t, inner, key) {
				t.Errorf("key %s: applied, although %v promises that it was not", key, err)
			}
		default:
			t.Fatalf("key %s: error %v, want an unknown commit or a deadline", key, err)
		}
	}
	if known == 0 || unknown == 0 {
		t.Errorf("frozen before the commit %d times and after it %d times, want some of both", known, unknown)
	}
	done := make(chan error)
	go func() { done <- set(t.Context(), e, "late") }()
	e.Stall(stall.None, 0)
	if err := <-done; err != nil {
		t.Errorf("a call that was frozen goes on with %v once the stall is over", err)
	}
}

func TestUnsureCommitsGoEitherWay(t *testing.T) {
	e, inner := engine(t, stall.Unsure)
	var sure, unsure, there int
	for i := range 200 {
		err := set(t.Context(), e, fmt.Sprint(i))
		switch {
		case err == nil:
			sure++
		case errors.Is(err, store.ErrCommitUnknown):
			unsure++
		default:
			t.Fatal(err)
		}
	}
	e.Drain()
	for i := range 200 {
		if has(t, inner, fmt.Sprint(i)) {
			there++
		}
	}
	s := e.Stats()
	if s.HiddenApplied == 0 || s.Dropped == 0 || s.LateSent == 0 {
		t.Errorf("fates %+v, want some of each", s)
	}
	if want := sure + int(s.HiddenApplied+s.LateSent); there != want {
		t.Errorf("%d keys are there, want %d: %d sure and %+v", there, want, sure, s)
	}
	if uint64(unsure) != s.HiddenApplied+s.Dropped+s.LateSent {
		t.Errorf("%d commits ended unknown, the engine counts %+v", unsure, s)
	}
}

func TestALateCommitOutlivesItsContext(t *testing.T) {
	e, inner := engine(t, stall.Unsure)
	for i := 0; ; i++ {
		key := fmt.Sprint(i)
		ctx, cancel := context.WithCancel(t.Context())
		before := e.Stats().LateSent
		_ = set(ctx, e, key) // any end will do
		cancel()
		if e.Stats().LateSent > before {
			e.Drain()
			if !has(t, inner, key) {
				t.Error("a late commit was lost with its caller's context")
			}
			return
		}
	}
}

func TestReadsAreNeverUnsure(t *testing.T) {
	e, _ := engine(t, stall.Unsure)
	for range 100 {
		tx := e.Begin(t.Context())
		if _, err := tx.Get([]byte("a")); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatalf("a transaction that wrote nothing ended with %v", err)
		}
	}
}
