package registry

import (
	"context"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// HandOff prepares an actor for its next owner: it stops serving it and returns
// what that owner needs to go on, at most [MaxPayloadBytes]. The claim is Valid
// when it is called, and is over when the transfer begins, right after it has
// returned. After an error the actor stays where it is. When the transfer fails it
// may be called again for the actor, with a new claim.
type HandOff func(ctx context.Context, c *Claim) (payload []byte, err error)

// handOff calls h, and waits for it until ctx ends. One that is late goes on by
// itself and what it returns is dropped; as long as it runs, another of the actor
// waits.
func (s *Session) handOff(ctx context.Context, c *Claim, h HandOff) ([]byte, error) {
	done := s.r.host.NewEvent()
	for {
		s.mu.Lock()
		before := s.handing[c.actor]
		if before == nil {
			s.handing[c.actor] = done
		}
		s.mu.Unlock()
		if before == nil {
			break
		}
		if err := before.Wait(ctx); err != nil {
			return nil, fmt.Errorf("an earlier hand-off has not returned: %w", err)
		}
	}
	var payload []byte
	var err error
	s.r.host.Go("hand-off", func(context.Context) {
		payload, err = h(ctx, c)
		s.mu.Lock()
		delete(s.handing, c.actor)
		s.mu.Unlock()
		done.Set()
	})
	if werr := done.Wait(ctx); werr != nil {
		return nil, fmt.Errorf("the hand-off did not return in time: %w", werr)
	}
	if err != nil {
		return nil, fmt.Errorf("hand-off: %w", err)
	}
	return payload, nil
}

// move is transfer, told by events: nobody else says that it was called.
func (c *Claim) move(ctx context.Context, to sessionID, payload []byte, also func(tx store.Tx, me, target *sessionRecord) error) (Owner, error) {
	e := c.s.event(EventMoveStart)
	e.Actor, e.Token, e.ID = c.actor, c.token, c.s.r.lastID.Add(1)
	e.Target = Target{Node: to.node, Incarnation: to.incarnation}
	c.s.r.emit(e)
	owner, err := c.transfer(ctx, e.Target, payload, also)
	e.Kind, e.NewToken, e.Err = EventMoveEnd, owner.Token, err
	c.s.r.emit(e)
	return owner, err
}

// giveBack is Release, told by events. When it may have been another call in doubt
// that freed the actor, they say that the outcome is unknown.
func (c *Claim) giveBack(ctx context.Context) error {
	e := c.s.event(EventGiveBackStart)
	e.Actor, e.Token, e.ID = c.actor, c.token, c.s.r.lastID.Add(1)
	c.s.r.emit(e)
	version, err := c.release(ctx)
	e.Kind, e.Version, e.Err = EventGiveBackEnd, version, err
	if err == nil && version == 0 {
		e.Err = ErrUnknown
	}
	c.s.r.emit(e)
	return err
}

// claimTold is claim, told by events.
func (s *Session) claimTold(ctx context.Context, actor ActorID) (*Claim, error) {
	e := s.event(EventPlaceStart)
	e.Actor, e.ID = actor, s.r.lastID.Add(1)
	s.r.emit(e)
	c, err := s.claim(ctx, actor)
	e.Kind, e.Err = EventPlaceEnd, err
	if err == nil {
		e.Token = c.token
	}
	s.r.emit(e)
	return c, err
}
