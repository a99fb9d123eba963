package simfdb

import "slices"

// Explicit conflict ranges, and how long a key of a range may be.

// shortened returns the range with bounds that no key is longer than: there is
// none between them and the given ones.
func (r KeyRange) shortened() KeyRange {
	return KeyRange{shortenedKey(r.Begin), shortenedKey(r.End)}
}

func shortenedKey(key string) string {
	return key[:min(len(key), maxKeyBytes(key)+1)]
}

// AddReadConflictRange acts as if the keys from begin to end had been read. Keys
// that the transaction itself has set or cleared are left out, as in a read. An
// inverted range is error 2005; a system key fails the transaction's next call.
func (l *life) AddReadConflictRange(begin, end []byte) error {
	r := KeyRange{string(begin), string(end)}
	if r.Begin > r.End {
		return Error{CodeInvertedRange}
	}
	if l.checkConflict(r, l.maxRead()) {
		l.readConflict(&l.writes, r.shortened())
	}
	return nil
}

// AddReadConflictKey acts as if key had been read.
func (l *life) AddReadConflictKey(key []byte) error {
	return l.AddReadConflictRange(key, append(slices.Clip(key), 0))
}

// AddWriteConflictRange acts as if the keys from begin to end had been written.
// Its errors are those of AddReadConflictRange.
func (l *life) AddWriteConflictRange(begin, end []byte) error {
	r := KeyRange{string(begin), string(end)}
	if r.Begin > r.End {
		return Error{CodeInvertedRange}
	}
	if l.checkConflict(r, l.maxWrite()) {
		if r = r.shortened(); !r.empty() {
			l.written.add(r)
			l.approximate += r.size()
		}
	}
	return nil
}

// AddWriteConflictKey acts as if key had been written.
func (l *life) AddWriteConflictKey(key []byte) error {
	return l.AddWriteConflictRange(key, append(slices.Clip(key), 0))
}

// checkConflict reports whether the transaction takes a conflict range; if it
// does not, the transaction fails with the error.
func (l *life) checkConflict(r KeyRange, limit string) bool {
	switch {
	case l.deferred != nil:
	case l.started:
		l.misused()
		l.refuse(CodeUsedDuringCommit)
	case r.Begin > limit || r.End > limit:
		l.refuse(CodeKeyOutsideLegalRange)
	default:
		return true
	}
	return false
}
