package scenario

import (
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// The faults of hand-off beside those of its menu: groups that meet what chance
// would meet too rarely.

// handOffRounds is how many strikes of each kind a seed draws.
const handOffRounds = 3

// handOffStrikes draws one strike of each kind for each round.
func handOffStrikes(s *shape, st servers, r *rand.Rand) []faults.Fault {
	var fs []faults.Fault
	for round := range handOffRounds {
		at := time.Duration(4+10*round) * time.Second
		fs = append(fs, halfWay(s, st, r, at+upTo(r, 4*time.Second))...)
		fs = append(fs, unsettled(s, r, at+5*time.Second+upTo(r, 3*time.Second)))
	}
	return fs
}

// halfWay crashes a process while its way to the store is so slow that what it
// does, most of it transfers, is half done: the commit is on its way, or its reply.
func halfWay(s *shape, st servers, r *rand.Rand, at time.Duration) []faults.Fault {
	target := nodeName(r.IntN(s.nodes))
	return append(
		linkFaults(st.front, faults.Fault{
			At: at, For: s.ttl / 2, Kind: faults.SlowLink, Target: target, Amount: 50 + float64(r.IntN(300)),
		}),
		faults.Fault{At: at + s.ttl/20 + upTo(r, s.ttl/3), For: s.ttl/10 + upTo(r, s.ttl), Kind: faults.Crash, Target: target},
	)
}

// unsettled leaves all commits of a process in doubt, for less than its lease
// lasts: it can settle nothing, and others may give it what its claims in doubt were
// about.
func unsettled(s *shape, r *rand.Rand, at time.Duration) faults.Fault {
	return faults.Fault{At: at, For: s.ttl/2 + upTo(r, s.ttl/4), Kind: faults.StoreUnknown, Target: nodeName(r.IntN(s.nodes)), Amount: 1}
}
