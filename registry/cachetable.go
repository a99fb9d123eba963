package registry

import (
	"sync/atomic"
	"time"
)

// cacheTable is an open-addressing hash table with linear probing. What the slots
// hold is atomic, so that it may be read while one task writes, and the reader
// finds out afterwards whether what it saw belongs together: see [cacheShard].
//
// A lookup among a million takes as long as it takes to fetch the memory. So all
// that it needs lies in one slot, a cache line, and there is nothing to follow
// from there but what all actors of a session share.
type cacheTable struct {
	slots []cacheSlot // a power of two of them, of which at least one is empty
}

// cacheSlot is 64 bytes, as a cache line is.
type cacheSlot struct {
	session atomic.Pointer[cachedSession]
	token   atomic.Uint64
	began   atomic.Int64
	meta    atomic.Uint64           // length of the id << 32 | place in the queue; 0: empty
	a, b, c atomic.Uint64           // the words of the key
	long    atomic.Pointer[ActorID] // the id; nil if it is short
}

const (
	minTableSlots = 8
	maxLoadNum    = 5 // of maxLoadDen: how full a table may be
	maxLoadDen    = 8
)

func newCacheTable(slots int) *cacheTable { return &cacheTable{slots: make([]cacheSlot, slots)} }

// full reports whether a table that holds n entries has no room for another.
func (t *cacheTable) full(n int) bool { return (n+1)*maxLoadDen > len(t.slots)*maxLoadNum }

// find returns the slot of a key, or the empty one in which it would be put.
func (t *cacheTable) find(k cacheKey) (at int, found bool) {
	mask := len(t.slots) - 1
	at = int(k.hash) & mask
	for range t.slots { // while another task writes, there may be no end to find
		s := &t.slots[at]
		meta := s.meta.Load()
		if meta == 0 {
			return at, false
		}
		if s.holds(k.id, k.words, meta) {
			return at, true
		}
		at = (at + 1) & mask
	}
	return at, false
}

// holds reports whether the slot, which has the given meta, is that of an id.
func (s *cacheSlot) holds(id ActorID, w idWords, meta uint64) bool {
	if s.a.Load() != w.a || meta>>32 != uint64(len(id)) || s.b.Load() != w.b || s.c.Load() != w.c {
		return false
	}
	if len(id) <= shortID {
		return true
	}
	long := s.long.Load()
	return long != nil && *long == id
}

// get returns the entry of a key.
func (t *cacheTable) get(k cacheKey) (e cacheEntry, found bool) {
	at, found := t.find(k)
	if found {
		e = t.slots[at].entry()
	}
	return e, found
}

func (s *cacheSlot) entry() cacheEntry {
	return cacheEntry{session: s.session.Load(), token: Token(s.token.Load()), began: time.Duration(s.began.Load())}
}

// set replaces the entry, and leaves the key as it is.
func (s *cacheSlot) set(e cacheEntry) {
	s.session.Store(e.session)
	s.token.Store(uint64(e.token))
	s.began.Store(int64(e.began))
}

// fill puts a key with its entry, and its place in the queue, into an empty slot.
func (s *cacheSlot) fill(k cacheKey, e cacheEntry, place uint32) {
	s.set(e)
	s.a.Store(k.words.a)
	s.b.Store(k.words.b)
	s.c.Store(k.words.c)
	if len(k.id) > shortID {
		id := k.id // or else every key that is put would be allocated
		s.long.Store(&id)
	}
	s.meta.Store(uint64(len(k.id))<<32 | uint64(place))
}

// copy makes the slot hold what another one does.
func (s *cacheSlot) copy(from *cacheSlot) {
	s.set(from.entry())
	s.a.Store(from.a.Load())
	s.b.Store(from.b.Load())
	s.c.Store(from.c.Load())
	s.long.Store(from.long.Load())
	s.meta.Store(from.meta.Load())
}

func (s *cacheSlot) clear() {
	s.meta.Store(0)
	s.session.Store(nil)
	s.long.Store(nil)
}

// place is where the entry stands in the queue.
func (s *cacheSlot) place() uint32 { return uint32(s.meta.Load()) }

// hash is that of the key.
func (s *cacheSlot) hash() uint64 {
	return idWords{s.a.Load(), s.b.Load(), s.c.Load()}.hash(int(s.meta.Load() >> 32))
}

// remove empties a slot. Entries behind it that have been pushed on by others
// move up, so that none is ever behind an empty slot, and moved is told where
// they are.
func (t *cacheTable) remove(hole int, moved func(place uint32, at int)) {
	mask := len(t.slots) - 1
	for at := (hole + 1) & mask; ; at = (at + 1) & mask {
		s := &t.slots[at]
		if s.meta.Load() == 0 {
			break
		}
		home := int(s.hash()) & mask
		if (at-home)&mask < (at-hole)&mask {
			continue // the hole lies before its home
		}
		t.slots[hole].copy(s)
		moved(s.place(), hole)
		hole = at
	}
	t.slots[hole].clear()
}

// grown returns a table of twice the size with the same entries. Nobody else
// reads it yet.
func (t *cacheTable) grown(moved func(place uint32, at int)) *cacheTable {
	to := newCacheTable(2 * len(t.slots))
	mask := len(to.slots) - 1
	for i := range t.slots {
		s := &t.slots[i]
		if s.meta.Load() == 0 {
			continue
		}
		at := int(s.hash()) & mask
		for to.slots[at].meta.Load() != 0 {
			at = (at + 1) & mask
		}
		to.slots[at].copy(s)
		moved(s.place(), at)
	}
	return to
}
