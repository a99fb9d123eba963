package fdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Engine implements [store.Engine]. It is safe for use from several goroutines.
type Engine struct {
	db    database
	o     Options
	space subspace

	ctx   context.Context // ends with Close
	close context.CancelFunc
}

var _ store.Engine = (*Engine)(nil)

// newEngine returns an engine over an open database. The options are valid.
func newEngine(db database, o Options) *Engine {
	e := &Engine{db: db, o: o, space: newSubspace(o.Namespace)}
	e.ctx, e.close = context.WithCancel(context.Background())
	return e
}

// Begin implements [store.Engine].
func (e *Engine) Begin(ctx context.Context) store.Txn {
	t := &Txn{engine: e, ctx: ctx}
	if e.ctx.Err() != nil {
		t.over, t.settled = store.ErrClosed, true
		return t
	}
	tr, err := e.db.begin(transactionOptions{
		timeout: timeoutOf(ctx, e.o.Timeout), sizeLimit: e.o.SizeLimit, idempotent: e.o.AutomaticIdempotency,
	})
	if err != nil {
		t.over, t.settled = callError("begin", err, nil), true
		return t
	}
	t.tr = tr
	t.mu.Lock() // a context that has ended already calls at once
	defer t.mu.Unlock()
	t.detach = append(t.detach,
		context.AfterFunc(ctx, func() { t.abort(ended(ctx)) }),
		context.AfterFunc(e.ctx, func() { t.abort(store.ErrClosed) }))
	return t
}

// ended is why a call of a transaction whose context has ended fails.
func ended(ctx context.Context) error {
	err := ctx.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return &lateError{deadline: err}
	}
	return err
}

// Close implements [store.Engine]. Calls that wait end, and so do watches. The
// client's connection to the cluster stays: it belongs to the process, whose
// other engines and other users of the binding share it.
func (e *Engine) Close() error {
	e.close()
	return nil
}

// attempt runs f in transactions of the client's own, which see all keys, until
// it succeeds, ctx ends or the client gives up.
func (e *Engine) attempt(ctx context.Context, doing string, f func(tr transaction) error) error {
	tr, err := e.db.begin(transactionOptions{timeout: timeoutOf(ctx, 0)})
	if err != nil {
		return callError(doing, err, nil)
	}
	defer context.AfterFunc(ctx, tr.cancel)()
	defer context.AfterFunc(e.ctx, tr.cancel)()
	for {
		err := f(tr)
		if err == nil {
			return nil
		}
		var number Error
		if !errors.As(err, &number) || tr.onError(number.Code) != nil {
			return callError(doing, err, e.whyCanceled(ctx))
		}
	}
}

// whyCanceled returns why the client's calls were canceled; nil when they were
// not.
func (e *Engine) whyCanceled(ctx context.Context) error {
	switch {
	case e.ctx.Err() != nil:
		return store.ErrClosed
	case ctx.Err() != nil:
		return ended(ctx)
	}
	return nil
}

// probe reads one key, so that a cluster that cannot be reached is found out.
func (e *Engine) probe(ctx context.Context) error {
	timed, cancel := context.WithTimeout(ctx, e.o.OpenTimeout)
	defer cancel()
	err := e.attempt(timed, "first read", func(tr transaction) error {
		_, err := tr.get(e.space.key(nil), true)()
		return err
	})
	file := e.o.ClusterFile
	if file == "" {
		file = "(the client's default)"
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, Error{1515}):
		return fmt.Errorf("fdb: no cluster file %s: %w", file, err)
	case errors.Is(err, Error{2104}):
		return fmt.Errorf("fdb: cluster file %s is malformed: %w", file, err)
	case errors.Is(err, store.ErrTimedOut) && ctx.Err() == nil:
		return fmt.Errorf("fdb: %w: no answer within %v from the cluster of cluster file %s: %w", store.ErrUnavailable, e.o.OpenTimeout, file, err)
	}
	return fmt.Errorf("fdb: the cluster of cluster file %s: %w", file, err)
}
