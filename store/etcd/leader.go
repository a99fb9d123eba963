package etcd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A member that does not lead sends what is to be committed on to the one that
// does, and answers when it has heard of the commit. So commits go straight to
// the leader, where one of the endpoints is known to be it: that saves both
// ways. Any other member will do as well, and takes over when the leader cannot
// be reached. Reads are spread over all.

const (
	leaderTimeout = time.Second // of one question about the leader

	// Without a known leader the search goes on at growing intervals: the leader
	// may not be among the endpoints.
	minSearchPause = time.Second
	maxSearchPause = time.Minute
)

// leadership knows which endpoint leads.
type leadership struct {
	engine *Engine
	at     atomic.Pointer[leader] // nil when it is not known
	stale  chan struct{}          // of capacity 1: the knowledge is to be renewed
	mu     sync.Mutex
	known  map[string]*clientv3.Client // by endpoint; kept until the engine closes
	closed bool
}

// leader is a connection to the member that led in a term.
type leader struct {
	kv       kv
	term     uint64
	endpoint string
}

func newLeadership(e *Engine) *leadership {
	return &leadership{engine: e, stale: make(chan struct{}, 1), known: make(map[string]*clientv3.Client)}
}

// sawTerm notes the term of an answer: with a new one comes, mostly, a new
// leader.
func (l *leadership) sawTerm(term uint64) {
	if at := l.at.Load(); at != nil && term > at.term && l.at.CompareAndSwap(at, nil) {
		l.renew()
	}
}

// lost notes that a request to the leader failed.
func (l *leadership) lost(at *leader) {
	if l.at.CompareAndSwap(at, nil) {
		l.renew()
	}
}

func (l *leadership) renew() {
	select {
	case l.stale <- struct{}{}:
	default:
	}
}

// follow looks for the leader whenever that is called for, until the engine
// closes.
func (l *leadership) follow() {
	e := l.engine
	pause := minSearchPause
	for e.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(e.ctx, e.o.DialTimeout)
		at := l.search(ctx)
		cancel()
		l.at.Store(at)
		var again <-chan time.Time // never, when the leader is known
		if at == nil {
			again = time.After(pause)
			pause = min(2*pause, maxSearchPause)
		}
		select {
		case <-e.ctx.Done():
		case <-l.stale:
			pause = minSearchPause
		case <-again:
		}
	}
}

// search asks each endpoint in turn whether it leads. It returns nil when none
// says so.
func (l *leadership) search(ctx context.Context) *leader {
	for _, endpoint := range l.engine.o.Endpoints {
		one, cancel := context.WithTimeout(ctx, leaderTimeout)
		s, err := l.engine.client.Status(one, endpoint)
		cancel()
		if err != nil || s.Leader == 0 || s.Leader != s.Header.GetMemberId() {
			continue
		}
		client, err := l.connect(endpoint)
		if err != nil {
			return nil
		}
		return &leader{kv: newKV(client, &l.engine.o), term: s.Header.GetRaftTerm(), endpoint: endpoint}
	}
	return nil
}

// connect returns a client of one endpoint.
func (l *leadership) connect(endpoint string) (*clientv3.Client, error) {
	l.mu.Lock()
	client := l.known[endpoint]
	l.mu.Unlock()
	if client != nil {
		return client, nil
	}
	client, err := l.engine.o.connect(l.engine.ctx, endpoint)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.Join(errClosed, client.Close())
	}
	l.known[endpoint] = client
	return client, nil
}

func (l *leadership) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	var errs []error
	for _, c := range l.known {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// commitTxn runs a transaction that writes, at the leader if possible. d is the
// delivery of ctx.
func (e *Engine) commitTxn(ctx context.Context, d *delivery, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	at := e.leadership.at.Load()
	if at == nil {
		return e.txn(ctx, e.kv, r)
	}
	a, err := e.txn(ctx, at.kv, r)
	if err == nil || ctx.Err() != nil || refused(err) {
		return a, err
	}
	e.leadership.lost(at)
	if d.sent {
		return nil, err
	}
	return e.txn(ctx, e.kv, r)
}
