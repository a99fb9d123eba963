package simfdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// Commit commits the transaction.
//
// When the connection to the proxy is lost with the commit in flight, Commit
// does what the real client does before it reports error 1021: it commits an
// empty transaction that conflicts with this one, so that the commit in flight,
// if it has not been applied by then, never will be. When the transaction is
// canceled, reset or misused, or its time is up, while the commit is in flight,
// there is no time for that: Commit fails with that error, and the commit goes on.
func (t *Transaction) Commit() FutureNil {
	l := t.life
	f := newFuture[struct{}](l)
	if err := l.usable("commit"); err != nil {
		return FutureNil{f.fail(err)}
	}
	l.started = true
	f.wait()
	l.client.h.Go("fdb commit", func(context.Context) {
		err := l.commit()
		l.finishCommit(err)
		if err == nil && t.life == l {
			t.committed = l.committed
		}
		f.finish(struct{}{}, err)
	})
	return FutureNil{f}
}

// finishCommit tells those who wait for the commit how it went.
func (l *life) finishCommit(err error) {
	if l.done = err == nil; l.done {
		l.setWatches()
	} else {
		l.endWatches(err)
	}
	for i := 0; i < len(l.pending); {
		f, ok := l.pending[i].(*Future[[]byte])
		if !ok || !f.stamp {
			i++
			continue
		}
		stamp, stampErr := l.versionstamp()
		f.finish(stamp, stampErr) // takes it off the list
	}
}

// notSent makes clear that an ended context found the commit not yet sent.
func (l *life) notSent(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", store.ErrTimedOut, err)
	}
	return err
}

// awaitReads waits until no read is under way. It returns why one failed: that is
// the last that can keep the commit from being sent. The end of the life is
// nothing else, since it makes reads fail.
func (l *life) awaitReads() error {
	for l.reading > 0 {
		if l.idle == nil {
			l.idle = l.client.h.NewEvent()
		}
		if err := l.idle.Wait(l.ctx); err != nil {
			return err
		}
	}
	return l.failed
}

// changes returns what the commit will change.
func (l *life) changes() []mutation {
	if l.options.unreadWrites {
		return l.direct
	}
	return l.writes.mutations()
}

// commit commits, and leaves it to the caller to see whether anybody still wants
// to know.
func (l *life) commit() error {
	if err := l.awaitReads(); err != nil {
		return l.notSent(err)
	}
	l.detached = !l.inline
	if l.writes.empty() && len(l.direct) == 0 && len(l.written.ranges) == 0 && l.lock == lockUnchanged {
		return nil // nothing to commit: no version, no conflict
	}
	r := &l.request
	r.mutations = l.changes()
	size := rangesSize(l.reads.ranges) + rangesSize(l.written.ranges)
	for _, m := range r.mutations {
		size += m.size()
	}
	most := store.MaxTxnBytes
	if l.options.sizeLimit != 0 {
		most = int(l.options.sizeLimit)
	}
	switch {
	case size > most:
		return Error{CodeTransactionTooLarge}
	case l.options.readOnly:
		return Error{CodeSpecifiedReadOnly}
	}
	if l.lock != lockUnchanged {
		l.options.lockAware = true
		l.written.add(KeyRange{"", firstSystemKey})
	}
	if err := l.ensureReadVersion(); err != nil {
		return l.notSent(err)
	}
	cl := l.client
	if cl.generation == 0 {
		// The read version was not the proxy's: the client has yet to find it.
		if _, err := cl.grv(l.ctx, &grvRequest{}); err != nil {
			return l.notSent(err)
		}
	}
	r.id, r.from, r.generation, r.readVersion = cl.nextID(), cl.port, cl.generation, l.readVersion
	r.lockAware, r.lock, r.report = l.options.lockAware, l.lock, l.options.reportConflicts
	r.stampedKeys = l.options.unreadWrites || len(l.writes.stampedKeys) > 0
	if l.options.idempotent {
		r.idempotency = cl.newIdempotencyID()
	}
	own, ok := l.written.firstCommon(&l.reads)
	if !ok {
		// The transaction must conflict with itself, or else there would be no way
		// to keep it from being applied late.
		own = singleKey(fmt.Sprintf("\xff/SC/%s/%d", cl.port.Addr(), r.id))
		l.reads.add(own)
		l.written.add(own)
	}
	r.reads, r.writes = l.reads.ranges, l.written.ranges
	if l.inline {
		r.call.life = l
	}
	return l.judge(cl.do(l.ctx, &r.call, cl.c.proxyName, r), own)
}

