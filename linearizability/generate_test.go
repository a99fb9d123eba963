package linearizability

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// draw returns a number in [0, n).
type draw func(n int) int

func drawRapid(t *rapid.T) draw {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
}

func drawRand(r *rand.Rand) draw { return r.IntN }

// shape is what a generated history looks like.
type shape struct {
	ops, nodes, actors int
	width              int // of an operation's interval, in steps of the history
	openPercent        int
}

// generator makes legal histories: it runs the specification one operation
// after another, and then lets each take some time around its moment.
type generator struct {
	draw   draw
	shape  shape
	h      *History
	clock  uint64 // commit version
	live   map[string]uint64
	record map[string]oracleRecord
	// what clients may name: every session and claim there ever was
	sessions []oracleID
	claims   []generatedClaim
}

type generatedClaim struct {
	actor string
	oracleRecord
}

const stepTime = 10 // nanoseconds between the moments of two operations

func generate(d draw, s shape) *History {
	g := &generator{draw: d, shape: s, h: &History{}, live: map[string]uint64{}, record: map[string]oracleRecord{}}
	for i := range s.ops {
		op := g.next()
		op.ID, op.Client = i, fmt.Sprintf("c%d", i)
		at := (s.width + 1 + i) * stepTime
		op.Call = time.Duration(at - d(s.width*stepTime+1))
		op.Return = time.Duration(at + d(s.width*stepTime+1))
		if o := op.Outcome; g.effect(&op) && g.chance(s.openPercent) {
			op = pending(op, o == OutcomeOK && g.chance(50))
		}
		g.h.Ops = append(g.h.Ops, op)
	}
	return g.h
}

// pending hides the result of an operation.
func pending(op Op, returned bool) Op {
	op.Outcome, op.Version, op.NewToken = OutcomeUnknown, 0, 0
	if op.Kind != KindTransfer {
		op.OwnerNode, op.OwnerIncarnation = "", 0
	}
	if op.Kind == KindJoin {
		op.Incarnation = 0
	}
	if op.Kind == KindClaim {
		op.Token = 0
	}
	if !returned {
		op.Outcome, op.Return = OutcomePending, Open
	}
	return op
}

func (g *generator) chance(percent int) bool { return g.draw(100) < percent }

// effect reports whether the operation's result may be hidden.
func (g *generator) effect(op *Op) bool {
	return op.Kind == KindJoin || op.Kind == KindClaim || op.Kind == KindRelease || op.Kind == KindTransfer || op.Kind == KindLeave ||
		op.Kind == KindRevoke || op.Kind == KindGuard
}

func (g *generator) node() string  { return fmt.Sprintf("n%d", g.draw(g.shape.nodes)+1) }
func (g *generator) actor() string { return string(rune('a' + g.draw(g.shape.actors))) }

func (g *generator) version() uint64 {
	g.clock += 1 + uint64(g.draw(2))
	return g.clock
}

func (g *generator) owner(actor string) (oracleRecord, bool) {
	r, ok := g.record[actor]
	return r, ok && g.live[r.node] == r.inc
}

// next makes one operation and its effect.
func (g *generator) next() Op {
	kind := g.draw(20)
	if len(g.sessions) == 0 || kind < 3 {
		return g.join()
	}
	s := g.sessions[len(g.sessions)-1-g.draw(min(len(g.sessions), 4))]
	switch {
	case kind < 9:
		return g.claim(s)
	case kind < 12:
		return g.lookup()
	case kind < 14:
		return g.end(s)
	case len(g.claims) == 0:
		return g.claim(s)
	}
	return g.present(g.claims[len(g.claims)-1-g.draw(min(len(g.claims), 4))], kind)
}

func (g *generator) join() Op {
	op := Op{Kind: KindJoin, Node: g.node(), Replace: g.chance(30)}
	if inc := g.live[op.Node]; inc != 0 && !op.Replace {
		op.Outcome, op.OwnerIncarnation = OutcomeInUse, inc
		return op
	}
	op.Outcome, op.Incarnation = OutcomeOK, g.version()
	g.live[op.Node] = op.Incarnation
	g.sessions = append(g.sessions, oracleID{op.Node, op.Incarnation})
	return op
}

func (g *generator) claim(s oracleID) Op {
	op := Op{Kind: KindClaim, Node: s.node, Incarnation: s.inc, Actor: g.actor()}
	r, owned := g.owner(op.Actor)
	switch {
	case owned && (r.node != s.node || r.inc != s.inc):
		op.Outcome, op.OwnerNode, op.OwnerIncarnation, op.Token = OutcomeHeld, r.node, r.inc, r.token
	case g.live[s.node] != s.inc:
		op.Outcome = OutcomeLost
	case owned:
		op.Outcome, op.Token = OutcomeOK, r.token
	default:
		op.Outcome, op.Token = OutcomeOK, g.version()
		g.record[op.Actor] = oracleRecord{s.node, s.inc, op.Token}
		g.claims = append(g.claims, generatedClaim{op.Actor, g.record[op.Actor]})
	}
	return op
}

