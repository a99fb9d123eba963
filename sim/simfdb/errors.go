package simfdb

import (
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Error is an error of the client or the cluster, by its number in
// FoundationDB. It is comparable: errors.Is(err, simfdb.Error{Code: 1020})
// works, and so does errors.Is with the sentinel of package store that stands
// for the number.
type Error struct {
	Code int // FoundationDB's error number
}

// The error numbers that the model produces.
const (
	CodeTransactionTooOld     = 1007
	CodeFutureVersion         = 1009
	CodeNotCommitted          = 1020
	CodeCommitUnknownResult   = 1021
	CodeTransactionCancelled  = 1025
	CodeTooManyWatches        = 1032
	CodeAccessedUnreadable    = 1036
	CodeProcessBehind         = 1037
	CodeProxyMemoryLimit      = 1042
	CodeBatchRateLimit        = 1051
	CodeOperationCancelled    = 1101
	CodeTagThrottled          = 1213
	CodeInvalidOperation      = 2000
	CodeKeyOutsideLegalRange  = 2004
	CodeInvertedRange         = 2005
	CodeReadVersionAlreadySet = 2010
	CodeVersionInvalid        = 2011
	CodeUsedDuringCommit      = 2017
	CodeInvalidMutationType   = 2018
	CodeNoCommitVersion       = 2020
	CodeTransactionReadOnly   = 2021
	CodeTransactionTooLarge   = 2101
	CodeKeyTooLarge           = 2102
	CodeValueTooLarge         = 2103
)

var errorTexts = map[int]string{
	CodeTransactionTooOld:     "Transaction is too old to perform reads or be committed",
	CodeFutureVersion:         "Request for future version",
	CodeNotCommitted:          "Transaction not committed due to conflict with another transaction",
	CodeCommitUnknownResult:   "Transaction may or may not have committed",
	CodeTransactionCancelled:  "Operation aborted because the transaction was cancelled", //nolint:misspell // FoundationDB's text
	CodeTooManyWatches:        "Too many watches currently set",
	CodeOperationCancelled:    "Asynchronous operation cancelled", //nolint:misspell // FoundationDB's text
	CodeAccessedUnreadable:    "Read or wrote an unreadable key",
	CodeProcessBehind:         "Storage process does not have recent mutations",
	CodeProxyMemoryLimit:      "CommitProxy commit memory limit exceeded",
	CodeBatchRateLimit:        "Batch GRV request rate limit exceeded",
	CodeTagThrottled:          "Transaction tag is being throttled",
	CodeInvalidOperation:      "Invalid API call",
	CodeKeyOutsideLegalRange:  "Key outside legal range",
	CodeInvertedRange:         "Range begin key larger than end key",
	CodeReadVersionAlreadySet: "Transaction already has a read version set",
	CodeVersionInvalid:        "Version not valid",
	CodeUsedDuringCommit:      "Operation issued while a commit was outstanding",
	CodeInvalidMutationType:   "Unrecognized atomic mutation type",
	CodeNoCommitVersion:       "Transaction does not have a valid commit version",
	CodeTransactionReadOnly:   "Transaction is read-only and therefore does not have a commit version",
	CodeTransactionTooLarge:   "Transaction exceeds byte limit",
	CodeKeyTooLarge:           "Key length exceeds limit",
	CodeValueTooLarge:         "Value length exceeds limit",
}

func (e Error) Error() string {
	if s, ok := errorTexts[e.Code]; ok {
		return fmt.Sprintf("fdb: %d %s", e.Code, s)
	}
	return fmt.Sprintf("fdb: %d", e.Code)
}

// Is maps the number to the sentinel errors of package store.
func (e Error) Is(target error) bool {
	if t, ok := target.(Error); ok {
		return t == e
	}
	return e.sentinel() == target
}

func (e Error) sentinel() error {
	switch e.Code {
	case CodeNotCommitted:
		return store.ErrConflict
	case CodeTransactionTooOld:
		return store.ErrTooOld
	case CodeFutureVersion, CodeProcessBehind, CodeProxyMemoryLimit, CodeBatchRateLimit, CodeTagThrottled:
		return store.ErrUnavailable
	case CodeCommitUnknownResult:
		return store.ErrCommitUnknown
	case CodeUsedDuringCommit, CodeTransactionCancelled, CodeOperationCancelled:
		return store.ErrUsed
	case CodeAccessedUnreadable:
		return store.ErrUnreadable
	case CodeTransactionTooLarge, CodeKeyTooLarge, CodeValueTooLarge, CodeTooManyWatches:
		return store.ErrTooLarge
	default:
		return store.ErrInvalid
	}
}

// Retryable reports whether the client's own retry loop would try again after
// the error, a doubtful commit included.
func (e Error) Retryable() bool {
	return e.Code == CodeCommitUnknownResult || store.Retryable(e)
}

// MaybeCommitted reports whether the transaction may have been applied.
func (e Error) MaybeCommitted() bool { return e.Code == CodeCommitUnknownResult }
