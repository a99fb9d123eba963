package sim

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Hash is the 128-bit hash of everything that a world did: each event in its
// order, each message with its fate, each fault, each note. Two runs with one
// hash did the same.
type Hash [16]byte

// String returns the hash as 32 hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Odd multipliers: the golden ratio and two constants of the Murmur family.
const (
	golden = 0x9E3779B97F4A7C15
	mulA   = 0xFF51AFD7ED558CCD
	mulB   = 0xC4CEB9FE1A85EC53
)

// traceHash is the running form of a [Hash]: two lanes, each word folded into
// both. For given words the step is a bijection of the state, so no history is
// ever lost by a multiplication with zero.
type traceHash struct{ a, b uint64 }

func (t *traceHash) fold(x, y uint64) {
	a := bits.RotateLeft64(t.a^x^golden, 29)*mulA + t.b
	t.b = bits.RotateLeft64(t.b^y, 37)*mulB + a
	t.a = a
}

func (t *traceHash) foldString(s string) { t.fold(hashString(uint64(len(s)), s), uint64(len(s))) }

// short is a 64-bit digest of the state, for comparing runs event by event.
func (t *traceHash) short() uint64 { return mix(t.a ^ bits.RotateLeft64(t.b, 32)) }

func (t *traceHash) sum() Hash {
	var h Hash
	binary.BigEndian.PutUint64(h[:8], mix(t.a+bits.RotateLeft64(t.b, 17)))
	binary.BigEndian.PutUint64(h[8:], mix(t.b^mulA*t.a))
	return h
}

// mix is the 64-bit finalizer of MurmurHash3: a bijection in which every bit
// of x moves every bit of the result.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= mulA
	x ^= x >> 33
	x *= mulB
	x ^= x >> 33
	return x
}

// hashString is FNV-1a from the start value h, finalized.
func hashString(h uint64, s string) uint64 {
	h ^= 0xCBF29CE484222325
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001B3
	}
	return mix(h)
}