// judge turns the end of the commit's call into its error. err is that of do.
func (l *life) judge(err error, own KeyRange) error {
	cl, r := l.client, &l.request
	switch code := r.call.code; {
	case err != nil:
		return l.doubt(err)
	case code == 0:
		reply := r.call.reply.(*commitReply)
		l.committed, l.order = reply.version, reply.order
		return nil
	case code == codeClosed:
		return fmt.Errorf("simfdb: commit in flight: %w: %w", store.ErrCommitUnknown, store.ErrClosed)
	case code == codeCanceled:
		cl.c.counts.InDoubt++
		return fmt.Errorf("simfdb: commit in flight, transaction canceled: %w", store.ErrCommitUnknown)
	case code == connectionLost:
		if err := cl.fence(l.ctx, own); err != nil {
			return l.doubt(err)
		}
		if r.idempotency != "" {
			return l.findCommit()
		}
		cl.c.counts.CommitUnknown++
		return Error{CodeCommitUnknownResult}
	default:
		if reply, ok := r.call.reply.(*commitReply); ok {
			l.conflicting = reply.conflicting
		}
		return Error{code}
	}
}

// doubt returns the error of a commit in flight that err ended the wait for.
func (l *life) doubt(err error) error {
	l.client.c.counts.InDoubt++
	return fmt.Errorf("simfdb: commit in flight: %w: %w", store.ErrCommitUnknown, err)
}

// Bounds of the waits between the tries of a fence.
const (
	fenceWaitLeast = 10 * time.Millisecond
	fenceWaitMost  = time.Second
)

// fence commits a transaction that reads and writes r and changes nothing. Once
// it has committed, no transaction with an older read version that reads r can.
func (cl *Client) fence(ctx context.Context, r KeyRange) error {
	ranges := []KeyRange{r}
	for wait := fenceWaitLeast; ; wait = min(2*wait, fenceWaitMost) {
		done, err := cl.tryFence(ctx, ranges)
		if done || err != nil {
			return err
		}
		if err := cl.h.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

func (cl *Client) tryFence(ctx context.Context, ranges []KeyRange) (done bool, err error) {
	grv, err := cl.grv(ctx, &grvRequest{})
	if err != nil {
		return false, unlessRetryable(err)
	}
	r := &commitRequest{
		id:          cl.nextID(),
		from:        cl.port,
		generation:  cl.generation,
		readVersion: grv.version,
		lockAware:   true,
		reads:       ranges,
		writes:      ranges,
	}
	if err := cl.do(ctx, &r.call, cl.c.proxyName, r); err != nil {
		return false, err
	}
	switch r.call.code {
	case 0:
		cl.c.counts.Fences++
		return true, nil
	case codeClosed:
		return false, store.ErrClosed
	default:
		return false, nil
	}
}

func unlessRetryable(err error) error {
	if store.Retryable(err) {
		return nil
	}
	return err
}

// GetVersionstamp returns the stamp of the transaction once it has committed. It
// must be called before Commit, and its result fails with error 2021 when the
// transaction wrote nothing, 2020 when it does not commit, and 1100 when it is
// reset before.
func (t *Transaction) GetVersionstamp() *FutureKey {
	l := t.life
	f := newFuture[[]byte](l)
	switch {
	case l.started:
		l.misused()
		return f.fail(Error{CodeUsedDuringCommit})
	case l.over != nil:
		return f.fail(l.over)
	}
	f.stamp = true
	f.wait()
	return f
}

// versionstamp returns the stamp of the commit, which has ended.
func (l *life) versionstamp() ([]byte, error) {
	switch {
	case l.committed != invalidVersion:
		stamp := stampBytes(l.committed, l.order)
		return stamp[:], nil
	case l.done:
		return nil, Error{CodeTransactionReadOnly}
	default:
		return nil, Error{CodeNoCommitVersion}
	}
}

// breakStamps ends the futures of GetVersionstamp when no commit was tried.
func (l *life) breakStamps() {
	if l.started {
		return
	}
	for i := 0; i < len(l.pending); {
		if !l.pending[i].waitsForCommit() {
			i++
			continue
		}
		l.pending[i].end(Error{CodeBrokenPromise}) // takes it off the list
	}
}
