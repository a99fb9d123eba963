package simfdb

// conflictWindow is what a resolver remembers: for every key, the version of
// its last write, as long as that version is above oldest.
//
// It is a sorted list of boundaries; each holds the version of the last write
// of the keys from it to the next boundary. Keys before the first boundary, and
// versions at or below oldest, count as never written.
type conflictWindow struct {
	bounds orderedMap[Version]
	oldest Version
	swept  int // boundaries left after the last sweep
}

// conflicts reports whether a key of r was written behind version v.
func (w *conflictWindow) conflicts(r KeyRange, v Version) bool {
	if r.empty() {
		return false
	}
	p, found := w.bounds.seek(r.Begin)
	if !found {
		if before, ok := w.bounds.prev(p); ok && w.bounds.at(before).value > v {
			return true
		}
	}
	for it := w.bounds.at(p); it != nil && it.key < r.End; it = w.bounds.at(p) {
		if it.value > v {
			return true
		}
		p = w.bounds.next(p)
	}
	return false
}

// write records a write of the keys of r at version v, which is at or behind
// all versions recorded before.
func (w *conflictWindow) write(r KeyRange, v Version) {
	if r.empty() {
		return
	}
	// What follows r keeps the version that it has now.
	p, found := w.bounds.seek(r.End)
	if !found {
		if before, ok := w.bounds.prev(p); ok {
			w.bounds.insert(p, r.End, w.bounds.at(before).value)
		} else {
			w.bounds.insert(p, r.End, 0)
		}
	}
	p, found = w.bounds.seek(r.Begin)
	if found {
		w.bounds.at(p).value = v
	} else {
		w.bounds.insert(p, r.Begin, v)
		p, _ = w.bounds.seek(r.Begin)
	}
	p = w.bounds.next(p)
	for it := w.bounds.at(p); it != nil && it.key < r.End; it = w.bounds.at(p) {
		p = w.bounds.delete(p)
	}
}

// forget raises oldest. Boundaries that no longer say anything are dropped
// whenever their number has doubled.
func (w *conflictWindow) forget(oldest Version) {
	w.oldest = max(w.oldest, oldest)
	if w.bounds.count <= 2*w.swept+64 {
		return
	}
	idle := true // the boundary before p says nothing
	for p := w.bounds.first(); w.bounds.at(p) != nil; {
		now := w.bounds.at(p).value <= w.oldest
		if idle && now {
			p = w.bounds.delete(p)
		} else {
			p = w.bounds.next(p)
		}
		idle = now
	}
	w.swept = w.bounds.count
}
