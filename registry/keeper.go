package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// The keeper renews a session's lease, and acts by a threshold policy when that
// fails: Healthy, Degraded after DegradedAfter failures in a row or when less
// than DegradedShare of the lease is left, Lost when the lease has run out or
// the store says that the session has ended. Lost is final.

// keep runs until the session ends. The lease counts from before the join, so
// the first renewal does too: after a slow join it may be due at once.
func (s *Session) keep(context.Context) {
	next := s.began + s.r.o.RenewEvery - s.r.host.Monotonic()
	for {
		if err := s.r.host.Sleep(s.ctx, next); err != nil {
			return
		}
		began, err := s.renew()
		if s.over.Load() {
			return
		}
		switch {
		case err == nil:
			s.renewed(began)
			next = began + s.r.o.RenewEvery - s.r.host.Monotonic()
		case errors.Is(err, ErrSessionLost):
			s.lose(err)
		default:
			next = s.failed(err)
		}
	}
}

// renew makes one attempt. began is the monotonic time before which nothing of
// the transaction that succeeded had happened.
func (s *Session) renew() (began time.Duration, err error) {
	ctx, cancel := s.r.host.WithTimeout(s.ctx, s.r.o.RenewTimeout)
	defer cancel()
	var marked bool
	version, err := s.r.db.Transact(ctx, func(tx store.Tx) error {
		began = s.r.host.Monotonic()
		rec, err := s.r.readSession(tx, s.id.node)
		if err != nil {
			return err
		}
		if !rec.lives(s.id.incarnation) {
			return s.endedError(rec)
		}
		tx.SetStamped(s.r.keys.beat(s.id.node), encodeBeat(s.id.incarnation), stampAt)
		if marked = rec.degraded; !marked {
			return nil
		}
		rec.degraded = false
		return s.r.changeSession(tx, s.id.node, rec)
	})
	if s.over.Load() {
		return began, err // it left meanwhile: nobody asks any more
	}
	if err == nil && !marked {
		s.r.pace.see(s.r.host.Monotonic() - began)
	}
	e := s.event(EventRenewed)
	e.Version, e.Err = version, err
	if err != nil {
		e.Kind = EventRenewFailed
	}
	s.r.emit(e)
	if e.Kind = EventUnmarked; err == nil && marked {
		s.r.emit(e)
	}
	return began, err
}

// endedError says how the session came to its end, rec being what stands in its
// place.
func (s *Session) endedError(rec *sessionRecord) error {
	switch {
	case rec == nil:
		return fmt.Errorf("%w: %q has no session", ErrSessionLost, s.id.node)
	case rec.incarnation() != s.id.incarnation:
		return fmt.Errorf("%w: %q was joined anew as incarnation %v", ErrSessionLost, s.id.node, rec.incarnation())
	case rec.status == statusLeft:
		return fmt.Errorf("%w: %q left", ErrSessionLost, s.id.node)
	}
	return fmt.Errorf("%w: %q was revoked", ErrSessionLost, s.id.node)
}

// renewed counts the lease from the start of the renewal that succeeded.
func (s *Session) renewed(began time.Duration) {
	// A renewal that returns after the lease ran out comes too late: Lost is final.
	if !s.extend(began + shrink(s.ttl, s.r.o.MaxDrift)) {
		s.lose(s.expired())
		return
	}
	s.mu.Lock()
	s.failures = 0
	h := s.healthLocked()
	s.mu.Unlock()
	s.tell(h, nil)
	s.armTimer()
}

// failed notes a failed renewal and returns the delay before the next attempt.
func (s *Session) failed(err error) time.Duration {
	s.mu.Lock()
	s.failures++
	n := s.failures
	h := s.healthLocked()
	s.mu.Unlock()
	if h == Lost {
		s.lose(s.expired())
		return 0
	}
	s.tell(h, err)
	return s.r.o.Retry.Delay(n-1, s.r.host.Rand())
}

func (s *Session) expired() error {
	return fmt.Errorf("%w: %w: %v without a renewal", ErrSessionLost, ErrExpired, s.ttl)
}

// armTimer sets the timer for the next change that time alone brings.
func (s *Session) armTimer() {
	left := s.LeaseLeft()
	wait := left - s.degradedBelow() + 1
	if wait <= 0 {
		wait = left
	}
	timer := s.r.host.AfterFunc(wait, s.timePassed)
	s.mu.Lock()
	old := s.timer
	s.timer = timer
	s.mu.Unlock()
	if old != nil {
		old.Stop()
	}
	if s.over.Load() {
		timer.Stop()
	}
}

// timePassed looks what the clock says now.
func (s *Session) timePassed() {
	if s.over.Load() {
		return
	}
	h := s.Health()
	if h == Lost {
		s.lose(s.expired())
		return
	}
	s.tell(h, nil)
	s.armTimer()
}
