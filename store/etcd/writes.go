package etcd

import (
	"slices"
	"sort"
)

// writeKind says what a transaction does to a key. Only opAdd depends on what
// the key held before.
type writeKind uint8

const (
	opSet writeKind = iota
	opClear
	opAdd
	opStamped
)

// write is the sum of what a transaction did to one key.
type write struct {
	key        string
	kind       writeKind
	value      []byte // opSet: the value, never nil; opStamped: the template
	offset     int    // opStamped
	delta      uint64 // opAdd; opStamped when added
	added      bool   // opStamped was followed by an addition
	unreadable bool   // stamped since the last removal
}

// independent reports that the write decides what the key holds, whatever it
// held before.
func (w *write) independent() bool { return w.kind != opAdd }

// over returns what the transaction sees in a key that held base, nil for none.
func (w *write) over(base []byte) []byte {
	switch w.kind {
	case opClear:
		return nil
	case opAdd:
		return addTo(base, w.delta)
	default:
		return clone(w.value)
	}
}

// writeSet is what a transaction has written and not yet committed: at most one
// write for a key, over ranges that were cleared before. It is in the order of
// the keys.
type writeSet struct {
	list      []*write
	cleared   spanSet
	conflicts spanSet // explicit write conflicts
	size      int     // bytes towards the transaction's limit
}

func (ws *writeSet) empty() bool {
	return len(ws.list) == 0 && len(ws.cleared) == 0 && len(ws.conflicts) == 0
}

// touch reports whether the transaction has written or cleared key.
func (ws *writeSet) touch(key string) bool { return ws.find(key) != nil || ws.cleared.contains(key) }

// search returns the position of the first write at or behind key.
func (ws *writeSet) search(key string) int {
	return sort.Search(len(ws.list), func(i int) bool { return ws.list[i].key >= key })
}

// find returns the write of key, or nil.
func (ws *writeSet) find(key string) *write {
	if i := ws.search(key); i < len(ws.list) && ws.list[i].key == key {
		return ws.list[i]
	}
	return nil
}

// entry returns the write of key, made when there is none.
func (ws *writeSet) entry(key string) (w *write, made bool) {
	i := ws.search(key)
	if i < len(ws.list) && ws.list[i].key == key {
		return ws.list[i], false
	}
	w = &write{key: key}
	ws.list = slices.Insert(ws.list, i, w)
	return w, true
}

// in returns the writes of the keys of s.
func (ws *writeSet) in(s span) []*write {
	if s.empty() {
		return nil
	}
	return ws.list[ws.search(s.begin):ws.search(s.end)]
}

func (ws *writeSet) set(key string, value []byte) {
	ws.size += len(key) + len(value)
	w, _ := ws.entry(key)
	// A key that was stamped stays unreadable, as in FoundationDB.
	*w = write{key: key, kind: opSet, value: value, unreadable: w.unreadable}
}

func (ws *writeSet) remove(key string) {
	ws.size += len(key)
	w, _ := ws.entry(key)
	*w = write{key: key, kind: opClear}
}

func (ws *writeSet) add(key string, delta uint64) {
	ws.size += len(key) + 8
	w, made := ws.entry(key)
	switch {
	case made && ws.cleared.contains(key), !made && w.kind == opClear:
		*w = write{key: key, kind: opSet, value: addTo(nil, delta)}
	case made:
		w.kind, w.delta = opAdd, delta
	case w.kind == opSet:
		w.value = addTo(w.value, delta)
	default:
		w.delta += delta
		w.added = true
	}
}

func (ws *writeSet) stamp(key string, value []byte, offset int) {
	ws.size += len(key) + len(value)
	w, _ := ws.entry(key)
	*w = write{key: key, kind: opStamped, value: value, offset: offset, unreadable: true}
}

// removeRange forgets the writes in s and clears it.
func (ws *writeSet) removeRange(s span) {
	if s.empty() {
		return
	}
	ws.size += len(s.begin) + len(s.end)
	ws.list = slices.Delete(ws.list, ws.search(s.begin), ws.search(s.end))
	ws.cleared.add(s)
}

func (ws *writeSet) conflict(s span) {
	ws.size += len(s.begin) + len(s.end)
	ws.conflicts.add(s)
}

// unwritten calls visit for each part of s, in order, whose content the
// transaction's own writes do not decide.
func (ws *writeSet) unwritten(s span, visit func(span)) {
	ws.cleared.outside(s, func(open span) {
		for _, w := range ws.in(open) {
			if !w.independent() {
				continue
			}
			if open.begin < w.key {
				visit(span{open.begin, w.key})
			}
			open.begin = w.key + "\x00"
		}
		if !open.empty() {
			visit(open)
		}
	})
}
