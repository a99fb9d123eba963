package simstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// watch is a watch at the far end of the wire.
type watch struct {
	call
	inner store.Watch
	err   error // why it ended at this end; nil: it has not
}

// Watch implements store.Tx.
func (t *txn) Watch(key []byte) (store.Watch, error) {
	var inner store.Watch
	if err := t.read("watch", func() (err error) {
		inner, err = t.inner.Watch(key)
		return err
	}); err != nil {
		if inner != nil {
			inner.Cancel() // it was made, and nobody heard of it
		}
		return nil, err
	}
	w := &watch{call: t.call(), inner: inner}
	t.watches = append(t.watches, w)
	t.engine.open = append(t.engine.open, w)
	return w, nil
}

// fail ends the watch at this end, and forgets it at the other.
func (w *watch) fail(err error) {
	if w.err == nil {
		w.err = err
		w.forget()
		w.inner.Cancel()
	}
}

func (w *watch) forget() {
	if i := slices.Index(w.open, w); i >= 0 {
		w.open = slices.Delete(w.open, i, i+1)
	}
}

// Wait implements store.Watch. A notice that is lost in a cut or a crash ends
// the watch with store.ErrUnavailable, after the wire's timeout.
func (w *watch) Wait(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	err := w.inner.Wait(ctx)
	switch {
	case w.err != nil:
		return w.err
	case err != nil:
		return err
	}
	if !w.answers() {
		w.faults.fired.WatchesLost++
		w.fail(fmt.Errorf("simstore: watch: %w: the connection was lost", store.ErrUnavailable))
		if err := w.h.Sleep(ctx, w.faults.timeout()); err != nil {
			return err
		}
		return w.err
	}
	w.forget()
	latency := w.faults.ReadLatency
	return w.h.Sleep(ctx, w.evenly(drawBack, latency.Min, latency.Max))
}

// Cancel implements store.Watch.
func (w *watch) Cancel() {
	w.forget()
	w.inner.Cancel()
}
