package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// maxEpoch is the last epoch. It is the first byte of an incarnation, which
// follows a node's id in a key, where 0xFF would be read as part of the id.
const maxEpoch = 254

// AdvanceEpoch is for an operator who has restored the store from a backup,
// after which its commit versions may lie below those of tokens that are out
// already. It ends every session and starts a new epoch, the high bits of every
// token and incarnation, so that all that are given out from now on are higher
// than all before. It returns the new epoch. Actors of sessions before it are
// unowned; the records that these have left are swept when their nodes join again, or
// as the actors are claimed.
//
// Stop every node first: one that still runs believes in its claims until its
// next renewal fails. The epoch ends at 254; then the error wraps [ErrInvalid].
// After [ErrUnknown] the epoch may have been advanced; doing it once more is
// safe.
func (r *Registry) AdvanceEpoch(ctx context.Context) (uint8, error) {
	var next uint8
	_, err := r.db.Transact(ctx, func(tx store.Tx) error {
		v, err := tx.Get(r.keys.epoch())
		if err != nil {
			return err
		}
		epoch, err := decodeEpoch(v)
		if err != nil {
			return err
		}
		if epoch >= maxEpoch {
			return invalid("the epoch is %d, there is no higher one", epoch)
		}
		next = epoch + 1
		tx.Set(r.keys.epoch(), []byte{next})
		tx.ClearRange(r.keys.all(tagState))
		tx.ClearRange(r.keys.all(tagBeat))
		tx.ClearRange(r.keys.all(tagLimit))
		tx.ClearRange(r.keys.all(tagLog))
		tx.Add(r.keys.head(), 1) // those who watch look, and see the epoch
		return nil
	})
	if errors.Is(err, store.ErrCommitUnknown) {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	if err != nil {
		return 0, fmt.Errorf("registry: advance the epoch: %w", err)
	}
	return next, nil
}
