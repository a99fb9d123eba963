package fdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Error is an error of FoundationDB's client or cluster, by its number. It is
// comparable: errors.Is(err, fdb.Error{Code: 1020}) works on every error that
// came from the client.
type Error struct {
	Code int // FoundationDB's error number
}

func (e Error) Error() string {
	if m, ok := meanings[e.Code]; ok {
		return fmt.Sprintf("FoundationDB error %d (%s)", e.Code, m.name)
	}
	return fmt.Sprintf("FoundationDB error %d", e.Code)
}

// meaning is what an error number says in the terms of the port.
type meaning struct {
	name string // FoundationDB's
	// sentinel is the port's error for a call that cannot have changed anything.
	sentinel error
	// refuses: a commit that ends so has not been applied and never will be.
	refuses bool
}

// meanings has the numbers that a transaction of this package can meet. A number
// that is not here stands for no sentinel, and leaves a commit in doubt.
var meanings = map[int]meaning{
	1004: {"timed_out", store.ErrTimedOut, false},
	1007: {"transaction_too_old", store.ErrTooOld, true},
	1009: {"future_version", store.ErrUnavailable, true},
	1020: {"not_committed", store.ErrConflict, true},
	1021: {"commit_unknown_result", store.ErrCommitUnknown, false},
	1025: {"transaction_cancelled", store.ErrUsed, false}, //nolint:misspell // FoundationDB's name
	1031: {"transaction_timed_out", store.ErrTimedOut, false},
	1032: {"too_many_watches", store.ErrTooLarge, true},
	1036: {"accessed_unreadable", store.ErrUnreadable, true},
	1037: {"process_behind", store.ErrUnavailable, true},
	1038: {"database_locked", store.ErrUnavailable, true},
	1039: {"cluster_version_changed", store.ErrUnavailable, false},
	1042: {"commit_proxy_memory_limit_exceeded", store.ErrUnavailable, true},
	1051: {"batch_transaction_throttled", store.ErrUnavailable, true},
	1078: {"grv_proxy_memory_limit_exceeded", store.ErrUnavailable, true},
	1101: {"operation_cancelled", store.ErrUsed, false}, //nolint:misspell // FoundationDB's name
	1213: {"tag_throttled", store.ErrUnavailable, true},
	1223: {"proxy_tag_throttled", store.ErrUnavailable, true},
	1515: {"no_cluster_file_found", store.ErrInvalid, true},
	2000: {"client_invalid_operation", store.ErrInvalid, true},
	2004: {"key_outside_legal_range", store.ErrInvalid, true},
	2005: {"inverted_range", store.ErrInvalid, true},
	2006: {"invalid_option_value", store.ErrInvalid, true},
	2010: {"read_version_already_set", store.ErrInvalid, true},
	2011: {"version_invalid", store.ErrInvalid, true},
	// A commit ends with 2017 when the transaction is used meanwhile, and is
	// applied nevertheless.
	2017: {"used_during_commit", store.ErrUsed, false},
	2018: {"invalid_mutation_type", store.ErrInvalid, true},
	2020: {"no_commit_version", store.ErrInvalid, true},
	2021: {"transaction_read_only", store.ErrInvalid, true},
	2101: {"transaction_too_large", store.ErrTooLarge, true},
	2102: {"key_too_large", store.ErrTooLarge, true},
	2103: {"value_too_large", store.ErrTooLarge, true},
	2104: {"connection_string_invalid", store.ErrInvalid, true},
}

// callError is the port's error for a call, other than a commit on its way, that
// the client answered with err. cause is why the client's transaction had been
// canceled; nil when it had not.
func callError(doing string, err, cause error) error {
	if cause != nil {
		return fmt.Errorf("fdb: %s: %w", doing, cause)
	}
	var e Error
	if errors.As(err, &e) {
		if m, ok := meanings[e.Code]; ok {
			return fmt.Errorf("fdb: %s: %w: %w", doing, m.sentinel, err)
		}
	}
	return fmt.Errorf("fdb: %s: %w", doing, err)
}

// commitError is callError for a commit on its way.
func commitError(err, cause error) error {
	var e Error
	switch {
	case errors.As(err, &e) && meanings[e.Code].refuses:
		return callError("commit", err, nil)
	case cause != nil:
		return fmt.Errorf("fdb: commit in flight: %w: %w", store.ErrCommitUnknown, inFlight(cause))
	default:
		return fmt.Errorf("fdb: commit in flight: %w: %w", store.ErrCommitUnknown, err)
	}
}

// inFlight takes from a cause what would promise that nothing was applied.
func inFlight(cause error) error {
	var late *lateError
	switch {
	case errors.As(cause, &late):
		return late.deadline
	case errors.Is(cause, store.ErrUsed):
		return context.Canceled
	}
	return cause
}

// lateError is the end of a context at its deadline, with nothing on its way.
type lateError struct {
	deadline error // the context's
}

func (e *lateError) Error() string   { return e.deadline.Error() }
func (e *lateError) Unwrap() []error { return []error{store.ErrTimedOut, e.deadline} }

// Why a transaction takes no calls. None of them is for a commit on its way.
var (
	errDone     = fmt.Errorf("%w: the commit was called", store.ErrUsed)
	errGivenUp  = fmt.Errorf("%w: the transaction was canceled", store.ErrUsed)
	errTwoTasks = fmt.Errorf("fdb: %w: two tasks use one transaction", store.ErrInvalid)
)
