package simfdb

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// Transaction is a transaction of the client library, in the vocabulary of the
// official Go binding: reads and commits return futures, and an error of a
// mutation or an option fails the next call that has an error to return.
//
// A Transaction has one life after the other: OnError and Reset end the present
// one and begin the next. It must be used from tasks of its client's process.
type Transaction struct {
	*life
	first life

	created   time.Duration // on the process's clock: when it was made or last Reset
	retries   int64         // calls of OnError since then
	backoff   time.Duration // that the next delay of OnError is drawn below
	committed Version       // invalidVersion: none yet
	kept      keptOptions
}

// life is what a transaction forgets at OnError and Reset. Calls that are under
// way when its life ends still work on it.
//
// Reads see the life's writes (writeMap) and are not repeated for what has been
// read before (readCache).
type life struct {
	client  *Client
	ctx     context.Context // that ends every call
	inline  bool            // calls wait for their ends, that of the commit included
	options lifeOptions

	deferred error // of a mutation or option: fails all later calls
	over     error // why calls fail: canceled, timed out, or used while committing
	started  bool  // Commit has been called
	done     bool  // Commit has succeeded
	detached bool  // the commit goes on when the life ends
	failed   error // the first failure of a read: fails the commit

	readVersion  Version     // invalidVersion: not known yet
	base         Version     // the last commit at or before readVersion
	versionError error       // why readVersion never will be known
	asking       bool        // a request for it is under way
	asked        clock.Event // set when that ends; nil: nobody waits
	cache        readCache
	writes       writeMap
	direct       []mutation // the writes in their order, when they cannot be read
	reads        rangeSet   // read conflict ranges
	written      rangeSet   // write conflict ranges, those of versionstamped keys excepted
	hidden       bool       // the next write adds no write conflict range
	lock         lockChange // of the database
	approximate  int        // size in bytes, each call counted for itself

	watches []*Watch
	pending []pending   // futures that are not ready
	reading int         // of them, the reads
	idle    clock.Event // set when reading becomes 0; nil: nobody waits
	timer   clock.Timer // of the timeout; nil: none

	grv         grvRequest
	request     commitRequest
	committed   Version
	order       uint16
	conflicting []KeyRange // read conflict ranges that made the commit fail, if asked for

	// Room for what most transactions need.
	roomForReads   [4]KeyRange
	roomForWrites  [2]KeyRange
	roomForEntries [2]writeEntry
}

// CreateTransaction starts a transaction.
func (cl *Client) CreateTransaction() *Transaction {
	t := &Transaction{created: cl.h.Monotonic()} // the timeout may be set later
	t.begin(cl.h.Context(), cl)
	return t
}

// begin makes the zero Transaction one whose calls end when ctx does.
func (t *Transaction) begin(ctx context.Context, cl *Client) {
	t.backoff, t.kept, t.committed = firstBackoff, cl.defaults.kept, invalidVersion
	t.first.begin(ctx, cl)
	t.life = &t.first
	if t.kept.timeout != 0 {
		t.created = cl.h.Monotonic()
		t.startTimer()
	}
}

func (l *life) begin(ctx context.Context, cl *Client) {
	l.client, l.ctx = cl, ctx
	l.readVersion, l.committed = invalidVersion, invalidVersion
	l.options = cl.defaults.life
	l.reads.ranges = l.roomForReads[:0]
	l.written.ranges = l.roomForWrites[:0]
	l.writes.entries = l.roomForEntries[:0]
}

// usable returns why a call cannot be made, if it cannot.
func (l *life) usable(doing string) error {
	switch {
	case l.deferred != nil:
		return l.deferred
	case l.started:
		l.misused()
		return Error{CodeUsedDuringCommit}
	case l.over != nil:
		return l.over
	}
	return l.reachable(doing)
}

// reachable returns why no server can be asked, if so.
func (l *life) reachable(doing string) error {
	if l.client.closed {
		return fmt.Errorf("simfdb: %s: %w", doing, store.ErrClosed)
	}
	if err := l.ctx.Err(); err != nil {
		return fmt.Errorf("simfdb: %s: %w", doing, err)
	}
	return nil
}

// misused makes a commit under way fail, which it does not stop, because of a
// call made meanwhile.
func (l *life) misused() {
	if !l.options.unprotected {
		l.end(Error{CodeUsedDuringCommit})
	}
}

// refuse makes the transaction fail with the first error of a mutation.
func (l *life) refuse(code int) {
	if l.deferred == nil {
		l.deferred = Error{code}
	}
}

// end makes all calls under way fail, and later ones too. A commit under way
// goes on all the same.
func (l *life) end(err error) {
	if l.over != nil {
		return
	}
	l.over = err
	if l.timer != nil {
		l.timer.Stop()
	}
	for len(l.pending) > 0 {
		l.pending[0].end(err) // takes it off the list
	}
	for _, k := range l.client.calls {
		if k.life == l {
			k.finish(codeCanceled)
		}
	}
	if !l.started {
		l.endWatches(err)
	}
}

// Cancel makes all calls under way fail with error 1025, and later ones too,
// until the transaction is Reset. It does not stop a commit that is under way.
func (t *Transaction) Cancel() { t.life.end(Error{CodeTransactionCancelled}) }

// Reset makes the transaction as good as new. Calls under way fail with error
// 1025; a commit goes on all the same.
func (t *Transaction) Reset() {
	t.retries, t.backoff, t.kept = 0, firstBackoff, t.client.defaults.kept
	t.created = t.client.h.Monotonic()
	t.renew()
}

// renew begins the next life.
func (t *Transaction) renew() {
	old := t.life
	old.breakStamps()
	old.end(Error{CodeTransactionCancelled})
	t.life = &life{}
	t.life.begin(old.ctx, old.client)
	t.startTimer()
}

// startTimer arms the timeout of the present life, if there is one.
func (t *Transaction) startTimer() {
	l := t.life
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	if t.kept.timeout == 0 || l.over != nil {
		return
	}
	d := t.created + t.kept.timeout - l.client.h.Monotonic()
	l.timer = l.client.h.AfterFunc(max(d, 0), func() { l.end(Error{CodeTransactionTimedOut}) })
}

// pointOf copies a key into the range that holds it alone.
func pointOf(key []byte) KeyRange {
	var b strings.Builder
	b.Grow(len(key) + 1)
	b.Write(key)
	b.WriteByte(0)
	s := b.String()
	return KeyRange{s[:len(key)], s}
}

// GetApproximateSize returns the transaction's size in bytes as FoundationDB's
// client estimates it: each call counts, also one that changes or reads the same
// again. What counts against the limit is what the commit sends.
func (t *Transaction) GetApproximateSize() *FutureInt64 {
	return newFuture[int64](t.life).ready(int64(t.approximate))
}

// GetCommittedVersion returns the version of the last commit; -1 for a
// transaction that has not committed, or that wrote nothing. It outlives Reset.
func (t *Transaction) GetCommittedVersion() int64 { return int64(t.committed) }
