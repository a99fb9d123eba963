package registry

import (
	"encoding/binary"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// recordFormat is the first byte of every record but those of sessions.
const recordFormat = 1

// stampAt is the offset of the commit stamp in every record that has one.
const stampAt = 1

// opID makes one operation recognisable in the record it wrote, so that a
// commit whose outcome is unknown can be resolved by reading.
type opID [16]byte

// beatRecord is the value of a node's beat key. The version is that of the
// renewal's commit and so never comes twice.
//
//	format 1 | stamp 10 | incarnation 8
type beatRecord struct {
	version     store.Version
	incarnation Incarnation
}

const beatBytes = 1 + store.StampBytes + 8

// encodeBeat leaves the stamp to the commit.
func encodeBeat(inc Incarnation) []byte {
	b := make([]byte, 1+store.StampBytes, beatBytes)
	b[0] = recordFormat
	return binary.BigEndian.AppendUint64(b, uint64(inc))
}

func decodeBeat(v []byte) (beatRecord, error) {
	if v == nil {
		return beatRecord{}, nil
	}
	if err := checkRecord("beat", v, beatBytes); err != nil {
		return beatRecord{}, err
	}
	return beatRecord{
		version:     store.Version(binary.BigEndian.Uint64(v[1:])),
		incarnation: Incarnation(binary.BigEndian.Uint64(v[11:])),
	}, nil
}

// actorRecord is the value of an actor's key.
//
//	format 1 | stamp 10 | epoch 1 | incarnation 8 | op 16 | node
type actorRecord struct {
	version     store.Version
	epoch       uint8
	incarnation Incarnation
	op          opID
	node        NodeID
}

const actorHeader = 1 + store.StampBytes + 1 + 8 + 16

func (a *actorRecord) token() Token { return Token(stamped(a.epoch, a.version)) }

// owner is the owner that the record names, s being its session.
func (a *actorRecord) owner(s *sessionRecord) Owner {
	return Owner{Node: a.node, Incarnation: a.incarnation, Token: a.token(), Address: s.address}
}

// encode leaves the stamp to the commit.
func (a *actorRecord) encode() []byte {
	b := make([]byte, 1+store.StampBytes, actorHeader+len(a.node))
	b[0] = recordFormat
	b = append(b, a.epoch)
	b = binary.BigEndian.AppendUint64(b, uint64(a.incarnation))
	b = append(b, a.op[:]...)
	return append(b, a.node...)
}

// decodeActor returns nil for a nil value.
func decodeActor(v []byte) (*actorRecord, error) {
	if v == nil {
		return nil, nil
	}
	if err := checkRecord("actor", v, actorHeader+1); err != nil {
		return nil, err
	}
	a := &actorRecord{
		version:     store.Version(binary.BigEndian.Uint64(v[1:])),
		epoch:       v[11],
		incarnation: Incarnation(binary.BigEndian.Uint64(v[12:])),
		op:          opID(v[20:36]),
		node:        NodeID(v[36:]),
	}
	if err := a.node.Validate(); err != nil {
		return nil, fmt.Errorf("%w: actor's owner: %w", ErrCorrupt, err)
	}
	return a, nil
}

func checkRecord(kind string, v []byte, size int) error {
	return checkFormat(kind, v, recordFormat, size)
}

func checkFormat(kind string, v []byte, format byte, size int) error {
	if len(v) < size {
		return fmt.Errorf("%w: %s record of %d bytes, at least %d expected", ErrCorrupt, kind, len(v), size)
	}
	if v[0] != format {
		return fmt.Errorf("%w: %s record of format %d, this version reads %d", ErrCorrupt, kind, v[0], format)
	}
	return nil
}

func decodeEpoch(v []byte) (uint8, error) {
	switch len(v) {
	case 0:
		return 0, nil
	case 1:
		return v[0], nil
	}
	return 0, fmt.Errorf("%w: epoch of %d bytes, 1 expected", ErrCorrupt, len(v))
}
