package fdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/sim/simfdb"
	"github.com/kelpie-registry/kelpie/store"
)

var sentinels = []error{
	store.ErrConflict, store.ErrTooOld, store.ErrUnavailable, store.ErrCommitUnknown, store.ErrTimedOut,
	store.ErrTooLarge, store.ErrInvalid, store.ErrUsed, store.ErrUnreadable, store.ErrClosed,
}

// isOnly reports whether err is that sentinel and no other; nil: none at all.
func isOnly(err, want error) bool {
	for _, s := range sentinels {
		if errors.Is(err, s) != (s == want) {
			return false
		}
	}
	return true
}

// The simulated client has its own table of the same numbers, and of some that no
// call of this package meets. It does not tell a call from a commit on its way.
func TestNumbersMeanWhatTheSimulatedClientSaysTheyDo(t *testing.T) {
	compared := 0
	for code := range 10_000 {
		simulated := simfdb.Error{Code: code}
		if simulated.Error() == fmt.Sprintf("fdb: %d", code) {
			continue // it does not know the number
		}
		if _, ok := meanings[code]; !ok {
			continue // no call of this package meets it
		}
		compared++
		err := callError("call", Error{code}, nil)
		if errors.Is(simulated, store.ErrCommitUnknown) {
			err = commitError(Error{code}, nil)
		}
		for _, s := range sentinels {
			if got, want := errors.Is(err, s), errors.Is(simulated, s); got != want {
				t.Errorf("%v is %v: %v, simulated %v", err, s, got, want)
			}
		}
		if !errors.Is(err, Error{code}) || errors.Is(err, Error{code + 1}) {
			t.Errorf("%v is not told from its neighbor", err)
		}
	}
	if want := len(meanings) - 2; compared < want { // two are about cluster files
		t.Errorf("compared %d numbers of %d", compared, want)
	}
}

// What fdb_error_predicate of a 7.3 client was seen to answer.
func TestErrorPredicates(t *testing.T) {
	for _, code := range []int{1007, 1009, 1020, 1037, 1038, 1042, 1051, 1078, 1213, 1223} {
		if err := commitError(Error{code}, nil); !store.Retryable(err) {
			t.Errorf("%v is not retryable, and nothing was applied", err)
		}
	}
	for _, code := range []int{1021, 1039} {
		if err := commitError(Error{code}, nil); !errors.Is(err, store.ErrCommitUnknown) || store.Retryable(err) {
			t.Errorf("a commit that ended with %d: %v, want %v", code, err, store.ErrCommitUnknown)
		}
	}
	if err := callError("get", Error{1039}, nil); !store.Retryable(err) {
		t.Errorf("a read that ended with 1039: %v, want a retryable error", err)
	}
}

// A commit on its way is refused by what is known to refuse it, and is in doubt
// after all else, numbers that nobody has heard of included.
func TestACommitIsInDoubtUnlessItWasRefused(t *testing.T) {
	for code := range 10_000 {
		err := commitError(Error{code}, nil)
		m := meanings[code]
		want := store.ErrCommitUnknown
		if m.refuses {
			want = m.sentinel
		}
		if !isOnly(err, want) {
			t.Fatalf("commit that ended with %d: %v, want %v only", code, err, want)
		}
	}
	for _, code := range []int{0, 1004, 1021, 1025, 1026, 1031, 1039, 1100, 1101, 2017, 2501, 4100} {
		if meanings[code].refuses {
			t.Errorf("%d is said to promise that nothing was applied", code)
		}
	}
	if err := commitError(errors.New("of the binding"), nil); !isOnly(err, store.ErrCommitUnknown) {
		t.Errorf("an error without a number: %v, want %v", err, store.ErrCommitUnknown)
	}
}

func TestACommitThatWasCanceledTellsWhy(t *testing.T) {
	deadline, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	for _, c := range []struct {
		cause error
		is    error
		isNot []error
	}{
		{context.Canceled, context.Canceled, nil},
		{ended(deadline), context.DeadlineExceeded, []error{store.ErrTimedOut}},
		{store.ErrClosed, store.ErrClosed, nil},
		{errGivenUp, store.ErrCommitUnknown, []error{store.ErrUsed}},
	} {
		for _, code := range []int{1025, 1031, 1101} {
			err := commitError(Error{code}, c.cause)
			if !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, c.is) {
				t.Errorf("%d because of %v: %v, want it to be %v and %v", code, c.cause, err, store.ErrCommitUnknown, c.is)
			}
			for _, no := range c.isNot {
				if errors.Is(err, no) {
					t.Errorf("%d because of %v: %v, which promises that nothing was applied", code, c.cause, err)
				}
			}
		}
		// The cluster's refusal came first.
		if err := commitError(Error{1020}, c.cause); !isOnly(err, store.ErrConflict) {
			t.Errorf("1020 and then a cancel: %v, want %v", err, store.ErrConflict)
		}
	}
}

func TestACallThatWasCanceledTellsWhy(t *testing.T) {
	deadline, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	err := callError("get", Error{1025}, ended(deadline))
	if !errors.Is(err, store.ErrTimedOut) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a get at its deadline: %v, want %v and %v", err, store.ErrTimedOut, context.DeadlineExceeded)
	}
	if err := callError("get", Error{1025}, context.Canceled); !errors.Is(err, context.Canceled) || !isOnly(err, nil) {
		t.Errorf("a canceled get: %v, want %v", err, context.Canceled)
	}
	if err := callError("get", Error{4100}, nil); !isOnly(err, nil) || !strings.Contains(err.Error(), "4100") {
		t.Errorf("a get with an unheard-of number: %v, want no sentinel, and the number", err)
	}
}
