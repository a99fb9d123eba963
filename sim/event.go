package sim

import (
	"context"

	"github.com/kelpie-registry/kelpie/clock"
)

// event is a one-shot wake-up of one life.
type event struct {
	host    *Host
	set     bool
	waiters nodeList
	number  uint64 // of the life's events, for reports
	maker   string // task or callback that made it, for reports
}

// NewEvent implements [clock.Clock].
func (h *Host) NewEvent() clock.Event {
	if h.may() {
		h.events++
	}
	return &event{host: h, number: h.events, maker: h.world.eventName}
}

// Set implements [clock.Event]. It wakes the waiters in the order in which
// they began to wait; the seed decides who runs first.
func (e *event) Set() {
	if e.set || e.host.dead || e.host.world.mute() {
		return
	}
	e.set = true
	for n := e.waiters.first; n != nil; n = e.waiters.first {
		n.task.ready() // takes it off the list
	}
}

// IsSet implements [clock.Event].
func (e *event) IsSet() bool { return e.set }

// Wait implements [clock.Event]. It is a scheduling point even when the event
// is set.
func (e *event) Wait(ctx context.Context) error {
	t := e.host.blocking("Event.Wait")
	if e.set || ctx.Err() != nil {
		w := e.host.world
		w.push(&t.wake, w.now, t.draw())
	} else {
		e.waiters.append(&t.onEvent)
		t.watch(ctx)
	}
	t.event = e
	t.block(waitEvent)
	switch {
	case e.set:
		return nil
	case t.ended != nil:
		return t.ended
	default:
		return ctx.Err()
	}
}
