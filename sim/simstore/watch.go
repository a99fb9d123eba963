package simstore

import (
	"context"
	"slices"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// watch is a watch of the inner engine, as its client has it.
type watch struct {
	call
	inner  store.Watch
	at     *sim.Host // the server's life in which it was made
	notice *exchange // the message that it fired; nil: it has not
	err    error     // why it ended at this end; nil: it has not
}

// Watch implements store.Tx.
func (t *txn) Watch(key []byte) (store.Watch, error) {
	var (
		inner  store.Watch
		at     *sim.Host
		gaveUp bool
	)
	if err := t.read("watch", func() (err error) {
		at = t.engine.server.port.Host()
		inner, err = t.inner.Watch(key)
		if gaveUp && inner != nil {
			inner.Cancel()
		}
		return err
	}); err != nil {
		gaveUp = true
		if inner != nil {
			inner.Cancel() // it was made, and nobody heard of it
		}
		return nil, err
	}
	w := &watch{call: t.call(), inner: inner, at: at}
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

// Wait implements store.Watch. A notice that is lost ends the watch with
// store.ErrUnavailable, once the client has waited for as long as it does.
func (w *watch) Wait(ctx context.Context) error {
	if w.err != nil {
		return w.err
	}
	if w.notice == nil {
		err := w.inner.Wait(ctx)
		switch {
		case w.err != nil:
			return w.err
		case err != nil:
			return err
		}
		w.notice = &exchange{call: w.call, doing: "watch", turns: true, done: w.h.NewEvent()}
		w.server.notify(w)
	}
	err := w.notice.wait(ctx)
	switch {
	case w.err != nil:
		return w.err
	case ctx.Err() == nil && err != nil:
		w.server.faults.fired.WatchesLost++
		w.fail(err)
	case err == nil:
		w.forget()
	}
	return err
}

// notify sends the notice that the watched key has changed, when the server's
// life in which the watch was made goes on. It is called by the client's task,
// which alone waits for the inner engine.
func (s *Server) notify(w *watch) {
	h := w.at
	if h != s.port.Host() {
		return // the connection ended with that life
	}
	send := func() { s.reply(w.notice) }
	if h.Process().Paused() {
		h.After(0, send)
		return
	}
	send()
}

// Cancel implements store.Watch.
func (w *watch) Cancel() {
	w.forget()
	w.inner.Cancel()
}
