package scenario

import (
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// The faults of join-same-id beside those of its menu. All processes join in the
// first instant, so that the commit of the first join can be struck on its way,
// while the others, who wait for the node id, watch its session from its first
// moment.

// firstJoin strikes one process in the middle of its first join, in three of four
// seeds, after stopping the others so that it comes first.
func firstJoin(s *shape, st servers, r *rand.Rand) []faults.Fault {
	which := r.IntN(4)
	if which == 0 {
		return nil
	}
	first := r.IntN(s.nodes)
	var fs []faults.Fault
	for i := range s.nodes {
		if i != first {
			fs = append(fs, faults.Fault{At: 0, For: 30 * time.Millisecond, Kind: faults.Pause, Target: nodeName(i)})
		}
	}
	at := 500*time.Microsecond + upTo(r, 2*time.Millisecond)
	onLinks := func(f faults.Fault) { fs = append(fs, linkFaults(st.front, f)...) }
	switch target := nodeName(first); which {
	case 1: // the reply takes most of the lease, or more
		onLinks(faults.Fault{At: at, For: 20 * time.Millisecond, Kind: faults.SlowLink, Target: target, Amount: 1500 + float64(r.IntN(2500))})
	case 2: // … and then nothing that the process sends arrives
		onLinks(faults.Fault{At: at, For: 20 * time.Millisecond, Kind: faults.SlowLink, Target: target, Amount: 1000 + float64(r.IntN(900))})
		onLinks(faults.Fault{At: at + 25*time.Millisecond, For: 2 * s.ttl, Kind: faults.Cut, Target: target})
	case 3: // the reply is lost, and the process stands still until others have its id
		onLinks(faults.Fault{At: at, For: 15 * time.Millisecond, Kind: faults.Partition, Target: target})
		fs = append(fs, faults.Fault{At: at + 20*time.Millisecond, For: s.ttl + s.ttl/10 + upTo(r, s.ttl), Kind: faults.Pause, Target: target})
	}
	return fs
}
