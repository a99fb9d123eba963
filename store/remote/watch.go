package remote

import (
	"context"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// watch implements store.Watch.
//
// The server keeps a watch until it is told that it is over, so that an answer that
// is lost is asked for again.
type watch struct {
	engine *Engine
	link   *link
	number uint64 // on the link
	key    uint64 // in Engine.watches

	settled clock.Event // it was set, or has ended

	// Guarded by Engine.mu.
	ended bool
	err   error                        // why it ended; nil: it fired
	waits numbered[context.CancelFunc] // that end those that wait
}

// Watch implements store.Tx.
func (t *attempt) Watch(key []byte) (store.Watch, error) {
	e := t.engine
	if err := t.usable("watch"); err != nil {
		return nil, err
	}
	if err := t.ready(); err != nil {
		return nil, err
	}
	w := &watch{engine: e, link: t.link, settled: e.host.NewEvent()}
	e.mu.Lock()
	t.link.watches++
	w.number = t.link.watches
	e.mu.Unlock()
	if _, err := t.read("watch", read{kind: readWatch, watch: w.number, keys: [][]byte{shortened(key)}}); err != nil {
		return nil, err
	}
	e.mu.Lock()
	closed := e.closed
	if !closed {
		w.key = e.watches.add(w)
	}
	e.mu.Unlock()
	if closed {
		return nil, errClosed
	}
	t.watches = append(t.watches, w)
	return w, nil
}

// set says that the transaction has committed.
func (w *watch) set() { w.settled.Set() }

// end ends the watch, fired when err is nil, and lets the server forget it.
func (w *watch) end(err error) {
	e := w.engine
	e.mu.Lock()
	if w.ended {
		e.mu.Unlock()
		return
	}
	w.ended, w.err = true, err
	e.watches.remove(w.key)
	waits := w.waits.take()
	e.mu.Unlock()
	e.overWatch(w.link, w.number)
	w.settled.Set()
	for _, cancel := range waits {
		cancel()
	}
}

// over reports whether the watch has ended, and how.
func (w *watch) over() (bool, error) {
	w.engine.mu.Lock()
	defer w.engine.mu.Unlock()
	return w.ended, w.err
}

// Cancel implements store.Watch.
func (w *watch) Cancel() {
	w.end(fmt.Errorf("remote: watch: %w: it was cancelled", store.ErrUsed))
}

// Wait implements store.Watch.
func (w *watch) Wait(ctx context.Context) error {
	if err := w.settled.Wait(ctx); err != nil {
		return fmt.Errorf("remote: watch: %w", err)
	}
	wait, cancel := w.engine.host.WithCancel(ctx)
	defer cancel(nil)
	w.engine.mu.Lock()
	n := w.waits.add(func() { cancel(nil) })
	w.engine.mu.Unlock()
	defer func() {
		w.engine.mu.Lock()
		defer w.engine.mu.Unlock()
		w.waits.remove(n)
	}()
	for failures := 0; ; {
		if over, err := w.over(); over {
			return err
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("remote: watch: %w", err)
		}
		answered := w.poll(wait, failures >= w.engine.o.PollRetries)
		if answered {
			if failures > 0 {
				w.engine.count(&w.engine.stats.Resumed)
			}
			failures = 0
			continue
		}
		_ = w.engine.host.Sleep(wait, w.engine.o.Backoff.Delay(failures, w.engine.host.Rand()))
		failures++
	}
}

// poll asks the server once, and reports whether it answered. Without an answer the
// watch ends when it was the last try.
func (w *watch) poll(ctx context.Context, last bool) (answered bool) {
	e := w.engine
	most := min(e.o.Poll, w.link.limits.poll)
	req := watchRequest{header: e.header(w.link), watch: w.number, forMsec: uint32(most / time.Millisecond)}
	reply, err := e.request(ctx, w.link, methodWatch, req.encode(), most)
	if err != nil {
		if last && ctx.Err() == nil {
			w.end(fmt.Errorf("remote: watch: %w: %w", store.ErrUnavailable, err))
		}
		return false
	}
	fired, f, err := decodeFired(reply)
	switch {
	case err != nil:
		w.end(fmt.Errorf("remote: watch: %w: %w", store.ErrUnavailable, err))
	case f != nil:
		if f.status == statusGone {
			e.forget(w.link)
		}
		w.end(f.read("watch"))
	case fired:
		w.end(nil)
	}
	return true
}
