// Package etcd is a store engine over an etcd cluster, with the whole promise of
// package store: strictly serializable transactions with read-your-writes,
// ranges without phantoms, commit versions, stamps, additions that do not
// conflict, explicit conflict ranges and watches.
//
// A transaction reads one revision of etcd, the first that it is given, and
// commits with one transaction of etcd, whose conditions demand that nothing it
// read has changed. Its version is the revision of that transaction; commits
// that do not conflict may share one. docs/etcd.md says how each part of the
// port is mapped, and why that is sound.
//
// # What differs
//
//   - The limits are those of the cluster: see [Options.MaxTxnOps] and
//     [Options.MaxRequestBytes]. A transaction over them gets store.ErrTooLarge.
//   - A transaction with a read version is too old after [Options.Window], or when what it
//     wants to read has been compacted.
//   - A transaction that is given leave to guess (store.Guesser) answers reads
//     from what the engine remembers, and a first read of a key that nobody
//     knows with "not there", as long as that pays. A claim then takes one round
//     trip. The commit has the cluster judge all guesses.
//   - A watch outlives a lost connection.
//
// The engine never compacts the cluster's history: that is for its operator to
// set up (--auto-compaction-mode and --auto-compaction-retention).
package etcd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/kelpie-registry/kelpie/store"
)

// Engine implements [store.Engine]. It is safe for use by many goroutines.
type Engine struct {
	o          Options
	client     *clientv3.Client
	kv         kv
	keys       layout
	ctx        context.Context // ends when the engine closes
	cancel     context.CancelFunc
	revision   atomic.Int64  // the highest that an answer had
	cluster    atomic.Uint64 // that the first answer came from
	recall     *recall       // nil when nothing is remembered
	lanes      laneTable
	batcher    batcher
	watches    watchTable
	leadership *leadership

	closed  atomic.Bool
	closing sync.Mutex // held for the start of a task, and to close
	tasks   sync.WaitGroup
}

var _ store.Engine = (*Engine)(nil)

// Open connects to a cluster. It returns within Options.DialTimeout, and with
// an error unless a majority of the cluster answered. The error wraps
// store.ErrInvalid and names the field when an option is bad, and
// store.ErrUnavailable when the cluster does not answer.
func Open(ctx context.Context, o Options) (*Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{o: o, keys: newLayout(o.Namespace), watches: watchTable{limit: o.MaxWatches, live: make(map[*watch]struct{})}}
	e.batcher.engine = e
	e.leadership = newLeadership(e)
	if e.recall, err = newRecall(o.Remember); err != nil {
		return nil, fmt.Errorf("etcd: Options.Remember: %w: %w", store.ErrInvalid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	ctx, d := tracked(ctx)
	if err := e.dial(ctx); err != nil {
		return nil, e.openError(err, d)
	}
	if err := e.restoreHorizon(ctx); err != nil {
		return nil, errors.Join(e.openError(err, d), e.Close())
	}
	e.spawn(e.collect)
	e.spawn(e.leadership.follow)
	return e, nil
}

// Keep-alives find a connection that leads nowhere: a member that was cut off
// sends no word.
const (
	keepAliveTime    = 5 * time.Second
	keepAliveTimeout = 3 * time.Second
)

// maxReadRetries bounds the members that a read tries; the store's retry loop
// goes on from there.
const maxReadRetries = 8

// messageSlack is what a message may have beside the request that is in it.
const messageSlack = 512 << 10

// dial makes the client. It logs in when there is a user, and else touches no
// network.
func (e *Engine) dial(ctx context.Context) error {
	e.ctx, e.cancel = context.WithCancel(context.Background())
	client, err := e.o.connect(e.ctx, e.o.Endpoints...)
	if err != nil {
		e.cancel()
		return err
	}
	e.client, e.kv = client, newKV(client, &e.o)
	return ctx.Err()
}

// connect makes a client of some endpoints.
func (o *Options) connect(ctx context.Context, endpoints ...string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Context:              ctx,
		Endpoints:            endpoints,
		DialTimeout:          o.DialTimeout,
		TLS:                  o.TLS,
		Username:             o.Username,
		Password:             o.Password,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		MaxUnaryRetries:      maxReadRetries,
		DialOptions:          []grpc.DialOption{grpc.WithChainUnaryInterceptor(track)},
		Logger:               zap.NewNop(), // what matters comes back as an error
	})
}

// openError says why the cluster could not be opened.
func (e *Engine) openError(err error, d *delivery) error {
	if refused(err) {
		return fmt.Errorf("etcd: open %q: %w", e.o.Endpoints, err)
	}
	if d.last != nil && !errors.Is(err, d.last) {
		err = fmt.Errorf("%w (last answer: %w)", err, d.last)
	}
	return fmt.Errorf("etcd: open %q: %w: no etcd cluster answers: %w", e.o.Endpoints, store.ErrUnavailable, err)
}

// Begin implements [store.Engine].
func (e *Engine) Begin(ctx context.Context) store.Txn { return &Txn{engine: e, ctx: ctx} }

// Close implements [store.Engine]. Commits that are on their way may still be
// applied. Closing again does nothing.
func (e *Engine) Close() error {
	e.closing.Lock()
	again := e.closed.Swap(true)
	e.closing.Unlock()
	if again {
		return nil
	}
	e.batcher.close()
	e.watches.close()
	e.cancel()
	err := errors.Join(e.client.Close(), e.leadership.close())
	e.tasks.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("etcd: close: %w", err)
	}
	return nil
}

// spawn runs f in a goroutine that Close waits for. A closed engine does not
// run it: f is one of those that end at once then.
func (e *Engine) spawn(f func()) {
	e.closing.Lock()
	defer e.closing.Unlock()
	if !e.closed.Load() {
		e.tasks.Go(f)
	}
}

// saw notes the revision of an answer.
func (e *Engine) saw(revision int64) {
	for {
		last := e.revision.Load()
		if revision <= last || e.revision.CompareAndSwap(last, revision) {
			return
		}
	}
}

// latest returns a revision that the cluster has reached.
func (e *Engine) latest() int64 { return e.revision.Load() }
