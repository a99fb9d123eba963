package simstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// exchange is a request and its answer: the body of both messages.
type exchange struct {
	call
	doing  string
	commit bool
	serve  func() error // at the server, at the instant of the effect
	cancel func()       // at the server, when it refuses; may be nil

	arrived bool  // at the server, once: further copies are dropped
	answer  error // of the server

	since time.Duration // when the wait began, on the client's clock
	turns bool          // it is waited for in turns, and stays in flight between them
	sent  bool          // it is in flight, or has been
	done  clock.Event
	over  bool // nobody waits any more
	err   error
}

// lost is the error of an exchange whose answer does not come.
func (x *exchange) lost(why error) error {
	if x.commit {
		return fmt.Errorf("simstore: commit in flight: %w: %w", store.ErrCommitUnknown, why)
	}
	return lostError(x.doing, why)
}

// end ends the wait for the answer.
func (x *exchange) end(err error) {
	if !x.over {
		x.over, x.err = true, err
		x.done.Set()
	}
}

// do sends the request and waits for the answer, for the end of ctx, or for as
// long as a client waits.
func (x *exchange) do(ctx context.Context) error {
	x.done = x.h.NewEvent()
	x.h.SendTo(x.port, x.server.name, portName, x)
	err := x.wait(ctx)
	x.over = true // an answer that comes later is nobody's
	return err
}

// wait waits for the answer. What is waited for in turns may be waited for again when
// ctx ended it: for as long as a client waits altogether.
func (x *exchange) wait(ctx context.Context) error {
	e := x.engine
	if !x.sent {
		x.sent, x.since = true, e.h.Monotonic()
		e.inFlight = append(e.inFlight, x)
		if !e.ticking {
			e.ticking = true
			e.h.After(e.server.faults.timeout(), e.tick)
		}
	}
	err := x.done.Wait(ctx)
	if i := slices.Index(e.inFlight, x); i >= 0 && (x.over || !x.turns) {
		e.inFlight = slices.Delete(e.inFlight, i, i+1)
	}
	switch {
	case x.over:
		return x.err
	case x.commit:
		return x.lost(err)
	default:
		return fmt.Errorf("simstore: %s: %w", x.doing, err)
	}
}

// giveUp ends what has waited for as long as a client waits. It runs when the
// first of what is in flight may have: one timer is enough for all.
func (e *engine) giveUp() {
	patience, now := e.server.faults.timeout(), e.h.Monotonic()
	for len(e.inFlight) > 0 && now-e.inFlight[0].since >= patience {
		x := e.inFlight[0]
		e.inFlight = slices.Delete(e.inFlight, 0, 1)
		if x.over {
			continue // it has its answer
		}
		if x.commit {
			e.server.faults.fired.CommitsLost++
		} else {
			e.server.faults.fired.ReadsLost++
		}
		x.end(x.lost(errNoAnswer))
	}
	if e.ticking = len(e.inFlight) > 0; e.ticking {
		e.h.After(e.inFlight[0].since+patience-now, e.tick)
	}
}

// deliver is the client's port.
func (e *engine) deliver(m sim.Message) {
	x := m.Body.(*exchange)
	x.end(x.answer)
}

// deliver is the server's port.
func (s *Server) deliver(m sim.Message) {
	x := m.Body.(*exchange)
	if x.arrived {
		s.faults.fired.Copies++
		return
	}
	x.arrived = true
	latency := s.faults.latency(x.commit)
	if latency.Max > 0 {
		s.faults.fired.Slowed++
	}
	s.after(x.evenly(drawThere, latency.Min, latency.Max), func() { s.handle(x, latency) })
}

// after runs f in this life of the server.
func (s *Server) after(d time.Duration, f func()) {
	if d == 0 {
		f()
		return
	}
	s.port.Host().After(d, f)
}

// handle serves a request, or does to it what its fate says.
func (s *Server) handle(x *exchange, latency Latency) {
	f := s.faults
	switch x.fate(x.commit) {
	case fateUnavailable:
		f.fired.Unavailable++
		x.refuse(store.ErrUnavailable)
	case fateConflict:
		f.fired.Conflicts++
		x.refuse(store.ErrConflict)
	case fateApplied:
		if x.serve() == nil {
			f.fired.UnknownApplied++
		}
		s.hangUp(x)
		return
	case fateDropped:
		f.fired.UnknownDropped++
		x.drop()
		s.hangUp(x)
		return
	case fateLate:
		f.fired.UnknownLate++
		x.answer = x.lost(errHungUp)
		s.after(1+x.evenly(drawLate, 0, f.lateMax()), func() {
			if x.serve() == nil {
				f.fired.LateApplied++
			}
		})
	case fateNone:
		x.answer = x.serve()
	}
	s.after(x.evenly(drawBack, latency.Min, latency.Max), func() { s.reply(x) })
}

// drop makes sure that the request has no effect.
func (x *exchange) drop() {
	if x.cancel != nil {
		x.cancel()
	}
}

// refuse answers that the request has no effect, and why.
func (x *exchange) refuse(err error) {
	x.drop()
	x.answer = fmt.Errorf("simstore: %s: %w: refused", x.doing, err)
}

// hangUp lets the client learn, some time before it would give up by itself,
// that its connection has ended.
func (s *Server) hangUp(x *exchange) {
	x.answer = x.lost(errHungUp)
	s.after(x.evenly(drawNotice, 0, s.faults.timeout()), func() { s.reply(x) })
}

func (s *Server) reply(x *exchange) { s.port.Send(x.port, x) }
