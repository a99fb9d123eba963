package memory

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/store"
)

// someKey draws from few keys, with their successors, so that spans meet.
func someKey(t *rapid.T, name string) string {
	k := string(rune('a' + rapid.IntRange(0, 9).Draw(t, name)))
	if rapid.IntRange(0, 3).Draw(t, name+" successor") == 0 {
		k += "\x00"
	}
	return k
}

func someSpan(t *rapid.T) span {
	if rapid.Bool().Draw(t, "one key") {
		return new(arena).key([]byte(someKey(t, "key")))
	}
	return span{[]byte(someKey(t, "begin")), []byte(someKey(t, "end"))}
}

// TestResolverAgainstAList compares the resolver with a list of all writes.
func TestResolverAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type write struct {
			s span
			v store.Version
		}
		var (
			r       resolver
			writes  []write
			last    store.Version
			horizon store.Version
		)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				last++
				for range rapid.IntRange(1, 3).Draw(t, "writes") {
					s := someSpan(t)
					r.write(s, last)
					writes = append(writes, write{s, last})
				}
			case 1:
				horizon = max(horizon, store.Version(rapid.Uint64Range(0, uint64(last)).Draw(t, "horizon")))
				r.forget(horizon)
			default:
				s := someSpan(t)
				since := store.Version(rapid.Uint64Range(uint64(horizon), uint64(last)).Draw(t, "since"))
				want := false
				for _, w := range writes {
					want = want || (w.v > since && overlap(w.s, s))
				}
				if got := r.changed(s, since); got != want {
					t.Fatalf("changed(%q, %d) = %v, want %v; writes %v", s, since, got, want, writes)
				}
			}
			if err := r.check(horizon, last); err != nil {
				t.Fatal(err)
			}
		}
		r.forget(last)
		if r.points.Len()+r.ranges.Len()+r.recent.len() > 0 {
			t.Fatalf("after forgetting all: %d points, %d boundaries, %d recent writes", r.points.Len(), r.ranges.Len(), r.recent.len())
		}
	})
}

func overlap(a, b span) bool {
	return string(a.begin) < string(b.end) && string(b.begin) < string(a.end) && !a.empty() && !b.empty()
}

// TestVersionsAgainstSnapshots compares the versioned map with a copy of the
// whole state at each version.
func TestVersionsAgainstSnapshots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m versions
		states := []map[string]string{{}}
		var horizon store.Version
		for range rapid.IntRange(1, 50).Draw(t, "steps") {
			last := store.Version(len(states) - 1)
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0:
				horizon = max(horizon, store.Version(rapid.Uint64Range(0, uint64(last)).Draw(t, "horizon")))
				m.trim(horizon)
			default:
				last++
				states = append(states, oneCommit(t, &m, states[last-1], last))
			}
			if err := m.check(horizon, last); err != nil {
				t.Fatal(err)
			}
			v := store.Version(rapid.Uint64Range(uint64(horizon), uint64(last)).Draw(t, "read at"))
			if got, want := m.all(v), fmt.Sprint(states[v]); got != want {
				t.Fatalf("at version %d: %s, want %s", v, got, want)
			}
			k := someKey(t, "key")
			value, ok := states[v][k]
			if got := m.get([]byte(k), v); string(got) != value || (got != nil) != ok {
				t.Fatalf("get(%q, %d) = %q, want %q, %v", k, v, got, value, ok)
			}
		}
	})
}

// oneCommit removes a range and puts some keys, as the core does.
func oneCommit(t *rapid.T, m *versions, before map[string]string, v store.Version) map[string]string {
	next := map[string]string{}
	s := span{[]byte(someKey(t, "begin")), []byte(someKey(t, "end"))}
	m.removeRange(s, v)
	for k, value := range before {
		if !s.contains([]byte(k)) {
			next[k] = value
		}
	}
	put := map[string]bool{}
	for range rapid.IntRange(0, 3).Draw(t, "puts") {
		k := someKey(t, "key")
		if put[k] {
			continue
		}
		put[k] = true
		if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
			m.put([]byte(k), nil, v)
			delete(next, k)
			continue
		}
		value := fmt.Sprint(v)
		m.put([]byte(k), []byte(value), v)
		next[k] = value
	}
	return next
}

// all prints the whole map at a version, read in both directions.
func (m *versions) all(v store.Version) string {
	up, down := map[string]string{}, map[string]string{}
	into := func(rows map[string]string) func(*entry) bool {
		return func(e *entry) bool {
			if value := e.at(v); value != nil {
				rows[e.key] = string(value)
			}
			return true
		}
	}
	m.ascend([]byte{}, []byte{0xff}, into(up))
	m.descend([]byte{}, []byte{0xff}, into(down))
	if fmt.Sprint(up) != fmt.Sprint(down) {
		return fmt.Sprintf("up %v, down %v", up, down)
	}
	return fmt.Sprint(up)
}
