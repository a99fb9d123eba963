package simfdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// Commit implements store.Txn.
//
// When the connection to the proxy is lost with the commit in flight, Commit
// does what the real client does before it reports error 1021: it commits an
// empty transaction that conflicts with this one, so that the commit in flight,
// if it has not been applied by then, never will be. When ctx ends first, or
// the transaction is canceled, there is no time for that: the error is
// store.ErrCommitUnknown as well, but the commit may still be applied later.
func (t *Transaction) Commit() error {
	if err := t.usable("commit"); err != nil {
		if t.state == stateOpen {
			t.fail(err)
		}
		return t.notSent(err)
	}
	t.state = stateCommitting
	if err := t.commit(); err != nil {
		t.fail(err)
		return err
	}
	t.state = stateCommitted
	t.setWatches()
	return nil
}

// notSent makes clear that an ended context found the commit not yet sent.
func (t *Transaction) notSent(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", store.ErrTimedOut, err)
	}
	return err
}

func (t *Transaction) fail(err error) {
	t.state = stateFailed
	t.endWatches(err)
}

func (t *Transaction) commit() error {
	if t.writes.empty() && len(t.written.ranges) == 0 {
		return nil // nothing to commit: no version, no conflict
	}
	r := &t.request
	r.mutations = t.writes.mutations()
	size := rangesSize(t.reads.ranges) + rangesSize(t.written.ranges)
	for _, m := range r.mutations {
		size += m.size()
	}
	if size > store.MaxTxnBytes {
		return Error{CodeTransactionTooLarge}
	}
	if err := t.ensureReadVersion(); err != nil {
		return t.notSent(err)
	}
	cl := t.client
	if cl.generation == 0 {
		// The read version was not the proxy's: the client has yet to find it.
		if _, err := cl.grv(t.ctx, &grvRequest{}); err != nil {
			return t.notSent(err)
		}
	}
	r.id, r.from, r.generation, r.readVersion = cl.nextID(), cl.port, cl.generation, t.readVersion
	own, ok := t.written.firstCommon(&t.reads)
	if !ok {
		// The transaction must conflict with itself, or else there would be no way
		// to keep it from being applied late.
		own = singleKey(fmt.Sprintf("\xff/SC/%s/%d", cl.port.Addr(), r.id))
		t.reads.add(own)
		t.written.add(own)
	}
	r.reads, r.writes = t.reads.ranges, t.written.ranges
	err := cl.do(t.ctx, &r.call, cl.c.proxyName, r)
	switch code := r.call.code; {
	case err != nil:
		cl.c.counts.InDoubt++
		return fmt.Errorf("simfdb: commit in flight: %w: %w", store.ErrCommitUnknown, err)
	case code == 0:
		reply := r.call.reply.(*commitReply)
		t.committed, t.order = reply.version, reply.order
		return nil
	case code == codeClosed:
		return fmt.Errorf("simfdb: commit in flight: %w: %w", store.ErrCommitUnknown, store.ErrClosed)
	case code == codeCanceled:
		cl.c.counts.InDoubt++
		return fmt.Errorf("simfdb: commit in flight, transaction canceled: %w", store.ErrCommitUnknown)
	case code == connectionLost:
		if err := cl.fence(t.ctx, own); err != nil {
			cl.c.counts.InDoubt++
			return fmt.Errorf("simfdb: commit in flight: %w: %w", store.ErrCommitUnknown, err)
		}
		cl.c.counts.CommitUnknown++
		return Error{CodeCommitUnknownResult}
	default:
		return Error{code}
	}
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

// Committed implements store.Txn.
func (t *Transaction) Committed() store.Version {
	if t.committed == invalidVersion {
		return 0
	}
	return store.Version(t.committed)
}

// CommittedVersion is Committed as FoundationDB has it: -1 for a transaction
// that has not committed, or that wrote nothing.
func (t *Transaction) CommittedVersion() Version { return t.committed }

// Versionstamp returns the stamp of a committed transaction. Error 2021 when it
// wrote nothing, 2020 when it has not committed.
func (t *Transaction) Versionstamp() ([store.StampBytes]byte, error) {
	switch {
	case t.state != stateCommitted:
		return [store.StampBytes]byte{}, Error{CodeNoCommitVersion}
	case t.committed == invalidVersion:
		return [store.StampBytes]byte{}, Error{CodeTransactionReadOnly}
	default:
		return stampBytes(t.committed, t.order), nil
	}
}
