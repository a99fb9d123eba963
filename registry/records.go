package registry

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// recordFormat is the first byte of every record.
const recordFormat = 1

// stampAt is the offset of the commit stamp in every record that has one.
const stampAt = 1

// opID makes one operation recognisable in the record it wrote, so that a
// commit whose outcome is unknown can be resolved by reading.
type opID [16]byte

// status of a session. Only live sessions own actors.
type status uint8

const (
	statusLive    status = 1
	statusLeft    status = 2
	statusRevoked status = 3
)

// sessionRecord is the value of a node's state key.
//
//	format 1 | stamp 10 | epoch 1 | status 1 | ttl 8 | op 16 | address
type sessionRecord struct {
	version store.Version // of the join; read from the stamp
	order   [2]byte       // the rest of the stamp
	epoch   uint8
	status  status
	ttl     time.Duration
	op      opID
	address string
}

const sessionHeader = 1 + store.StampBytes + 1 + 1 + 8 + 16

func (s *sessionRecord) incarnation() Incarnation {
	return Incarnation(stamped(s.epoch, s.version))
}

// lives reports whether s is a live session of incarnation inc.
func (s *sessionRecord) lives(inc Incarnation) bool {
	return s != nil && s.status == statusLive && s.incarnation() == inc
}

func (s *sessionRecord) encode() []byte {
	b := make([]byte, 0, sessionHeader+len(s.address))
	b = append(b, recordFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(s.version))
	b = append(b, s.order[:]...)
	b = append(b, s.epoch, byte(s.status))
	b = binary.BigEndian.AppendUint64(b, uint64(s.ttl))
	b = append(b, s.op[:]...)
	return append(b, s.address...)
}

// decodeSession returns nil for a nil value.
func decodeSession(v []byte) (*sessionRecord, error) {
	if v == nil {
		return nil, nil
	}
	if err := checkRecord("session", v, sessionHeader); err != nil {
		return nil, err
	}
	s := &sessionRecord{
		version: store.Version(binary.BigEndian.Uint64(v[1:])),
		order:   [2]byte(v[9:11]),
		epoch:   v[11],
		status:  status(v[12]),
		ttl:     time.Duration(binary.BigEndian.Uint64(v[13:])),
		op:      opID(v[21:37]),
		address: string(v[37:]),
	}
	if s.status < statusLive || s.status > statusRevoked || s.ttl <= 0 || len(s.address) > MaxAddressBytes {
		return nil, fmt.Errorf("%w: session with status %d, ttl %v and %d bytes of address", ErrCorrupt, s.status, s.ttl, len(s.address))
	}
	return s, nil
}

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
	if len(v) < size {
		return fmt.Errorf("%w: %s record of %d bytes, at least %d expected", ErrCorrupt, kind, len(v), size)
	}
	if v[0] != recordFormat {
		return fmt.Errorf("%w: %s record of format %d, this version reads %d", ErrCorrupt, kind, v[0], recordFormat)
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
