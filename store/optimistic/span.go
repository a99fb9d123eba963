package optimistic

import (
	"bytes"
	"slices"
	"unsafe"
)

// span is the half-open range of keys begin <= key < end. One key k is the span
// [k, k+"\x00"). The slices belong to the transaction's arena.
type span struct {
	begin, end []byte
}

// isKey reports whether the span holds exactly one key, which is begin.
func (s span) isKey() bool {
	n := len(s.begin)
	return len(s.end) == n+1 && s.end[n] == 0 && bytes.Equal(s.end[:n], s.begin)
}

func (s span) empty() bool { return bytes.Compare(s.begin, s.end) >= 0 }

func (s span) contains(key []byte) bool {
	return bytes.Compare(s.begin, key) <= 0 && bytes.Compare(key, s.end) < 0
}

// sizeOf is what a span counts towards the size of its transaction.
func (s span) sizeOf() int { return len(s.begin) + len(s.end) + spanOverhead }

// Bytes that FoundationDB's client adds to each mutation and each conflict
// range when it holds a transaction against the size limit (the sizes of its
// MutationRef and KeyRangeRef). With them the limit falls where it does there.
const (
	mutationOverhead = 44
	spanOverhead     = 24
)

// spanList collects spans. It is a set of keys: once it is long, spans that
// overlap or touch are merged, so that a transaction that reads one key for
// ever does not grow.
type spanList struct {
	spans []span
	size  int // sum of sizeOf
	limit int // length at which to merge next
}

// mergeSpans is the length from which a spanList merges.
const mergeSpans = 64

func (l *spanList) add(s span) {
	if n := len(l.spans); n > 0 && bytes.Equal(l.spans[n-1].begin, s.begin) && bytes.Equal(l.spans[n-1].end, s.end) {
		return
	}
	l.spans = append(l.spans, s)
	l.size += s.sizeOf()
	if len(l.spans) >= max(l.limit, mergeSpans) {
		l.merge()
		l.limit = 2 * len(l.spans)
	}
}

// merge sorts the spans and joins those that overlap or touch.
func (l *spanList) merge() {
	slices.SortFunc(l.spans, func(a, b span) int { return bytes.Compare(a.begin, b.begin) })
	out := l.spans[:1]
	for _, s := range l.spans[1:] {
		last := &out[len(out)-1]
		if bytes.Compare(s.begin, last.end) > 0 {
			out = append(out, s)
		} else if bytes.Compare(s.end, last.end) > 0 {
			last.end = s.end
		}
	}
	clear(l.spans[len(out):])
	l.spans = out
	l.size = 0
	for _, s := range out {
		l.size += s.sizeOf()
	}
}

func (l *spanList) reset() {
	clear(l.spans)
	*l = spanList{spans: l.spans[:0]}
}

// view returns b as a string without copying it, for a look-up that does not
// keep the string. The caller must not change b before the look-up returns.
func view(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// arena hands out copies of keys that live as long as one transaction.
type arena struct {
	chunk []byte
}

const (
	arenaChunk = 512     // bytes of the first chunk
	arenaKeep  = 1 << 16 // a larger chunk is not kept for the next transaction
)

// copy returns a copy of b followed by pad zero bytes. The result is never nil,
// and its capacity is its length.
func (a *arena) copy(b []byte, pad int) []byte {
	n := len(b) + pad
	if a.chunk == nil || cap(a.chunk)-len(a.chunk) < n {
		// Slices of the full chunk stay valid: nothing moves.
		a.chunk = make([]byte, 0, max(arenaChunk, min(2*cap(a.chunk), arenaKeep), n))
	}
	at := len(a.chunk)
	a.chunk = a.chunk[:at+n]
	c := a.chunk[at : at+n : at+n]
	copy(c, b)
	clear(c[len(b):])
	return c
}

// key returns the span of one key.
func (a *arena) key(k []byte) span {
	c := a.copy(k, 1)
	return span{begin: c[:len(k):len(k)], end: c}
}

// span returns the span [begin, end).
func (a *arena) span(begin, end []byte) span {
	return span{begin: a.copy(begin, 0), end: a.copy(end, 0)}
}

func (a *arena) reset() {
	if cap(a.chunk) > arenaKeep {
		a.chunk = nil
	}
	a.chunk = a.chunk[:0]
}
