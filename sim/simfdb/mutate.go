package simfdb

import (
	"encoding/binary"

	"github.com/kelpie-registry/kelpie/store"
)

// The mutations. One that is refused makes the transaction's later calls fail.

// Set gives key a value.
func (l *life) Set(key, value []byte) {
	if string(key) >= firstSpecialKey {
		l.setSpecial(string(key), string(value))
		return
	}
	hidden, ok := l.checkWrite(key)
	if ok && l.checkSizes(key, value) {
		r := pointOf(key)
		l.write(mutation{kind: mutationSet, key: r.Begin, param: string(value)}, r, hidden)
	}
}

// Clear removes key.
func (l *life) Clear(key []byte) {
	if string(key) >= firstSpecialKey {
		l.clearSpecial(string(key))
		return
	}
	if hidden, ok := l.checkWrite(key); ok && len(key) <= maxKeyBytes(key) {
		r := pointOf(key)
		l.clearRange(r, hidden, rangeOverhead+len(r.Begin)+len(r.End))
	}
}

// ClearRange removes the keys with begin <= key < end.
func (l *life) ClearRange(begin, end []byte) {
	r := KeyRange{string(begin), string(end)}
	hidden, ok := l.checkWrite(nil)
	if ok && l.checkRange(r, l.maxWrite()) {
		size := mutationOverhead + len(r.Begin) + len(r.End)
		if r = r.shortened(); r.empty() {
			l.approximate += size + rangeOverhead + len(begin) + len(end)
			return
		}
		l.clearRange(r, hidden, size)
	}
}

func (l *life) clearRange(r KeyRange, hidden bool, size int) {
	if l.options.unreadWrites {
		l.direct = append(l.direct, mutation{kind: mutationClearRange, key: r.Begin, param: r.End})
	} else {
		l.writes.clear(r)
		l.triggerWatches(r, "", false, true)
	}
	l.wrote(r, size, hidden)
}

// Atomic makes an atomic operation on key. The operand of a versionstamped
// operation ends in the offset of the stamp, four bytes in little-endian order;
// so does the key of SetVersionstampedKey.
func (l *life) Atomic(op MutationType, key, operand []byte) {
	hidden, ok := l.checkWrite(key)
	if !ok {
		return
	}
	stamped := op == SetVersionstampedKey || op == SetVersionstampedValue
	if !stamped && !op.atomic() {
		l.refuse(CodeInvalidMutationType)
		return
	}
	if !l.checkSizes(key, operand) {
		return
	}
	switch op {
	case SetVersionstampedKey:
		if rest, offset, valid := splitStamp(key); valid {
			l.setStampedKey(rest, operand, offset)
			return
		}
		l.refuse(CodeInvalidOperation)
	case SetVersionstampedValue:
		if value, offset, valid := splitStamp(operand); valid {
			l.setStampedValue(key, value, offset, hidden)
			return
		}
		l.refuse(CodeInvalidOperation)
	default:
		r := pointOf(key)
		l.write(mutation{kind: op, key: r.Begin, param: string(operand)}, r, hidden)
	}
}

// stampSuffix is how many bytes at the end of a versionstamped key or value hold
// the offset of the stamp.
const stampSuffix = 4

// splitStamp takes the offset off a versionstamped key or value.
func splitStamp(b []byte) (rest []byte, offset int, ok bool) {
	n := len(b) - stampSuffix
	if n < 0 {
		return nil, 0, false
	}
	offset = int(int32(binary.LittleEndian.Uint32(b[n:])))
	return b[:n], offset, offset >= 0 && offset <= n-store.StampBytes
}

func (l *life) setStampedValue(key, value []byte, offset int, hidden bool) {
	r := pointOf(key)
	l.write(mutation{kind: SetVersionstampedValue, key: r.Begin, param: string(value), offset: offset}, r, hidden)
}

// setStampedKey adds no write conflict range: the proxy does, for the key that it
// comes to.
func (l *life) setStampedKey(key, value []byte, offset int) {
	m := mutation{kind: SetVersionstampedKey, key: string(key), param: string(value), offset: offset}
	if l.options.unreadWrites {
		l.direct = append(l.direct, m)
	} else {
		l.writes.writeStampedKey(m, m.stampRange(l.readVersion, l.maxRead()))
	}
	l.wrote(KeyRange{}, m.size(), true)
}

// The atomic operations, each as Atomic has it.

