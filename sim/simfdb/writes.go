package simfdb

import (
	"slices"
	"strings"
)

// writeMap is what a transaction has written and not yet committed, kept so
// that it can be read back: the write half of read-your-writes.
//
// A key is in one of three states: unmodified; cleared (it lies in clears and
// has no entry); or written (it has an entry). The zero value is empty.
type writeMap struct {
	clears  rangeSet
	entries []writeEntry // by key

	// unreadable holds the keys that a versionstamped key may turn out to be.
	unreadable rangeSet
	// stampedKeys are the versionstamped-key sets, in the order of the calls.
	stampedKeys []mutation
}

// writeEntry is a key that the transaction set or changed: op, then more. Either
// op is a set or a versionstamped set, or op and more are all atomic operations
// on a value that the transaction has not replaced: then the entry is dependent.
type writeEntry struct {
	key        string
	op         mutation
	more       []mutation // atomic operations; none behind a plain set
	unreadable bool       // its value depends on the commit's stamp
}

func (e *writeEntry) dependent() bool { return e.op.kind.atomic() }

// value returns what a read of the entry sees, given the stored value. Of an
// unreadable entry it tells only that there is a value.
func (e *writeEntry) value(stored string, present bool) (string, bool) {
	if e.op.kind == mutationSet || e.unreadable {
		return e.op.param, true
	}
	stored, present = applyAtomic(e.op.kind, stored, present, e.op.param)
	for _, op := range e.more {
		stored, present = applyAtomic(op.kind, stored, present, op.param)
	}
	return stored, present
}

func (w *writeMap) empty() bool {
	return len(w.entries) == 0 && len(w.clears.ranges) == 0 && len(w.stampedKeys) == 0
}

// index returns the index of the first entry at or behind key.
func (w *writeMap) index(key string) (int, bool) {
	return slices.BinarySearchFunc(w.entries, key, func(e writeEntry, k string) int {
		return strings.Compare(e.key, k)
	})
}

// entry returns the entry of key, or nil.
func (w *writeMap) entry(key string) *writeEntry {
	if i, ok := w.index(key); ok {
		return &w.entries[i]
	}
	return nil
}

// write makes a set, a versionstamped set or an atomic operation.
func (w *writeMap) write(m mutation) {
	i, found := w.index(m.key)
	if !found {
		if m.kind.atomic() && w.clears.contains(m.key) {
			// The stored value is known to be none: this is a plain set, or nothing.
			value, present := applyAtomic(m.kind, "", false, m.param)
			if !present {
				return
			}
			m = mutation{kind: mutationSet, key: m.key, param: value}
		}
		w.entries = slices.Insert(w.entries, i, writeEntry{key: m.key, op: m, unreadable: m.kind == SetVersionstampedVal})
		return
	}
	e := &w.entries[i]
	switch {
	case m.kind == SetVersionstampedVal:
		e.op, e.more, e.unreadable = m, nil, true
	case m.kind == mutationSet:
		// An unreadable key stays so, although its value is known now.
		e.op, e.more = m, nil
	case e.op.kind == mutationSet:
		value, present := applyAtomic(m.kind, e.op.param, true, m.param)
		if present {
			e.op.param = value
			return
		}
		w.clear(singleKey(m.key))
	default:
		e.more = append(e.more, m)
	}
}

// clear removes the keys of r.
func (w *writeMap) clear(r KeyRange) {
	if r.empty() {
		return
	}
	lo, _ := w.index(r.Begin)
	hi, _ := w.index(r.End)
	w.entries = slices.Delete(w.entries, lo, hi)
	w.unreadable.remove(r)
	w.clears.add(r)
}

// writeStampedKey makes a versionstamped-key set.
func (w *writeMap) writeStampedKey(m mutation) {
	w.unreadable.add(m.stampRange())
	w.stampedKeys = append(w.stampedKeys, m)
}

// mutations returns the changes to commit: clears, then the rest by key.
func (w *writeMap) mutations() []mutation {
	n := len(w.clears.ranges) + len(w.stampedKeys)
	for i := range w.entries {
		n += 1 + len(w.entries[i].more)
	}
	ms := make([]mutation, 0, n)
	for _, r := range w.clears.ranges {
		ms = append(ms, mutation{kind: mutationClearRange, key: r.Begin, param: r.End})
	}
	for i := range w.entries {
		ms = append(ms, w.entries[i].op)
		ms = append(ms, w.entries[i].more...)
	}
	return append(ms, w.stampedKeys...)
}

// readable reports whether all keys of r can be read before the commit.
func (w *writeMap) readable(r KeyRange) bool {
	if _, ok := w.unreadable.intersecting(r); ok {
		return false
	}
	for i, _ := w.index(r.Begin); i < len(w.entries) && w.entries[i].key < r.End; i++ {
		if w.entries[i].unreadable {
			return false
		}
	}
	return true
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
