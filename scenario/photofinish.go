package scenario

import (
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// The faults of photo-finish. Its clocks run true and its nodes join in the
// first milliseconds, so that renewals begin at each multiple of TTL/3 and take
// a few milliseconds. Its faults are placed relative to those instants, where
// chance would need thousands of seeds to put them.

// photoFinishRounds is how many strikes a seed draws, each with time enough to
// be over before the next.
const photoFinishRounds = 3

// photoFinish draws one strike for each round.
func photoFinish(s *shape, st servers, r *rand.Rand) []faults.Fault {
	var fs []faults.Fault
	for round := range photoFinishRounds {
		strike := strikes[r.IntN(len(strikes))]
		beat := time.Duration(4+10*round+r.IntN(5)) * s.ttl / 3
		fs = append(fs, strike(s, st.front, r, r.IntN(s.nodes), beat)...)
	}
	return fs
}

// strike is a group of faults around the renewal of a victim at time beat.
type strike func(s *shape, front []string, r *rand.Rand, victim int, beat time.Duration) []faults.Fault

var strikes = []strike{frozenReply, lateReply, slowLook, heldLook}

// frozenReply stops the victim while its renewal is under way on slow links, for
// less than what is left of its lease, and cuts it off when it goes on: all it
// has is the reply. A lease counted from the reply lasts too long.
func frozenReply(s *shape, front []string, r *rand.Rand, victim int, beat time.Duration) []faults.Fault {
	target := nodeName(victim)
	pause := faults.Fault{
		At: beat + s.ttl/50 + upTo(r, s.ttl/12), For: s.ttl/15 + upTo(r, s.ttl/2), Kind: faults.Pause, Target: target,
	}
	slow := faults.Fault{At: beat - s.ttl/50, For: s.ttl / 8, Kind: faults.SlowLink, Target: target, Amount: 40 + float64(r.IntN(40))}
	// What came while it stood still is there at the instant at which it goes on.
	cut := faults.Fault{At: pause.At + pause.For + 50*time.Microsecond, For: 2 * s.ttl, Kind: faults.Partition, Target: target}
	return append(append(linkFaults(front, slow), linkFaults(front, cut)...), pause)
}

// lateReply stops the victim while its renewal is under way, for more than what
// is left of its lease: the reply and the timer of the lease's end are there at
// once when it goes on.
func lateReply(s *shape, _ []string, r *rand.Rand, victim int, beat time.Duration) []faults.Fault {
	return []faults.Fault{{
		At: beat + upTo(r, 3*time.Millisecond), For: s.ttl*2/3 + upTo(r, s.ttl/4), Kind: faults.Pause, Target: nodeName(victim),
	}}
}

// slowLook stops the victim just after a renewal, while the others' looks at it
// are slow: they began before the renewal that they show. Silence counted from
// the beginning of the look is too short.
func slowLook(s *shape, front []string, r *rand.Rand, victim int, beat time.Duration) []faults.Fault {
	fs := []faults.Fault{{
		At: beat + 5*time.Millisecond + upTo(r, 10*time.Millisecond), For: 2 * s.ttl, Kind: faults.Pause, Target: nodeName(victim),
	}}
	for i := range s.nodes {
		if i == victim {
			continue
		}
		fs = append(fs, linkFaults(front, faults.Fault{
			At: beat - s.ttl/6, For: s.ttl/6 + upTo(r, s.ttl/10), Kind: faults.SlowLink, Target: nodeName(i), Amount: 200 + float64(r.IntN(200)),
		})...)
	}
	return fs
}

// heldLook stops the victim from one renewal until just before its lease ends,
// and the others from just before that until just after: a look of theirs that
// is under way, and made to be by slow links, shows the old renewal, its reply is
// seen when the silence is complete, and in between the victim has renewed. The
// revocation must lose.
func heldLook(s *shape, front []string, r *rand.Rand, victim int, beat time.Duration) []faults.Fault {
	stop := beat + s.ttl*9/10 + upTo(r, s.ttl/50)
	fs := []faults.Fault{{
		At: beat + 5*time.Millisecond, For: stop - beat + upTo(r, s.ttl/20), Kind: faults.Pause, Target: nodeName(victim),
	}}
	for i := range s.nodes {
		if i == victim {
			continue
		}
		fs = append(fs, linkFaults(front, faults.Fault{
			At: stop - s.ttl/6, For: s.ttl / 6, Kind: faults.SlowLink, Target: nodeName(i), Amount: 40 + float64(r.IntN(80)),
		})...)
		fs = append(fs, faults.Fault{
			At: stop, For: s.ttl/5 + upTo(r, s.ttl/10), Kind: faults.Pause, Target: nodeName(i),
		})
	}
	return fs
}

// linkFaults returns the fault for the way to each peer.
func linkFaults(peers []string, f faults.Fault) []faults.Fault {
	fs := make([]faults.Fault, len(peers))
	for i, peer := range peers {
		fs[i] = f
		fs[i].Peer = peer
	}
	return fs
}

func upTo(r *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(1 + r.Int64N(int64(d)))
}
