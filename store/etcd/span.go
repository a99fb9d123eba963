package etcd

import (
	"slices"
	"sort"
)

// span is the half-open range of keys begin <= key < end.
type span struct {
	begin, end string
}

func (s span) empty() bool { return s.begin >= s.end }

func (s span) contains(key string) bool { return s.begin <= key && key < s.end }

func (s span) overlaps(t span) bool { return s.begin < t.end && t.begin < s.end }

// spanSet is a set of keys. Invariant: the spans are sorted, and none overlaps
// or touches another or is empty.
type spanSet []span

// after returns the index of the first span that ends behind key.
func (l spanSet) after(key string) int {
	return sort.Search(len(l), func(i int) bool { return l[i].end > key })
}

func (l spanSet) contains(key string) bool {
	i := l.after(key)
	return i < len(l) && l[i].contains(key)
}

func (l *spanSet) add(s span) {
	if s.empty() {
		return
	}
	i := sort.Search(len(*l), func(i int) bool { return (*l)[i].end >= s.begin })
	j := i
	for ; j < len(*l) && (*l)[j].begin <= s.end; j++ {
		s.begin = min(s.begin, (*l)[j].begin)
		s.end = max(s.end, (*l)[j].end)
	}
	*l = slices.Replace(*l, i, j, s)
}

// outside calls visit for each part of s that is not in l, in order.
func (l spanSet) outside(s span, visit func(span)) {
	for i := l.after(s.begin); i < len(l) && l[i].begin < s.end && !s.empty(); i++ {
		if s.begin < l[i].begin {
			visit(span{s.begin, l[i].begin})
		}
		s.begin = l[i].end
	}
	if !s.empty() {
		visit(s)
	}
}

// overlaps reports whether s has a key in common with l.
func (l spanSet) overlaps(s span) bool {
	i := l.after(s.begin)
	return i < len(l) && l[i].overlaps(s) && !s.empty()
}