func (g *generator) lookup() Op {
	op := Op{Kind: KindLookup, Actor: g.actor(), Outcome: OutcomeUnowned}
	if r, owned := g.owner(op.Actor); owned {
		op.Outcome, op.OwnerNode, op.OwnerIncarnation, op.Token = OutcomeOK, r.node, r.inc, r.token
	}
	return op
}

func (g *generator) end(s oracleID) Op {
	op := Op{Kind: KindLeave, Node: s.node, Incarnation: s.inc, Outcome: OutcomeOK}
	alive := g.live[s.node] == s.inc
	if g.chance(50) {
		op.Kind = KindRevoke
	}
	switch {
	case alive:
		delete(g.live, s.node)
		op.Version = g.version()
	case op.Kind == KindRevoke:
		op.Outcome = OutcomeFailed
	case g.chance(50):
		op.Outcome = OutcomeLost
	}
	return op
}

// present makes a release, a transfer or a guard.
func (g *generator) present(c generatedClaim, kind int) Op {
	op := Op{Kind: KindRelease, Node: c.node, Incarnation: c.inc, Actor: c.actor, Token: c.token, Outcome: OutcomeOK}
	r, owned := g.owner(c.actor)
	owned = owned && r == c.oracleRecord
	if kind > 16 {
		op.Kind = KindGuard
		if !owned {
			op.Outcome = OutcomeRejected
		}
		return op
	}
	to := g.sessions[len(g.sessions)-1-g.draw(min(len(g.sessions), 4))]
	if kind < 16 && to != (oracleID{c.node, c.inc}) {
		op.Kind, op.OwnerNode, op.OwnerIncarnation = KindTransfer, to.node, to.inc
	}
	if !owned {
		op.Outcome = OutcomeNotOwner
		return op
	}
	if op.Kind == KindTransfer {
		if g.live[to.node] != to.inc {
			op.Outcome = OutcomeFailed
			return op
		}
		op.NewToken = g.version()
		op.Version = op.NewToken
		g.record[c.actor] = oracleRecord{to.node, to.inc, op.NewToken}
		g.claims = append(g.claims, generatedClaim{c.actor, g.record[c.actor]})
		return op
	}
	delete(g.record, c.actor)
	op.Version = g.version()
	return op
}

// mutate breaks a history in one place; what comes out is valid as a history
// and often illegal.
func mutate(d draw, h *History) *History {
	out := &History{Header: h.Header, Ops: slices.Clone(h.Ops)}
	for range 50 {
		i := d(len(out.Ops))
		op := out.Ops[i]
		other := out.Ops[d(len(out.Ops))]
		switch d(10) {
		case 0:
			op.Call, op.Return = other.Call, max(op.Return, other.Call)
		case 1:
			op.Return = max(op.Call, min(op.Return, other.Return))
		case 2:
			shift := time.Duration(d(4*stepTime+1) - 2*stepTime)
			op.Call = max(0, op.Call+shift)
			if op.Return != Open {
				op.Return = max(op.Call, op.Return+shift)
			}
		case 3:
			if other.Token != 0 && op.Token != 0 {
				op.Token = other.Token
			}
		case 4:
			if op.Token != 0 {
				op.Token = uint64(max(1, int(op.Token)+d(5)-2))
			}
		case 5:
			if op.OwnerNode != "" && other.OwnerNode != "" {
				op.OwnerNode, op.OwnerIncarnation = other.OwnerNode, other.OwnerIncarnation
			}
		case 6:
			if op.Incarnation != 0 && other.Incarnation != 0 && op.Outcome != OutcomePending {
				op.Incarnation = other.Incarnation
				op.Node = other.Node
			}
		case 7:
			op.Outcome = flipped(op)
		case 8:
			if op.NewToken != 0 {
				op.NewToken = uint64(max(1, int(op.NewToken)+d(5)-2))
			}
		case 9:
			if len(out.Ops) > 1 {
				out.Ops = slices.Delete(out.Ops, i, i+1)
				return out
			}
		}
		op.Version = 0
		if op.Validate() == nil && op != out.Ops[i] {
			out.Ops[i] = op
			return out
		}
	}
	return out
}

// flipped returns another outcome that needs the same fields.
func flipped(op Op) Outcome {
	switch {
	case op.Kind == KindRelease && op.Outcome == OutcomeOK, op.Kind == KindRelease && op.Outcome == OutcomeUnknown:
		return OutcomeNotOwner
	case op.Kind == KindRelease && op.Outcome == OutcomeNotOwner:
		return OutcomeOK
	case op.Kind == KindTransfer && op.Outcome == OutcomeUnknown:
		return OutcomeNotOwner
	case op.Kind == KindTransfer && op.Outcome == OutcomeNotOwner:
		return OutcomeUnknown
	case op.Kind == KindGuard && op.Outcome == OutcomeOK:
		return OutcomeRejected
	case op.Kind == KindGuard && op.Outcome == OutcomeRejected:
		return OutcomeOK
	case op.Kind == KindLeave && op.Outcome == OutcomeLost, op.Kind == KindRevoke && op.Outcome == OutcomeFailed:
		return OutcomeOK
	case op.Kind == KindLeave && op.Outcome == OutcomeOK:
		return OutcomeLost
	case op.Kind == KindRevoke && op.Outcome == OutcomeOK:
		return OutcomeFailed
	}
	return op.Outcome
}
