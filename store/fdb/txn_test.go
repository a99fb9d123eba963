package fdb

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// calls are all that can wait for the client.
var calls = map[string]func(tx store.Txn) error{
	"get":     func(tx store.Txn) error { _, err := tx.Get([]byte("a")); return err },
	"get all": func(tx store.Txn) error { _, err := tx.GetAll([]byte("a"), []byte("b")); return err },
	"get range": func(tx store.Txn) error {
		_, _, err := tx.GetRange([]byte("a"), []byte("b"), store.RangeOptions{})
		return err
	},
	"snapshot get": func(tx store.Txn) error {
		_, err := tx.Snapshot().Get([]byte("a"))
		return err
	},
	"read version": func(tx store.Txn) error { _, err := tx.ReadVersion(); return err },
	"watch":        func(tx store.Txn) error { _, err := tx.Watch([]byte("a")); return err },
	"commit":       func(tx store.Txn) error { tx.Set([]byte("a"), []byte("1")); return tx.Commit() },
}

// reasons are the ways in which a waiting call is ended.
var reasons = map[string]struct {
	end  func(cancel context.CancelFunc, e *Engine, tx store.Txn)
	want error
}{
	"context": {func(cancel context.CancelFunc, _ *Engine, _ store.Txn) { cancel() }, context.Canceled},
	"close":   {func(_ context.CancelFunc, e *Engine, _ store.Txn) { e.Close() }, store.ErrClosed},
	"cancel":  {func(_ context.CancelFunc, _ *Engine, tx store.Txn) { tx.Cancel() }, store.ErrUsed},
}

// TestACallThatWaitsEnds has the cluster answer nothing.
func TestACallThatWaitsEnds(t *testing.T) {
	for name, call := range calls {
		for why, reason := range reasons {
			t.Run(name+"/"+why, func(t *testing.T) {
				s := newStandIn()
				e := s.engine(Options{})
				release := s.block()
				defer release()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				tx := e.Begin(ctx)
				done := make(chan error)
				go func() { done <- call(tx) }()
				s.waitHeld()
				reason.end(cancel, e, tx)
				err := <-done
				if name == "commit" {
					if !errors.Is(err, store.ErrCommitUnknown) {
						t.Fatalf("%v, want %v", err, store.ErrCommitUnknown)
					}
					return
				}
				if !errors.Is(err, reason.want) || errors.Is(err, store.ErrCommitUnknown) {
					t.Fatalf("%v, want %v", err, reason.want)
				}
			})
		}
	}
}

