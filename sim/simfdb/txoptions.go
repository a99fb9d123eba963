package simfdb

import (
	"math"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// lifeOptions are the options that end with the life of a transaction.
type lifeOptions struct {
	unreadWrites     bool  // read_your_writes_disable
	snapshotHides    int   // snapshot_ryw_disable calls less those of snapshot_ryw_enable
	bypassUnreadable bool  // bypass_unreadable
	unprotected      bool  // used_during_commit_protection_disable
	readSystem       bool  // read_system_keys
	writeSystem      bool  // access_system_keys
	specialWrites    bool  // special_key_space_enable_writes
	lockAware        bool  // lock_aware or read_lock_aware
	readOnly         bool  // read_lock_aware
	reportConflicts  bool  // report_conflicting_keys
	idempotent       bool  // automatic_idempotency
	sizeLimit        int64 // bytes; 0: store.MaxTxnBytes
	priority         priority
	tags             []string
}

// keptOptions are the options that OnError keeps, and Reset does not.
type keptOptions struct {
	timeout       time.Duration // 0: none
	retryLimit    int64         // -1: none
	maxRetryDelay time.Duration
}

// priority orders requests for a read version when the cluster is busy.
type priority uint8

const (
	priorityDefault priority = iota
	priorityBatch
	prioritySystemImmediate
)

// Limits of the options.
const (
	minSizeLimit = 32 // bytes
	maxTags      = 5  // of a transaction
)

// TransactionOptions sets the options of a transaction. Its methods return nil:
// an option that is out of range makes the transaction's next call fail, most
// with error 2006.
type TransactionOptions struct{ t *Transaction }

// Options returns the means to set the transaction's options.
func (t *Transaction) Options() TransactionOptions { return TransactionOptions{t} }

// set calls f unless the transaction has failed, and notes the error number that
// f returns, if it is not 0.
func (o TransactionOptions) set(f func(l *life) int) error {
	l := o.t.life
	if l.deferred == nil {
		if code := f(l); code != 0 {
			l.refuse(code)
		}
	}
	return nil
}

// within returns error 2006 if v is out of range.
func within(v, least, most int64) int {
	if v < least || v > most {
		return CodeInvalidOptionValue
	}
	return 0
}

// SetTimeout makes all calls fail with error 1031 once so many milliseconds have
// passed since the transaction was made or Reset; 0 for never.
func (o TransactionOptions) SetTimeout(ms int64) error {
	return o.set(func(*life) int {
		if code := within(ms, 0, math.MaxInt32); code != 0 {
			return code
		}
		o.t.kept.timeout = time.Duration(ms) * time.Millisecond
		o.t.startTimer()
		return 0
	})
}

// SetRetryLimit bounds how often OnError may be called before it returns its
// argument; -1 for no bound.
func (o TransactionOptions) SetRetryLimit(n int64) error {
	return o.set(func(*life) int {
		if code := within(n, -1, math.MaxInt32); code != 0 {
			return code
		}
		o.t.kept.retryLimit = n
		return 0
	})
}

// SetMaxRetryDelay bounds the delay of OnError, in milliseconds. Default: 1,000.
func (o TransactionOptions) SetMaxRetryDelay(ms int64) error {
	return o.set(func(*life) int {
		if code := within(ms, 0, math.MaxInt32); code != 0 {
			return code
		}
		o.t.kept.maxRetryDelay = time.Duration(ms) * time.Millisecond
		o.t.backoff = min(o.t.backoff, o.t.kept.maxRetryDelay)
		return 0
	})
}

// SetSizeLimit bounds the transaction's size in bytes: 32 to 10,000,000.
func (o TransactionOptions) SetSizeLimit(n int64) error {
	return o.set(func(l *life) int {
		if code := within(n, minSizeLimit, store.MaxTxnBytes); code != 0 {
			return code
		}
		l.options.sizeLimit = n
		return 0
	})
}

// SetReadYourWritesDisable makes reads see only what is stored. It fails the
// transaction with error 2000 when it has read or written already.
func (o TransactionOptions) SetReadYourWritesDisable() error {
	return o.set(func(l *life) int {
		if l.reading > 0 || len(l.cache.known) > 0 || !l.writes.empty() {
			return CodeInvalidOperation
		}
		l.options.unreadWrites = true
		return 0
	})
}

// SetSnapshotRywDisable makes snapshot reads not see the transaction's writes.
func (o TransactionOptions) SetSnapshotRywDisable() error {
	return o.set(func(l *life) int { l.options.snapshotHides++; return 0 })
}

// SetSnapshotRywEnable takes one SetSnapshotRywDisable back.
func (o TransactionOptions) SetSnapshotRywEnable() error {
	return o.set(func(l *life) int { l.options.snapshotHides--; return 0 })
}

// SetNextWriteNoWriteConflictRange makes the next write add no write conflict
// range.
func (o TransactionOptions) SetNextWriteNoWriteConflictRange() error {
	return o.set(func(l *life) int { l.hidden = true; return 0 })
}

// SetBypassUnreadable makes reads of versionstamped values return them as they
// were given, with the four bytes of the offset, instead of error 1036.
func (o TransactionOptions) SetBypassUnreadable() error {
	return o.set(func(l *life) int { l.options.bypassUnreadable = true; return 0 })
}

// SetUsedDuringCommitProtectionDisable keeps calls that are made during a commit
// from failing the commit as well.
func (o TransactionOptions) SetUsedDuringCommitProtectionDisable() error {
	return o.set(func(l *life) int { l.options.unprotected = true; return 0 })
}

// SetReadSystemKeys lets the transaction read the keys from "\xff" to "\xff\xff".
func (o TransactionOptions) SetReadSystemKeys() error {
	return o.set(func(l *life) int { l.options.readSystem = true; return 0 })
}

// SetAccessSystemKeys lets the transaction read and write the keys from "\xff"
// to "\xff\xff".
func (o TransactionOptions) SetAccessSystemKeys() error {
	return o.set(func(l *life) int {
		l.options.readSystem, l.options.writeSystem = true, true
		return 0
	})
}

// SetSpecialKeySpaceEnableWrites lets the transaction write the keys that change
// the cluster: of them, "\xff\xff/management/db_locked".
func (o TransactionOptions) SetSpecialKeySpaceEnableWrites() error {
	return o.set(func(l *life) int { l.options.specialWrites = true; return 0 })
}

// SetLockAware lets the transaction use a locked database.
func (o TransactionOptions) SetLockAware() error {
	return o.set(func(l *life) int {
		l.options.lockAware, l.options.readOnly = true, false
		return 0
	})
}

// SetReadLockAware lets the transaction read a locked database. A commit that
// writes fails with error 2023.
func (o TransactionOptions) SetReadLockAware() error {
	return o.set(func(l *life) int {
		if !l.options.lockAware {
			l.options.lockAware, l.options.readOnly = true, true
		}
		return 0
	})
}

// SetReportConflictingKeys makes a commit that fails with error 1020 tell which
// reads conflicted, under "\xff\xff/transaction/conflicting_keys/".
func (o TransactionOptions) SetReportConflictingKeys() error {
	return o.set(func(l *life) int { l.options.reportConflicts = true; return 0 })
}

// SetAutomaticIdempotency lets the client find out whether a commit was applied
// whose connection was lost: it succeeds, or fails with error 1007, and never
// with 1021.
func (o TransactionOptions) SetAutomaticIdempotency() error {
	return o.set(func(l *life) int { l.options.idempotent = true; return 0 })
}

// SetPriorityBatch makes the transaction wait behind others: a busy cluster
// refuses it a read version with error 1051.
func (o TransactionOptions) SetPriorityBatch() error {
	return o.set(func(l *life) int { l.options.priority = priorityBatch; return 0 })
}

// SetPrioritySystemImmediate makes the transaction wait for nobody.
func (o TransactionOptions) SetPrioritySystemImmediate() error {
	return o.set(func(l *life) int { l.options.priority = prioritySystemImmediate; return 0 })
}

// SetCausalReadRisky allows a read version that may be stale while a recovery is
// under way. There is no such version with one proxy: the option changes nothing.
func (o TransactionOptions) SetCausalReadRisky() error {
	return o.set(func(*life) int { return 0 })
}

// SetTag adds a tag by which the cluster may throttle the transaction. More than
// five fail it with error 2109.
func (o TransactionOptions) SetTag(tag string) error {
	return o.set(func(l *life) int {
		switch {
		case slices.Contains(l.options.tags, tag):
		case len(l.options.tags) == maxTags:
			return CodeTooManyTags
		default:
			l.options.tags = append(slices.Clip(l.options.tags), tag)
		}
		return 0
	})
}
