package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

var sentinels = map[string]error{
	"conflict":       store.ErrConflict,
	"too old":        store.ErrTooOld,
	"unavailable":    store.ErrUnavailable,
	"commit unknown": store.ErrCommitUnknown,
	"timed out":      store.ErrTimedOut,
	"too large":      store.ErrTooLarge,
	"invalid":        store.ErrInvalid,
	"used":           store.ErrUsed,
	"unreadable":     store.ErrUnreadable,
	"closed":         store.ErrClosed,
	"someone else's": errors.New("something else"),
}

func retryable(name string) bool {
	return name == "conflict" || name == "too old" || name == "unavailable"
}

func TestOnlyRetryableErrorsAreRetried(t *testing.T) {
	for name, sentinel := range sentinels {
		wrapped := fmt.Errorf("engine: %w", sentinel)
		for where, failure := range map[string]outcome{
			"read":   {get: wrapped},
			"commit": {commit: wrapped},
		} {
			t.Run(name+" from "+where, func(t *testing.T) {
				e := &fakeEngine{outcomes: []outcome{failure, failure, {version: 9}}}
				db, c := open(t, e, store.Options{})
				v, err := db.Transact(context.Background(), readOnce)
				if retryable(name) {
					if err != nil || v != 9 || len(e.attempts) != 3 || len(c.slept) != 2 {
						t.Errorf("Transact = %d, %v after %d attempts and %d pauses, want 9 after 3 and 2", v, err, len(e.attempts), len(c.slept))
					}
				} else if !errors.Is(err, sentinel) || v != 0 || len(e.attempts) != 1 || len(c.slept) != 0 {
					t.Errorf("Transact = %d, %v after %d attempts and %d pauses, want the error at once", v, err, len(e.attempts), len(c.slept))
				}
				for i, tx := range e.attempts {
					if tx.cancels != 1 {
						t.Errorf("attempt %d was cancelled %d times, want once", i, tx.cancels)
					}
				}
			})
		}
	}
}

// TestCommitUnknownIsNeverRetried looks at the one error that must not be
// retried whatever it comes with.
func TestCommitUnknownIsNeverRetried(t *testing.T) {
	for _, err := range []error{
		store.ErrCommitUnknown,
		fmt.Errorf("engine: %w", store.ErrCommitUnknown),
		fmt.Errorf("%w: %w", store.ErrCommitUnknown, store.ErrUnavailable),
		errors.Join(store.ErrConflict, store.ErrCommitUnknown),
		fmt.Errorf("%w: %w", store.ErrCommitUnknown, context.DeadlineExceeded),
	} {
		e := &fakeEngine{outcomes: []outcome{{commit: err}, {version: 9}}}
		db, _ := open(t, e, store.Options{})
		_, got := db.Transact(context.Background(), readOnce)
		if !errors.Is(got, store.ErrCommitUnknown) || len(e.attempts) != 1 {
			t.Errorf("%v: Transact = %v after %d attempts, want the same after one", err, got, len(e.attempts))
		}
		if store.Retryable(err) {
			t.Errorf("%v is retryable", err)
		}
	}
}

func TestCommitUnknownOfATimedOutAttempt(t *testing.T) {
	var c *manualClock
	e := &fakeEngine{outcomes: []outcome{{
		commit: fmt.Errorf("%w: %w", store.ErrCommitUnknown, context.DeadlineExceeded),
		during: func(context.Context) error { c.pass(time.Hour); return nil },
	}, {version: 9}}}
	db, c2 := open(t, e, store.Options{})
	c = c2
	if _, err := db.Transact(context.Background(), readOnce); !errors.Is(err, store.ErrCommitUnknown) || len(e.attempts) != 1 {
		t.Errorf("Transact = %v after %d attempts, want %v after one", err, len(e.attempts), store.ErrCommitUnknown)
	}
}

func TestRetryable(t *testing.T) {
	for name, err := range sentinels {
		if got := store.Retryable(fmt.Errorf("wrapped: %w", err)); got != retryable(name) {
			t.Errorf("Retryable(%s) = %v", name, got)
		}
	}
	if store.Retryable(nil) {
		t.Error("Retryable(nil)")
	}
}

