package registry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/kelpie-registry/kelpie/host"
)

// A cache has as many shards, a power of two, as there are shardEntries in it, but
// at most maxCacheShards. They keep writers on many cores from waiting for each
// other; with few entries each, some would be full long before others.
const (
	cacheShardBits = 6
	maxCacheShards = 1 << cacheShardBits
	shardEntries   = 1 << 10
)

func shardsOf(entries int) int {
	n := 1
	for n < maxCacheShards && entries >= 2*n*shardEntries {
		n *= 2
	}
	return n
}

// initShards shares the entries out among the shards.
func (c *Cache) initShards() {
	n := shardsOf(c.o.Entries)
	c.shardMask = uint64(n - 1)
	for i := range n {
		size := c.o.Entries / n
		if i < c.o.Entries%n {
			size++
		}
		c.shards[i].init(size)
	}
}

// shard returns the shard of an actor.
func (c *Cache) shard(hash uint64) *cacheShard {
	return &c.shards[hash>>(64-cacheShardBits)&c.shardMask]
}

// cacheEntry is what a cache knows of an actor.
type cacheEntry struct {
	session *cachedSession
	token   Token
	began   time.Duration // uptime at which the read began that showed it
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

// cacheShard is a bounded table. When it is full, the entry that came first goes
// first. To note which are asked for would make every lookup write, and save an
// actor that is always wanted one read in as many as there are entries.
//
// Readers take no lock, and write nothing: the version says whether anything was
// written while they read (a sequence lock). All that they read is atomic, and
// atomic operations have one order for all tasks: a reader that saw something of a
// write sees the version of that write, or a later one, afterwards.
type cacheShard struct {
	version atomic.Uint64 // odd while the table is written to
	table   atomic.Pointer[cacheTable]
	_       [cacheLine]byte // a lookup that misses takes the lock, and does not slow those that hit

	mu       sync.Mutex // held by writers
	size     int        // how many entries at most; at least 1
	queue    cacheQueue
	fetching map[ActorID]*fetching
	_        [cacheLine]byte
}

const (
	cacheLine = 64 // bytes

	// unlockedReads is how often a reader tries before it waits for the writers.
	unlockedReads = 4

	// probesInPlace is how many slots a reader looks at before it calls for more.
	probesInPlace = 16
)

func (s *cacheShard) init(size int) {
	s.size = size
	s.table.Store(newCacheTable(minTableSlots))
	s.fetching = make(map[ActorID]*fetching)
}

// get returns the entry of an actor. It is the path of every lookup that hits, and
// so it searches in place, and is given no cacheKey: Go keeps a struct of more than
// four words in memory.
func (s *cacheShard) get(id ActorID, w idWords, hash uint64) (e cacheEntry, ok bool) {
	v := s.version.Load()
	slots := s.table.Load().slots
	for i := range uint64(probesInPlace) {
		slot := &slots[(hash+i)&uint64(len(slots)-1)]
		meta := slot.meta.Load()
		if meta == 0 {
			break
		}
		if slot.holds(id, w, meta) {
			if e = slot.entry(); v&1 == 0 && s.version.Load() == v {
				return e, true
			}
			break
		}
	}
	return s.getAgain(cacheKey{id, w, hash})
}

// getAgain is get for a reader that found nothing at once, or had a writer in its
// way.
func (s *cacheShard) getAgain(k cacheKey) (e cacheEntry, ok bool) {
	for range unlockedReads {
		v := s.version.Load()
		e, ok = s.table.Load().get(k)
		if v&1 == 0 && s.version.Load() == v {
			return e, ok
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.Load().get(k)
}

// write runs f, which writes to the table. The lock is held.
func (s *cacheShard) write(f func(t *cacheTable)) {
	s.version.Add(1)
	f(s.table.Load())
	s.version.Add(1)
}

// put keeps an entry, unless the actor has one with a higher token, or with the
// same and from a later read.
func (s *cacheShard) put(k cacheKey, e cacheEntry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(k, e)
}

func (s *cacheShard) putLocked(k cacheKey, e cacheEntry) {
	at, ok := s.table.Load().find(k)
	if ok {
		slot := &s.table.Load().slots[at]
		if old := slot.entry(); old.token < e.token || old.token == e.token && old.began < e.began {
			s.write(func(*cacheTable) { slot.set(e) })
		}
		return
	}
	if s.queue.n == s.size {
		s.write(func(t *cacheTable) { s.remove(t, s.queue.first()) })
	} else if t := s.table.Load(); t.full(s.queue.n) {
		s.table.Store(t.grown(s.queue.moved))
	}
	s.write(func(t *cacheTable) {
		at, _ = t.find(k)
		t.slots[at].fill(k, e, s.queue.add(at))
	})
}

func (s *cacheShard) remove(t *cacheTable, at int) {
	s.queue.remove(t.slots[at].place())
	t.remove(at, s.queue.moved)
}

// drop removes the entry of an actor if its token is not above the given one, or
// that is zero.
func (s *cacheShard) drop(k cacheKey, token Token) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.table.Load()
	if at, ok := t.find(k); ok && (token == 0 || t.slots[at].entry().token <= token) {
		s.write(func(t *cacheTable) { s.remove(t, at) })
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

// end tells those who wait, and keeps the entry of a read that succeeded.
func (s *cacheShard) end(k cacheKey, f *fetching, keep bool) {
	s.mu.Lock()
	delete(s.fetching, k.id)
	if f.err == nil && keep {
		s.putLocked(k, f.entry)
	}
	s.mu.Unlock()
	f.done.Set()
}
