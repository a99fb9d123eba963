package registry

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// status of a session, as it stands in the store.
type status uint8

const (
	statusLive     status = 1
	statusLeft     status = 2
	statusRevoked  status = 3
	statusJoining  status = 4
	statusDraining status = 5
)

// lives reports whether a session of this status may own actors.
func (s status) lives() bool {
	return s == statusLive || s == statusJoining || s == statusDraining
}

// sessionFormat is the first byte of a session's record.
const sessionFormat = 2

// flagDegraded says that renewals of the session were missed.
const flagDegraded = 1

// sessionRecord is the value of a node's state key. Numbers are big-endian, and
// the lengths of strings are uvarints before them.
//
//	format 1 | stamp 10 | epoch 1 | status 1 | flags 1 | ttl 8 | op 16 | capacity 8 |
//	address | number of labels, uvarint | key and value of each, in the order of keys
type sessionRecord struct {
	version  store.Version // of the join; read from the stamp
	order    [2]byte       // the rest of the stamp
	epoch    uint8
	status   status
	degraded bool
	ttl      time.Duration
	op       opID
	capacity int64
	address  string
	labels   map[string]string
}

const sessionHeader = 1 + store.StampBytes + 1 + 1 + 1 + 8 + 16 + 8

func (s *sessionRecord) incarnation() Incarnation {
	return Incarnation(stamped(s.epoch, s.version))
}

// lives reports whether s is a live session of incarnation inc.
func (s *sessionRecord) lives(inc Incarnation) bool {
	return s != nil && s.status.lives() && s.incarnation() == inc
}

// takes reports whether s is a session of incarnation inc that may be given
// actors, its capacity left aside.
func (s *sessionRecord) takes(inc Incarnation) bool {
	return s.lives(inc) && s.state() == NodeActive
}

func (s *sessionRecord) state() NodeState {
	switch s.status {
	case statusJoining:
		return NodeJoining
	case statusDraining:
		return NodeDraining
	case statusLeft:
		return NodeLeft
	case statusRevoked:
		return NodeFailed
	case statusLive:
	}
	if s.degraded {
		return NodeDegraded
	}
	return NodeActive
}

// node is what the record says of a node.
func (s *sessionRecord) node(id NodeID) Node {
	return Node{
		ID: id, Incarnation: s.incarnation(), State: s.state(),
		Address: s.address, Labels: s.labels, Capacity: s.capacity, TTL: s.ttl,
	}
}

func (s *sessionRecord) encode() []byte {
	b := make([]byte, 0, sessionHeader+len(s.address)+2)
	b = append(b, sessionFormat)
	b = binary.BigEndian.AppendUint64(b, uint64(s.version))
	b = append(b, s.order[:]...)
	var flags byte
	if s.degraded {
		flags |= flagDegraded
	}
	b = append(b, s.epoch, byte(s.status), flags)
	b = binary.BigEndian.AppendUint64(b, uint64(s.ttl))
	b = append(b, s.op[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.capacity))
	b = appendString(b, s.address)
	b = binary.AppendUvarint(b, uint64(len(s.labels)))
	for _, k := range slices.Sorted(maps.Keys(s.labels)) {
		b = appendString(appendString(b, k), s.labels[k])
	}
	return b
}

// decodeSession returns nil for a nil value.
func decodeSession(v []byte) (*sessionRecord, error) {
	if v == nil {
		return nil, nil
	}
	if err := checkFormat("session", v, sessionFormat, sessionHeader); err != nil {
		return nil, err
	}
	s := &sessionRecord{
		version:  store.Version(binary.BigEndian.Uint64(v[1:])),
		order:    [2]byte(v[9:11]),
		epoch:    v[11],
		status:   status(v[12]),
		degraded: v[13]&flagDegraded != 0,
		ttl:      time.Duration(binary.BigEndian.Uint64(v[14:])),
		op:       opID(v[22:38]),
		capacity: int64(binary.BigEndian.Uint64(v[38:])),
	}
	if s.status < statusLive || s.status > statusDraining || v[13]&^flagDegraded != 0 || s.ttl <= 0 || s.capacity < 0 || s.capacity > MaxCapacity {
		return nil, fmt.Errorf("%w: session with status %d, flags %d, ttl %v and capacity %d", ErrCorrupt, s.status, v[13], s.ttl, s.capacity)
	}
	rest := v[sessionHeader:]
	var ok bool
	if s.address, rest, ok = cutString(rest, MaxAddressBytes); !ok {
		return nil, fmt.Errorf("%w: session whose address is cut or longer than %d bytes", ErrCorrupt, MaxAddressBytes)
	}
	if s.labels, ok = decodeLabels(rest); !ok {
		return nil, fmt.Errorf("%w: session whose labels are cut, out of order or over their limits", ErrCorrupt)
	}
	return s, nil
}

// decodeLabels reads all of b.
func decodeLabels(b []byte) (labels map[string]string, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > MaxLabels {
		return nil, false
	}
	b = b[size:]
	if n > 0 {
		labels = make(map[string]string, n)
	}
	last := ""
	for range n {
		var k, v string
		if k, b, ok = cutString(b, MaxLabelKeyBytes); !ok || k <= last {
			return nil, false
		}
		if v, b, ok = cutString(b, MaxLabelValueBytes); !ok {
			return nil, false
		}
		last = k
		labels[k] = v
	}
	return labels, len(b) == 0
}

// appendString appends the length of s and s.
func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutString is the inverse of appendString at the start of b, for a string of at
// most limit bytes.
func cutString(b []byte, limit int) (s string, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(limit) || n > uint64(len(b)-size) {
		return "", nil, false
	}
	end := size + int(n)
	return string(b[size:end]), b[end:], true
}
