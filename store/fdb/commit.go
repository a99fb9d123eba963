package fdb

import (
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Commit implements [store.Txn].
//
// Before the client reports error 1021 it commits an empty transaction that
// conflicts with this one, so that after it nothing changes any more. After a
// context that ended, a Cancel or a timeout with the commit on its way there is
// no time for that, and the commit may still be applied later. Both are
// store.ErrCommitUnknown; only the former also is Error{1021}.
func (t *Txn) Commit() error {
	if !t.busy.TryLock() {
		t.misused.Store(true)
		return errTwoTasks
	}
	defer t.busy.Unlock()
	wait, err := t.send()
	if err != nil || wait == nil {
		return err
	}
	var version int64
	if err = wait(); err == nil {
		version, err = t.tr.committedVersion()
		if err != nil { // whatever its number says, nothing was refused
			err = fmt.Errorf("%w: the committed version: %w", store.ErrCommitUnknown, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil && version <= 0 && t.cause != nil {
		err = errGivenUp // a cancel came between the commit and the question for its version
	}
	switch {
	case err == nil:
		t.committed = store.Version(max(version, 0))
	case errors.Is(err, store.ErrCommitUnknown):
		err = fmt.Errorf("fdb: commit: %w", err)
	default:
		err = commitError(err, t.cause)
	}
	t.finish(errDone, err)
	return err
}

// send sends the commit. Without a wait the transaction is over: because of the
// error, or because it wrote nothing, and there is nothing to send that could
// conflict.
func (t *Txn) send() (wait func() error, err error) {
	refused := t.usable()
	t.mu.Lock()
	defer t.mu.Unlock()
	if refused == nil {
		refused = t.over // a cancel came meanwhile
	}
	switch {
	case refused != nil:
		err = fmt.Errorf("fdb: commit: %w", refused)
		fallthrough
	case !t.wrote:
		if !t.settled {
			t.finish(errDone, err)
		}
		return nil, err
	}
	t.sent, t.over = true, errDone
	return t.tr.commit(), nil
}
