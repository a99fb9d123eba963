package optimistic

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/kelpie-registry/kelpie/store"
)

// writeKind says what a transaction does to a key. Only opAdd depends on what
// the key held before.
type writeKind uint8

const (
	opSet writeKind = iota
	opClear
	opAdd     // adds delta to the value that the key has when the transaction commits
	opStamped // value with the stamp in it, and then plus delta when added
)

// write is the sum of what a transaction did to one key.
type write struct {
	key        []byte // in the arena
	value      []byte // opSet: the value, never nil; opStamped: the template
	delta      uint64
	offset     int
	kind       writeKind
	added      bool // opStamped was followed by an addition
	unreadable bool // stamped since the last removal
}

// independent reports that the write decides what the key holds, whatever it
// held before.
func (w *write) independent() bool { return w.kind != opAdd }

// apply returns the value that the write leaves in a key that held base, both
// nil for none. version is the commit's, for stamps.
func (w *write) apply(base []byte, version store.Version, order uint16) []byte {
	switch w.kind {
	case opClear:
		return nil
	case opAdd:
		return addTo(base, w.delta)
	case opStamped:
		v := clone(w.value)
		binary.BigEndian.PutUint64(v[w.offset:], uint64(version))
		binary.BigEndian.PutUint16(v[w.offset+8:], order)
		if w.added {
			return addTo(v, w.delta)
		}
		return v
	default: // opSet
		return w.value
	}
}

// addTo returns the 8 little-endian bytes of base plus delta; base counts as
// zero when there is none, is extended with zeros and cut to 8 bytes.
func addTo(base []byte, delta uint64) []byte {
	out := make([]byte, 8)
	copy(out, base)
	binary.LittleEndian.PutUint64(out, binary.LittleEndian.Uint64(out)+delta)
	return out
}

// writeSet is what a transaction has written and not yet committed: at most one
// write for a key, over ranges that were cleared before.
//
// Invariants: order lists the writes in force by rising key, no key twice;
// cleared is sorted, and its spans neither overlap nor touch nor are empty.
type writeSet struct {
	log     []write  // in order of creation; some no longer in force
	order   []uint32 // indices into log
	cleared []span
	size    int // bytes towards the transaction's limit
}

// search returns the position in order of the first write at or after key, and
// whether it is of key itself.
func (ws *writeSet) search(key []byte) (int, bool) {
	n := len(ws.order)
	if n == 0 || bytes.Compare(ws.at(n-1).key, key) < 0 {
		return n, false // keys often come in order
	}
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if bytes.Compare(ws.at(mid).key, key) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, bytes.Equal(ws.at(lo).key, key)
}

// at returns the i-th write by key.
func (ws *writeSet) at(i int) *write { return &ws.log[ws.order[i]] }

// find returns the write of key, or nil.
func (ws *writeSet) find(key []byte) *write {
	if i, ok := ws.search(key); ok {
		return ws.at(i)
	}
	return nil
}

// entry returns the write of key, made as an empty one when there is none.
// The write keeps key. The result is good until the next call.
func (ws *writeSet) entry(key []byte) (w *write, made bool) {
	i, ok := ws.search(key)
	if ok {
		return ws.at(i), false
	}
	ws.log = append(ws.log, write{key: key})
	ws.order = slices.Insert(ws.order, i, uint32(len(ws.log)-1))
	return &ws.log[len(ws.log)-1], true
}

// clears returns the first cleared span that ends behind key, or nil. The key
// is cleared when the span contains it.
func (ws *writeSet) clears(key []byte) *span {
	i := sort.Search(len(ws.cleared), func(i int) bool { return bytes.Compare(ws.cleared[i].end, key) > 0 })
	if i == len(ws.cleared) {
		return nil
	}
	return &ws.cleared[i]
}

// isCleared reports whether key was removed as part of a range.
func (ws *writeSet) isCleared(key []byte) bool {
	s := ws.clears(key)
	return s != nil && s.contains(key)
}

// set keeps key and value.
func (ws *writeSet) set(key, value []byte) {
	ws.size += mutationOverhead + spanOverhead + 3*len(key) + 1 + len(value)
	w, _ := ws.entry(key)
	// A key that was stamped stays unreadable, as in FoundationDB.
	*w = write{key: w.key, kind: opSet, value: value, unreadable: w.unreadable}
}

