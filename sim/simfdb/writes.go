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

// value returns what a read of the entry sees, given the stored value. A
// versionstamped value is as it was given.
func (e *writeEntry) value(stored string, present bool) (string, bool) {
	switch {
	case e.op.kind == SetVersionstampedValue:
		return e.op.parameter(), true
	case e.op.kind == mutationSet || e.unreadable:
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
		w.entries = slices.Insert(w.entries, i, writeEntry{key: m.key, op: m, unreadable: m.kind == SetVersionstampedValue})
		return
	}
	e := &w.entries[i]
	switch {
	case m.kind == SetVersionstampedValue:
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

// writeStampedKey makes a versionstamped-key set, whose key will lie in r.
func (w *writeMap) writeStampedKey(m mutation, r KeyRange) {
	w.unreadable.add(r)
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
