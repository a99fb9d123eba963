// Package mapreject shows the order of maps.
package mapreject

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"
)

type node struct {
	id    string
	kind  int
	load  float64
	count int
	done  bool
	next  *node
	names []string
}

func (n *node) expired(now time.Duration) bool { n.count++; return now > 0 }

func send(string) {}

var errBusy = errors.New("busy")

// Effects that happen one after the other.

func calls(m map[string]*node) {
	for id := range m { // want `range over a map whose order can be seen: it calls send, which may have effects`
		send(id)
	}
	for _, n := range m { // want `it calls n\.expired, which may have effects`
		if n.expired(1) {
			continue
		}
	}
	for id := range m { // want `it calls fmt\.Println, which may have effects`
		fmt.Println(id)
	}
	for id := range m { // want `a statement of its own kind \(DeferStmt\)`
		defer send(id)
	}
	for id, n := range m { // want `it sets n\.next\.next to m\[id\], which depends on the element`
		n.next.next = m[id]
	}
	for id, n := range m { // want `it sets m\[id\]\.next\.id to id`
		m[id].next.id, n.id = id, ""
	}
	for _, n := range m { // want `it sorts n\.names`
		sort.Strings(n.names)
	}
	for id := range m { // want `it passes a function to strings\.Map`
		_ = strings.Map(func(r rune) rune { send(id); return r }, id)
	}
	for id := range m { // want `it evaluates \(func`
		f := func() { send(id) }
		_ = f
	}
}

// Sinks that keep the order.

func appends(m map[string]int) (out []string) {
	for id := range m { // want `it appends to out, which is not sorted before it is used`
		out = append(out, id)
	}
	return out
}

func appendsAndSortsTooLate(m map[string]int) []string {
	var out []string
	for id := range m { // want `it appends to out, which is not sorted`
		out = append(out, id)
	}
	send(out[0])
	sort.Strings(out)
	return out
}

func sortsSomethingElse(m map[string]int) []string {
	var out, other []string
	for id := range m { // want `it appends to out, which is not sorted`
		out = append(out, id)
	}
	sort.Strings(other)
	return out
}

func sortsInABranch(m map[string]int, b bool) []string {
	var out []string
	for id := range m { // want `it appends to out, which is not sorted`
		out = append(out, id)
	}
	if b {
		sort.Strings(out)
	}
	return out
}

func leavesBeforeTheSort(m map[string]int, b bool) (out []string) {
	for id := range m { // want `it appends to out, which is not sorted`
		out = append(out, id)
	}
	if b {
		return
	}
	sort.Strings(out)
	return out
}

type index struct{ ids, other []string }

func (x *index) leavesBeforeTheSort(m map[string]int) {
	for id := range m { // want `it appends to x\.ids, which is not sorted`
		x.ids = append(x.ids, id)
	}
	if len(x.ids) == 0 {
		return
	}
	slices.Sort(x.ids)
}

func usedByTheNextRound(ms []map[string]int) {
	var out []string
	for _, m := range ms {
		if len(out) > 0 {
			send(out[0])
		}
		for id := range m { // want `it appends to out, which is not sorted`
			out = append(out, id)
		}
	}
	sort.Strings(out)
}

func sortedByAClosure(m map[string]int) []string {
	var out []string
	for id := range m { // want `it appends to out, which is not sorted`
		out = append(out, id)
	}
	func() { sort.Strings(out) }()
	return out
}

func appendsElsewhere(m map[string]*node, groups map[int][]string) {
	for id, n := range m { // want `it appends to groups\[n\.kind\], of which there are several`
		groups[n.kind] = append(groups[n.kind], id)
	}
}

func appendsToAnother(m map[string]int, base []string) (out []string) {
	for id := range m { // want `it sets out to append\(base, id\)`
		out = append(base, id)
	}
	return out
}

func overwrites(m map[string]*node) (last string, pick *node) {
	for id := range m { // want `it sets last to id, which depends on the element`
		last = id
	}
	for last = range m { // want `it leaves its last element in a variable`
	}
	for _, n := range m { // want `it sets pick to n, which depends on the element`
		if n.done {
			pick = n
		}
	}
	for _, n := range m { // want `it sets pick to n\.next, which depends on the element`
		*pick, pick = node{}, n.next
	}
	return last, pick
}

func twoValues(m map[string]*node) (state string) {
	for _, n := range m { // want `it sets state and sets state`
		if n.done {
			state = "done"
		} else {
			state = "busy"
		}
	}
	return state
}

func argmax(m map[string]int) (best string, most int) {
	for id, n := range m { // want `it sets best to id`
		if n > most {
			best, most = id, n
		}
	}
	return best, most
}

func otherKey(m map[string]*node, byKind map[int]string) {
	for id, n := range m { // want `it sets byKind\[n\.kind\] to id`
		byKind[n.kind] = id
	}
}

func deletesAndSets(m, seen map[string]int) {
	for id, n := range m { // want `it changes seen\[id\] and deletes from seen`
		seen[id] = n
		delete(seen, "x")
	}
}

func deletesWhatItWalks(m map[string]string) {
	for _, other := range m { // want `it deletes from m and reads m`
		delete(m, other)
	}
}

