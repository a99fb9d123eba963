package fleet

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/linearizability"
)

// Spread is a distribution of times, in TTLs.
type Spread struct {
	N   int     `json:"n"`
	Min float64 `json:"min"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

func spreadOf(times []time.Duration, ttl time.Duration) Spread {
	s := Spread{N: len(times)}
	if s.N == 0 {
		return s
	}
	slices.Sort(times)
	at := func(share float64) float64 {
		return float64(times[min(int(share*float64(s.N)), s.N-1)]) / float64(ttl)
	}
	s.Min, s.P50, s.P90, s.P99, s.Max = at(0), at(0.5), at(0.9), at(0.99), at(1)
	return s
}

// String describes the spread for people.
func (s Spread) String() string {
	if s.N == 0 {
		return "none"
	}
	return fmt.Sprintf("%d, min %.2f, p50 %.2f, p90 %.2f, p99 %.2f, max %.2f TTL", s.N, s.Min, s.P50, s.P90, s.P99, s.Max)
}

// session names a session in a history.
type session struct {
	node string
	inc  uint64
}

// endings returns when the first attempt to end a session was made, or its node was
// told that it is lost.
func endings(h *linearizability.History) map[session]time.Duration {
	ends := make(map[session]time.Duration)
	for i := range h.Ops {
		op := &h.Ops[i]
		switch op.Kind {
		case linearizability.KindRevoke, linearizability.KindLost, linearizability.KindLeave:
			s := session{op.Node, op.Incarnation}
			if at, ok := ends[s]; !ok || op.Call < at {
				ends[s] = op.Call
			}
		default: // ends none
		}
	}
	return ends
}

// nodeFailovers returns, for each actor that a process owned when it was killed, how
// long after that somebody had it acknowledged again. An actor is left out whose owner
// had lost its session before or may have given it up, and one that nobody got while
// the soak went on.
func nodeFailovers(h *linearizability.History, faults []Fault) []time.Duration {
	by, ends := soak.Ownerships(h), endings(h)
	var times []time.Duration
	for _, f := range faults {
		if f.Kind != faultKill || f.Target == serverName {
			continue
		}
		here := make(map[string]bool)
		for _, n := range f.Nodes {
			here[nodeName(n)] = true
		}
		for _, all := range by {
			next := len(all) // the first of those that were acknowledged after the kill
			for next > 0 && all[next-1].Got > f.At {
				next--
			}
			if next == 0 || next == len(all) {
				continue
			}
			owner := &all[next-1]
			if end, ended := ends[session{owner.Node, owner.Incarnation}]; !here[owner.Node] || owner.GivenUp || ended && end < f.At {
				continue
			}
			first := slices.MinFunc(all[next:], func(a, b soak.Ownership) int { return cmp.Compare(a.Got, b.Got) })
			times = append(times, first.Got-f.At)
		}
	}
	return times
}

// nodeName is what package soak calls a node, counted from 0.
func nodeName(n int) string { return fmt.Sprintf("node-%d", n+1) }

// serverFailovers returns, for each kill of the server, how long after it, and after
// its process was started again, the first commit was acknowledged that had been
// called after the kill.
func serverFailovers(h *linearizability.History, faults []Fault) (sinceKill, sinceStart []time.Duration) {
	for _, f := range faults {
		if f.Kind != faultKill || f.Target != serverName {
			continue
		}
		first := time.Duration(-1)
		for i := range h.Ops {
			op := &h.Ops[i]
			if op.Call > f.At && commits(op) && (first < 0 || op.Return < first) {
				first = op.Return
			}
		}
		if first >= f.Until {
			sinceKill = append(sinceKill, first-f.At)
			sinceStart = append(sinceStart, first-f.Until)
		}
	}
	return sinceKill, sinceStart
}

// commits reports whether an operation was acknowledged that wrote to the store.
func commits(op *linearizability.Op) bool {
	if op.Outcome != linearizability.OutcomeOK {
		return false
	}
	switch op.Kind {
	case linearizability.KindJoin, linearizability.KindRelease, linearizability.KindTransfer, linearizability.KindGuard,
		linearizability.KindLeave, linearizability.KindRevoke:
		return true
	default: // a claim may have found that it was there already
		return false
	}
}
