// Package mapaccept walks maps in ways that hide their order.
package mapaccept

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

type node struct {
	id      string
	kind    int
	load    float64
	count   int
	done    bool
	ends    time.Time
	waiters map[string]bool
}

var errBusy = errors.New("busy")

func deletes(m map[string]*node, other map[string]int, now time.Time) {
	for id, n := range m {
		if n.done || n.ends.Before(now) {
			delete(m, id)
			delete(other, id)
		}
	}
	for _, n := range m {
		delete(other, n.id)
	}
	for _, n := range m {
		clear(n.waiters)
	}
	clear(m)
}

func copies(m map[string]*node) map[string]int {
	out := make(map[string]int, len(m))
	for id, n := range m {
		out[id] = n.count
	}
	type name string
	named := map[name]int{}
	for id, n := range m {
		named[name(id)] += n.count
	}
	return out
}

func ownElements(m map[string]int, total map[string][]int, byIndex []string, names map[int]string) {
	for id, n := range m {
		if n > 1 {
			m[id] = n - 1
		}
		total[id] = append(total[id], n, len(total[id]))
	}
	for i, name := range names {
		byIndex[i] = name
	}
}

func sums(m map[string]*node) (n int, bits uint, all, some bool) {
	all = true
	odd, flips, product := 0, 0, 1
	perKind := map[int]int{}
	for _, v := range m {
		n += v.count
		n -= v.kind
		n++
		bits |= 1 << v.kind
		flips ^= v.kind
		product *= v.kind
		perKind[v.kind]++
		all = all && v.done
		some = some || v.done
		odd = odd + v.count%2
	}
	mask := ^uint(0)
	for _, v := range m {
		mask &= uint(v.kind)
		mask &^= 2
	}
	return n, bits & mask, all, some
}

func counts(m map[string]int) (n int) {
	for range m {
		n++
	}
	for range m {
		fmt.Println("the same line each time")
	}
	return n
}

func extremes(m map[string]int, loads map[string]float64) (least, most int, top float64) {
	for _, v := range m {
		if v > most {
			most = v
		}
		least = min(least, v)
	}
	for _, v := range loads {
		top = max(top, v)
	}
	first := "z"
	for id := range m {
		if id < first {
			first = id
		}
	}
	return least, most, top
}

func exists(m map[string]*node, kind int) bool {
	for _, n := range m {
		if n.kind == kind && strings.HasPrefix(n.id, "a") {
			return true
		}
	}
	return false
}

func fails(m map[string]*node) error {
	for _, n := range m {
		switch {
		case n.done:
			continue
		case n.count < 0:
			return errBusy
		}
		if n.kind < 0 {
			return errBusy
		}
	}
	return nil
}

func breaks(m map[string]*node) (found bool) {
	for _, n := range m {
		if n.done {
			found = true
			break
		}
	}
	return found
}

func flags(m map[string]*node, seen map[int]bool, set map[string]struct{}) (found bool) {
	for _, n := range m {
		if n.done {
			found = true
		}
		seen[n.kind] = true
		set[n.id] = struct{}{}
		n.load = 0
	}
	return found
}

func panics(m map[string]*node) {
	for _, n := range m {
		if n.count < 0 {
			panic("a negative count")
		}
	}
}

func sorted(m map[string]int) []string {
	out := make([]string, 0, len(m))
	for id := range m {
		out = append(out, id)
	}
	sort.Strings(out)
	return out
}

func sortedLater(m map[string]*node, ms []map[string]int) []string {
	var out []string
	var nodes []*node
	for id, n := range m {
		if n.done {
			continue
		}
		out = append(out, strings.ToUpper(id), fmt.Sprintf("%s=%d", id, n.count))
		nodes = append(nodes, n)
	}
	if len(out) == 0 {
		return nil
	}
	slices.Sort(out)
	slices.SortFunc(nodes, func(a, b *node) int { return strings.Compare(a.id, b.id) })
	var all []string
	for _, m := range ms {
		if m != nil {
			for id := range m {
				all = append(all, id)
			}
		}
	}
	sort.Sort(sort.Reverse(sort.StringSlice(all)))
	return slices.Concat(out, all)
}

type index struct{ ids, other []string }

func (x *index) fields(m map[string]int) {
	x.ids = x.ids[:0]
	for id := range m {
		x.ids = append(x.ids, id)
	}
	x.other = nil
	slices.Sort(x.ids)
}

func locals(m map[string]*node) (n int) {
	for id, v := range m {
		name := strings.TrimSpace(id)
		var runes []rune
		for _, r := range name {
			if r == ' ' {
				break
			}
			runes = append(runes, r)
		}
		length := 0
		for i := 0; i < len(runes); i++ {
			length += i
		}
		if w, ok := any(v).(fmt.Stringer); ok && w != nil {
			continue
		}
		switch x := any(v).(type) {
		case *node:
			length += x.count
		}
		n += length
	}
	return n
}

func nested(m map[string]map[string]int) (n int) {
outer:
	for id, inner := range m {
		if id == "" {
			continue outer
		}
		for _, v := range inner {
			n += v
		}
	}
	return n
}

func deletesInside(m map[string]map[string]int) {
	for id, inner := range m {
		for name, v := range inner {
			if v == 0 {
				delete(inner, name)
			}
		}
		m[id] = nil
	}
}

// What an element points to is its own.
func ownPointers(m map[string]*node, groups map[string][]string, first map[string]string) {
	for id, n := range m {
		n.id = id
		n.count = len(first[id]) - n.count
	}
	for id, group := range groups {
		slices.Sort(group)
		sort.Strings(groups[id])
		first[id] = group[0]
	}
}

// Slices, strings, numbers and functions have an order of their own.
func ordered(s []int, send func(int)) {
	for _, v := range s {
		send(v)
	}
	for i := range 3 {
		send(i)
	}
	for i := range "abc" {
		send(i)
	}
	for v := range slices.Values(s) {
		send(v)
	}
}

func excused(m map[string]int, send func(string)) {
	for id := range m { //determinism:allow the receiver sorts
		send(id)
	}
}
