package etcd

import (
	"context"
	"fmt"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelpie-registry/kelpie/store"
)

var (
	errWatchCancelled = fmt.Errorf("etcd: the watch was cancelled: %w", context.Canceled)
	errTooManyWatches = fmt.Errorf("etcd: %w: too many watches", store.ErrUnavailable)
)

// watch implements [store.Watch]. Once its transaction has committed, it has
// etcd tell of every change of the key's rows behind the revision at which the
// transaction saw them, and looks at each whether the value is another one. The
// client takes a broken watch up where it broke off.
type watch struct {
	engine   *Engine
	key      string
	seen     []byte // what the transaction saw, nil for none
	revision int64  // at which it saw it; zero when its own writes played a part

	once   sync.Once
	over   chan struct{}
	err    error // why it ended; nil when it fired; set before over is closed
	ctx    context.Context
	cancel context.CancelFunc
}

var _ store.Watch = (*watch)(nil)

// watchTable holds the watches that are not over.
type watchTable struct {
	mu     sync.Mutex
	limit  int
	closed bool
	live   map[*watch]struct{}
}

// add makes a watch that awaits its transaction's commit. Past the limit, or
// on a closed engine, it is over at once.
func (t *watchTable) add(e *Engine, key string, seen []byte, revision int64) *watch {
	w := &watch{engine: e, key: key, seen: seen, revision: revision, over: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(clientv3.WithRequireLeader(e.ctx))
	t.mu.Lock()
	var err error
	switch {
	case t.closed:
		err = errClosed
	case len(t.live) >= t.limit:
		err = errTooManyWatches
	default:
		t.live[w] = struct{}{}
	}
	t.mu.Unlock()
	if err != nil {
		w.end(err)
	}
	return w
}

func (t *watchTable) remove(w *watch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.live, w)
}

// close ends all watches.
func (t *watchTable) close() {
	t.mu.Lock()
	t.closed = true
	var all []*watch
	for w := range t.live {
		all = append(all, w)
	}
	t.mu.Unlock()
	for _, w := range all {
		w.end(errClosed)
	}
}

// Wait implements [store.Watch].
func (w *watch) Wait(ctx context.Context) error {
	select {
	case <-w.over:
		return w.err
	default:
	}
	select {
	case <-w.over:
		return w.err
	case <-ctx.Done():
		return fmt.Errorf("etcd: watch: %w", ctx.Err())
	}
}

// Cancel implements [store.Watch].
func (w *watch) Cancel() { w.end(errWatchCancelled) }

// end ends the watch unless it is over.
func (w *watch) end(err error) {
	w.once.Do(func() {
		w.err = err
		w.cancel()
		w.engine.watches.remove(w)
		close(w.over)
	})
}

// start begins to watch.
func (w *watch) start() { w.engine.spawn(func() { w.end(w.run()) }) }

// run returns nil when the key has changed, and else why the watch ended.
func (w *watch) run() error {
	if w.revision == 0 {
		if changed, err := w.look(); changed || err != nil {
			return err
		}
	}
	for {
		changed, err := w.follow()
		if changed || err != nil {
			return err
		}
		// The changes behind the revision have been compacted away.
		if changed, err := w.look(); changed || err != nil {
			return err
		}
	}
}

// look reports whether the key has changed by now.
func (w *watch) look() (bool, error) {
	e := w.engine
	begin, end := e.keys.rows(w.key)
	r, err := e.get(w.ctx, look(begin, end))
	if err != nil {
		return false, e.readError(w.ctx, err)
	}
	value, err := e.keys.decodeOne(r.Kvs)
	if err != nil {
		return false, err
	}
	w.revision = r.Header.Revision
	return !equalValue(value, w.seen), nil
}

// follow returns when the key has changed, and with neither a change nor an
// error when it cannot tell any more.
func (w *watch) follow() (changed bool, err error) {
	e := w.engine
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	begin, end := e.keys.rows(w.key)
	for r := range e.client.Watch(ctx, begin, clientv3.WithRange(end), clientv3.WithRev(w.revision+1)) {
		switch {
		case r.CompactRevision != 0:
			return false, nil
		case r.Err() != nil:
			return false, e.readError(w.ctx, r.Err())
		case len(r.Events) == 0 || r.Header.Revision <= w.revision:
			continue
		}
		if changed, err := w.look(); changed || err != nil {
			return changed, err
		}
	}
	return false, fmt.Errorf("etcd: watch: %w: the connection is gone", store.ErrUnavailable)
}

func equalValue(a, b []byte) bool {
	return (a == nil) == (b == nil) && string(a) == string(b)
}
