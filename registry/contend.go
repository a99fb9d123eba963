package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/clock"
)

// The tasks of one session that wait for one actor share the work: one of them
// polls, watches and claims, and the others wait for what it gets. When it gives
// up, another goes on.

// contention is the shared wait for one actor. Its fields are guarded by the
// session's mutex.
type contention struct {
	done     clock.Event // set when the one that does the work has stopped
	attempts int         // claims begun
	held     *HeldError  // what the last one met; nil: nothing yet
	claim    *Claim      // what the last one got; nil when it failed
}

// ClaimWait is Claim that waits while the actor is held: until it is released,
// or until its owner has been observed to be silent for the owner's
// TTL·(1+MaxDrift), has been revoked, and the actor could be claimed. It ends
// when ctx does, with an error that wraps ctx.Err() and [ErrHeld].
//
// Many nodes may wait for one actor. When it becomes free they try one after the
// other, by their rank for the actor among the live nodes; see [Options].Stagger.
// Calls of one session for one actor share their attempts.
func (s *Session) ClaimWait(ctx context.Context, actor ActorID) (*Claim, error) {
	if err := actor.Validate(); err != nil {
		return nil, err
	}
	for {
		w, mine := s.contend(actor)
		if mine {
			c, err := s.claimWaiting(ctx, actor, w)
			s.mu.Lock()
			w.claim = c
			delete(s.waits, actor)
			s.mu.Unlock()
			w.done.Set()
			return c, err
		}
		s.mu.Lock()
		began := w.attempts
		s.mu.Unlock()
		err := w.done.Wait(ctx)
		s.mu.Lock()
		c, held, attempts := w.claim, w.held, w.attempts
		s.mu.Unlock()
		switch {
		case err != nil && held != nil:
			return nil, fmt.Errorf("registry: wait for %q: %w (%w)", actor, err, held)
		case err != nil:
			return nil, fmt.Errorf("registry: wait for %q: %w", actor, err)
		case c != nil && attempts > began && c.Valid():
			// That claim began after this call did, so it answers this one too.
			return c, nil
		}
	}
}

// contend returns the shared wait for an actor; mine means that there was none
// and the caller is to do the work.
func (s *Session) contend(actor ActorID) (w *contention, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w = s.waits[actor]; w != nil {
		return w, false
	}
	w = &contention{done: s.r.host.NewEvent()}
	s.waits[actor] = w
	return w, true
}

// claimWaiting claims the actor, however often that takes.
func (s *Session) claimWaiting(ctx context.Context, actor ActorID, w *contention) (*Claim, error) {
	for {
		s.mu.Lock()
		w.attempts++
		s.mu.Unlock()
		c, err := s.claim(ctx, actor)
		var held *HeldError
		switch {
		case err == nil:
			return c, nil
		case !errors.As(err, &held):
			return nil, fmt.Errorf("registry: wait for %q: %w", actor, err)
		}
		s.mu.Lock()
		w.held = held
		s.mu.Unlock()
		if err := s.waitForActor(ctx, held); err != nil {
			return nil, fmt.Errorf("registry: wait for %q: %w (%w)", actor, err, held)
		}
	}
}
