// Package simstore makes any store.Engine a server in the simulator: an engine
// that knows nothing of it is reached over the simulated network, and shows
// every error that the port allows.
//
// A [Server] is a process. Each read and each commit of a client is a request
// message and an answer message on the links between the two processes, in the
// order of a connection; the inner engine serves it at one instant in between.
// So whatever the network does to messages happens to them: they are slow, are
// lost, overtake each other, come twice, meet a cut; and a server that is down
// gets none, one that stands still gets them when it goes on. Copies of a
// request are dropped. A client that hears nothing for a while, or whose
// connection breaks, gives up: a read ends with store.ErrUnavailable, a commit
// with store.ErrCommitUnknown. What was lost is never repeated. Mutations cost
// nothing: they are sent with the commit.
//
// A commit that was sent takes effect when it arrives, whatever has become of
// its client: it may have given up, the process may have crashed. So what the
// client is told, and what is so, part as they do in reality. Nothing fences a
// commit in doubt off: it may be applied after the client was told. A commit
// that is told to have failed with another error than store.ErrCommitUnknown has
// not been applied and never will be.
//
// The state of the server is that of the inner engine: a crash of the server
// process loses none of it. The inner engine must serve each call without
// waiting, as package memory does. Its clock, if it takes one, is to be the host
// of a process that is never crashed.
//
// Every draw is keyed by the process, the number of the transaction in its life
// and the number of the call in the transaction: one call more or less leaves
// the others alone.
package simstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// portName is the name of the server's port.
const portName = "simstore"

// Server is a process that serves an engine to others.
type Server struct {
	world  *sim.World
	name   string
	inner  store.Engine
	faults *Faults
	port   *sim.Port // of the last life
	lives  map[string]connected
}

// connected counts the connections of a process in its last life seen.
type connected struct {
	life uint64
	n    uint64
}

// NewServer starts a process of the name f.Server in w, that serves inner. It
// panics when f is invalid, see [Faults.Validate], or the name is taken.
func NewServer(w *sim.World, inner store.Engine, f *Faults) *Server {
	if err := f.Validate(); err != nil {
		panic(err)
	}
	s := &Server{world: w, name: f.server(), inner: inner, faults: f, lives: make(map[string]connected)}
	w.Process(s.name, sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		s.port = h.Bind(portName, s.deliver)
	})
	return s
}

// Connect returns the client's end of a connection from the life of a process
// that h stands for. Closing it closes the connection, not the inner engine.
func (s *Server) Connect(h *sim.Host) store.Engine {
	c := s.lives[h.Name()]
	if life := h.Process().Life(); c.life != life {
		c = connected{life: life}
	}
	c.n++
	s.lives[h.Name()] = c
	name := portName
	if c.n > 1 {
		name = fmt.Sprintf("%s-%d", portName, c.n)
	}
	e := &engine{h: h, server: s, stream: "simstore " + h.Name(), life: c.life, connection: c.n}
	e.tick = e.giveUp
	e.port = h.Bind(name, e.deliver)
	e.port.OnReset(e.reset)
	return e
}

// engine is the client's end of a connection.
type engine struct {
	h      *sim.Host
	server *Server
	port   *sim.Port

	stream     string
	life       uint64
	connection uint64      // number in the life
	begun      uint64      // transactions
	inFlight   []*exchange // without an answer, in the order in which they were sent
	open       []*watch    // not ended
	tick       func()      // giveUp
	ticking    bool        // it is due
	closed     bool
}

// Begin implements store.Engine.
func (e *engine) Begin(ctx context.Context) store.Txn {
	e.begun++
	// The inner transaction must outlast ctx: what was sent arrives.
	return &txn{engine: e, ctx: ctx, inner: e.server.inner.Begin(context.Background()), number: e.begun}
}

// Close implements store.Engine.
func (e *engine) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	e.sever(store.ErrClosed)
	return nil
}

// Why a connection ended.
var (
	errReset    = errors.New("the connection was reset")
	errHungUp   = errors.New("the server ended the connection")
	errNoAnswer = errors.New("no answer")
)

// sever ends everything that waits for the server, and returns how much it was.
func (e *engine) sever(why error) (ended int) {
	ended = len(e.inFlight) + len(e.open)
	for _, x := range slices.Clone(e.inFlight) {
		x.end(x.lost(why))
	}
	for _, w := range slices.Clone(e.open) {
		w.fail(lostError("watch", why))
	}
	return ended
}

// reset is told that the connections to a process broke.
func (e *engine) reset(peer string) (broken int) {
	if peer != e.server.name {
		return 0
	}
	broken = e.sever(errReset)
	e.server.faults.fired.Reset += uint64(broken)
	return broken
}

// lostError is the error of a call, other than a commit, that has no effect on
// the store and gets no answer.
func lostError(doing string, why error) error {
	if errors.Is(why, store.ErrClosed) {
		return fmt.Errorf("simstore: %s: %w", doing, why)
	}
	return fmt.Errorf("simstore: %s: %w: %w", doing, store.ErrUnavailable, why)
}

// The draws of a call.
const (
	drawFate uint64 = iota
	drawThere
	drawBack
	drawLate
	drawNotice
)

// call identifies one call of a transaction.
type call struct {
	*engine
	txn    uint64
	number uint64 // in its transaction
}

func (c call) draw(which uint64) uint64 {
	return c.server.world.Draw(c.stream, c.life, c.connection, c.txn, c.number, which)
}

// evenly draws a duration from least to most.
func (c call) evenly(which uint64, least, most time.Duration) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(c.draw(which)%uint64(most-least+1))
}

// fate draws what happens to the call.
func (c call) fate(commit bool) outcome {
	const bits = 53
	return c.server.faults.fateOf(float64(c.draw(drawFate)>>(64-bits))/(1<<bits), commit)
}
