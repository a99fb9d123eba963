package registry

import (
	"context"
	"fmt"
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
