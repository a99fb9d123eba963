// Package mapiterators walks maps through package maps.
package mapiterators

import (
	"maps"
	"slices"
	"strings"
)

func send(string) {}

func rejected(m map[string]int) {
	for id := range maps.Keys(m) { // want `range over a map whose order can be seen: it calls send`
		send(id)
	}
	for _, v := range maps.All(m) { // want `it calls send`
		send(string(rune(v)))
	}
	var last int
	for v := range maps.Values(m) { // want `it sets last to v`
		last = v
	}
	_ = last
	first := slices.Collect(maps.Keys(m))[0]       // want `maps\.Keys shows the order of a map: pass it to slices\.Sorted`
	keys := slices.Collect(maps.Keys(m))           // want `maps\.Keys shows the order of a map`
	_ = strings.Join(keys, first)                  //
	seq := maps.Values(m)                          // want `maps\.Values shows the order of a map`
	f := maps.Keys[map[string]int]                 // want `maps\.Keys used as a value`
	_, _ = seq, f                                  //
	_ = slices.Max(slices.Collect(maps.Values(m))) // want `maps\.Values shows the order of a map`
	consume(maps.All(m))                           // want `maps\.All shows the order of a map`
}

func consume(func(func(string, int) bool)) {}

func rejectedPredicates(m map[string]int, f func(string, int) bool) {
	maps.DeleteFunc(m, f)                            // want `maps\.DeleteFunc calls its function in the order of a map: it is not a function literal`
	maps.DeleteFunc(m, func(id string, _ int) bool { // want `it is not a function literal of one return statement`
		send(id)
		return true
	})
	maps.DeleteFunc(m, func(id string, _ int) bool { return f(id, 1) })   // want `it calls f, which may have effects`
	maps.DeleteFunc(m, func(id string, _ int) bool { return len(m) > 3 }) // want `it deletes from m and reads m`
	g := maps.DeleteFunc[map[string]int]                                  // want `maps\.DeleteFunc used as a value`
	_ = g
}

func accepted(m, other map[string]int) (n int) {
	for id := range maps.Keys(m) {
		delete(other, id)
	}
	for id, v := range maps.All(m) {
		other[id] = v
	}
	for v := range maps.Values(m) {
		n += v
	}
	for _, id := range slices.Sorted(maps.Keys(m)) {
		send(id)
	}
	_ = slices.SortedFunc(maps.Values(m), func(a, b int) int { return b - a })
	_ = slices.SortedStableFunc(maps.Values(m), func(a, b int) int { return a - b })
	_ = maps.Collect(maps.All(m))
	maps.Insert(other, maps.All(m))
	maps.Copy(other, m)
	_ = maps.Clone(m)
	keys := slices.Collect(maps.Keys(m))
	slices.Sort(keys)
	values := slices.AppendSeq([]int{}, maps.Values(m))
	slices.SortFunc(values, func(a, b int) int { return a - b })
	limit := 3
	maps.DeleteFunc(m, func(id string, v int) bool { return v > limit && strings.HasPrefix(id, "a") })
	_ = maps.EqualFunc(m, other, func(a, b int) bool { return a == b+1 })
	return n
}
