package linearizability

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The oracle is the sequential specification once more, written for nothing but
// to be read: states are maps, an operation with an unknown result leads to a
// set of states, and the search for an order tries all of them. It shares no
// code with the checkers, which must agree with it on every history that it can
// finish.

type oracleSession struct {
	inc  uint64
	live bool
}

type oracleRecord struct {
	node  string
	inc   uint64
	token uint64
}

type oracleState struct {
	sessions map[string]oracleSession
	records  map[string]oracleRecord
	last     map[string]uint64 // highest token of each actor
	issued   map[oracleID]bool // sessions that were started
}

type oracleID struct {
	node string
	inc  uint64
}

func newOracleState() oracleState {
	return oracleState{map[string]oracleSession{}, map[string]oracleRecord{}, map[string]uint64{}, map[oracleID]bool{}}
}

func (s oracleState) clone() oracleState {
	return oracleState{maps.Clone(s.sessions), maps.Clone(s.records), maps.Clone(s.last), maps.Clone(s.issued)}
}

func (s oracleState) key() string {
	var parts []string
	for k, v := range s.sessions {
		parts = append(parts, fmt.Sprint("s", k, v))
	}
	for k, v := range s.records {
		parts = append(parts, fmt.Sprint("r", k, v))
	}
	for k, v := range s.last {
		parts = append(parts, fmt.Sprint("l", k, v))
	}
	for k := range s.issued {
		parts = append(parts, fmt.Sprint("i", k))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func (s oracleState) isLive(node string, inc uint64) bool {
	return s.sessions[node] == oracleSession{inc, true}
}

// inForce returns the claim in force on the actor.
func (s oracleState) inForce(actor string) (oracleRecord, bool) {
	r, ok := s.records[actor]
	return r, ok && s.isLive(r.node, r.inc)
}

// oracle holds the numbers that an operation with an unknown result may have
// got: all that occur in the history, and in each gap between them one that
// nobody saw. All numbers of the history are multiples of oracleScale.
type oracle struct {
	numbers []uint64
	ops     []Op
	failed  map[string]bool
	steps   int
}

// oracleScale leaves room between two numbers of a history.
const oracleScale = 8

// scaled multiplies every incarnation and token of a history. A transfer whose
// result is unknown becomes a release and a claim with unknown results.
func scaled(h *History) []Op {
	ops := slices.Clone(h.Ops)
	for i := range ops {
		ops[i].Incarnation *= oracleScale
		ops[i].Token *= oracleScale
		ops[i].OwnerIncarnation *= oracleScale
		ops[i].NewToken *= oracleScale
	}
	for i := range h.Ops {
		if t := ops[i]; t.Kind == KindTransfer && oracleOpen(&t) {
			ops[i].Kind = KindRelease
			claim := Op{Kind: KindClaim, Node: t.OwnerNode, Incarnation: t.OwnerIncarnation, Actor: t.Actor, Call: t.Call, Return: t.Return, Outcome: t.Outcome}
			ops = append(ops, claim)
		}
	}
	return ops
}

// oracleLegal reports whether a legal order exists; ok is false when the search
// was given up.
func oracleLegal(h *History, maxSteps int) (legal, ok bool) {
	o := oracle{ops: scaled(h), failed: map[string]bool{}, steps: maxSteps}
	seen := map[uint64]bool{0: true}
	for _, op := range o.ops {
		for _, n := range []uint64{op.Incarnation, op.Token, op.OwnerIncarnation, op.NewToken} {
			if n != 0 {
				seen[n] = true
			}
		}
	}
	for n := range seen {
		if n != 0 {
			o.numbers = append(o.numbers, n)
		}
		for gap := uint64(1); gap <= 3; gap++ {
			o.numbers = append(o.numbers, n+gap)
		}
	}
	slices.Sort(o.numbers)
	legal = o.search(make([]bool, len(o.ops)), newOracleState())
	return legal, o.steps > 0
}

func (o *oracle) search(done []bool, s oracleState) bool {
	if o.steps--; o.steps <= 0 {
		return false
	}
	earliest, left := Open, false
	for i, op := range o.ops {
		if !done[i] && !oracleOpen(&op) {
			left = true
			earliest = min(earliest, op.Return)
		}
	}
	if !left {
		return true
	}
	key := fmt.Sprint(done) + s.key()
	if o.failed[key] {
		return false
	}
	for i := range o.ops {
		op := &o.ops[i]
		if done[i] || op.Call > earliest {
			continue
		}
		done[i] = true
		for _, next := range o.step(s, op) {
			if o.search(done, next) {
				return true
			}
		}
		done[i] = false
	}
	o.failed[key] = o.steps > 0
	return false
}

func oracleOpen(op *Op) bool {
	return op.Outcome == OutcomePending || op.Outcome == OutcomeUnknown
}

// step returns the states that can follow.
func (o *oracle) step(s oracleState, op *Op) []oracleState {
	same := []oracleState{s}
	when := func(legal bool) []oracleState {
		if legal {
			return same
		}
		return nil
	}
	if op.Outcome == OutcomeFailed {
		return same
	}
	switch op.Kind {
	case KindJoin:
		return o.join(s, op)
	case KindClaim:
		return o.claim(s, op)
	case KindRelease, KindGuard, KindTransfer:
		r, ok := s.inForce(op.Actor)
		owns := ok && r == oracleRecord{op.Node, op.Incarnation, op.Token}
		switch op.Outcome {
		case OutcomeLost:
			return same
		case OutcomeNotOwner, OutcomeRejected:
			return when(!owns)
		default: // ok or unknown
		}
		if op.Kind == KindGuard || !owns {
			return when(owns)
		}
		next := s.clone()
		if op.Kind == KindTransfer {
			if op.NewToken <= s.last[op.Actor] || !s.isLive(op.OwnerNode, op.OwnerIncarnation) {
				return nil
			}
			next.records[op.Actor] = oracleRecord{op.OwnerNode, op.OwnerIncarnation, op.NewToken}
			next.last[op.Actor] = op.NewToken
			return []oracleState{next}
		}
		delete(next.records, op.Actor)
		return []oracleState{next}
	case KindLookup:
		r, ok := s.inForce(op.Actor)
		if op.Outcome == OutcomeUnowned {
			return when(!ok)
		}
		return when(ok && r == oracleRecord{op.OwnerNode, op.OwnerIncarnation, op.Token})
	case KindLeave, KindRevoke:
		alive := s.isLive(op.Node, op.Incarnation)
		existed := s.issued[oracleID{op.Node, op.Incarnation}]
		if op.Outcome == OutcomeLost {
			return when(existed && !alive)
		}
		if !alive {
			return when(existed && op.Kind == KindLeave && op.Outcome == OutcomeOK)
		}
		next := s.clone()
		next.sessions[op.Node] = oracleSession{op.Incarnation, false}
		return []oracleState{next}
	default:
		return same
	}
}

func (o *oracle) join(s oracleState, op *Op) []oracleState {
	cur := s.sessions[op.Node]
	if op.Outcome == OutcomeInUse {
		if s.isLive(op.Node, op.OwnerIncarnation) {
			return []oracleState{s}
		}
		return nil
	}
	if cur.live && !op.Replace {
		return nil
	}
	var states []oracleState
	for _, inc := range o.candidates(op, op.Incarnation) {
		if inc > cur.inc {
			next := s.clone()
			next.sessions[op.Node] = oracleSession{inc, true}
			next.issued[oracleID{op.Node, inc}] = true
			states = append(states, next)
		}
	}
	return states
}

func (o *oracle) claim(s oracleState, op *Op) []oracleState {
	r, owned := s.inForce(op.Actor)
	switch {
	case op.Outcome == OutcomeLost:
		return []oracleState{s}
	case op.Outcome == OutcomeHeld:
		if owned && r == (oracleRecord{op.OwnerNode, op.OwnerIncarnation, op.Token}) &&
			(r.node != op.Node || r.inc != op.Incarnation) {
			return []oracleState{s}
		}
		return nil
	case owned && !oracleOpen(op) && r == oracleRecord{op.Node, op.Incarnation, op.Token}:
		return []oracleState{s}
	case owned || !s.isLive(op.Node, op.Incarnation):
		return nil
	}
	var states []oracleState
	for _, token := range o.candidates(op, op.Token) {
		if token > s.last[op.Actor] {
			next := s.clone()
			next.records[op.Actor] = oracleRecord{op.Node, op.Incarnation, token}
			next.last[op.Actor] = token
			states = append(states, next)
		}
	}
	return states
}

// candidates returns the numbers that an operation may have got.
func (o *oracle) candidates(op *Op, known uint64) []uint64 {
	if !oracleOpen(op) {
		return []uint64{known}
	}
	return o.numbers
}
