package simfdb

import "strings"

// versionedMap is the multi-version data of a storage server: for every key,
// its values at the versions that may still be read. The zero value is empty.
type versionedMap struct {
	keys   orderedMap[[]revision]
	oldest Version // reads below it are refused by the caller; values older than it may be gone

	// cleared holds the keys that were cleared, in version order, so that they
	// can be dropped when nobody can read their older values any more.
	cleared []clearedKey
}

// revision is the value of a key from version on.
type revision struct {
	version Version
	value   string
	present bool
}

type clearedKey struct {
	version Version
	key     string
}

// row is a key and its value.
type row struct {
	key, value string
}

// at returns what the revisions, oldest first, say at version v.
func at(revs []revision, v Version) (string, bool) {
	for i := len(revs) - 1; i >= 0; i-- {
		if revs[i].version <= v {
			return revs[i].value, revs[i].present
		}
	}
	return "", false
}

// get returns the value of key at version v.
func (m *versionedMap) get(key string, v Version) (string, bool) {
	p, found := m.keys.seek(key)
	if !found {
		return "", false
	}
	return at(m.keys.at(p).value, v)
}

// apply makes one change at version v, which is at or behind all versions seen.
func (m *versionedMap) apply(c mutation, v Version) {
	switch c.kind {
	case mutationClearRange:
		p, _ := m.keys.seek(c.key)
		for it := m.keys.at(p); it != nil && it.key < c.param; it = m.keys.at(p) {
			if _, present := at(it.value, v); present {
				it.value = m.push(it.value, revision{version: v})
				m.cleared = append(m.cleared, clearedKey{v, it.key})
			}
			p = m.keys.next(p)
		}
	case mutationSet:
		p, found := m.keys.seek(c.key)
		m.put(p, found, c.key, revision{v, c.param, true})
	default:
		p, found := m.keys.seek(c.key)
		var old string
		var present bool
		if found {
			old, present = at(m.keys.at(p).value, v)
		}
		value, ok := applyAtomic(c.kind, old, present, c.param)
		if !ok && !present {
			return
		}
		m.put(p, found, c.key, revision{v, value, ok})
		if !ok {
			m.cleared = append(m.cleared, clearedKey{v, c.key})
		}
	}
}

func (m *versionedMap) put(p position, found bool, key string, r revision) {
	if !found {
		m.keys.insert(p, key, []revision{r})
		return
	}
	it := m.keys.at(p)
	it.value = m.push(it.value, r)
}

// push adds a revision and, once they are half of all, drops those that nobody
// can read any more.
func (m *versionedMap) push(revs []revision, r revision) []revision {
	if n := len(revs); n > 0 && revs[n-1].version == r.version {
		revs[n-1] = r
		return revs
	}
	if len(revs) > 1 && revs[len(revs)/2].version <= m.oldest {
		revs = append(revs[:0], revs[unreadable(revs, m.oldest):]...)
	}
	return append(revs, r)
}

// unreadable returns how many of the oldest revisions a read at oldest or
// later cannot see.
func unreadable(revs []revision, oldest Version) int {
	n := 0
	for n+1 < len(revs) && revs[n+1].version <= oldest {
		n++
	}
	return n
}

// forget gives up the versions below oldest.
func (m *versionedMap) forget(oldest Version) {
	m.oldest = max(m.oldest, oldest)
	n := 0
	for ; n < len(m.cleared) && m.cleared[n].version <= m.oldest; n++ {
		p, found := m.keys.seek(m.cleared[n].key)
		if !found {
			continue
		}
		it := m.keys.at(p)
		if drop := unreadable(it.value, m.oldest); drop > 0 {
			it.value = append(it.value[:0], it.value[drop:]...)
		}
		if len(it.value) == 1 && !it.value[0].present {
			m.keys.delete(p)
		}
	}
	if n > 0 {
		m.cleared = m.cleared[n:]
	}
}

// rollback undoes everything behind version to, which must not be below oldest.
func (m *versionedMap) rollback(to Version) {
	for p := m.keys.first(); m.keys.at(p) != nil; {
		it := m.keys.at(p)
		n := len(it.value)
		for n > 0 && it.value[n-1].version > to {
			n--
		}
		it.value = it.value[:n]
		if n == 0 {
			p = m.keys.delete(p)
		} else {
			p = m.keys.next(p)
		}
	}
	n := len(m.cleared)
	for n > 0 && m.cleared[n-1].version > to {
		n--
	}
	m.cleared = m.cleared[:n]
}

// scan returns the rows of r at version v, in key order or reversed, and stops
// once it has limit rows (0: no limit) or once they fill bytes, each row
// counted with its overhead (0: no limit). more reports that it stopped so.
func (m *versionedMap) scan(r KeyRange, v Version, limit, bytes int, reverse bool) (rows []row, more bool) {
	size := 0
	full := func(it *orderedItem[[]revision]) bool {
		value, present := at(it.value, v)
		if !present {
			return false
		}
		rows = append(rows, row{it.key, value})
		size += len(it.key) + len(value) + kvOverhead
		return limit > 0 && len(rows) >= limit || bytes > 0 && size >= bytes
	}
	if reverse {
		p, _ := m.keys.seek(r.End)
		for {
			var ok bool
			if p, ok = m.keys.prev(p); !ok || strings.Compare(m.keys.at(p).key, r.Begin) < 0 {
				return rows, false
			}
			if full(m.keys.at(p)) {
				return rows, true
			}
		}
	}
	p, _ := m.keys.seek(r.Begin)
	for it := m.keys.at(p); it != nil && it.key < r.End; it = m.keys.at(p) {
		if full(it) {
			return rows, true
		}
		p = m.keys.next(p)
	}
	return rows, false
}
