package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// contextChecks end contexts before, between and during calls.
func contextChecks() []check {
	return []check{
		{name: "context/ended before the transaction begins", run: ctxBefore},
		{name: "context/cancelled between calls", run: ctxBetween},
		{name: "context/deadline passed between calls", run: ctxDeadline},
		{name: "context/cancelled during commits", run: ctxDuring},
	}
}

func ctxBefore(l *lab) error {
	return l.solo(func(c *client) error {
		ctx, cancel := c.clock.WithCancel(c.ctx)
		cancel(nil)
		for _, k := range l.calls() {
			tx := c.engine.Begin(ctx)
			tx.Set([]byte("a"), nil)
			err := wantError(k.name, k.do(tx), context.Canceled)
			tx.Cancel()
			if err != nil {
				return err
			}
		}
		return c.has()
	})
}

func ctxBetween(l *lab) error {
	return l.solo(func(c *client) error {
		for _, k := range l.calls() {
			ctx, cancel := c.clock.WithCancel(c.ctx)
			tx := c.engine.Begin(ctx)
			tx.Set([]byte("b"), nil)
			err := wantGet(tx, "c", "-")
			cancel(nil)
			if err == nil {
				err = wantError(k.name, k.do(tx), context.Canceled)
			}
			tx.Cancel()
			if err != nil {
				return err
			}
		}
		return c.has()
	})
}

func ctxDeadline(l *lab) error {
	return l.solo(func(c *client) error {
		for _, k := range l.calls() {
			ctx, cancel := c.clock.WithTimeout(c.ctx, 10*time.Millisecond)
			tx := c.engine.Begin(ctx)
			tx.Set([]byte("b"), nil)
			err := c.clock.NewEvent().Wait(ctx) // until the deadline
			if err = wantError("waiting for the deadline", err, context.DeadlineExceeded); err == nil {
				err = wantError(k.name, k.do(tx), context.DeadlineExceeded, store.ErrTimedOut)
			}
			tx.Cancel()
			cancel()
			if err != nil {
				return err
			}
		}
		return c.has()
	})
}

// ctxDuring cancels contexts while commits are under way, and compares what the
// commit said with what became of it.
func ctxDuring(l *lab) error {
	const n = 40
	return l.solo(func(c *client) error {
		outcomes := make([]error, n)
		for i := range n {
			ctx, cancel := c.clock.WithCancel(c.ctx)
			tx := c.engine.Begin(ctx)
			tx.Set(fmt.Appendf(nil, "%03d", i), nil)
			wait := c.background(func(c *client) error {
				defer cancel(nil)
				return c.pause(time.Duration(i) * 50 * time.Microsecond)
			})
			outcomes[i] = tx.Commit()
			tx.Cancel()
			if err := wait(); err != nil {
				return err
			}
		}
		tx := c.begin()
		defer tx.Cancel()
		for i, outcome := range outcomes {
			v, err := tx.Get(fmt.Appendf(nil, "%03d", i))
			switch {
			case err != nil:
				return fmt.Errorf("Get: %w", err)
			case outcome == nil && v == nil:
				return fmt.Errorf("commit %d succeeded and was not applied", i)
			case outcome != nil && !errors.Is(outcome, store.ErrCommitUnknown):
				if v != nil {
					return fmt.Errorf("commit %d was applied, it answered: %w", i, outcome)
				}
				if !errors.Is(outcome, context.Canceled) && !c.h.interfered(outcome) {
					return fmt.Errorf("commit %d: %w", i, outcome)
				}
			}
		}
		return nil
	})
}
