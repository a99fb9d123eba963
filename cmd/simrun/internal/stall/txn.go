package stall

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// txn is one transaction of a misbehaving engine.
type txn struct {
	engine *Engine
	ctx    context.Context
	inner  store.Txn
	cancel context.CancelFunc
	detach func() bool // stops ctx from cancelling inner
	wrote  bool
	gone   bool // inner belongs to a late commit
}

// told gives an error of the inner transaction the reason for which the caller's
// context ended: inside there is only a cancellation.
func (t *txn) told(err error) error {
	if err == nil || t.ctx.Err() == nil || errors.Is(err, t.ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", err, t.ctx.Err())
}

func (t *txn) read() error { return t.engine.pass(t.ctx, t.engine.current()) }

func (t *txn) Get(key []byte) ([]byte, error) {
	if err := t.read(); err != nil {
		return nil, err
	}
	v, err := t.inner.Get(key)
	return v, t.told(err)
}

func (t *txn) GetAll(keys ...[]byte) ([][]byte, error) {
	if err := t.read(); err != nil {
		return nil, err
	}
	vs, err := t.inner.GetAll(keys...)
	return vs, t.told(err)
}

func (t *txn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	if err := t.read(); err != nil {
		return nil, false, err
	}
	rows, more, err := t.inner.GetRange(begin, end, o)
	return rows, more, t.told(err)
}

func (t *txn) Snapshot() store.Reader { return snapshot{t, t.inner.Snapshot()} }

func (t *txn) Watch(key []byte) (store.Watch, error) {
	if err := t.read(); err != nil {
		return nil, err
	}
	w, err := t.inner.Watch(key)
	return w, t.told(err)
}

func (t *txn) ReadVersion() (store.Version, error) {
	if err := t.read(); err != nil {
		return 0, err
	}
	v, err := t.inner.ReadVersion()
	return v, t.told(err)
}

func (t *txn) Set(key, value []byte) {
	t.wrote = true
	t.inner.Set(key, value)
}

func (t *txn) Clear(key []byte) {
	t.wrote = true
	t.inner.Clear(key)
}

func (t *txn) ClearRange(begin, end []byte) {
	t.wrote = true
	t.inner.ClearRange(begin, end)
}

func (t *txn) Add(key []byte, delta int64) {
	t.wrote = true
	t.inner.Add(key, delta)
}

func (t *txn) SetStamped(key, value []byte, offset int) {
	t.wrote = true
	t.inner.SetStamped(key, value, offset)
}

func (t *txn) AddReadConflict(begin, end []byte) { t.inner.AddReadConflict(begin, end) }

func (t *txn) AddWriteConflict(begin, end []byte) {
	t.wrote = true
	t.inner.AddWriteConflict(begin, end)
}

// Guess implements [store.Guesser]. An inner transaction that cannot guess does
// not.
func (t *txn) Guess() {
	if g, ok := t.inner.(store.Guesser); ok {
		g.Guess()
	}
}

// Confirm implements [store.Guesser].
func (t *txn) Confirm() error {
	g, ok := t.inner.(store.Guesser)
	if !ok {
		return nil
	}
	if err := t.read(); err != nil {
		return err
	}
	return t.told(g.Confirm())
}

// Commit implements [store.Txn].
func (t *txn) Commit() error {
	s := t.engine.current()
	switch {
	case t.ctx.Err() != nil:
		return fmt.Errorf("stall: commit not begun: %w", t.ctx.Err())
	case s.kind == Freeze && t.wrote && t.engine.draw(2) == 0:
		return t.commitThenFreeze(s)
	case s.kind == Unsure && t.wrote && t.engine.draw(2) == 0:
		return t.commitUnsure()
	}
	if err := t.engine.pass(t.ctx, s); err != nil {
		return err // the inner commit was not begun
	}
	return t.told(t.inner.Commit())
}

// commitThenFreeze holds the answer back, not the commit.
func (t *txn) commitThenFreeze(s *stall) error {
	if err := t.inner.Commit(); err != nil {
		return t.told(err)
	}
	if err := t.engine.pass(t.ctx, s); err != nil {
		t.engine.hiddenApplied.Add(1)
		return fmt.Errorf("%w: %w: %w", store.ErrCommitUnknown, errHidden, err)
	}
	return nil
}

// commitUnsure applies the commit, or drops it, or applies it later, and does
// not say which.
func (t *txn) commitUnsure() error {
	e := t.engine
	switch e.draw(3) {
	case 0:
		if err := t.inner.Commit(); err != nil {
			return t.told(err)
		}
		e.hiddenApplied.Add(1)
	case 1:
		t.inner.Cancel()
		e.dropped.Add(1)
	default:
		t.detach()
		t.gone = true
		wait := time.Duration(e.draw(int64(maxLate)))
		e.late.Go(func() {
			defer t.cancel()
			// Neither the sleep nor the commit has anybody left to tell.
			_ = e.clock.Sleep(context.WithoutCancel(t.ctx), wait)
			_ = t.inner.Commit()
			t.inner.Cancel()
		})
		e.lateSent.Add(1)
	}
	return fmt.Errorf("%w: %w", store.ErrCommitUnknown, errHidden)
}

func (t *txn) Committed() store.Version {
	if t.gone {
		return 0
	}
	return t.inner.Committed()
}

func (t *txn) Cancel() {
	if t.gone {
		return
	}
	t.inner.Cancel()
	t.detach()
	t.cancel()
}

// snapshot is the snapshot reader of a txn.
type snapshot struct {
	t     *txn
	inner store.Reader
}

func (s snapshot) Get(key []byte) ([]byte, error) {
	if err := s.t.read(); err != nil {
		return nil, err
	}
	v, err := s.inner.Get(key)
	return v, s.t.told(err)
}

func (s snapshot) GetAll(keys ...[]byte) ([][]byte, error) {
	if err := s.t.read(); err != nil {
		return nil, err
	}
	vs, err := s.inner.GetAll(keys...)
	return vs, s.t.told(err)
}

func (s snapshot) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	if err := s.t.read(); err != nil {
		return nil, false, err
	}
	rows, more, err := s.inner.GetRange(begin, end, o)
	return rows, more, s.t.told(err)
}
