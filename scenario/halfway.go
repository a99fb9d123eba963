package scenario

import (
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// halfWayStrikes is how many crashes half way a seed of hand-off draws.
const halfWayStrikes = 3

// halfWay crashes processes while their way to the store is so slow that what they
// do, most of it transfers, is half done: the commit is on its way, or its reply.
func halfWay(s *shape, st servers, r *rand.Rand) []faults.Fault {
	var fs []faults.Fault
	for i := range halfWayStrikes {
		at := time.Duration(4+10*i)*time.Second + upTo(r, 6*time.Second)
		target := nodeName(r.IntN(s.nodes))
		fs = append(fs, linkFaults(st.front, faults.Fault{
			At: at, For: s.ttl / 2, Kind: faults.SlowLink, Target: target, Amount: 50 + float64(r.IntN(300)),
		})...)
		fs = append(fs, faults.Fault{At: at + s.ttl/20 + upTo(r, s.ttl/3), For: s.ttl/10 + upTo(r, s.ttl), Kind: faults.Crash, Target: target})
	}
	return fs
}