func (ws *writeSet) remove(key []byte) {
	ws.size += mutationOverhead + spanOverhead + 4*len(key) + 2
	w, _ := ws.entry(key)
	*w = write{key: w.key, kind: opClear}
}

func (ws *writeSet) add(key []byte, delta uint64) {
	ws.size += mutationOverhead + spanOverhead + 3*len(key) + 1 + 8
	w, made := ws.entry(key)
	switch {
	case made && ws.isCleared(key):
		w.kind, w.value = opSet, addTo(nil, delta)
	case made:
		w.kind, w.delta = opAdd, delta
	case w.kind == opSet:
		w.value = addTo(w.value, delta)
	case w.kind == opClear:
		w.kind, w.value = opSet, addTo(nil, delta)
	case w.kind == opAdd:
		w.delta += delta
	case w.kind == opStamped:
		w.delta += delta
		w.added = true
	}
}

func (ws *writeSet) stamp(key, value []byte, offset int) {
	ws.size += mutationOverhead + spanOverhead + 3*len(key) + 1 + len(value) + 4
	w, _ := ws.entry(key)
	*w = write{key: w.key, kind: opStamped, value: value, offset: offset, unreadable: true}
}

// removeRange forgets the writes in s and clears it.
func (ws *writeSet) removeRange(s span) {
	if s.empty() {
		return
	}
	ws.size += mutationOverhead + 2*s.sizeOf() - spanOverhead
	from, _ := ws.search(s.begin)
	to, _ := ws.search(s.end)
	ws.order = slices.Delete(ws.order, from, to)

	// Join s with the spans that it overlaps or touches: those from the first
	// that ends at or behind s.begin to the last that begins at or before s.end.
	i := sort.Search(len(ws.cleared), func(i int) bool { return bytes.Compare(ws.cleared[i].end, s.begin) >= 0 })
	j := i
	for ; j < len(ws.cleared) && bytes.Compare(ws.cleared[j].begin, s.end) <= 0; j++ {
		if bytes.Compare(ws.cleared[j].begin, s.begin) < 0 {
			s.begin = ws.cleared[j].begin
		}
		if bytes.Compare(ws.cleared[j].end, s.end) > 0 {
			s.end = ws.cleared[j].end
		}
	}
	ws.cleared = slices.Replace(ws.cleared, i, j, s)
}

// unwritten calls visit for each part of s, in key order, whose content the
// transaction's own writes do not decide.
func (ws *writeSet) unwritten(s span, visit func(span)) {
	if len(ws.order) == 0 && len(ws.cleared) == 0 {
		if !s.empty() {
			visit(s)
		}
		return
	}
	rest := s
	emit := func(upTo, from []byte) {
		if bytes.Compare(rest.begin, upTo) < 0 {
			visit(span{rest.begin, upTo})
		}
		if bytes.Compare(rest.begin, from) < 0 {
			rest.begin = from
		}
	}
	i, _ := ws.search(s.begin)
	c := sort.Search(len(ws.cleared), func(i int) bool { return bytes.Compare(ws.cleared[i].end, s.begin) > 0 })
	for {
		var w *write
		if i < len(ws.order) && bytes.Compare(ws.at(i).key, s.end) < 0 {
			w = ws.at(i)
		}
		var cut *span
		if c < len(ws.cleared) && bytes.Compare(ws.cleared[c].begin, s.end) < 0 {
			cut = &ws.cleared[c]
		}
		switch {
		case w == nil && cut == nil:
			if !rest.empty() {
				visit(rest)
			}
			return
		case cut == nil || (w != nil && bytes.Compare(w.key, cut.begin) < 0):
			if w.independent() {
				emit(w.key, append(w.key[:len(w.key):len(w.key)], 0))
			}
			i++
		default:
			emit(cut.begin, cut.end)
			c++
		}
		if rest.empty() {
			return
		}
	}
}

func (ws *writeSet) reset() {
	clear(ws.log)
	clear(ws.cleared)
	*ws = writeSet{log: ws.log[:0], order: ws.order[:0], cleared: ws.cleared[:0]}
}
