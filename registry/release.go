package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Release gives the actor up. The claim stops being Valid before anything else
// happens, and stays so whatever Release returns.
//
// Errors: [ErrNotOwner] when the claim was released or transferred before, also
// when it was a [Claim.Transfer] in doubt that did it; [ErrSessionLost] when the
// session has ended, and with it the ownership; [ErrSuperseded] when a Release or
// Transfer that failed, or is in doubt, was followed by a Claim; [ErrUnknown]: the
// actor may still be held, and Release may be called again; errors of the store
// and of ctx, after which the actor is still held, unless a Transfer is in doubt,
// and Release may be called again. When both a Release and a Transfer are in doubt,
// nil says that one of them took effect.
func (c *Claim) Release(ctx context.Context) error {
	_, err := c.release(ctx)
	return err
}

// release returns the commit version, zero when the release was found to have taken
// effect before.
func (c *Claim) release(ctx context.Context) (store.Version, error) {
	c.stopBelieving(errReleased)
	leave, err := c.s.enter(ctx, c.actor)
	if err != nil {
		return 0, fmt.Errorf("registry: release %q: %w", c.actor, err)
	}
	defer leave()
	if c.isSuperseded() {
		return 0, fmt.Errorf("registry: release %q: %w", c.actor, ErrSuperseded)
	}
	about := c.s.event(EventReleased)
	about.Actor, about.Token = c.actor, c.token
	wasDoubt := c.doubt
	rel := releasing{c: c}
	version, err := c.s.r.transact(ctx, about, &c.doubt, rel.attempt)
	return rel.finish(version, err, wasDoubt)
}

// finish ends a release, and returns its version. Called in the actor's turn, with what became of the
// transaction, and whether a release was in doubt before it.
func (r *releasing) finish(version store.Version, err error, wasDoubt bool) (store.Version, error) {
	c := r.c
	about := c.s.event(EventReleased)
	about.Actor, about.Token = c.actor, c.token
	if c.doubt && !wasDoubt && (err == nil || decided(err)) {
		c.s.r.resolved(about, err == nil && r.gone)
	}
	if err != nil {
		c.s.learn(err)
		return 0, fmt.Errorf("registry: release %q: %w", c.actor, err)
	}
	c.doubt, c.moves.inDoubt = false, 0
	c.s.forget(c)
	if !r.gone {
		about.Version = version
	}
	c.s.r.emit(about)
	return about.Version, nil
}

// forget drops the handle of a claim that is over.
func (s *Session) forget(c *Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claims[c.actor] == c {
		delete(s.claims, c.actor)
	}
}

// releasing is the state of one release over its attempts.
type releasing struct {
	c    *Claim
	gone bool // a release in doubt turned out to have taken effect
}

func (r *releasing) attempt(tx store.Tx) error {
	c, s := r.c, r.c.s
	me, rec, err := s.r.readSessionAndActor(tx, s.id.node, c.actor)
	if err != nil {
		return err
	}
	return r.decide(tx, me, rec)
}

// decide is attempt with what it has read.
func (r *releasing) decide(tx store.Tx, me *sessionRecord, rec *actorRecord) error {
	r.gone = false
	c, s := r.c, r.c.s
	if !me.lives(s.id.incarnation) {
		err := s.endedError(me)
		if c.doubt {
			return fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		return err
	}
	mine := rec != nil && rec.node == s.id.node && rec.incarnation == s.id.incarnation && rec.token() == c.token
	if !mine {
		if c.doubt {
			// The session has been live all along, so nobody but its own release,
			// or a transfer in doubt, can have taken the record away.
			r.gone = true
			return nil
		}
		owner, err := s.r.liveOwner(tx, rec)
		if err != nil {
			return err
		}
		return &NotOwnerError{Actor: c.actor, Owner: owner}
	}
	tx.Clear(s.r.keys.actor(c.actor))
	s.r.disown(tx, s.id, c.actor)
	return nil
}

// Leave ends the session: every claim stops being Valid at once, then the
// session is closed in the store and its actors are free. Leaving a session
// that this call finds closed by an earlier Leave succeeds.
//
// Errors: [ErrSessionLost] when the session had been ended by somebody else;
// [ErrUnknown] and errors of the store and of ctx, after which the session may
// stand in the store until it is observed to be silent, and Leave may be called
// again.
func (s *Session) Leave(ctx context.Context) error {
	s.end(errLeft)
	leave, err := s.enter(ctx, "")
	if err != nil {
		return fmt.Errorf("registry: leave as %q: %w", s.id.node, err)
	}
	defer leave()
	var already bool
	about := s.event(EventLeft)
	version, err := s.r.transact(ctx, about, &s.leaveDoubt, func(tx store.Tx) error {
		rec, err := s.r.readSession(tx, s.id.node)
		if err != nil {
			return err
		}
		already = rec != nil && rec.incarnation() == s.id.incarnation && rec.status == statusLeft
		switch {
		case already:
			return nil
		case !rec.lives(s.id.incarnation):
			return s.leaveTooLate(rec)
		}
		rec.status = statusLeft
		return s.r.changeSession(tx, s.id.node, rec)
	})
	if s.leaveDoubt && (err == nil || errors.Is(err, ErrSessionLost)) {
		s.r.resolved(about, already)
	}
	if err != nil {
		return fmt.Errorf("registry: leave as %q: %w", s.id.node, err)
	}
	s.leaveDoubt = false
	if !already {
		about.Version = version
		about.Kind = EventLeft
		s.r.emit(about)
	}
	return nil
}

var errLeft = fmt.Errorf("%w: the node left", ErrSessionLost)

// leaveTooLate says that the session is over although no Leave is known to have
// ended it.
func (s *Session) leaveTooLate(rec *sessionRecord) error {
	err := s.endedError(rec)
	replacedSince := rec == nil || rec.incarnation() != s.id.incarnation
	if s.leaveDoubt && replacedSince {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return err
}
