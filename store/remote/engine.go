package remote

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store"
)

// Engine is the client: a store.Engine whose store is behind servers. It is safe
// for use from several tasks.
//
// Small requests that are made at once travel together; see Options.Gather. None
// waits for the answer to another one. A transaction belongs to the server that its first call reaches.
type Engine struct {
	host host.Host
	o    Options

	mu      sync.Mutex // never held over a call or a wait
	closed  bool
	servers []server
	current int                          // the server to use, unless it is to be avoided
	inUse   int                          // the server of the last transaction
	calls   numbered[context.CancelFunc] // that end the calls under way
	watches numbered[*watch]             // not ended
	stats   Stats
}

var _ store.Engine = (*Engine)(nil)

// server is one of the addresses.
type server struct {
	address   network.Address
	link      *link         // nil: none is known to hold
	dialling  clock.Event   // not nil: a task makes the link
	failures  int           // since the last success
	notBefore time.Duration // of the host's uptime; before it another server is better
}

// link is a client's place at one boot of a server.
type link struct {
	server  int
	address network.Address
	boot    uint64
	client  uint64
	limits  limits

	// Guarded by Engine.mu.
	used    time.Duration // when the server last answered, of the host's uptime
	txns    uint64        // begun
	commits uint64        // sent
	watches uint64        // set
	over    header        // transactions and watches that the server may forget
	lanes   [partKinds]lane
}

// Open returns a client of the servers, which it first calls when there is
// something to do. It lives until [Engine.Close] or the end of h. Open returns an
// error that wraps store.ErrInvalid and names the option when one is out of its
// range.
func Open(h host.Host, o Options) (*Engine, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Engine{host: h, o: o}
	for _, a := range o.Servers {
		e.servers = append(e.servers, server{address: a})
	}
	return e, nil
}

// Begin implements [store.Engine].
func (e *Engine) Begin(ctx context.Context) store.Txn { return &attempt{engine: e, ctx: ctx} }

var errClosed = fmt.Errorf("remote: %w", store.ErrClosed)

// Close implements [store.Engine]. It ends the calls that are under way; a commit
// among them ends with store.ErrCommitUnknown. It leaves the servers alone, which
// forget the client after a while. Closing again does nothing.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	calls := e.calls.take()
	watches := e.watches.take()
	e.mu.Unlock()
	for _, cancel := range calls {
		cancel()
	}
	for _, w := range watches {
		w.end(errClosed)
	}
	return nil
}

func (e *Engine) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// Stats counts what a client has met.
type Stats struct {
	Links    uint64 // places that servers gave it
	Switches uint64 // times that it went to another server
	Doubts   uint64 // commits that ended with store.ErrCommitUnknown
	Resumed  uint64 // waits for a watch that got an answer after one was lost

	Batches    uint64 // requests that brought several small ones
	AskedAgain uint64 // small ones whose answer did not come with those of their batch

	LostBatches uint64 // batches of commits that stayed without an answer
}

// Stats returns the client's counts.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stats
}

// count counts one more.
func (e *Engine) count(n *uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	*n++
}

// numbered is a set of what has to be told that something has ended.
type numbered[T any] struct {
	last uint64
	all  map[uint64]T
}

// add returns the number by which x is removed.
func (s *numbered[T]) add(x T) (n uint64) {
	if s.all == nil {
		s.all = make(map[uint64]T)
	}
	s.last++
	s.all[s.last] = x
	return s.last
}

func (s *numbered[T]) remove(n uint64) { delete(s.all, n) }

// take returns all, in the order in which they were added, and forgets them.
func (s *numbered[T]) take() []T {
	var xs []T
	for _, n := range slices.Sorted(maps.Keys(s.all)) {
		xs = append(xs, s.all[n])
	}
	s.all = nil
	return xs
}

// call sends a request to a server and returns its reply. err is why there is none:
// the caller's context has ended when ctx has; the engine is closed when it says so.
func (e *Engine) call(ctx context.Context, at network.Address, method string, req []byte, most time.Duration) ([]byte, error) {
	ctx, cancel := e.host.WithTimeout(ctx, most)
	defer cancel()
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, errClosed
	}
	n := e.calls.add(cancel)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.calls.remove(n)
	}()
	return e.host.Network().Call(ctx, at, method, req)
}
