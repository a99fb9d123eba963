package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errMalformed: bytes that are no message of the protocol.
var errMalformed = errors.New("remote: malformed message")

// Numbers on the wire are big-endian and of a fixed size, so that there is one
// way only to write a message. Bytes are their length, 4 bytes, and themselves.

func putU16(b []byte, n int) []byte    { return binary.BigEndian.AppendUint16(b, uint16(n)) }
func putU32(b []byte, n int) []byte    { return binary.BigEndian.AppendUint32(b, uint32(n)) }
func putU64(b []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(b, n) }

func putBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func putBytes(b, v []byte) []byte { return append(putU32(b, len(v)), v...) }

// input is what is left of a message. After its first error it yields zeros.
type input struct {
	rest []byte
	err  error
}

func (in *input) fail(format string, args ...any) {
	if in.err == nil {
		in.err = fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, args...))
	}
	in.rest = nil
}

// take returns the next n bytes, or nil and fails.
func (in *input) take(n int) []byte {
	if n > len(in.rest) {
		in.fail("it ends too soon")
		return nil
	}
	v := in.rest[:n:n]
	in.rest = in.rest[n:]
	return v
}

func (in *input) u8() byte {
	if v := in.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (in *input) u16() int {
	if v := in.take(2); v != nil {
		return int(binary.BigEndian.Uint16(v))
	}
	return 0
}

func (in *input) u32() uint32 {
	if v := in.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (in *input) u64() uint64 {
	if v := in.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (in *input) bool() bool {
	v := in.u8()
	if v > 1 {
		in.fail("a truth value is %d", v)
	}
	return v == 1
}

// bytes reads bytes, most of them at most. They are part of the message.
func (in *input) bytes(what string, most int) []byte {
	n := in.u32()
	if uint64(n) > uint64(most) {
		in.fail("%s has %d bytes, at most %d are allowed", what, n, most)
		return nil
	}
	return in.take(int(n))
}

// count reads the number of things that follow, of which each has at least so
// many bytes: a number that the message cannot hold is refused before room is
// made for it.
func (in *input) count(n uint32, what string, most, each int) int {
	switch {
	case in.err != nil:
		return 0
	case uint64(n) > uint64(most):
		in.fail("%d %s, at most %d are allowed", n, what, most)
		return 0
	case uint64(n)*uint64(each) > uint64(len(in.rest)):
		in.fail("%d %s in %d bytes", n, what, len(in.rest))
		return 0
	}
	return int(n)
}

// end returns the first error; that anything is left is one.
func (in *input) end() error {
	if in.err == nil && len(in.rest) > 0 {
		in.fail("%d bytes are left over", len(in.rest))
	}
	return in.err
}
