package registry

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kelpie-registry/kelpie/host"
)

// cacheShards keeps the tasks of many cores from waiting for each other.
const (
	cacheShardBits = 6
	cacheShards    = 1 << cacheShardBits
)

// shard returns the shard of an actor, by the first and the last eight bytes of
// its id.
func (c *Cache) shard(a ActorID) *cacheShard {
	h := uint64(len(a))
	if len(a) >= 8 {
		h ^= word(a) ^ bits.RotateLeft64(word(a[len(a)-8:]), 29)
	} else {
		for i := range len(a) {
			h = h<<8 | uint64(a[i])
		}
	}
	h *= 0x9e3779b97f4a7c15 // 2^64 over the golden ratio: the high bits depend on all
	return &c.shards[h>>(64-cacheShardBits)]
}

func word(a ActorID) uint64 {
	_ = a[7]
	return uint64(a[0]) | uint64(a[1])<<8 | uint64(a[2])<<16 | uint64(a[3])<<24 |
		uint64(a[4])<<32 | uint64(a[5])<<40 | uint64(a[6])<<48 | uint64(a[7])<<56
}

// cacheEntry is what a cache knows of an actor. It is small, and lies in the map
// itself, because a lookup among a million takes as long as it takes to fetch the
// memory.
type cacheEntry struct {
	session *cachedSession
	token   Token
	began   time.Duration // uptime at which the read began that showed it
	slot    int
}

func (e *cacheEntry) owner() Owner {
	s := e.session
	return Owner{Node: s.id.node, Incarnation: s.id.incarnation, Token: e.token, Address: s.address}
}

// cachedSession is what all entries of one incarnation share.
type cachedSession struct {
	id      sessionID
	address string
	ended   atomic.Bool
}

// cacheShard is a bounded map. When it is full, the entry that came first goes
// first. To note which are asked for would make every lookup write, and save an
// actor that is always wanted one read in as many as there are entries.
type cacheShard struct {
	size int

	mu       sync.RWMutex
	entries  map[ActorID]cacheEntry
	slots    []ActorID // of each slot; empty: free
	hand     int       // the slot that goes next
	fetching map[ActorID]*fetching
}

func (s *cacheShard) init(size int) {
	s.size = size
	s.entries = make(map[ActorID]cacheEntry)
	s.fetching = make(map[ActorID]*fetching)
}

// get returns the entry of an actor.
func (s *cacheShard) get(a ActorID) (e cacheEntry, ok bool) {
	s.mu.RLock()
	e, ok = s.entries[a]
	s.mu.RUnlock()
	return e, ok
}

// put keeps an entry, unless the actor has one with a higher token, or with the
// same and from a later read.
func (s *cacheShard) put(a ActorID, e cacheEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(a, e)
}

func (s *cacheShard) putLocked(a ActorID, e cacheEntry) {
	old, ok := s.entries[a]
	switch {
	case !ok:
		e.slot = s.freeSlot()
		s.slots[e.slot] = a
	case old.token > e.token || old.token == e.token && old.began >= e.began:
		return
	default:
		e.slot = old.slot
	}
	s.entries[a] = e
}

// freeSlot returns a slot that holds nothing any more.
func (s *cacheShard) freeSlot() int {
	if n := len(s.slots); n < s.size {
		s.slots = append(s.slots, "")
		return n
	}
	i := s.hand
	s.hand = (i + 1) % s.size
	delete(s.entries, s.slots[i]) // no entry has the empty id
	return i
}

// drop removes the entry of an actor if its token is not above the given one, or
// that is zero.
func (s *cacheShard) drop(a ActorID, token Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[a]; ok && (token == 0 || e.token <= token) {
		delete(s.entries, a)
		s.slots[e.slot] = ""
	}
}

// begin returns the read of an actor that is under way, or a new one, which is
// the caller's to make.
func (s *cacheShard) begin(a ActorID, h host.Host) (f *fetching, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f = s.fetching[a]; f != nil {
		return f, false
	}
	f = &fetching{done: h.NewEvent(), began: h.Uptime()}
	s.fetching[a] = f
	return f, true
}

// end tells those who wait, and keeps the entry of a read that succeeded. A read
// that found nobody drops what was kept.
func (s *cacheShard) end(a ActorID, f *fetching, keep bool) {
	s.mu.Lock()
	delete(s.fetching, a)
	if f.err == nil && keep {
		s.putLocked(a, f.entry)
	}
	s.mu.Unlock()
	f.done.Set()
}
