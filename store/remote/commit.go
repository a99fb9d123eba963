package remote

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store"
)

// Commit implements store.Txn.
func (t *attempt) Commit() error {
	if err := t.usable("commit"); err != nil {
		if !t.used {
			t.end(err)
		}
		return unsent(err)
	}
	err := t.commit()
	if errors.Is(err, store.ErrCommitUnknown) {
		t.engine.count(&t.engine.stats.Doubts)
	}
	t.used = true
	t.data, t.ends = nil, nil
	for _, w := range t.watches {
		if err != nil {
			w.end(err)
		} else {
			w.set()
		}
	}
	t.watches = nil
	return err
}

// unsent returns the error of a commit that was not sent.
func unsent(err error) error {
	if errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, store.ErrUnavailable) {
		return fmt.Errorf("%w: %w", store.ErrTimedOut, err)
	}
	return err
}

func (t *attempt) commit() error {
	if !t.wrote && len(t.watches) == 0 {
		t.over()
		return nil
	}
	if err := t.ready(); err != nil {
		return unsent(err)
	}
	for !t.fits(0) {
		if _, err := t.send("commit", t.part(0), read{}); err != nil {
			return unsent(err)
		}
	}
	return t.sendCommit(t.part(0))
}

// sendCommit sends the one request that commits.
func (t *attempt) sendCommit(w writes) error {
	e := t.engine
	e.mu.Lock()
	t.link.commits++
	number := t.link.commits
	e.mu.Unlock()
	t.step++
	req := encodeCommit(e.header(t.link), t.txn, t.step, number, w)
	reply, err := e.ask(t.ctx, t.link, partCommit, true, req)
	if err != nil {
		return t.uncommitted(err)
	}
	v, f, err := decodeCommitted(reply)
	switch {
	case err != nil:
		return fmt.Errorf("remote: commit: %w: %w", store.ErrCommitUnknown, err)
	case f != nil:
		t.blame(f)
		return f.commit()
	}
	t.committed = v
	return nil
}

// uncommitted returns the error of a commit that has no reply. See helloPadding for
// why a message that was too large is the request.
func (t *attempt) uncommitted(err error) error {
	switch {
	case errors.Is(err, errUnsent):
		return unsent(fmt.Errorf("remote: commit: %w", err))
	case errors.Is(err, network.ErrNoReply):
		return fmt.Errorf("remote: commit: %w: %w", store.ErrCommitUnknown, err)
	case errors.Is(err, network.ErrRefused), errors.Is(err, network.ErrUnknownAddress):
		return fmt.Errorf("remote: commit: %w: %w", store.ErrUnavailable, err)
	case errors.Is(err, network.ErrTooLarge):
		return fmt.Errorf("remote: commit: %w: %w", store.ErrTooLarge, err)
	case errors.Is(err, store.ErrClosed):
		return err // it was not sent
	default:
		return fmt.Errorf("remote: commit: %w: %w", store.ErrCommitUnknown, err)
	}
}

// Committed implements store.Txn.
func (t *attempt) Committed() store.Version { return t.committed }

// Cancel implements store.Txn.
func (t *attempt) Cancel() {
	if !t.used {
		t.end(fmt.Errorf("remote: watch: %w: the transaction was cancelled", store.ErrUsed))
	}
}

// end gives the transaction up before its commit, and its watches with err.
func (t *attempt) end(err error) {
	t.used = true
	t.data, t.ends = nil, nil
	for _, w := range t.watches {
		w.end(err)
	}
	t.watches = nil
	t.over()
}

// over lets the server forget the transaction.
func (t *attempt) over() {
	if t.step > 0 {
		t.engine.overTxn(t.link, t.txn)
	}
}
