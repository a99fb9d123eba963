package remote

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store"
)

var (
	// errGone: the server knows no such client.
	errGone = errors.New("the server does not know the client, or not any more")
	// errServerClosed is of the same kind: what was under way may still take effect.
	errServerClosed = fmt.Errorf("%w: it has been closed", errGone)
)

// Server serves an engine to the clients of a network. A network has room for one.
//
// What it remembers of its clients is bounded by its options. What has been idle
// for too long is forgotten when the next request comes.
type Server struct {
	host  host.Host
	inner store.Engine
	o     ServerOptions
	boot  uint64

	ctx    context.Context // of all inner transactions
	cancel context.CancelCauseFunc

	mu       sync.Mutex // never held over a call of the engine or a wait
	closed   bool
	draining bool
	clients  map[uint64]*client
	byUse    *list.List // of *client, the longest idle first
	last     uint64     // the number of the last client
	txns     int        // of all clients
	bytes    int        // of all clients
	copies   uint64     // ServerStats.Copies
	unknown  uint64     // ServerStats.Strangers
	expired  uint64     // ServerStats.Expired
}

// NewServer serves inner on the network of h until [Server.Close] or the end of
// h. It returns an error that wraps store.ErrInvalid and names the option when one
// is out of its range.
func NewServer(h host.Host, inner store.Engine, o ServerOptions) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		host: h, inner: inner, o: o, boot: h.Rand().Uint64(),
		clients: make(map[uint64]*client), byUse: list.New(),
	}
	s.ctx, s.cancel = h.WithCancel(h.Context())
	for _, m := range s.methods() {
		h.Network().Handle(m.name, m.handler)
	}
	return s, nil
}

type method struct {
	name    string
	handler network.Handler
}

func (s *Server) methods() []method {
	return []method{
		{methodHello, s.serveHello},
		{methodRead, s.serveRead},
		{methodCommit, s.serveCommit},
		{methodWatch, s.serveWatch},
	}
}

// Close refuses all further work, gives up what is under way and ends the watches.
// Clients see store.ErrUnavailable, and store.ErrCommitUnknown from a commit that
// was under way. Close does not close the engine. Closing again does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	var over leftovers
	for _, n := range slices.Sorted(maps.Keys(s.clients)) {
		s.forget(s.clients[n], &over)
	}
	s.mu.Unlock()
	for _, m := range s.methods() {
		s.host.Network().Handle(m.name, nil)
	}
	over.end()
	s.cancel(errServerClosed)
	return nil
}

// ServerStats are the sizes of what a server remembers, and counts since its start.
type ServerStats struct {
	Clients int
	Txns    int // under way
	Bytes   int // that they hold
	Watches int
	Busy    int // requests under way

	Copies    uint64 // commits that came again and got the answer of the first
	Strangers uint64 // requests of clients that the server did not know
	Expired   uint64 // transactions that were idle for too long
}

// Stats returns the sizes of what the server remembers, and its counts.
func (s *Server) Stats() ServerStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := ServerStats{Clients: len(s.clients), Txns: s.txns, Bytes: s.bytes, Copies: s.copies, Strangers: s.unknown, Expired: s.expired}
	for e := s.byUse.Front(); e != nil; e = e.Next() {
		c := e.Value.(*client)
		st.Watches += len(c.watches)
		st.Busy += c.busy
	}
	return st
}

// leftovers are what has to be ended without the lock.
type leftovers struct {
	txns    []*txn
	watches []store.Watch
}

func (l *leftovers) end() {
	for _, t := range l.txns {
		t.inner.Cancel()
		t.cancel()
	}
	for _, w := range l.watches {
		w.Cancel()
	}
}

// enter finds the client of a request and forgets what is over. The caller holds
// the lock.
func (s *Server) enter(h header, over *leftovers) (*client, error) {
	if s.closed {
		return nil, errServerClosed
	}
	s.expire(over)
	c := s.clients[h.client]
	if h.boot != s.boot || c == nil {
		s.unknown++
		return nil, errGone
	}
	s.touch(c)
	for _, n := range h.txns {
		if t := c.txns[n]; t != nil && !t.busy {
			s.drop(t, over)
		}
	}
	for _, n := range h.watches {
		if w, ok := c.watches[n]; ok {
			delete(c.watches, n)
			over.watches = append(over.watches, w)
		}
	}
	s.expireTxns(c, over)
	return c, nil
}

// expire forgets the clients that have been silent for too long.
func (s *Server) expire(over *leftovers) {
	now := s.host.Uptime()
	for e := s.byUse.Front(); e != nil; e = s.byUse.Front() {
		c := e.Value.(*client)
		if now-c.used <= s.o.ClientIdle || c.busy > 0 {
			return
		}
		s.forget(c, over)
	}
}

// expireTxns gives up the transactions of a client that have been idle for too
// long.
func (s *Server) expireTxns(c *client, over *leftovers) {
	now := s.host.Uptime()
	for e := c.byUse.Front(); e != nil; e = c.byUse.Front() {
		t := e.Value.(*txn)
		if now-t.used <= s.o.TxnIdle || t.busy {
			return
		}
		s.expired++
		s.drop(t, over)
	}
}

// forget removes a client with all it has. A commit under way goes on.
func (s *Server) forget(c *client, over *leftovers) {
	for e := c.byUse.Front(); e != nil; e = c.byUse.Front() {
		s.drop(e.Value.(*txn), over)
	}
	for _, n := range slices.Sorted(maps.Keys(c.watches)) {
		over.watches = append(over.watches, c.watches[n])
	}
	clear(c.watches)
	c.gone = true
	delete(s.clients, c.number)
	s.byUse.Remove(c.place)
}

// serveHello gives a client a place.
func (s *Server) serveHello(_ context.Context, req []byte) ([]byte, error) {
	h, err := decodeHello(req)
	if err != nil {
		return nil, err
	}
	w := welcome{
		min: minVersion, max: maxVersion, boot: s.boot,
		limits: limits{message: s.o.MessageBytes, poll: s.o.PollMax, idle: s.o.ClientIdle},
	}
	var over leftovers
	defer over.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return encodeFault(statusRefused, errServerClosed), nil
	}
	if s.draining {
		return encodeFault(statusRefused, errDraining), nil
	}
	if h.max < minVersion || h.min > maxVersion {
		return w.encode(), nil
	}
	s.expire(&over)
	if len(s.clients) >= s.o.Clients {
		return encodeFault(statusRefused, fmt.Errorf("%w: the limit of %d clients is reached", store.ErrUnavailable, s.o.Clients)), nil
	}
	s.last++
	c := newClient(s.last, s.host.Uptime())
	c.place = s.byUse.PushBack(c)
	s.clients[c.number] = c
	w.client = c.number
	return w.encode(), nil
}
