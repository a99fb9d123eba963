package etcd

import (
	"crypto/rand"
	"sync"
)

// Additions to one key must not conflict, and etcd cannot add. So the sum of a
// key is spread over rows of its own, the lanes, and each lane belongs to one
// engine, which knows what it wrote there last: it adds by writing the new sum.
// While a commit is under way its lane is taken, and another one serves the next
// addition, so there are as many lanes as additions at a time.

// lane is a lane that no commit is using.
type lane struct {
	id       string
	sum      uint64
	revision int64 // at which this engine wrote sum; zero for a new lane
}

// maxLanes bounds the lanes that an engine remembers. Past it the lanes of some
// key are forgotten: they stay where they are and count, but are not added to
// any more.
const maxLanes = 1 << 14

type laneTable struct {
	mu    sync.Mutex
	free  map[string][]lane // by key
	count int
}

// take returns a lane of key, a new one when none is free.
func (t *laneTable) take(key string) lane {
	t.mu.Lock()
	defer t.mu.Unlock()
	free := t.free[key]
	if len(free) == 0 {
		return lane{id: randomID()}
	}
	l := free[len(free)-1]
	if len(free) == 1 {
		delete(t.free, key)
	} else {
		t.free[key] = free[:len(free)-1]
	}
	t.count--
	return l
}

// give hands a lane back.
func (t *laneTable) give(key string, l lane) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free == nil {
		t.free = make(map[string][]lane)
	}
	if t.count >= maxLanes {
		for k, ls := range t.free {
			delete(t.free, k)
			t.count -= len(ls)
			break
		}
	}
	t.free[key] = append(t.free[key], l)
	t.count++
}

// randomID returns 8 random bytes: a name that no other engine gives.
func randomID() string {
	b := make([]byte, laneBytes)
	_, _ = rand.Read(b) // never fails
	return string(b)
}
