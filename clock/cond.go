package clock

import (
	"context"
	"sync"
)

// Cond lets tasks wait until a condition may have changed: the replacement for
// sync.Cond and for a channel used as a signal. The zero value is not usable;
// see [NewCond].
//
// A waiter takes a [Cond.Ticket] while it still holds the lock that guards the
// condition, releases the lock, and waits on the ticket: no broadcast between
// the two is lost.
type Cond struct {
	clock Clock
	mu    sync.Mutex
	next  Event
}

// NewCond returns a condition that waits on c.
func NewCond(c Clock) *Cond {
	return &Cond{clock: c, next: c.NewEvent()}
}

// Ticket returns the event that the next Broadcast sets.
func (c *Cond) Ticket() Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next
}

// Broadcast wakes every holder of a ticket taken before the call.
func (c *Cond) Broadcast() {
	c.mu.Lock()
	e := c.next
	c.next = c.clock.NewEvent()
	c.mu.Unlock()
	e.Set()
}

// Wait blocks until the next Broadcast or until ctx ends.
func (c *Cond) Wait(ctx context.Context) error {
	return c.Ticket().Wait(ctx)
}
