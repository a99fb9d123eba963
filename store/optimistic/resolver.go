package optimistic

import (
	"errors"
	"fmt"

	"github.com/tidwall/btree"

	"github.com/kelpie-registry/kelpie/store"
)

// resolver remembers which keys were written at which version, and so decides
// which transactions conflict. It knows keys, not values: a transaction
// conflicts with a write of the value that was there already, with a removal of
// what was not there and with an explicit write conflict, as in FoundationDB.
//
// Single keys and ranges are kept apart, because nearly all writes are of
// single keys, and a tree with one node for each is smaller and faster than one
// with a boundary before and behind each.
//
// Writes at or below the horizon are forgotten; a check at a read version below
// it has no answer, and callers must not ask.
//
// It does not lock. Checks may run beside each other, not beside a write.
type resolver struct {
	points btree.Map[string, *point]
	// ranges holds boundaries: the keys from a boundary up to the next were last
	// written, as part of a range, at the boundary's version. Zero means not
	// since the horizon, as does being before the first boundary.
	ranges btree.Map[string, store.Version]
	recent queue[recentWrite] // by rising version
	newest store.Version      // of all writes
	doomed []string           // scratch of writeRange
}

// point is a key that was written by itself above the horizon.
type point struct {
	key  string
	last store.Version
}

// recentWrite is what the horizon ends: a write of a point, or a boundary of a
// range.
type recentWrite struct {
	version  store.Version
	point    *point // nil: a boundary
	boundary string
}

// write notes that the keys of s were written at version v, which is not below
// any version noted before.
func (r *resolver) write(s span, v store.Version) {
	switch {
	case s.isKey():
		r.writeKey(s.begin, v)
	case !s.empty():
		r.writeRange(string(s.begin), string(s.end), v)
	}
}

// writeKey is write of one key.
func (r *resolver) writeKey(key []byte, v store.Version) {
	r.newest = v
	p, ok := r.points.Get(view(key))
	switch {
	case !ok:
		p = &point{key: string(key)}
		r.points.Set(p.key, p)
	case p.last == v:
		return
	}
	p.last = v
	r.recent.push(recentWrite{version: v, point: p})
}

func (r *resolver) writeRange(begin, end string, v store.Version) {
	r.newest = v
	r.ranges.Set(end, r.rangeAt(end))
	r.doomed = r.doomed[:0]
	r.ranges.Ascend(begin, func(boundary string, _ store.Version) bool {
		if boundary >= end {
			return false
		}
		if boundary > begin {
			r.doomed = append(r.doomed, boundary)
		}
		return true
	})
	for _, boundary := range r.doomed {
		r.ranges.Delete(boundary)
	}
	clear(r.doomed)
	r.ranges.Set(begin, v)
	r.recent.push(recentWrite{version: v, boundary: begin})
	r.recent.push(recentWrite{version: v, boundary: end})
}

// rangeAt returns the version at which a range that holds key was last written.
func (r *resolver) rangeAt(key string) store.Version {
	var v store.Version
	r.ranges.Descend(key, func(_ string, at store.Version) bool {
		v = at
		return false
	})
	return v
}

// changed reports whether a key of s was written above version since, which
// must not be below the horizon.
func (r *resolver) changed(s span, since store.Version) bool {
	if r.newest <= since || s.empty() {
		return false
	}
	if s.isKey() {
		p, ok := r.points.Get(view(s.begin))
		return (ok && p.last > since) || (r.ranges.Len() > 0 && r.rangeAt(view(s.begin)) > since)
	}
	return r.pointChanged(s, since) || (r.ranges.Len() > 0 && r.rangeChanged(s, since))
}

func (r *resolver) pointChanged(s span, since store.Version) (changed bool) {
	r.points.Ascend(view(s.begin), func(key string, p *point) bool {
		if key >= view(s.end) {
			return false
		}
		changed = p.last > since
		return !changed
	})
	return changed
}

func (r *resolver) rangeChanged(s span, since store.Version) bool {
	changed := r.rangeAt(view(s.begin)) > since
	if changed {
		return true
	}
	r.ranges.Ascend(view(s.begin), func(boundary string, v store.Version) bool {
		if boundary >= view(s.end) {
			return false
		}
		changed = v > since
		return !changed
	})
	return changed
}

// forget drops the writes at or below the horizon.
func (r *resolver) forget(horizon store.Version) {
	for r.recent.len() > 0 && r.recent.at(0).version <= horizon {
		w := r.recent.pop()
		if w.point == nil {
			r.tidy(w.boundary, horizon)
		} else if w.point.last == w.version {
			r.points.Delete(w.point.key)
		}
	}
}

// tidy removes a boundary that no longer separates anything above the horizon.
func (r *resolver) tidy(boundary string, horizon store.Version) {
	v, ok := r.ranges.Get(boundary)
	if ok && v <= horizon && r.rangeBefore(boundary) <= horizon {
		r.ranges.Delete(boundary)
	}
}

// rangeBefore returns the version of the stretch that ends at boundary.
func (r *resolver) rangeBefore(boundary string) store.Version {
	var v store.Version
	r.ranges.Descend(boundary, func(key string, at store.Version) bool {
		if key == boundary {
			return true
		}
		v = at
		return false
	})
	return v
}

// check verifies the invariants; last is the version of the last commit.
func (r *resolver) check(horizon, last store.Version) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if r.newest > last {
		fail("a write at version %d above the last commit %d", r.newest, last)
	}
	latest := map[*point]store.Version{}
	boundaries := map[string]bool{}
	for i := range r.recent.len() {
		w := r.recent.at(i)
		if w.version <= horizon || w.version > last || (i > 0 && r.recent.at(i-1).version > w.version) {
			fail("recent writes: version %d out of order, or outside (%d, %d]", w.version, horizon, last)
		}
		if w.point == nil {
			boundaries[w.boundary] = true
		} else {
			latest[w.point] = w.version
		}
	}
	count, previous := 0, ""
	r.points.Scan(func(key string, p *point) bool {
		if key != p.key || (count > 0 && key <= previous) {
			fail("point %q: holds the point of %q, after %q", key, p.key, previous)
		}
		if p.last != latest[p] {
			fail("point %q: last written at %d, but queued for %d", key, p.last, latest[p])
		}
		count++
		previous = key
		return true
	})
	if count != r.points.Len() || count != len(latest) {
		fail("%d points, the tree says %d, the queue %d", count, r.points.Len(), len(latest))
	}
	var before store.Version
	r.ranges.Scan(func(boundary string, v store.Version) bool {
		if v > last || (v <= horizon && before <= horizon) || !boundaries[boundary] {
			fail("boundary %q from version %d to %d: idle, above the last commit %d or not queued", boundary, before, v, last)
		}
		before = v
		return true
	})
	if before > horizon {
		fail("the last range, of version %d, does not end", before)
	}
	return errors.Join(errs...)
}
