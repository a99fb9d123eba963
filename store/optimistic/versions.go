package optimistic

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tidwall/btree"

	"github.com/kelpie-registry/kelpie/store"
)

// versions is the versioned map: an ordered map from key to the key's
// revisions, newest first. A revision is visible to the reads at its version
// and above, up to the next newer revision.
//
// A layered map lies over a base and holds the keys that changed above the
// horizon, nothing else. The oldest revision of a key may then be what the base
// had before, at version 0.
//
// It does not lock. Reads may run beside each other, not beside a write.
//
// Invariants: the revisions of a key have falling versions, none of them above
// the last commit; of the revisions at or below the horizon a key has at most
// one; the newest of a key is a removal (a revision without a value), or in a
// layered map anything, only above the horizon; a revision with an older one, in
// a layered map each one above the horizon, is in the queue once.
type versions struct {
	layered   bool
	entries   btree.Map[string, *entry]
	stale     queue[staleRevision] // by rising version
	revisions int
}

// entry is a key with its history. It is reached through the tree only.
type entry struct {
	key    string
	newest *revision // never nil
}

// revision is the value that a commit gave a key. Only older ever changes: it
// is cut when no read can reach it any more.
type revision struct {
	version store.Version
	older   *revision
	value   []byte // nil: the key was removed; never changed
}

// staleRevision is a revision that leaves nothing to see below it: when the
// horizon reaches it, what is older can go, and so can a removal itself.
type staleRevision struct {
	entry *entry
	by    *revision
}

// at returns the value that a read at version v sees, nil when there is none.
func (e *entry) at(v store.Version) []byte {
	for r := e.newest; r != nil; r = r.older {
		if r.version <= v {
			return r.value
		}
	}
	return nil
}

// find returns the entry of key, nil when there is none.
func (m *versions) find(key []byte) *entry {
	e, _ := m.entries.Get(view(key))
	return e
}

// last returns the newest value of key, below when the map has no entry for it.
func (m *versions) last(key, below []byte) []byte {
	if e := m.find(key); e != nil {
		return e.newest.value
	}
	return below
}

// ascend calls visit for each key in [begin, end) that has a history, in key
// order, until visit returns false. visit must not change the map.
func (m *versions) ascend(begin, end []byte, visit func(*entry) bool) {
	m.entries.Ascend(view(begin), func(key string, e *entry) bool {
		return key < view(end) && visit(e)
	})
}

// descend is ascend from the end of the range downwards.
func (m *versions) descend(begin, end []byte, visit func(*entry) bool) {
	m.entries.Descend(view(end), func(key string, e *entry) bool {
		if key >= view(end) {
			return true // the pivot itself is outside the range
		}
		return key >= view(begin) && visit(e)
	})
}

// put gives key a value at version v, which is not below any version in the
// map. The map keeps value; nil removes the key. A second put of one key at one
// version replaces the first. below, which the map keeps too, is what a key
// without an entry held so far. put returns the entry, nil when it did not make
// one: there was nothing to remove.
func (m *versions) put(key, below, value []byte, v store.Version) *entry {
	if e := m.find(key); e != nil {
		m.update(e, value, v)
		return e
	}
	if value == nil && below == nil {
		return nil
	}
	e := &entry{key: string(key), newest: &revision{version: v, value: value}}
	m.entries.Set(e.key, e)
	m.revisions++
	if below != nil {
		e.newest.older = &revision{value: below}
		m.revisions++
	}
	if m.layered {
		m.stale.push(staleRevision{entry: e, by: e.newest})
	}
	return e
}

func (m *versions) update(e *entry, value []byte, v store.Version) {
	if e.newest.version == v {
		// Put twice in one commit, the first as part of a cleared range.
		e.newest.value = value
		return
	}
	if value == nil && e.newest.value == nil {
		return // removed already
	}
	e.newest = &revision{version: v, older: e.newest, value: value}
	m.revisions++
	m.stale.push(staleRevision{entry: e, by: e.newest})
}

// removeRange removes the keys of s that have an entry at version v, and appends
// the entries to touched.
func (m *versions) removeRange(s span, v store.Version, touched []*entry) []*entry {
	m.ascend(s.begin, s.end, func(e *entry) bool {
		m.update(e, nil, v)
		touched = append(touched, e)
		return true
	})
	return touched
}

// trim forgets what no read at the horizon or above can see.
func (m *versions) trim(horizon store.Version) {
	for m.stale.len() > 0 && m.stale.at(0).by.version <= horizon {
		s := m.stale.pop()
		for r := s.by.older; r != nil; r = r.older {
			m.revisions--
		}
		s.by.older = nil
		if s.entry.newest == s.by && (m.layered || s.by.value == nil) {
			m.entries.Delete(s.entry.key)
			m.revisions--
		}
	}
}

// check verifies the invariants; last is the version of the last commit.
func (m *versions) check(horizon, last store.Version) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	queued := map[*revision]int{}
	for i := range m.stale.len() {
		s := m.stale.at(i)
		queued[s.by]++
		if i > 0 && m.stale.at(i-1).by.version > s.by.version {
			fail("stale queue: version %d behind version %d", s.by.version, m.stale.at(i-1).by.version)
		}
	}
	count, reachable := 0, 0
	previous := ""
	m.entries.Scan(func(key string, e *entry) bool {
		if key != e.key || (count > 0 && key <= previous) {
			fail("key %q: holds the entry of %q, after %q", key, e.key, previous)
		}
		previous = key
		count++
		below := 0
		for r := e.newest; r != nil; r = r.older {
			reachable++
			if r.version > last || (r.older != nil && r.older.version >= r.version) {
				fail("key %q: version %d is above the newer one, or above the last commit %d", key, r.version, last)
			}
			if r.version <= horizon {
				below++
			}
			if (r.older != nil || (m.layered && r.version > horizon)) && queued[r] != 1 {
				fail("key %q: version %d is %d times in the stale queue, want once", key, r.version, queued[r])
			}
			if r == e.newest && (m.layered || r.value == nil) && r.version <= horizon {
				fail("key %q: the revision at version %d outlived the horizon %d", key, r.version, horizon)
			}
			if r.value == nil && r.older != nil && r.older.value == nil {
				fail("key %q: removed at version %d and again at %d", key, r.older.version, r.version)
			}
		}
		if below > 1 {
			fail("key %q: %d revisions at or below the horizon %d", key, below, horizon)
		}
		return true
	})
	if count != m.entries.Len() {
		fail("%d keys counted, the tree says %d", count, m.entries.Len())
	}
	if reachable != m.revisions {
		fail("%d revisions reachable, %d counted", reachable, m.revisions)
	}
	return errors.Join(errs...)
}

// clone returns a copy of a value that is never nil.
func clone(value []byte) []byte {
	return append(make([]byte, 0, len(value)), value...)
}

// equalValue compares two values in which nil means none.
func equalValue(a, b []byte) bool {
	return (a == nil) == (b == nil) && bytes.Equal(a, b)
}
