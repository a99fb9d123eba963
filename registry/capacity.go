package registry

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// hasRoom returns ErrFull unless the session, whose node's record s is, owns fewer
// actors than its capacity when tx commits. The load is read without a conflict, so
// that those who give actors to one node do not wait for each other, until the node
// is nearly full.
func (r *Registry) hasRoom(tx store.Tx, s *sessionRecord, id sessionID) error {
	if s.capacity == 0 {
		return nil
	}
	owned, err := readLoad(tx.Snapshot(), r.keys.load(id.node, id.incarnation))
	if err == nil && owned >= s.capacity-capacitySlack(s.capacity) {
		return r.roomNow(tx, s, id)
	}
	return err
}

// roomNow is hasRoom by a plain read.
func (r *Registry) roomNow(tx store.Reader, s *sessionRecord, id sessionID) error {
	if s.capacity == 0 {
		return nil
	}
	owned, err := readLoad(tx, r.keys.load(id.node, id.incarnation))
	if err == nil && owned >= s.capacity {
		err = fmt.Errorf("%w: %q owns %d actors, its capacity is %d", ErrFull, id.node, owned, s.capacity)
	}
	return err
}

// capacitySlack is how many actors below its capacity a node counts as nearly full.
func capacitySlack(capacity int64) int64 { return max(8, capacity/8) }

// refusesActor reports whether an attempt to give an actor away had no effect
// because of the target: another may take it.
func refusesActor(err error) bool {
	return (errors.Is(err, ErrNotActive) || errors.Is(err, ErrFull)) && !errors.Is(err, ErrUnknown)
}

func readLoad(tx store.Reader, key []byte) (int64, error) {
	v, err := tx.Get(key)
	if err != nil {
		return 0, err
	}
	return decodeLoad(v)
}

// decodeLoad returns 0 for a nil value.
func decodeLoad(v []byte) (int64, error) {
	switch len(v) {
	case 0:
		return 0, nil
	case 8:
		return int64(binary.LittleEndian.Uint64(v)), nil
	}
	return 0, fmt.Errorf("%w: load of %d bytes, 8 expected", ErrCorrupt, len(v))
}
