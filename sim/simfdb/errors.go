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

// The error numbers that the model knows. It produces all of them but 1079 and
// 1223, which only count in [Error.Retryable] and OnError.
const (
	CodeTimedOut                 = 1004
	CodeTransactionTooOld        = 1007
	CodeFutureVersion            = 1009
	CodeNotCommitted             = 1020
	CodeCommitUnknownResult      = 1021
	CodeTransactionCancelled     = 1025
	CodeTransactionTimedOut      = 1031
	CodeTooManyWatches           = 1032
	CodeWatchesDisabled          = 1034
	CodeAccessedUnreadable       = 1036
	CodeProcessBehind            = 1037
	CodeDatabaseLocked           = 1038
	CodeClusterVersionChanged    = 1039
	CodeProxyMemoryLimit         = 1042
	CodeBatchRateLimit           = 1051
	CodeGRVProxyMemoryLimit      = 1078
	CodeBlobGranuleFailed        = 1079
	CodeBrokenPromise            = 1100
	CodeOperationCancelled       = 1101
	CodeTagThrottled             = 1213
	CodeProxyTagThrottled        = 1223
	CodeInvalidOperation         = 2000
	CodeKeyOutsideLegalRange     = 2004
	CodeInvertedRange            = 2005
	CodeInvalidOptionValue       = 2006
	CodeReadVersionAlreadySet    = 2010
	CodeVersionInvalid           = 2011
	CodeRangeLimitsInvalid       = 2012
	CodeUsedDuringCommit         = 2017
	CodeInvalidMutationType      = 2018
	CodeNoCommitVersion          = 2020
	CodeTransactionReadOnly      = 2021
	CodeSpecifiedReadOnly        = 2023
	CodeTransactionTooLarge      = 2101
	CodeKeyTooLarge              = 2102
	CodeValueTooLarge            = 2103
	CodeTooManyTags              = 2109
	CodeSpecialKeysCrossModules  = 2112
	CodeSpecialKeysNoModule      = 2113
	CodeSpecialKeysWriteDisabled = 2114
	CodeSpecialKeysNoWriteModule = 2115
	CodeExactModeWithoutLimits   = 2210
)

// errorTexts are FoundationDB's.
var errorTexts = map[int]string{
	CodeTimedOut:                 "Operation timed out",
	CodeTransactionTooOld:        "Transaction is too old to perform reads or be committed",
	CodeFutureVersion:            "Request for future version",
	CodeNotCommitted:             "Transaction not committed due to conflict with another transaction",
	CodeCommitUnknownResult:      "Transaction may or may not have committed",
	CodeTransactionCancelled:     "Operation aborted because the transaction was cancelled", //nolint:misspell // FoundationDB's text
	CodeTransactionTimedOut:      "Operation aborted because the transaction timed out",
	CodeTooManyWatches:           "Too many watches currently set",
	CodeWatchesDisabled:          "Watches cannot be set if read your writes is disabled",
	CodeAccessedUnreadable:       "Read or wrote an unreadable key",
	CodeProcessBehind:            "Storage process does not have recent mutations",
	CodeDatabaseLocked:           "Database is locked",
	CodeClusterVersionChanged:    "The protocol version of the cluster has changed",
	CodeProxyMemoryLimit:         "CommitProxy commit memory limit exceeded",
	CodeBatchRateLimit:           "Batch GRV request rate limit exceeded",
	CodeGRVProxyMemoryLimit:      "GetReadVersion proxy memory limit exceeded",
	CodeBlobGranuleFailed:        "BlobGranule request failed",
	CodeBrokenPromise:            "Broken promise",
	CodeOperationCancelled:       "Asynchronous operation cancelled", //nolint:misspell // FoundationDB's text
	CodeTagThrottled:             "Transaction tag is being throttled",
	CodeProxyTagThrottled:        "Exceeded maximum proxy tag throttling duration",
	CodeInvalidOperation:         "Invalid API call",
	CodeKeyOutsideLegalRange:     "Key outside legal range",
	CodeInvertedRange:            "Range begin key larger than end key",
	CodeInvalidOptionValue:       "Option set with an invalid value",
	CodeReadVersionAlreadySet:    "Transaction already has a read version set",
	CodeVersionInvalid:           "Version not valid",
	CodeRangeLimitsInvalid:       "Range limits not valid",
	CodeUsedDuringCommit:         "Operation issued while a commit was outstanding",
	CodeInvalidMutationType:      "Unrecognized atomic mutation type",
	CodeNoCommitVersion:          "Transaction does not have a valid commit version",
	CodeTransactionReadOnly:      "Transaction is read-only and therefore does not have a commit version",
	CodeSpecifiedReadOnly:        "Attempted to commit a transaction specified as read-only",
	CodeTransactionTooLarge:      "Transaction exceeds byte limit",
	CodeKeyTooLarge:              "Key length exceeds limit",
	CodeValueTooLarge:            "Value length exceeds limit",
	CodeTooManyTags:              "Too many tags set on transaction",
	CodeSpecialKeysCrossModules:  "Special key space range read crosses modules. Refer to the `special_key_space_relaxed' transaction option for more details.",
	CodeSpecialKeysNoModule:      "Special key space range read does not intersect a module. Refer to the `special_key_space_relaxed' transaction option for more details.",
	CodeSpecialKeysWriteDisabled: "Special Key space is not allowed to write by default. Refer to the `special_key_space_enable_writes` transaction option for more details.",
	CodeSpecialKeysNoWriteModule: "Special key space set or clear does not intersect a module",
	CodeExactModeWithoutLimits:   "EXACT streaming mode requires limits, but none were given",
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
	case CodeTimedOut: // of a read
		return store.ErrTimedOut
	case CodeFutureVersion, CodeProcessBehind, CodeDatabaseLocked, CodeProxyMemoryLimit, CodeBatchRateLimit,
		CodeGRVProxyMemoryLimit, CodeBlobGranuleFailed, CodeTagThrottled, CodeProxyTagThrottled:
		return store.ErrUnavailable
	case CodeCommitUnknownResult, CodeClusterVersionChanged, CodeTransactionTimedOut: // a commit may have been under way
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

// Retryable reports whether FoundationDB's predicate "retryable" holds: another
// try may succeed. A doubtful commit counts.
func (e Error) Retryable() bool {
	return e.MaybeCommitted() || store.Retryable(e) && e.Code != CodeBlobGranuleFailed
}

// MaybeCommitted reports whether FoundationDB's predicate "maybe committed" holds:
// the transaction may have been applied.
func (e Error) MaybeCommitted() bool {
	return e.Code == CodeCommitUnknownResult || e.Code == CodeClusterVersionChanged
}

// RetryableNotCommitted reports whether FoundationDB's predicate of that name
// holds: nothing was applied, and another try may succeed.
func (e Error) RetryableNotCommitted() bool { return e.Retryable() && !e.MaybeCommitted() }

// retriedByOnError reports whether OnError begins a new try after the error.
func (e Error) retriedByOnError() bool {
	return e.Code == CodeCommitUnknownResult || store.Retryable(e)
}
