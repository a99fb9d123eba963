package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The first byte of a router's answer.
const (
	replyServed  byte = 1 // the handler's answer follows
	replyRefused byte = 2 // the owner follows; nothing when it is not known
)

// call is a router's request.
//
//	format 1 | token 8 | length of the actor's id 2 | actor | payload
//
// An id is not ended by a zero byte here, as it is in a key: what follows may
// begin with 0xFF, which would make of that byte an escaped one.
type call struct {
	actor   ActorID
	token   Token
	payload []byte
}

const callFormat = 1

// errWire: bytes that no router sent.
var errWire = errors.New("registry: malformed call")

func (c call) encode() []byte {
	b := make([]byte, 1, 1+8+2+len(c.actor)+len(c.payload))
	b[0] = callFormat
	b = binary.BigEndian.AppendUint64(b, uint64(c.token))
	return append(appendSized(b, string(c.actor)), c.payload...)
}

// appendSized appends s, of at most 65,535 bytes, behind its length.
func appendSized(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// cutSized is the inverse of appendSized at the start of b.
func cutSized(b []byte) (s string, rest []byte, ok bool) {
	if len(b) < 2 {
		return "", nil, false
	}
	n, b := int(binary.BigEndian.Uint16(b)), b[2:]
	if n > len(b) {
		return "", nil, false
	}
	return string(b[:n]), b[n:], true
}

func decodeCall(b []byte) (call, error) {
	if len(b) < 9 || b[0] != callFormat {
		return call{}, fmt.Errorf("%w: no header of format %d", errWire, callFormat)
	}
	name, payload, ok := cutSized(b[9:])
	if !ok {
		return call{}, fmt.Errorf("%w: the actor's id has no end", errWire)
	}
	c := call{actor: ActorID(name), token: Token(binary.BigEndian.Uint64(b[1:])), payload: payload}
	if err := c.actor.Validate(); err != nil {
		return call{}, fmt.Errorf("%w: %w", errWire, err)
	}
	return c, nil
}

// encode appends the owner: incarnation 8 | token 8 | length of the node's id 2
// | node | address.
// The zero Owner is nothing at all.
func (o Owner) encode(b []byte) []byte {
	if o == (Owner{}) {
		return b
	}
	b = binary.BigEndian.AppendUint64(b, uint64(o.Incarnation))
	b = binary.BigEndian.AppendUint64(b, uint64(o.Token))
	return append(appendSized(b, string(o.Node)), o.Address...)
}

func decodeOwner(b []byte) (Owner, error) {
	if len(b) == 0 {
		return Owner{}, nil
	}
	if len(b) < 16 {
		return Owner{}, fmt.Errorf("%w: an owner of %d bytes", errWire, len(b))
	}
	node, address, ok := cutSized(b[16:])
	if !ok || len(address) > MaxAddressBytes {
		return Owner{}, fmt.Errorf("%w: an owner without end, or with %d bytes of address", errWire, len(address))
	}
	o := Owner{
		Incarnation: Incarnation(binary.BigEndian.Uint64(b)),
		Token:       Token(binary.BigEndian.Uint64(b[8:])),
		Node:        NodeID(node),
		Address:     string(address),
	}
	if err := o.Node.Validate(); err != nil {
		return Owner{}, fmt.Errorf("%w: %w", errWire, err)
	}
	return o, nil
}
