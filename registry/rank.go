package registry

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"
)

// Whoever wants to write what many others may want to write as well waits first,
// the longer the lower it ranks among the live nodes, and then reads again.
//
// The rank of a node for a key is its place by rendezvous hashing (D. Thaler and
// C. Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN
// 1998): all that know the same nodes agree on it without a word, and a node that
// comes or goes moves no other past another. The wait grows with the logarithm of
// the rank, so that over the ranks it is distributed exponentially (J. Nonnenmacher
// and E. Biersack, "Scalable feedback for large groups", IEEE/ACM ToN 1999):
// however many nodes want a thing and whoever of them is missing, about one of
// them has its turn in each Stagger around the first turn.

// staggerSpan bounds a wait, in Staggers, jitter included. Ranks beyond 2^13 wait
// as long as one another.
const staggerSpan = 14

// staggerJitter is the part of a Stagger by which waits of one rank may differ:
// nodes whose views of the cluster differ may have the same rank.
const staggerJitter = 1.0 / 4

// stagger returns how long a contender of a rank waits. The first never does.
func stagger(unit time.Duration, rank int, r *rand.Rand) time.Duration {
	if rank <= 0 || unit <= 0 {
		return 0
	}
	return time.Duration(float64(unit) * (waits(rank) + staggerJitter*r.Float64()))
}

// waits is the wait of a rank without jitter, in Staggers.
func waits(rank int) float64 {
	return min(math.Log2(float64(1+rank)), staggerSpan-staggerJitter)
}

// longestStagger bounds what stagger returns among so many nodes.
func longestStagger(unit time.Duration, nodes int) time.Duration {
	if nodes <= 1 {
		return 0
	}
	return time.Duration(math.Ceil(float64(unit) * (waits(nodes-1) + staggerJitter)))
}

// peers are the nodes among which a session ranks itself: those that it takes for
// live. The nil peers are nobody, among whom everybody is first.
type peers struct {
	ids    []NodeID // no two the same
	hashes []uint64 // of the ids
}

func newPeers(ids []NodeID) *peers {
	p := &peers{ids: ids, hashes: make([]uint64, len(ids))}
	for i, id := range ids {
		p.hashes[i] = hashOf(string(id))
	}
	return p
}

// rank returns how many of the peers come before node for the key, and limit when
// there are more.
func (p *peers) rank(key string, node NodeID, limit int) int {
	if p == nil {
		return 0
	}
	k := hashOf(key)
	mine, rank := weight(k, hashOf(string(node))), 0
	for i, h := range p.hashes {
		if rank >= limit {
			return limit
		}
		if w := weight(k, h); w > mine || w == mine && p.ids[i] < node {
			rank++
		}
	}
	return rank
}

// rankBeside is the rank of me among those who look after node, which does not look
// after itself.
func (p *peers) rankBeside(node, me NodeID, limit int) int {
	if p == nil {
		return 0
	}
	k := hashOf(string(node))
	mine, own := weight(k, hashOf(string(me))), weight(k, k)
	if node != me && (own > mine || own == mine && node < me) && slices.Contains(p.ids, node) {
		return p.rank(string(node), me, limit+1) - 1
	}
	return p.rank(string(node), me, limit)
}

// size returns how many peers there are.
func (p *peers) size() int {
	if p == nil {
		return 0
	}
	return len(p.ids)
}

// weight is a node's for a key, both hashed: the highest ranks first.
func weight(key, node uint64) uint64 {
	return finish(key ^ bits.RotateLeft64(node, 32))
}

// hashOf is FNV-1a with a finisher, without which keys that differ in their last
// byte only would be close.
func hashOf(s string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 0x100000001b3
	}
	return finish(h)
}

// finish is the finisher of splitmix64 (D. Stafford's variant 13).
func finish(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
