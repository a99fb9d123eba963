package simfdb

import (
	"slices"
	"strings"
)

// How the reads of a range move over the transaction's own writes: stretch by
// stretch, each of which can be read alike.

// clone returns a copy that later writes do not change.
func (w *writeMap) clone() *writeMap {
	c := &writeMap{entries: slices.Clone(w.entries), stampedKeys: w.stampedKeys}
	c.clears.ranges = slices.Clone(w.clears.ranges)
	c.unreadable.ranges = slices.Clone(w.unreadable.ranges)
	return c
}

// readableStretch returns the part of r from its beginning (up to its end, in
// reverse) that can be read before the commit, and false if there is none.
func (w *writeMap) readableStretch(r KeyRange, reverse bool) (KeyRange, bool) {
	lo, _ := w.index(r.Begin)
	hi, _ := w.index(r.End)
	part := r
	if reverse {
		i := w.unreadable.before(r.End)
		if i >= 0 {
			part.Begin = max(part.Begin, min(r.End, w.unreadable.ranges[i].End))
		}
		for _, e := range w.entries[lo:hi] {
			if e.unreadable {
				part.Begin = max(part.Begin, keyAfter(e.key))
			}
		}
		return part, !part.empty()
	}
	if cut, ok := w.unreadable.intersecting(r); ok {
		part.End = cut.Begin
	}
	for _, e := range w.entries[lo:hi] {
		if e.unreadable {
			part.End = min(part.End, e.key)
			break
		}
	}
	return part, !part.empty()
}

// clearedStretch returns the first stretch of r (the last, in reverse) if the
// transaction has cleared it: no server need be asked.
func (w *writeMap) clearedStretch(r KeyRange, reverse bool) (KeyRange, bool) {
	if !reverse {
		c, ok := w.clears.find(r.Begin)
		return KeyRange{r.Begin, min(r.End, c.End)}, ok
	}
	i := w.clears.before(r.End)
	if i < 0 || w.clears.ranges[i].End < r.End {
		return KeyRange{}, false
	}
	return KeyRange{max(r.Begin, w.clears.ranges[i].Begin), r.End}, true
}

// beforeFirstClear returns the part of r before the first cleared range in it
// that is more than a key.
func (w *writeMap) beforeFirstClear(r KeyRange) KeyRange {
	for i := w.clears.after(r.Begin); i < len(w.clears.ranges); i++ {
		c := w.clears.ranges[i]
		if c.Begin >= r.End {
			break
		}
		if c.Begin > r.Begin && !c.single() {
			return KeyRange{r.Begin, c.Begin}
		}
	}
	return r
}

// behindLastClear returns the part of r behind the last cleared range in it that
// is more than a key.
func (w *writeMap) behindLastClear(r KeyRange) KeyRange {
	for i := w.clears.before(r.End); i >= 0; i-- {
		c := w.clears.ranges[i]
		if c.End <= r.Begin {
			break
		}
		if c.End < r.End && !c.single() {
			return KeyRange{c.End, r.End}
		}
	}
	return r
}

// before returns the index of the last range that begins before key; -1 if none.
func (s *rangeSet) before(key string) int {
	i, _ := slices.BinarySearchFunc(s.ranges, key, func(r KeyRange, k string) int {
		return strings.Compare(r.Begin, k)
	})
	return i - 1
}

// stored returns the parts of r, in order, whose stored value a read of r needs:
// the keys that are unmodified or have a dependent entry. These are the parts
// that a read conflicts on.
func (w *writeMap) stored(r KeyRange, yield func(KeyRange)) {
	if w.empty() {
		yield(r)
		return
	}
	pos := r.Begin
	emit := func(end string) {
		if pos < end {
			yield(KeyRange{pos, end})
		}
	}
	i, _ := w.index(r.Begin)
	c := w.clears.after(r.Begin)
	for pos < r.End {
		// The next independent stretch: an entry that is, or a cleared range.
		for i < len(w.entries) && (w.entries[i].key < pos || w.entries[i].dependent()) {
			i++
		}
		next := KeyRange{r.End, r.End}
		if i < len(w.entries) && w.entries[i].key < r.End {
			next = KeyRange{w.entries[i].key, keyAfter(w.entries[i].key)}
		}
		for c < len(w.clears.ranges) && w.clears.ranges[c].End <= pos {
			c++
		}
		if c < len(w.clears.ranges) && w.clears.ranges[c].Begin <= next.Begin {
			next = w.clears.ranges[c]
		}
		emit(min(next.Begin, r.End))
		pos = max(pos, next.End)
		if next.empty() {
			return
		}
	}
}

// merge returns the rows of r as the transaction sees them, given the stored
// rows of r, both in key order.
func (w *writeMap) merge(r KeyRange, stored []row) []row {
	if w.empty() {
		return stored
	}
	i, _ := w.index(r.Begin)
	if i == len(w.entries) || w.entries[i].key >= r.End {
		if _, touched := w.clears.intersecting(r); !touched {
			return stored
		}
	}
	rows := make([]row, 0, len(stored)+4)
	for {
		own := i < len(w.entries) && w.entries[i].key < r.End
		switch {
		case !own && len(stored) == 0:
			return rows
		case own && (len(stored) == 0 || w.entries[i].key <= stored[0].key):
			e := &w.entries[i]
			i++
			var value string
			var present bool
			if len(stored) > 0 && stored[0].key == e.key {
				value, present = stored[0].value, true
				stored = stored[1:]
			}
			if value, present = e.value(value, present); present {
				rows = append(rows, row{e.key, value})
			}
		default:
			if !w.clears.contains(stored[0].key) {
				rows = append(rows, stored[0])
			}
			stored = stored[1:]
		}
	}
}
