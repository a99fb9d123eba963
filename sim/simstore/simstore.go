// Package simstore puts a simulated wire between a process and any store.Engine:
// an engine that knows nothing of the simulator becomes a server far away, with
// latency, cuts and every error that the port allows.
//
// Each read and each commit is a scheduling point. Its request takes a while,
// the inner engine serves it at one instant, and the answer takes a while. A cut
// between the process and the server, or a server that is crashed or paused when
// the request arrives or the answer leaves, loses it. What the wire loses, it
// never repeats. Mutations cost nothing: they are sent with the commit.
//
// A commit that was sent takes effect when it arrives, whatever has become of
// its client: the context may have ended, the process may have crashed. So what
// the client is told, and what is so, part as they do in reality. A commit that
// is told to have failed with another error than store.ErrCommitUnknown has not
// been applied and never will be.
//
// The state of the server is that of the inner engine: a crash of the server
// process loses none of it. The inner engine must serve each call without
// waiting, as package memory does; many processes may share one. Its clock, if it
// takes one, is to be the host of a process that is never crashed.
//
// Every draw is keyed by the process, the number of the transaction in its life
// and the number of the call in the transaction: one call more or less leaves
// the others alone.
package simstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// New returns the client's end of a wire from the life of a process that h
// stands for to inner. It panics when o is invalid; see [Faults.Validate].
// Closing the engine closes the wire, not inner.
func New(h *sim.Host, inner store.Engine, o *Faults) store.Engine {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	return &engine{
		h:      h,
		world:  h.Process().World(),
		inner:  inner,
		faults: o,
		stream: "simstore " + h.Name(),
		life:   h.Process().Life(),
	}
}

// engine is one end of a wire.
type engine struct {
	h      *sim.Host
	world  *sim.World
	inner  store.Engine
	faults *Faults

	stream string
	life   uint64
	begun  uint64   // transactions
	open   []*watch // not ended
	closed bool
}

// Begin implements store.Engine.
func (e *engine) Begin(ctx context.Context) store.Txn {
	e.begun++
	// The inner transaction must outlast ctx: what was sent arrives.
	return &txn{engine: e, ctx: ctx, inner: e.inner.Begin(context.Background()), number: e.begun}
}

// Close implements store.Engine.
func (e *engine) Close() error {
	if e.closed {
		return nil
	}
	e.closed = true
	for _, w := range slices.Clone(e.open) {
		w.fail(fmt.Errorf("simstore: watch: %w", store.ErrClosed))
	}
	return nil
}

// The draws of a call.
const (
	drawFate uint64 = iota
	drawThere
	drawBack
	drawLate
)

// call is one request over the wire.
type call struct {
	*engine
	txn    uint64
	number uint64 // in its transaction
}

func (c call) draw(which uint64) uint64 {
	return c.world.Draw(c.stream, c.life, c.txn, c.number, which)
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
	return c.faults.fateOf(float64(c.draw(drawFate)>>(64-bits))/(1<<bits), commit)
}

// sends reports whether a request that leaves now gets to the server's machine.
func (e *engine) sends() bool { return !e.world.Net().IsCut(e.h.Name(), e.faults.server()) }

// serves reports whether the server can serve now.
func (e *engine) serves() bool {
	p := e.world.Lookup(e.faults.server())
	return p == nil || p.Alive() && !p.Paused()
}

// answers reports whether an answer that leaves now gets to the client.
func (e *engine) answers() bool {
	return e.serves() && !e.world.Net().IsCut(e.faults.server(), e.h.Name())
}

// read runs f, a read of the inner engine, at the far end of the wire.
func (c call) read(ctx context.Context, doing string, f func() error) error {
	latency := c.faults.ReadLatency
	arrives := c.sends()
	fate := c.fate(false)
	if err := c.h.Sleep(ctx, c.evenly(drawThere, latency.Min, latency.Max)); err != nil {
		return fmt.Errorf("simstore: %s: %w", doing, err)
	}
	if !arrives || !c.serves() {
		return c.lost(ctx, doing)
	}
	var err error
	if fate == fateUnavailable {
		c.faults.fired.Unavailable++
		err = fmt.Errorf("simstore: %s: %w: refused", doing, store.ErrUnavailable)
	} else {
		err = f()
	}
	if !c.answers() {
		return c.lost(ctx, doing)
	}
	if serr := c.h.Sleep(ctx, c.evenly(drawBack, latency.Min, latency.Max)); serr != nil {
		return fmt.Errorf("simstore: %s: %w", doing, serr)
	}
	if c.closed {
		return fmt.Errorf("simstore: %s: %w", doing, store.ErrClosed)
	}
	return err
}

// lost waits, as a client does that gets no answer to a read.
func (c call) lost(ctx context.Context, doing string) error {
	c.faults.fired.ReadsLost++
	if err := c.h.Sleep(ctx, c.faults.timeout()); err != nil {
		return fmt.Errorf("simstore: %s: no answer: %w", doing, err)
	}
	return fmt.Errorf("simstore: %s: %w: no answer", doing, store.ErrUnavailable)
}
