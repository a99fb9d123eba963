package registry

import (
	"context"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Activate tells that a node which joined NotReady is ready: from then on it may be
// given actors. It does nothing when the session is ready already, or draining.
//
// Errors: [ErrSessionLost]; [ErrUnknown] and errors of the store and of ctx, after
// which Activate may be called again.
func (s *Session) Activate(ctx context.Context) error {
	err := s.changeStatus(ctx, func(rec *sessionRecord) bool {
		if rec.status != statusJoining {
			return false
		}
		rec.status = statusLive
		return true
	})
	if err != nil {
		return fmt.Errorf("registry: activate %q: %w", s.id.node, err)
	}
	return nil
}

// setDraining makes the session one that takes no actors any more.
func (s *Session) setDraining(ctx context.Context) error {
	return s.changeStatus(ctx, func(rec *sessionRecord) bool {
		if rec.status == statusDraining {
			return false
		}
		rec.status, rec.degraded = statusDraining, false // it is not silent
		return true
	})
}

// changeStatus has change change the session's record, and writes it when that
// says that it did. A change in doubt is looked for by making it again, so it must
// be one that can be made twice.
func (s *Session) changeStatus(ctx context.Context, change func(rec *sessionRecord) bool) error {
	var doubt bool
	_, err := s.r.transact(ctx, s.event(0), &doubt, func(tx store.Tx) error {
		rec, err := s.r.readSession(tx, s.id.node)
		if err != nil {
			return err
		}
		if !rec.lives(s.id.incarnation) {
			err := s.endedError(rec)
			if doubt {
				return fmt.Errorf("%w: %w", ErrUnknown, err)
			}
			return err
		}
		if !change(rec) {
			return nil
		}
		return s.r.changeSession(tx, s.id.node, rec)
	})
	s.learn(err)
	return err
}
