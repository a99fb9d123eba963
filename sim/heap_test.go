package sim

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHeapPopsInOrderOfTimePriorityAndSequence(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		var h eventHeap
		var want []entry
		for i := range r.IntN(60) {
			e := entry{at: time.Duration(r.IntN(5)), prio: r.Uint64N(3), seq: uint64(i + 1)}
			h.push(e)
			want = append(want, e)
		}
		slices.SortFunc(want, func(a, b entry) int {
			if a.before(&b) {
				return -1
			}
			return 1
		})
		for i, w := range want {
			if got := h.pop(); got != w {
				t.Fatalf("entry %d is %+v, want %+v", i, got, w)
			}
		}
		if len(h) != 0 {
			t.Fatalf("%d entries left", len(h))
		}
	}
}

func TestHeapInitOrdersArbitraryContents(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := range 50 {
		h := make(eventHeap, n)
		for i := range h {
			h[i] = entry{at: time.Duration(r.IntN(20)), seq: uint64(i)}
		}
		h.init()
		last := entry{at: -1}
		for len(h) > 0 {
			e := h.pop()
			if e.before(&last) {
				t.Fatalf("%+v after %+v", e, last)
			}
			last = e
		}
	}
}
