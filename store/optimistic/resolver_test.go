package optimistic

import (
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