func TestErrorOfTheBodyEndsTheTransaction(t *testing.T) {
	e := &fakeEngine{outcomes: []outcome{{}}}
	db, _ := open(t, e, store.Options{})
	mine := errors.New("mine")
	if _, err := db.Transact(context.Background(), func(store.Tx) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("Transact = %v, want %v", err, mine)
	}
	if tx := e.attempts[0]; len(e.attempts) != 1 || tx.commits != 0 || tx.cancels != 1 {
		t.Errorf("%d attempts, %d commits, %d cancels, want 1, 0, 1", len(e.attempts), tx.commits, tx.cancels)
	}
}

func TestPanicOfTheBodyCancels(t *testing.T) {
	e := &fakeEngine{outcomes: []outcome{{}}}
	db, _ := open(t, e, store.Options{})
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_, _ = db.Transact(context.Background(), func(store.Tx) error { panic("mine") })
	}()
	if tx := e.attempts[0]; tx.commits != 0 || tx.cancels != 1 {
		t.Errorf("%d commits, %d cancels, want 0, 1", tx.commits, tx.cancels)
	}
}

func TestEndedContextMakesNoAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	e := &fakeEngine{outcomes: []outcome{{}}}
	db, _ := open(t, e, store.Options{})
	if _, err := db.Transact(ctx, readOnce); !errors.Is(err, context.Canceled) {
		t.Errorf("Transact = %v, want %v", err, context.Canceled)
	}
	if err := db.Read(ctx, func(store.Reader) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Read = %v, want %v", err, context.Canceled)
	}
	if len(e.attempts) != 0 {
		t.Errorf("%d attempts, want none", len(e.attempts))
	}
}

// TestContextEndsDuringAnAttempt: the error is the context's, and final.
func TestContextEndsDuringAnAttempt(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &fakeEngine{outcomes: []outcome{{during: func(actx context.Context) error {
		cancel()
		return fmt.Errorf("engine: %w", actx.Err())
	}}}}
	db, c := open(t, e, store.Options{})
	_, err := db.Transact(ctx, readOnce)
	if !errors.Is(err, context.Canceled) || len(e.attempts) != 1 || len(c.slept) != 0 {
		t.Errorf("Transact = %v after %d attempts and %d pauses, want %v after one", err, len(e.attempts), len(c.slept), context.Canceled)
	}
}

// TestContextEndsDuringAPause: both the context's error and the one that made
// the pause necessary can be seen.
func TestContextEndsDuringAPause(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	e := &fakeEngine{outcomes: []outcome{{commit: store.ErrConflict}}}
	db, c := open(t, e, store.Options{})
	c.onSleep = func() {
		if len(c.slept) == 3 {
			cancel()
		}
	}
	_, err := db.Transact(ctx, readOnce)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, store.ErrConflict) || len(e.attempts) != 3 {
		t.Errorf("Transact = %v after %d attempts, want both errors after 3", err, len(e.attempts))
	}
}

// TestAttemptsAreTimed lets attempts run into their own deadline: each is
// retried with a fresh one, while the caller's context lasts.
func TestAttemptsAreTimed(t *testing.T) {
	const timeout = 3 * time.Second
	var c *manualClock
	stuck := outcome{during: func(actx context.Context) error {
		if actx.Err() != nil {
			return errors.New("an attempt began with an ended context")
		}
		c.pass(timeout - 1)
		if actx.Err() != nil {
			return errors.New("an attempt's context ended too early")
		}
		c.pass(1)
		return fmt.Errorf("engine: %w", actx.Err())
	}}
	e := &fakeEngine{outcomes: []outcome{stuck, stuck, {version: 9}}}
	db, c2 := open(t, e, store.Options{AttemptTimeout: timeout})
	c = c2
	if v, err := db.Transact(context.Background(), readOnce); err != nil || v != 9 || len(e.attempts) != 3 {
		t.Errorf("Transact = %d, %v after %d attempts, want 9 after 3", v, err, len(e.attempts))
	}

	e = &fakeEngine{outcomes: []outcome{stuck}}
	db, c = open(t, e, store.Options{AttemptTimeout: timeout, MaxAttempts: 2})
	_, err := db.Transact(context.Background(), readOnce)
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Transact = %v, want %v and %v", err, store.ErrUnavailable, context.DeadlineExceeded)
	}

	// The caller's own deadline is final.
	e = &fakeEngine{outcomes: []outcome{stuck}}
	db, c = open(t, e, store.Options{AttemptTimeout: timeout})
	ctx, cancel := c.WithTimeout(context.Background(), timeout)
	defer cancel()
	_, err = db.Transact(ctx, readOnce)
	if !errors.Is(err, context.DeadlineExceeded) || store.Retryable(err) || len(e.attempts) != 1 {
		t.Errorf("Transact = %v after %d attempts, want the caller's deadline after one", err, len(e.attempts))
	}
}

