package registry

import (
	"encoding/binary"
)

// Keys of one namespace. Strings are encoded as in FoundationDB's tuple layer,
// so that the order of keys is the order of ids whatever bytes they hold.
//
//	n/NODE            session state: incarnation, status, what the node says of itself
//	b/NODE            the last renewal
//	a/ACTOR           owner, token, operation id
//	o/NODE/INC/ACTOR  index of a session's actors
//	l/NODE/INC        how many actors a session owns
//	i/NODE/INC        changes when the session is given an actor
//	i/NODE/INC/ACTOR  an actor that was given to the session, with its payload
//	c/POSITION/NODE   the change log of sessions
//	h                 how many changes there have been
//	e                 the epoch
//	v                 the ledger of revocations
//
// State and beat are apart because claims read the state and renewals write the
// beat: renewals and claims never conflict. Both are keyed by node id, not by
// incarnation: at most one incarnation of a node is current, and a record that
// names another one names an ended session, so nothing is left to collect.
type keys struct {
	prefix []byte
}

const (
	tagState = 'n'
	tagBeat  = 'b'
	tagActor = 'a'
	tagOwned = 'o'
	tagLoad  = 'l'
	tagInbox = 'i'
	tagEpoch = 'e'
	tagLog   = 'c'
	tagHead  = 'h'
	tagLimit = 'v'
)

func newKeys(namespace string) keys {
	return keys{prefix: appendTuple(nil, namespace)}
}

// appendTuple appends s with 0x00 escaped as 0x00 0xFF and a final 0x00.
func appendTuple(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
		if s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0)
}

// cutTuple is the inverse of appendTuple at the start of b.
func cutTuple(b []byte) (s string, rest []byte, ok bool) {
	var out []byte
	for i := 0; i < len(b); i++ {
		if b[i] != 0 {
			out = append(out, b[i])
			continue
		}
		if i+1 < len(b) && b[i+1] == 0xff {
			out = append(out, 0)
			i++
			continue
		}
		return string(out), b[i+1:], true
	}
	return "", nil, false
}

func (k keys) tagged(tag byte, size int) []byte {
	b := make([]byte, 0, len(k.prefix)+1+size)
	return append(append(b, k.prefix...), tag)
}

func (k keys) state(n NodeID) []byte {
	return appendTuple(k.tagged(tagState, len(n)+1), string(n))
}

func (k keys) beat(n NodeID) []byte {
	return appendTuple(k.tagged(tagBeat, len(n)+1), string(n))
}

func (k keys) actor(a ActorID) []byte {
	return appendTuple(k.tagged(tagActor, len(a)+1), string(a))
}

func (k keys) session(tag byte, n NodeID, inc Incarnation, extra int) []byte {
	b := appendTuple(k.tagged(tag, len(n)+9+extra), string(n))
	return binary.BigEndian.AppendUint64(b, uint64(inc))
}

func (k keys) owned(n NodeID, inc Incarnation, a ActorID) []byte {
	return appendTuple(k.session(tagOwned, n, inc, len(a)+1), string(a))
}

func (k keys) load(n NodeID, inc Incarnation) []byte {
	return k.session(tagLoad, n, inc, 0)
}

// inbox is the key to watch, and the space of the session's inbox rows.
func (k keys) inbox(n NodeID, inc Incarnation) []byte {
	return k.session(tagInbox, n, inc, 0)
}

func (k keys) given(n NodeID, inc Incarnation, a ActorID) []byte {
	return appendTuple(k.session(tagInbox, n, inc, len(a)+1), string(a))
}

// log is the key of a change, or the beginning of those at a position when n is
// empty.
func (k keys) log(position uint64, n NodeID) []byte {
	b := binary.BigEndian.AppendUint64(k.tagged(tagLog, 8+len(n)+1), position)
	if n == "" {
		return b
	}
	return appendTuple(b, string(n))
}

func (k keys) head() []byte { return k.tagged(tagHead, 0) }

func (k keys) epoch() []byte { return k.tagged(tagEpoch, 0) }

func (k keys) ledger() []byte { return k.tagged(tagLimit, 0) }

// all returns the range of every key with the tag.
func (k keys) all(tag byte) (begin, end []byte) {
	return k.tagged(tag, 0), k.tagged(tag+1, 0)
}