func readsWhatItChanges(m map[string]int, budget int) {
	for id := range m { // want `it adds to budget and reads budget`
		if budget > 0 {
			delete(m, id)
			budget--
		}
	}
	for id := range m { // want `it changes m and reads m|it deletes from m`
		if len(m) > 3 {
			delete(m, id)
		}
	}
}

// Arithmetic that does not commute.

func arithmetic(m map[string]*node) (sum float64, text string, n int) {
	for _, v := range m { // want `it applies \+= to sum, which does not commute for float64`
		sum += v.load
	}
	for id := range m { // want `it applies \+= to text, which does not commute for string`
		text += id
	}
	for _, v := range m { // want `it applies -= to sum`
		sum -= v.load
	}
	for _, v := range m { // want `it applies /= to n, which does not commute`
		n /= v.count
	}
	for _, v := range m { // want `it applies <<= to n`
		n <<= v.count
	}
	for _, v := range m { // want `it adds to n and multiplies n`
		n += v.count
		n *= 2
	}
	for _, v := range m { // want `it sets bits of n and clears bits of n`
		n |= v.count
		n &= v.kind
	}
	for _, v := range m { // want `it sets n to v\.count - n|it sets n to`
		n = v.count - n
	}
	return sum, text, n
}

func floatMaximum(m map[string]float64) (most float64) {
	for _, v := range m { // want `it sets most to v`
		if v > most { // a NaN makes the order matter
			most = v
		}
	}
	return most
}

func maxAndMin(m map[string]int) (x int) {
	for _, v := range m { // want `it takes the max of x and takes the min of x`
		x = max(x, v)
		x = min(x, 2*v)
	}
	return x
}

// Leaving early.

func returnsElement(m map[string]*node) (string, error) {
	for id, n := range m { // want `it returns id, which depends on the element`
		if n.done {
			return id, nil
		}
	}
	return "", nil
}

func returnsErrorOfElement(m map[string]*node) error {
	for id, n := range m { // want `it returns fmt\.Errorf\("%s", id\), which depends on the element`
		if n.done {
			return fmt.Errorf("%s", id)
		}
	}
	return nil
}

func returnsTwoThings(m map[string]*node) error {
	for _, n := range m { // want `it leaves early in more than one way`
		if n.done {
			return errBusy
		}
		if n.kind > 3 {
			return nil
		}
	}
	return nil
}

func leavesAfterEffects(m map[string]*node) (n int) {
	for _, v := range m { // want `it adds to n and may leave early`
		n++
		if v.done {
			break
		}
	}
	return n
}

func stopsAtALimit(m map[string]*node) {
	for id := range m { // want `it deletes from m and may leave early|it changes m and may leave early`
		delete(m, id)
		return
	}
}

func panicsWithElement(m map[string]*node) {
	for id := range m { // want `it panics with id`
		panic(id)
	}
}

func leavesTheOuterLoop(ms []map[string]int) (n int) {
outer:
	for _, m := range ms {
		for _, v := range m { // want `it adds to n and may leave early`
			n += v
			if v == 0 {
				continue outer
			}
		}
	}
	return n
}

func jumps(m map[string]int) {
	for range 3 {
		for _, v := range m { // want `it has a goto`
			if v > 0 {
				goto end
			}
		}
	}
end:
}

// Loops within the loop.

func inner(m map[string][]string) (out []string) {
	for id, names := range m { // want `it appends to out, which is not sorted`
		for _, name := range names {
			out = append(out, id+name)
		}
	}
	return out
}

func readsOtherElements(m map[string]*node) {
	for _, n := range m { // want `it changes n\.count and reads m\[n\.next\.id\]\.count`
		n.count = m[n.next.id].count + 1
	}
	for id := range m { // want `it changes m\[id\]\.count and reads m\["first"\]\.count`
		m[id].count = m["first"].count
	}
}

func nested(m map[string]map[string]int) (last int) {
	for _, inner := range m { // want `it sets last to v`
		for _, v := range inner { // want `it sets last to v`
			last = v
		}
	}
	return last
}

func ownElementInOrderOfAnother(m map[string]map[string]int, x map[string][]string) {
	for id, inner := range m {
		for name := range inner { // want `it appends to x\[id\], which is not sorted`
			x[id] = append(x[id], name)
		}
	}
}

func changesItsKey(m, x map[string]int) {
	for id := range m { // want `it changes its key`
		id = ""
		x[id] = 1
	}
}

// However the map is named.

type registry map[string]int

func named(r registry, send func(string)) {
	for id := range r { // want `it calls send`
		send(id)
	}
}

func generic[M ~map[K]V, K comparable, V any](m M, send func(K)) {
	for k := range m { // want `it calls send`
		send(k)
	}
}

type anyMap interface{ registry | map[string]int }

func constrained[M anyMap](m M, send func()) {
	for range m {
		send() // no element is seen
	}
	for _, v := range m { // want `it calls send`
		if v > 0 {
			send()
		}
	}
}

func pointer(f func() map[string]int) {
	for id := range f() { // want `it calls send`
		send(id)
	}
}

func channels(m map[string]chan int) {
	for _, c := range m { // want `it receives from a channel`
		_ = <-c // want `channel receive`
	}
	for id, c := range m { // want `a statement of its own kind \(SendStmt\)`
		c <- len(id) // want `channel send`
	}
}
