package registry

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func nodeIDs(n int) []NodeID {
	ids := make([]NodeID, n)
	for i := range ids {
		ids[i] = NodeID(fmt.Sprintf("node-%d", i))
	}
	return ids
}

const noLimit = math.MaxInt

func TestRanksOfAKeyAreAPermutation(t *testing.T) {
	for _, n := range []int{1, 2, 3, 100} {
		ids := nodeIDs(n)
		p := newPeers(ids)
		for key := range 20 {
			var ranks, want []int
			for i, id := range ids {
				ranks, want = append(ranks, p.rank(fmt.Sprint(key), id, noLimit)), append(want, i)
			}
			slices.Sort(ranks)
			if !slices.Equal(ranks, want) {
				t.Errorf("the ranks of %d nodes for key %d are %v", n, key, ranks)
			}
		}
	}
}

func TestEverybodyIsFirstAmongNobody(t *testing.T) {
	var p *peers
	if rank, size := p.rank("k", "n", noLimit), p.size(); rank != 0 || size != 0 {
		t.Errorf("rank %d among %d", rank, size)
	}
}

func TestRankStopsAtItsLimit(t *testing.T) {
	ids := nodeIDs(50)
	p := newPeers(ids)
	for _, id := range ids {
		exact := p.rank("k", id, noLimit)
		if got := p.rank("k", id, 3); got != min(exact, 3) {
			t.Errorf("%s ranks %d, and %d with a limit of 3", id, exact, got)
		}
	}
}

// A node that goes makes room for those behind it and changes nothing else.
func TestRanksKeepTheirOrderWhenANodeGoes(t *testing.T) {
	ids := nodeIDs(30)
	before := newPeers(ids)
	gone := ids[7]
	after := newPeers(slices.DeleteFunc(slices.Clone(ids), func(id NodeID) bool { return id == gone }))
	for key := range 50 {
		k := fmt.Sprint("actor-", key)
		place := before.rank(k, gone, noLimit)
		for _, id := range after.ids {
			was, is := before.rank(k, id, noLimit), after.rank(k, id, noLimit)
			if want := was - b2i(was > place); is != want {
				t.Fatalf("key %s: %s ranked %d, %s at %d went, now it ranks %d", k, id, was, gone, place, is)
			}
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Each node is first for its share of the keys, also of keys and ids that differ
// in a digit only: chi-squared, at a thousandth.
func TestFirstPlacesAreSpreadEvenly(t *testing.T) {
	const nodes, keys = 20, 20_000
	ids := nodeIDs(nodes)
	p := newPeers(ids)
	for name, key := range map[string]func(i int) string{
		"actors":   func(i int) string { return fmt.Sprintf("account/%016d", i) },
		"short":    func(i int) string { return fmt.Sprint(i) },
		"sessions": func(i int) string { return fmt.Sprintf("node-%d", i) },
	} {
		counts := make([]int, nodes)
		for i := range keys {
			for j, id := range ids {
				if p.rank(key(i), id, 1) == 0 {
					counts[j]++
				}
			}
		}
		var chi float64
		for _, n := range counts {
			d := float64(n) - keys/nodes
			chi += d * d / (keys / nodes)
		}
		if chi > 43.8 { // 19 degrees of freedom
			t.Errorf("%s: the first places are %v, chi-squared %.1f", name, counts, chi)
		}
	}
}

// However many nodes contend, the turns around the first one are about a Stagger
// apart: also when all of those who rank first are missing.
func TestTurnsAroundTheFirstAreApart(t *testing.T) {
	const unit = time.Second
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct{ nodes, missing int }{{2, 0}, {10, 0}, {1000, 0}, {1000, 10}, {1000, 900}, {10_000, 100}} {
		near := 0.0
		const rounds = 200
		for range rounds {
			var turns []time.Duration
			for rank := c.missing; rank < c.nodes; rank++ {
				turns = append(turns, stagger(unit, rank, r))
			}
			first := slices.Min(turns)
			for _, d := range turns {
				if d < first+unit/20 {
					near++
				}
			}
		}
		// Behind m missing ones, m·ln 2 ranks have their turn in each Stagger.
		if mean, limit := near/rounds, 1.6+0.05*float64(c.missing); mean > limit {
			t.Errorf("%d nodes, the first %d missing: %.1f turns within a twentieth of a Stagger of the first, at most %.1f expected", c.nodes, c.missing, mean, limit)
		}
	}
}

func TestStaggerIsWithinItsBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, nodes := range []int{1, 2, 3, 16, 1000, 1 << 13, 1 << 20} {
		limit := longestStagger(time.Second, nodes)
		if limit > staggerSpan*time.Second {
			t.Errorf("%d nodes: %v", nodes, limit)
		}
		var longest time.Duration
		for range 100 {
			for _, rank := range []int{0, nodes / 2, nodes - 1} {
				longest = max(longest, stagger(time.Second, rank, r))
			}
		}
		if longest > limit || longest < limit-time.Second/4 {
			t.Errorf("%d nodes wait for %v, the bound is %v", nodes, longest, limit)
		}
	}
	if d := stagger(time.Second, 0, r); d != 0 {
		t.Errorf("the first waits for %v", d)
	}
}

// Each node is watched over by as many others as there are to be, or by all others,
// and their ranks are 0, 1, 2 …
func TestEverybodyHasMonitors(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 40} {
		ids := nodeIDs(n)
		p := newPeers(ids)
		for _, node := range ids {
			var ranks, want []int
			for _, me := range ids {
				if rank := p.rankBeside(node, me, 3); me != node && rank < 3 {
					ranks = append(ranks, rank)
				}
			}
			for i := range min(3, n-1) {
				want = append(want, i)
			}
			if slices.Sort(ranks); !slices.Equal(ranks, want) {
				t.Errorf("%s of %d nodes has monitors that rank %v", node, n, ranks)
			}
		}
	}
}
