package simfdb

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/kelpie-registry/kelpie/store"
)

// MutationType is an operation on a key, by its number in FoundationDB.
type MutationType uint8

// The mutation types. Those from Add on are the ones that [Transaction.Atomic] accepts.
const (
	mutationSet        MutationType = 0
	mutationClearRange MutationType = 1

	Add                    MutationType = 2
	BitAnd                 MutationType = 6
	BitOr                  MutationType = 7
	BitXor                 MutationType = 8
	AppendIfFits           MutationType = 9
	Max                    MutationType = 12
	Min                    MutationType = 13
	SetVersionstampedKey   MutationType = 14
	SetVersionstampedValue MutationType = 15
	ByteMin                MutationType = 16
	ByteMax                MutationType = 17
	CompareAndClear        MutationType = 20
)

// mutation is one change as it travels to the log.
//
//	set, atomic:     key, param = the value or the operand
//	clearRange:      key = begin, param = end
//	versionstamped:  the stamp goes to offset of the key or of the value
type mutation struct {
	kind   MutationType
	key    string
	param  string
	offset int
}

// Sizes that FoundationDB 7.3 adds per mutation and per conflict range when it
// counts a transaction's size.
const (
	mutationOverhead = 44
	rangeOverhead    = 24
	kvOverhead       = 24 // per row in a range read's byte limit
)

func (m mutation) size() int {
	n := mutationOverhead + len(m.key) + len(m.param)
	if m.kind == SetVersionstampedKey || m.kind == SetVersionstampedValue {
		n += stampSuffix
	}
	return n
}

// size is the size of a conflict range.
func (r KeyRange) size() int { return rangeOverhead + len(r.Begin) + len(r.End) }

func rangesSize(rs []KeyRange) int {
	n := 0
	for _, r := range rs {
		n += r.size()
	}
	return n
}

// stampBytes is the commit's stamp: the version and the order in its batch.
func stampBytes(v Version, order uint16) [store.StampBytes]byte {
	var b [store.StampBytes]byte
	binary.BigEndian.PutUint64(b[:8], uint64(v))
	binary.BigEndian.PutUint16(b[8:], order)
	return b
}

// stamped returns the plain set that a versionstamped mutation amounts to once
// the commit's version is known; other mutations are returned as they are.
func (m mutation) stamped(v Version, order uint16) mutation {
	stamp := stampBytes(v, order)
	put := func(s string) string {
		return s[:m.offset] + string(stamp[:]) + s[m.offset+len(stamp):]
	}
	switch m.kind {
	case SetVersionstampedValue:
		return mutation{kind: mutationSet, key: m.key, param: put(m.param)}
	case SetVersionstampedKey:
		return mutation{kind: mutationSet, key: put(m.key), param: m.param}
	default:
		return m
	}
}

// parameter returns the value of a versionstamped set as it was given.
func (m mutation) parameter() string {
	return m.param + string(binary.LittleEndian.AppendUint32(nil, uint32(m.offset)))
}

// atomic reports whether the type is an atomic operation that reads the value
// it changes.
func (t MutationType) atomic() bool {
	switch t {
	case Add, BitAnd, BitOr, BitXor, AppendIfFits, Max, Min, ByteMin, ByteMax, CompareAndClear:
		return true
	default:
		return false
	}
}

// applyAtomic returns what an atomic operation makes of a value. The rules,
// with all their corners, are those that a 7.3 server was seen to follow.
func applyAtomic(kind MutationType, old string, present bool, operand string) (string, bool) {
	switch kind {
	case CompareAndClear:
		if !present || old == operand {
			return "", false
		}
		return old, true
	case AppendIfFits:
		if len(old)+len(operand) > store.MaxValueBytes {
			return old, true
		}
		return old + operand, true
	case ByteMin:
		if !present {
			return operand, true
		}
		return min(old, operand), true
	case ByteMax:
		if !present {
			return operand, true
		}
		return max(old, operand), true
	default:
	}
	// The rest work on little-endian numbers as wide as the operand. All but
	// Add take a missing value for the operand itself; bit operations other
	// than And come to the same with a missing value of zeros.
	if !present {
		return operand, true
	}
	if operand == "" {
		return "", true
	}
	return arithmetic(kind, old, operand), true
}

func arithmetic(kind MutationType, old, operand string) string {
	a := make([]byte, len(operand)) // old, extended with zeros or cut
	copy(a, old)
	switch kind {
	case Max, Min:
		if littleEndianLess(string(a), operand) == (kind == Max) {
			return operand
		}
		return string(a)
	default:
	}
	carry := 0
	for i := range a {
		b := operand[i]
		switch kind {
		case Add:
			carry += int(a[i]) + int(b)
			a[i] = byte(carry)
			carry >>= 8
		case BitAnd:
			a[i] &= b
		case BitOr:
			a[i] |= b
		case BitXor:
			a[i] ^= b
		default:
			panic(fmt.Sprintf("simfdb: mutation type %d is no arithmetic", kind))
		}
	}
	return string(a)
}

// littleEndianLess compares two numbers of the same width.
func littleEndianLess(a, b string) bool {
	for i := len(a) - 1; i >= 0; i-- {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}

// stampRange returns the keys below limit that a versionstamped key may become,
// when the transaction reads at version from, or at one that is not known yet.
func (m mutation) stampRange(from Version, limit string) KeyRange {
	first := stampBytes(max(from, 0), 0)
	begin := m.key[:m.offset] + string(first[:]) + m.key[m.offset+store.StampBytes:]
	end := m.key[:m.offset] + strings.Repeat("\xff", store.StampBytes) + m.key[m.offset+store.StampBytes:]
	return KeyRange{Begin: begin, End: min(keyAfter(end), limit)}
}
