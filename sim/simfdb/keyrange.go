package simfdb

import (
	"slices"
	"strings"
)

// Keys and values are strings inside the package: a string cannot be changed
// by the client that wrote it, so client, servers and messages may share it.

// firstSystemKey is where the keys begin that an application may not touch.
const firstSystemKey = "\xff"

// firstSpecialKey is where the keys begin that are no data, but the client's own
// answers.
const firstSpecialKey = "\xff\xff"

// KeyRange is the keys k with Begin <= k < End.
type KeyRange struct {
	Begin, End string
}

// singleKey returns the range that holds key alone.
func singleKey(key string) KeyRange {
	after := keyAfter(key)
	return KeyRange{Begin: after[:len(key)], End: after}
}

// keyAfter returns the first key behind key.
func keyAfter(key string) string { return key + "\x00" }

func (r KeyRange) empty() bool              { return r.Begin >= r.End }
func (r KeyRange) contains(key string) bool { return r.Begin <= key && key < r.End }

// single reports whether the range holds one key.
func (r KeyRange) single() bool {
	n := len(r.Begin)
	return len(r.End) == n+1 && r.End[:n] == r.Begin && r.End[n] == 0
}

// rangeSet is a set of keys kept as sorted ranges that neither overlap nor
// touch. The zero value is the empty set.
type rangeSet struct {
	ranges []KeyRange
}

// after returns the index of the first range that ends behind key.
func (s *rangeSet) after(key string) int {
	// Sets are small: most have one or two ranges.
	if n := len(s.ranges); n == 0 || s.ranges[n-1].End <= key {
		return n
	}
	i, found := slices.BinarySearchFunc(s.ranges, key, func(r KeyRange, k string) int {
		return strings.Compare(r.End, k)
	})
	if found {
		i++
	}
	return i
}

// add inserts the keys of r.
func (s *rangeSet) add(r KeyRange) {
	if r.empty() {
		return
	}
	if n := len(s.ranges); n == 0 || s.ranges[n-1].End < r.Begin {
		s.ranges = append(s.ranges, r)
		return
	}
	// lo: first range that touches r; hi: first one behind it that does not.
	lo := s.after(r.Begin)
	if lo > 0 && s.ranges[lo-1].End == r.Begin {
		lo--
	}
	hi := lo
	for hi < len(s.ranges) && s.ranges[hi].Begin <= r.End {
		hi++
	}
	if lo == hi {
		s.ranges = slices.Insert(s.ranges, lo, r)
		return
	}
	r.Begin = min(r.Begin, s.ranges[lo].Begin)
	r.End = max(r.End, s.ranges[hi-1].End)
	s.ranges[lo] = r
	s.ranges = slices.Delete(s.ranges, lo+1, hi)
}

// remove takes the keys of r out.
func (s *rangeSet) remove(r KeyRange) {
	lo := s.after(r.Begin)
	if r.empty() || lo == len(s.ranges) || s.ranges[lo].Begin >= r.End {
		return
	}
	hi := lo
	for hi < len(s.ranges) && s.ranges[hi].Begin < r.End {
		hi++
	}
	var rest [2]KeyRange
	n := 0
	if left := (KeyRange{s.ranges[lo].Begin, r.Begin}); !left.empty() {
		rest[n] = left
		n++
	}
	if right := (KeyRange{r.End, s.ranges[hi-1].End}); !right.empty() {
		rest[n] = right
		n++
	}
	s.ranges = slices.Replace(s.ranges, lo, hi, rest[:n]...)
}

// find returns the range that holds key.
func (s *rangeSet) find(key string) (KeyRange, bool) {
	i := s.after(key)
	if i < len(s.ranges) && s.ranges[i].Begin <= key {
		return s.ranges[i], true
	}
	return KeyRange{}, false
}

func (s *rangeSet) contains(key string) bool {
	_, ok := s.find(key)
	return ok
}

// intersecting returns the first part of r that is in the set.
func (s *rangeSet) intersecting(r KeyRange) (KeyRange, bool) {
	i := s.after(r.Begin)
	if i < len(s.ranges) && !r.empty() && s.ranges[i].Begin < r.End {
		return KeyRange{max(r.Begin, s.ranges[i].Begin), min(r.End, s.ranges[i].End)}, true
	}
	return KeyRange{}, false
}

// firstCommon returns the first range of keys that both sets hold.
func (s *rangeSet) firstCommon(t *rangeSet) (KeyRange, bool) {
	for _, r := range s.ranges {
		if common, ok := t.intersecting(r); ok {
			return common, true
		}
	}
	return KeyRange{}, false
}
