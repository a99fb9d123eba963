package registry

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"sync"
)

// Strategy chooses the node that is to own an actor.
//
// candidates has one node at least; all of them take actors (see [Node.Takes]),
// and they are in the order of their ids. They are to be read only, and not kept.
// What they say may be out of date: whoever acts on the choice checks it again, in
// the transaction that makes the node the owner, and may ask once more with fewer
// candidates.
//
// The error, or one that wraps [ErrInvalid] when the choice is not among the
// candidates, reaches the caller. Choose may be called from several tasks at once
// and must not block. Chance comes from r only.
type Strategy interface {
	Choose(actor ActorID, candidates []Node, r *rand.Rand) (NodeID, error)
}

// StrategyFunc is a function as a [Strategy].
type StrategyFunc func(actor ActorID, candidates []Node, r *rand.Rand) (NodeID, error)

// Choose calls f.
func (f StrategyFunc) Choose(actor ActorID, candidates []Node, r *rand.Rand) (NodeID, error) {
	return f(actor, candidates, r)
}

// LeastLoaded chooses the node that owns least: relative to its capacity when all
// candidates have one, and else by number. Among equals chance decides.
type LeastLoaded struct{}

// Choose implements [Strategy].
func (LeastLoaded) Choose(_ ActorID, candidates []Node, r *rand.Rand) (NodeID, error) {
	relative := haveCapacity(candidates)
	best, equals := &candidates[0], 1
	for i := 1; i < len(candidates); i++ {
		n := &candidates[i]
		switch order := compareLoads(loadOf(n, relative), loadOf(best, relative)); {
		case order < 0:
			best, equals = n, 1
		case order == 0:
			// The i-th of several equals replaces the others with chance 1/i, so
			// that each of them is as likely.
			if equals++; r.IntN(equals) == 0 {
				best = n
			}
		}
	}
	return best.ID, nil
}

// PowerOfTwo draws two candidates and chooses the one that owns less, as
// [LeastLoaded] has it. With loads that are out of date it spreads better than
// LeastLoaded, which sends everybody to the one node that looked empty.
// (M. Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", IEEE
// TPDS 12(10), 2001.)
type PowerOfTwo struct{}

// Choose implements [Strategy].
func (PowerOfTwo) Choose(_ ActorID, candidates []Node, r *rand.Rand) (NodeID, error) {
	a := r.IntN(len(candidates))
	if len(candidates) == 1 {
		return candidates[a].ID, nil
	}
	b := r.IntN(len(candidates) - 1)
	if b >= a {
		b++
	}
	relative := haveCapacity(candidates)
	if compareLoads(loadOf(&candidates[b], relative), loadOf(&candidates[a], relative)) < 0 {
		a = b
	}
	return candidates[a].ID, nil
}

// Random chooses any node, each with the same chance.
type Random struct{}

// Choose implements [Strategy].
func (Random) Choose(_ ActorID, candidates []Node, r *rand.Rand) (NodeID, error) {
	return candidates[r.IntN(len(candidates))].ID, nil
}

// RoundRobin chooses the nodes in the order of their ids, each process for itself.
// The zero value is ready for use; it must not be copied after its first use.
type RoundRobin struct {
	mu   sync.Mutex
	last NodeID
}

// Choose implements [Strategy].
func (s *RoundRobin) Choose(_ ActorID, candidates []Node, _ *rand.Rand) (NodeID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := findNode(candidates, s.last)
	if found {
		i++
	}
	s.last = candidates[i%len(candidates)].ID
	return s.last, nil
}

// findNode returns where the id is, or would be, in nodes sorted by id.
func findNode(nodes []Node, id NodeID) (int, bool) {
	return slices.BinarySearchFunc(nodes, id, func(n Node, id NodeID) int { return cmp.Compare(n.ID, id) })
}

// Rendezvous chooses by a hash of actor and node: the same node in every process,
// for as long as that node takes actors. When a node comes or goes, only the
// actors that it wins or had won change. Loads count for nothing.
// (D. Thaler and C. Ravishankar, "Using Name-Based Mappings to Increase Hit
// Rates", IEEE/ACM ToN 6(1), 1998.)
type Rendezvous struct{}

// Choose implements [Strategy].
func (Rendezvous) Choose(actor ActorID, candidates []Node, _ *rand.Rand) (NodeID, error) {
	key := hashOf(string(actor))
	var best NodeID
	var highest uint64
	for i := range candidates {
		if w := weight(key, hashOf(string(candidates[i].ID))); i == 0 || w > highest {
			best, highest = candidates[i].ID, w
		}
	}
	return best, nil
}

// nodeLoad is how many actors a node owns, and of how many it counts as full; the
// latter 1 when capacities are not compared.
type nodeLoad struct{ owned, of int64 }

func loadOf(n *Node, relative bool) nodeLoad {
	l := nodeLoad{max(n.Owned, 0), 1}
	if relative {
		l.of = n.Capacity
	}
	return l
}

// haveCapacity reports whether loads can be compared relative to capacity. It is
// decided for all nodes at once: with two measures in one comparison, three nodes
// could each be emptier than the next.
func haveCapacity(nodes []Node) bool {
	for i := range nodes {
		if nodes[i].Capacity == 0 {
			return false
		}
	}
	return true
}

// compareLoads compares a.owned/a.of with b.owned/b.of, without rounding.
func compareLoads(a, b nodeLoad) int {
	ahi, alo := bits.Mul64(uint64(a.owned), uint64(b.of))
	bhi, blo := bits.Mul64(uint64(b.owned), uint64(a.of))
	switch {
	case ahi < bhi || ahi == bhi && alo < blo:
		return -1
	case ahi != bhi || alo != blo:
		return 1
	}
	return 0
}

// choose asks the strategy and checks its answer.
func choose(s Strategy, actor ActorID, candidates []Node, r *rand.Rand) (*Node, error) {
	id, err := s.Choose(actor, candidates, r)
	if err != nil {
		if errors.Is(err, ErrNoNode) {
			return nil, err
		}
		return nil, fmt.Errorf("strategy %T: %w", s, err)
	}
	i, found := findNode(candidates, id)
	if !found {
		return nil, invalid("strategy %T chose node %q, which is none of the %d candidates: it is unknown, takes no actors, or was refused before", s, id, len(candidates))
	}
	return &candidates[i], nil
}