func TestACommitInDoubtMayBeAppliedLater(t *testing.T) {
	s := newStandIn()
	e := s.engine(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	tx := e.Begin(ctx)
	tx.Set([]byte("a"), []byte("1"))
	w, err := tx.Watch([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	release := s.block()
	done := make(chan error)
	go func() { done <- tx.Commit() }()
	s.waitHeld()
	cancel()
	if err := <-done; !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want %v and %v", err, store.ErrCommitUnknown, context.Canceled)
	}
	if v := tx.Committed(); v != 0 {
		t.Errorf("committed version %d of a commit in doubt", v)
	}
	if err := w.Wait(t.Context()); !errors.Is(err, store.ErrCommitUnknown) {
		t.Errorf("the watch of a commit in doubt: %v, want %v", err, store.ErrCommitUnknown)
	}
	release()
	for has(t, e, "a") == nil {
		time.Sleep(time.Microsecond)
	}
}

// has returns the value of key.
func has(t *testing.T, e *Engine, key string) []byte {
	t.Helper()
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	v, err := tx.Get([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAReadOnlyCommitIsNeverInDoubt(t *testing.T) {
	s := newStandIn()
	e := s.engine(Options{})
	tx := e.Begin(t.Context())
	if _, err := tx.Get([]byte("a")); err != nil {
		t.Fatal(err)
	}
	release := s.block()
	defer release()
	if err := tx.Commit(); err != nil || tx.Committed() != 0 {
		t.Errorf("%v at version %d, want none at 0 although the cluster does not answer", err, tx.Committed())
	}
}

func TestNumbersReachTheCaller(t *testing.T) {
	for _, c := range []struct {
		call string
		code int
		do   func(tx store.Txn) error
		want error
	}{
		{"get", 1007, calls["get"], store.ErrTooOld},
		{"get", 1037, calls["get all"], store.ErrUnavailable},
		{"get", 1031, calls["snapshot get"], store.ErrTimedOut},
		{"getRange", 1009, calls["get range"], store.ErrUnavailable},
		{"readVersion", 1051, calls["read version"], store.ErrUnavailable},
		{"begin", 2006, calls["get"], store.ErrInvalid},
		{"commit", 1020, calls["commit"], store.ErrConflict},
		{"commit", 1021, calls["commit"], store.ErrCommitUnknown},
		{"commit", 1031, calls["commit"], store.ErrCommitUnknown},
		{"commit", 2102, calls["commit"], store.ErrTooLarge},
		{"commit", 1213, calls["commit"], store.ErrUnavailable},
	} {
		s := newStandIn()
		s.failNext(c.call, c.code)
		tx := s.engine(Options{}).Begin(t.Context())
		err := c.do(tx)
		if !isOnly(err, c.want) || !errors.Is(err, Error{c.code}) {
			t.Errorf("%s that ends with %d: %v, want %v", c.call, c.code, err, c.want)
		}
		tx.Cancel()
	}
}

// A commit that succeeded is not refused by what comes behind it.
func TestACommitWhoseVersionIsNotToldIsInDoubt(t *testing.T) {
	for _, code := range []int{1020, 1025, 2000, 2021} {
		s := newStandIn()
		e := s.engine(Options{})
		s.failNext("committedVersion", code)
		tx := e.Begin(t.Context())
		if err := calls["commit"](tx); !isOnly(err, store.ErrCommitUnknown) || !errors.Is(err, Error{code}) {
			t.Errorf("%d: %v, want %v", code, err, store.ErrCommitUnknown)
		}
		if v := has(t, e, "a"); string(v) != "1" {
			t.Errorf("%d: a is %q after the commit", code, v)
		}
	}
}

func TestTwoTasksOnOneTransactionAreRefused(t *testing.T) {
	s := newStandIn()
	e := s.engine(Options{})
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	release := s.block()
	done := make(chan error)
	go func() { done <- calls["get"](tx) }()
	s.waitHeld()
	tx.Set([]byte("b"), nil)
	for name, call := range calls {
		if err := call(tx); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("%s beside a get: %v, want %v", name, err, store.ErrInvalid)
		}
	}
	release()
	if err := <-done; err != nil {
		t.Errorf("the get: %v", err)
	}
	if err := tx.Commit(); !errors.Is(err, store.ErrInvalid) {
		t.Errorf("the commit: %v, want %v", err, store.ErrInvalid)
	}
	if v := has(t, e, "b"); v != nil {
		t.Errorf("b is %q after a refused commit", v)
	}
}

func TestOptionsReachTheClient(t *testing.T) {
	s := newStandIn()
	o := Options{Timeout: time.Minute, SizeLimit: 1000, AutomaticIdempotency: true}
	e := s.engine(o)
	e.Begin(t.Context()).Cancel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	e.Begin(ctx).Cancel()
	ctx, cancel = context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	e.Begin(ctx).Cancel()
	if s.options[0] != (transactionOptions{time.Minute, 1000, true}) || s.options[2].timeout != time.Minute {
		t.Errorf("the client got %+v, want the options %+v", s.options, o)
	}
	// Behind the deadline, so that it is the context that ends the transaction.
	if got := s.options[1].timeout; got <= 10*time.Second || got > 10*time.Second+timeoutSlack {
		t.Errorf("with 10 s left, the client's timeout is %v, want between 10 s and %v more", got, timeoutSlack)
	}
	s = newStandIn()
	s.engine(Options{}).Begin(t.Context()).Cancel()
	if s.options[0] != (transactionOptions{}) {
		t.Errorf("the client got %+v, want no options", s.options[0])
	}
}

func TestTheClientsTimeoutEndsATransaction(t *testing.T) {
	s := newStandIn()
	e := s.engine(Options{Timeout: time.Millisecond})
	defer s.block()()
	tx := e.Begin(t.Context())
	if err := calls["get"](tx); !isOnly(err, store.ErrTimedOut) {
		t.Errorf("get: %v, want %v", err, store.ErrTimedOut)
	}
	tx.Cancel()
	tx = e.Begin(t.Context())
	if err := calls["commit"](tx); !isOnly(err, store.ErrCommitUnknown) {
		t.Errorf("commit: %v, want %v", err, store.ErrCommitUnknown)
	}
}
