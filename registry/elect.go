package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// Elect makes this session stand for the leadership of what name stands for, and
// runs lead once it has been elected. There is no vote: leadership is the
// ownership of one actor, so all that holds for a [Claim] holds for a leader.
//
// lead gets a context that ends when ctx does or the leadership ends; clock.Cause
// tells why. A lease that runs out during a pause of the process ends it only
// after the pause, so a leader asks Valid before it acts and sends the token along
// with what it does. When lead returns, the leadership is given up.
//
// Elect returns the error of lead. When the leadership ended before lead returned,
// it wraps [ErrSessionLost] or [ErrNotOwner] as well; when giving it up failed,
// that error: then the name stays taken until the session ends. It waits out
// [ErrDegraded], [ErrUnknown] and failures of the store. Without having led it
// returns [ErrInvalid], [ErrSessionLost], [ErrCorrupt] or an error that wraps that
// of ctx.
func (s *Session) Elect(ctx context.Context, name ActorID, lead func(ctx context.Context, c *Claim) error) error {
	if lead == nil {
		return invalid("lead is nil")
	}
	c, err := s.campaign(ctx, name)
	if err != nil {
		return err
	}
	err = s.lead(ctx, c, lead)
	if !c.Valid() {
		why := clock.Cause(c.Context())
		if why == nil {
			why = s.expired() // the keeper is about to say so
		}
		err = errors.Join(err, fmt.Errorf("registry: lead %q: %w", name, why))
	}
	return errors.Join(err, s.resign(c))
}

// campaign claims the actor, however long that takes.
func (s *Session) campaign(ctx context.Context, name ActorID) (*Claim, error) {
	for {
		c, err := s.ClaimWait(ctx, name)
		switch {
		case err == nil && c.Valid():
			return c, nil
		case err == nil:
			// The lease ran out on the way; the next claim says so.
		case ctx.Err() != nil, !passes(err):
			return nil, err
		}
		if err := s.r.host.Sleep(ctx, s.r.o.Retry.Delay(0, s.r.host.Rand())); err != nil {
			return nil, fmt.Errorf("registry: stand for %q: %w", name, err)
		}
	}
}

// passes reports whether time may cure the failure of a claim.
func passes(err error) bool {
	return errors.Is(err, ErrDegraded) || errors.Is(err, ErrUnknown) || store.Retryable(err)
}

// lead runs the callback under a context that ends with the claim too.
func (s *Session) lead(ctx context.Context, c *Claim, lead func(ctx context.Context, c *Claim) error) error {
	ctx, cancel := s.r.host.WithCancel(ctx)
	defer cancel(nil)
	returned := s.r.host.NewEvent()
	defer returned.Set()
	s.r.host.Go("leader/"+string(c.actor), func(context.Context) {
		if returned.Wait(c.Context()) != nil {
			cancel(clock.Cause(c.Context()))
		}
	})
	return lead(ctx, c)
}

// resign releases the claim although ctx may have ended, so that another node
// need not wait for the session's end.
func (s *Session) resign(c *Claim) error {
	ctx, cancel := s.r.host.WithTimeout(s.ctx, s.ttl)
	defer cancel()
	err := c.Release(ctx)
	if s.over.Load() || errors.Is(err, ErrSessionLost) || errors.Is(err, ErrNotOwner) {
		return nil // there is nothing left to give up
	}
	return err
}
