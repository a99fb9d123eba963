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
// when ctx does, with an error that wraps ctx.Err(), and [ErrHeld] if the actor has
// been seen to be held. Other errors are those of Claim.
//
// Many nodes may wait for one actor. When it becomes free they try one after the
// other, by their rank for the actor among the live nodes; see [Options].Stagger.
// So do those that find it free: who does not rank first waits for a turn then, which
// is some transactions long. [Session.Claim] does not. Calls of one session for one
// actor share their attempts.
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

// turn is a contender's: as long as it lasts, it may write once. The nil turn is that
// of who need not wait for one.
type turn struct {
	come  bool
	owner NodeID // of the actor, when it was last seen; empty: it was not
}

// errNotYet: the actor may be had, and the contender's turn has not come.
var errNotYet = errors.New("registry: the turn has not come")

// likelyOwner returns the node that owned the actor when it was last seen.
func (t *turn) likelyOwner() NodeID {
	if t == nil {
		return ""
	}
	return t.owner
}

// take reports whether the turn has come, and ends it: whoever conflicts then looks
// again, and waits for another turn if the actor is free still.
func (t *turn) take() bool {
	if t == nil {
		return true
	}
	come := t.come
	t.come = false
	return come
}

// claimWaiting claims the actor, however often that takes. It looks before its first
// turn has come, since the actor may be held, or be the session's own; whoever ranks
// first has its turn at once.
func (s *Session) claimWaiting(ctx context.Context, actor ActorID, w *contention) (*Claim, error) {
	unit := s.r.o.openingTurn(s.r.pace.time())
	t := &turn{come: s.ranksFirst(string(actor))}
	var held *HeldError
	for {
		s.mu.Lock()
		w.attempts++
		s.mu.Unlock()
		c, err := s.claimAs(ctx, actor, t)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, errNotYet):
			err = s.takeTurn(ctx, string(actor), unit)
		case errors.As(err, &held):
			t.owner = held.Owner.Node
			s.mu.Lock()
			w.held = held
			s.mu.Unlock()
			err = s.waitForActor(ctx, held)
			unit = s.r.o.contendedTurn(s.r.pace.time())
		}
		switch {
		case err == nil:
			t.come = true
		case ctx.Err() != nil && held != nil:
			return nil, fmt.Errorf("registry: wait for %q: %w (%w)", actor, err, held)
		default:
			return nil, fmt.Errorf("registry: wait for %q: %w", actor, err)
		}
	}
}
