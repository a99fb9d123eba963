package fdb

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/kelpie-registry/kelpie/store"
)

// watch implements [store.Watch].
//
// The client's watch counts as a read of its key, and would make a transaction
// that writes conflict. So Txn.Watch reads the key as a snapshot, and once the
// transaction has committed, another one reads it again and sets the client's
// watch, at one read version, which is not below the commit's. If the value is
// not what the first transaction saw, the watch fires. If it is, whatever came
// between was undone, which a watch may miss, and the client's watch compares
// with the same value from there on. Nothing can be lost between the two.
//
// The client sets its watches again after it has lost a connection; errors that
// it would retry are retried, with its backoff, for as long as the watch lasts.
type watch struct {
	engine *Engine
	key    []byte // the cluster's
	seen   []byte // what the transaction saw, nil for none

	ctx    context.Context // ends with the watch
	cancel context.CancelFunc
	detach func() bool // from the engine

	mu   sync.Mutex
	over bool
	err  error // why it ended; nil when it fired
}

var errWatchCanceled = fmt.Errorf("fdb: the watch was canceled: %w", context.Canceled)

// Watch implements [store.Tx].
func (t *Txn) Watch(key []byte) (store.Watch, error) {
	seen, err := t.get(key, true)
	if err != nil {
		return nil, err
	}
	w := &watch{engine: t.engine, key: t.engine.space.key(key), seen: seen}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	w.mu.Lock() // an engine that has closed meanwhile calls at once
	w.detach = context.AfterFunc(t.engine.ctx, func() { w.end(fmt.Errorf("fdb: watch: %w", store.ErrClosed)) })
	w.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over != nil { // the context ended behind the read
		w.end(t.over)
		return nil, fmt.Errorf("fdb: watch: %w", t.over)
	}
	t.watches = append(t.watches, w)
	return w, nil
}

// Wait implements [store.Watch].
func (w *watch) Wait(ctx context.Context) error {
	select {
	case <-w.ctx.Done():
	case <-ctx.Done():
		if w.ctx.Err() == nil {
			return fmt.Errorf("fdb: watch: %w", ctx.Err())
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Cancel implements [store.Watch].
func (w *watch) Cancel() { w.end(errWatchCanceled) }

// end ends the watch, unless it has ended. It fires when err is nil.
func (w *watch) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.over, w.err = true, err
	w.detach()
	w.cancel()
}

// start sets the watch in the background.
func (w *watch) start() {
	go func() { w.end(w.engine.watch(w.ctx, w.key, w.seen)) }()
}

// watch returns when the value of key, which is the cluster's, is not seen.
func (e *Engine) watch(ctx context.Context, key, seen []byte) error {
	return e.attempt(ctx, "watch", func(tr transaction) error {
		value, err := tr.get(key, true)()
		if err != nil || !same(value, seen) {
			return err
		}
		wait, cancel := tr.watch(key)
		defer context.AfterFunc(ctx, cancel)() // it outlives the transaction's end
		if err := tr.commit()(); err != nil {
			return err
		}
		return wait()
	})
}

// same compares values, of which nil is none.
func same(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }
