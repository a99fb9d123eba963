package sim

import (
	"math/bits"
	"testing"
)

func TestTraceHashDependsOnEachWordAndTheirOrder(t *testing.T) {
	seen := make(map[Hash]string)
	add := func(name string, words ...uint64) {
		var h traceHash
		for i := 0; i < len(words); i += 2 {
			h.fold(words[i], words[i+1])
		}
		if other, ok := seen[h.sum()]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[h.sum()] = name
	}
	add("nothing")
	add("zeros", 0, 0)
	add("more zeros", 0, 0, 0, 0)
	add("a", 1, 2)
	add("b", 2, 1)
	add("c", 1, 2, 3, 4)
	add("d", 3, 4, 1, 2)
	add("e", 1, 4, 3, 2)
}

func TestTraceHashSpreadsASingleBit(t *testing.T) {
	run := func(x uint64) Hash {
		var h traceHash
		h.fold(x, 0)
		h.fold(7, 7)
		return h.sum()
	}
	base := run(0)
	for bit := range 64 {
		other := run(1 << bit)
		moved := 0
		for i := range base {
			moved += bits.OnesCount8(base[i] ^ other[i])
		}
		if moved < 32 {
			t.Errorf("bit %d moves %d of 128 bits", bit, moved)
		}
	}
}

func TestHashPrintsAllItsDigits(t *testing.T) {
	if got, want := (Hash{0: 0xAB, 15: 1}).String(), "ab000000000000000000000000000001"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDrawsBelowAreInRangeAndReachItsEnds(t *testing.T) {
	seen := make(map[int64]int)
	for i := range uint64(1000) {
		seen[int64(below(mix(i), 3))]++
	}
	if len(seen) != 3 || seen[0] < 250 || seen[1] < 250 || seen[2] < 250 {
		t.Errorf("draws below 3: %v", seen)
	}
}

func TestChanceKeepsItsProbability(t *testing.T) {
	for _, p := range []float64{0, 0.1, 0.5, 1} {
		hits := 0
		for i := range uint64(10_000) {
			if chance(mix(i), p) {
				hits++
			}
		}
		if want := p * 10_000; float64(hits) < want-200 || float64(hits) > want+200 {
			t.Errorf("probability %v: %d of 10000", p, hits)
		}
	}
}
