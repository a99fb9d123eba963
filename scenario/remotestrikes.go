package scenario

import (
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// The faults of remote beside those of its menu. The ways of the servers to the store
// are slow for a while, so that commits are under way at them, alone and in batches,
// when the servers are struck.

// remoteRounds is how many strikes a seed draws, one at every second crowd.
const remoteRounds = 4

// remoteStrikes draws one strike for each round, on both servers: a node that loses
// one goes to the other.
func remoteStrikes(s *shape, st servers, r *rand.Rand) []faults.Fault {
	var fs []faults.Fault
	for round := range remoteRounds {
		at := time.Duration(1+2*round)*crowdEvery - s.ttl/20
		strike := remoteStrike[r.IntN(len(remoteStrike))]
		for _, server := range st.front {
			fs = append(fs, linkFaults(st.behind, faults.Fault{
				At: at, For: s.ttl / 2, Kind: faults.SlowLink, Target: server, Amount: 50 + float64(r.IntN(250)),
			})...)
			fs = append(fs, strike(s, server, r, at+s.ttl/10+upTo(r, s.ttl*3/10))...)
		}
	}
	return fs
}

// remoteStrike are the groups of faults that strike a server with commits under way.
var remoteStrike = []func(s *shape, server string, r *rand.Rand, at time.Duration) []faults.Fault{lostServer, lostAnswers, lateCopies}

// lostServer crashes the server: what it had sent on to the store may still be applied.
func lostServer(s *shape, server string, r *rand.Rand, at time.Duration) []faults.Fault {
	return []faults.Fault{{At: at, For: s.ttl/30 + upTo(r, s.ttl/3), Kind: faults.ServerCrash, Target: server}}
}

// lostAnswers cuts the server's way to the nodes: it goes on committing.
func lostAnswers(s *shape, server string, r *rand.Rand, at time.Duration) []faults.Fault {
	return linkFaults(nodeNames(s.nodes), faults.Fault{At: at, For: s.ttl/10 + upTo(r, s.ttl/3), Kind: faults.Cut, Target: server})
}

// lateCopies has the server end in order, while each request of the nodes comes twice,
// the copies by up to 200 ms apart: one of two may find that it drains.
func lateCopies(s *shape, server string, r *rand.Rand, at time.Duration) []faults.Fault {
	begin, long := at-s.ttl/10, s.ttl/5
	fs := linkFaults(nodeNames(s.nodes), faults.Fault{At: begin, For: long, Kind: faults.Duplicate, Target: server, Amount: 1})
	fs = append(fs, linkFaults(nodeNames(s.nodes), faults.Fault{At: begin, For: long, Kind: faults.SlowLink, Target: server, Amount: 50 + float64(r.IntN(350))})...)
	return append(fs, faults.Fault{At: at, For: s.ttl/10 + upTo(r, s.ttl), Kind: faults.ServerDrain, Target: server})
}