// Add adds param to the value, both little-endian numbers as wide as param.
func (l *life) Add(key, param []byte) { l.Atomic(Add, key, param) }

// BitAnd ands the value with param.
func (l *life) BitAnd(key, param []byte) { l.Atomic(BitAnd, key, param) }

// BitOr ors the value with param.
func (l *life) BitOr(key, param []byte) { l.Atomic(BitOr, key, param) }

// BitXor exclusively ors the value with param.
func (l *life) BitXor(key, param []byte) { l.Atomic(BitXor, key, param) }

// AppendIfFits appends param to the value unless it would be over 100,000 bytes.
func (l *life) AppendIfFits(key, param []byte) { l.Atomic(AppendIfFits, key, param) }

// Max keeps the larger of two little-endian numbers.
func (l *life) Max(key, param []byte) { l.Atomic(Max, key, param) }

// Min keeps the smaller of two little-endian numbers.
func (l *life) Min(key, param []byte) { l.Atomic(Min, key, param) }

// ByteMax keeps the value that comes later in byte order.
func (l *life) ByteMax(key, param []byte) { l.Atomic(ByteMax, key, param) }

// ByteMin keeps the value that comes first in byte order.
func (l *life) ByteMin(key, param []byte) { l.Atomic(ByteMin, key, param) }

// CompareAndClear removes the key if its value is param.
func (l *life) CompareAndClear(key, param []byte) { l.Atomic(CompareAndClear, key, param) }

// SetVersionstampedKey gives a value to the key that key becomes by the commit's
// stamp.
func (l *life) SetVersionstampedKey(key, value []byte) { l.Atomic(SetVersionstampedKey, key, value) }

// SetVersionstampedValue gives key the value that param becomes by the commit's
// stamp.
func (l *life) SetVersionstampedValue(key, param []byte) {
	l.Atomic(SetVersionstampedValue, key, param)
}

// maxKeyBytes bounds the length of a key that is written.
func maxKeyBytes[K []byte | string](key K) int {
	if len(key) > 0 && key[0] == firstSystemKey[0] {
		return maxSystemKeyBytes
	}
	return store.MaxKeyBytes
}

// maxSystemKeyBytes bounds the length of a key that begins with "\xff".
const maxSystemKeyBytes = 30_000

// maxRead and maxWrite return the key behind all that the transaction may read
// or write.
func (l *life) maxRead() string {
	if l.options.readSystem {
		return firstSpecialKey
	}
	return firstSystemKey
}

func (l *life) maxWrite() string {
	if l.options.writeSystem {
		return firstSpecialKey
	}
	return firstSystemKey
}

// checkWrite reports whether the transaction takes a write of key, and whether
// the write is to add no write conflict range. If it does not take it, the
// transaction fails with the error.
func (l *life) checkWrite(key []byte) (hidden, ok bool) {
	if l.deferred != nil {
		return false, false
	}
	hidden, l.hidden = l.hidden, false
	switch {
	case l.started:
		l.misused()
		l.refuse(CodeUsedDuringCommit)
	case len(key) > 0 && string(key) >= l.maxWrite():
		l.refuse(CodeKeyOutsideLegalRange)
	default:
		return hidden, true
	}
	return false, false
}

func (l *life) checkSizes(key, value []byte) bool {
	switch {
	case len(key) > maxKeyBytes(key):
		l.refuse(CodeKeyTooLarge)
	case len(value) > store.MaxValueBytes:
		l.refuse(CodeValueTooLarge)
	default:
		return true
	}
	return false
}

// checkRange refuses a range that is inverted or reaches behind limit.
func (l *life) checkRange(r KeyRange, limit string) bool {
	switch {
	case r.Begin > r.End:
		l.refuse(CodeInvertedRange)
	case r.End > limit:
		l.refuse(CodeKeyOutsideLegalRange)
	default:
		return true
	}
	return false
}

// write makes a set, a versionstamped set of a value or an atomic operation.
func (l *life) write(m mutation, r KeyRange, hidden bool) {
	if l.options.unreadWrites {
		l.direct = append(l.direct, m)
	} else {
		l.writes.write(m)
		l.triggerWatches(r, m.param, true, m.kind == mutationSet)
	}
	l.wrote(r, m.size(), hidden)
}

// wrote adds the write conflict range of a mutation of that size, unless the
// write is to be hidden.
func (l *life) wrote(r KeyRange, size int, hidden bool) {
	l.approximate += size
	if !hidden {
		l.written.add(r)
		l.approximate += r.size()
	}
}
