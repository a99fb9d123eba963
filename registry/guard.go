package registry

import (
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Guard makes tx, a transaction of the store that the registry lives in, commit
// only while the claim holds: it reads the claim's record and its session inside
// tx, so that whatever ends the ownership before tx commits makes tx conflict.
// Effects in that store are thereby fenced, whatever clocks and pauses do.
//
// Call it in the body of the transaction, and return its error. Errors:
// [ErrNotOwner] and [ErrSessionLost] as the store has it; errors of tx.
func Guard(tx store.Tx, c *Claim) error {
	s := c.s
	me, rec, err := s.r.readSessionAndActor(tx, s.id.node, c.actor)
	if err != nil {
		return err
	}
	if !me.lives(s.id.incarnation) {
		return fmt.Errorf("registry: guard %q: %w", c.actor, s.endedError(me))
	}
	if rec == nil || rec.node != s.id.node || rec.incarnation != s.id.incarnation || rec.token() != c.token {
		owner, err := s.r.liveOwner(tx, rec)
		if err != nil {
			return err
		}
		return fmt.Errorf("registry: guard: %w", &NotOwnerError{Actor: c.actor, Owner: owner})
	}
	return nil
}