func TestDefaultAttemptTimeout(t *testing.T) {
	var c *manualClock
	e := &fakeEngine{outcomes: []outcome{{during: func(actx context.Context) error {
		c.pass(store.AttemptTimeout - 1)
		if actx.Err() != nil {
			return errors.New("too early")
		}
		c.pass(1)
		if actx.Err() == nil {
			return errors.New("too late")
		}
		return nil
	}}}}
	db, c2 := open(t, e, store.Options{})
	c = c2
	if _, err := db.Transact(context.Background(), readOnce); err != nil {
		t.Error(err)
	}
}

func TestMaxAttempts(t *testing.T) {
	for _, n := range []int{1, 2, 7} {
		e := &fakeEngine{outcomes: []outcome{{commit: store.ErrConflict}}}
		db, c := open(t, e, store.Options{MaxAttempts: n})
		_, err := db.Transact(context.Background(), readOnce)
		if !errors.Is(err, store.ErrConflict) || len(e.attempts) != n || len(c.slept) != n-1 {
			t.Errorf("limit %d: %v after %d attempts and %d pauses", n, err, len(e.attempts), len(c.slept))
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("%d attempts", n)) {
			t.Errorf("limit %d: the error does not say so: %v", n, err)
		}
	}
}

// TestPausesGrow looks at the bounds of the pauses, which are random.
func TestPausesGrow(t *testing.T) {
	backoff := clock.Backoff{Initial: 10 * time.Millisecond, Max: 200 * time.Millisecond}
	e := &fakeEngine{outcomes: []outcome{{commit: store.ErrConflict}}}
	db, c := open(t, e, store.Options{Backoff: backoff, MaxAttempts: 300})
	_, _ = db.Transact(context.Background(), readOnce)
	var longest time.Duration
	for i, d := range c.slept {
		if d < 0 || d > backoff.Bound(i) {
			t.Errorf("pause %d is %v, above its bound %v", i, d, backoff.Bound(i))
		}
		longest = max(longest, d)
	}
	if len(c.slept) != 299 || longest < backoff.Max/2 {
		t.Errorf("%d pauses, the longest of %v: they do not grow towards %v", len(c.slept), longest, backoff.Max)
	}
}

func TestReadRetriesAndReturnsTheBodysError(t *testing.T) {
	e := &fakeEngine{outcomes: []outcome{{get: store.ErrTooOld}, {}}}
	db, _ := open(t, e, store.Options{})
	var got []byte
	err := db.Read(context.Background(), func(r store.Reader) (err error) {
		got, err = r.Get([]byte("key"))
		return err
	})
	if err != nil || string(got) != "value" || len(e.attempts) != 2 {
		t.Errorf("Read = %q, %v after %d attempts, want a value after 2", got, err, len(e.attempts))
	}
	mine := errors.New("mine")
	if err := db.Read(context.Background(), func(store.Reader) error { return mine }); !errors.Is(err, mine) {
		t.Errorf("Read = %v, want %v", err, mine)
	}
}

func TestOpenRejectsBadOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    store.Options
		want string // "": accepted
	}{
		{"zero", store.Options{}, ""},
		{"all set", store.Options{Backoff: clock.Backoff{Initial: 1, Max: 1}, AttemptTimeout: 1, MaxAttempts: 1}, ""},
		{"backoff without a maximum", store.Options{Backoff: clock.Backoff{Initial: 1}}, "Backoff.Max"},
		{"backoff without a beginning", store.Options{Backoff: clock.Backoff{Max: 1}}, "Backoff.Initial"},
		{"negative backoff", store.Options{Backoff: clock.Backoff{Initial: -1, Max: 1}}, "Backoff.Initial"},
		{"negative timeout", store.Options{AttemptTimeout: -1}, "AttemptTimeout"},
		{"negative attempts", store.Options{MaxAttempts: -1}, "MaxAttempts"},
	} {
		db, err := store.Open(&fakeEngine{}, &manualClock{}, rand.New(rand.NewPCG(1, 2)), tc.o)
		if (err == nil) != (tc.want == "") || (db == nil) != (err != nil) {
			t.Errorf("%s: Open = %v, %v", tc.name, db, err)
		} else if err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v does not name %s", tc.name, err, tc.want)
		}
	}
}
