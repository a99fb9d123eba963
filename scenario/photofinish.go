package scenario

import (
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// The faults of photo-finish. Its clocks run true and its nodes join in the
// first milliseconds, so that renewals begin a few milliseconds after each
// multiple of TTL/3. Its faults are placed relative to those instants, where
// chance would need thousands of seeds to put them.

// photoFinish draws one strike for each node but one.
func photoFinish(s *shape, kind string, r *rand.Rand) []faults.Fault {
	var fs []faults.Fault
	spared := r.IntN(s.nodes)
	for victim := range s.nodes {
		if victim == spared {
			continue
		}
		strike := strikes[r.IntN(len(strikes))]
		beat := time.Duration(4+r.IntN(8)) * s.ttl / 3
		fs = append(fs, strike(s, serversOf(kind).front, r, victim, beat)...)
	}
	return fs
}

// strike is a group of faults around the renewal of a victim at time beat.
type strike func(s *shape, servers []string, r *rand.Rand, victim int, beat time.Duration) []faults.Fault

var strikes = []strike{frozenReply, slowLook}

// frozenReply stops the victim while its renewal is under way, for less than
// what is left of its lease, and cuts it off before it goes on: all it has is
// the reply. A lease counted from the reply lasts too long.
func frozenReply(s *shape, servers []string, r *rand.Rand, victim int, beat time.Duration) []faults.Fault {
	at := beat + upTo(r, 12*time.Millisecond)
	fs := []faults.Fault{{
		At: at, For: s.ttl/10 + upTo(r, s.ttl/2), Kind: faults.Pause, Target: nodeName(victim),
	}}
	return append(fs, linkFaults(servers, faults.Fault{
		At: at + 5*time.Millisecond, For: 2 * s.ttl, Kind: faults.Partition, Target: nodeName(victim),
	})...)
}

// slowLook stops the victim just after a renewal, while the others' looks at it
// are slow: they began before the renewal that they show. Silence counted from
// the beginning of the look is too short.
func slowLook(s *shape, servers []string, r *rand.Rand, victim int, beat time.Duration) []faults.Fault {
	fs := []faults.Fault{{
		At: beat + 5*time.Millisecond + upTo(r, 10*time.Millisecond), For: 2 * s.ttl, Kind: faults.Pause, Target: nodeName(victim),
	}}
	for i := range s.nodes {
		if i == victim {
			continue
		}
		fs = append(fs, linkFaults(servers, faults.Fault{
			At: beat - s.ttl/6, For: s.ttl/6 + upTo(r, s.ttl/10), Kind: faults.SlowLink, Target: nodeName(i), Amount: 200 + float64(r.IntN(200)),
		})...)
	}
	return fs
}

// linkFaults returns the fault for the way to each server.
func linkFaults(servers []string, f faults.Fault) []faults.Fault {
	fs := make([]faults.Fault, len(servers))
	for i, server := range servers {
		fs[i] = f
		fs[i].Peer = server
	}
	return fs
}

func upTo(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(1 + r.Int64N(int64(d)))
}
