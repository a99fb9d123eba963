package linearizability

import (
	"github.com/anishathalye/porcupine"
)

// horizonTime is when the horizon is called and returns: after everything with
// a definite result and before open operations return.
const horizonTime = Open - 1

// prover runs porcupine over an index: one search over the whole history, or
// one search for each node and each actor.
type prover struct {
	x       *index
	search  search
	model   porcupine.Model
	horizon xop
	ops     []porcupine.Operation

	byNode   lists // session operations of each node
	byActor  lists // claims, releases, lookups and guards of each actor
	touched  []int32
	searches int
	steps    uint64
}

func newProver(x *index) *prover {
	p := &prover{x: x}
	p.search.x = x
	p.horizon = xop{search: &p.search, op: none, code: opHorizon, call: horizonTime, from: horizonTime, ret: horizonTime}
	p.model = x.model(func() *state { return p.search.initial })
	return p
}

// part names what a search was about: everything, one node or one actor.
type part struct {
	node, actor int32
}

var wholePart = part{none, none}

// whole searches the whole history.
func (p *prover) whole(budget int) Verdict {
	p.reset()
	x := p.x
	for i := range x.nodes {
		p.search.nodeSlot[i] = int32(i)
	}
	p.search.actor0 = int32(len(x.nodes))
	p.begin(len(x.nodes)+len(x.actors), budget)
	for i := range x.ops {
		p.add(int32(i))
	}
	return p.run()
}

// parts searches each node's session operations, and each actor's operations
// together with the operations that start and end the sessions of the nodes it
// has to do with. It returns the first part that has no legal order.
//
// That is sound: a legal order of the whole, cut down to the operations of a
// part, is a legal order of the part, since what is left out changes no state
// that the part reads. It says less: each part may put a session's end in a
// place of its own.
func (p *prover) parts(budget int) (Verdict, part) {
	p.reset()
	x := p.x
	p.byNode.fill(len(x.nodes), len(x.ops), func(i int) int32 {
		if x.ops[i].code.ofSession() {
			return x.ops[i].node
		}
		return none
	})
	p.byActor.fill(len(x.actors), len(x.ops), func(i int) int32 {
		if o := &x.ops[i]; o.code != opNone && !o.code.ofSession() {
			return o.actor
		}
		return none
	})
	verdict := Ok
	for i := range x.nodes {
		at := part{int32(i), none}
		switch p.node(at.node, budget) {
		case Illegal:
			return Illegal, at
		case Unknown:
			verdict = Unknown
		default: // the next one
		}
	}
	for i := range x.actors {
		at := part{none, int32(i)}
		switch p.actor(at.actor, budget) {
		case Illegal:
			return Illegal, at
		case Unknown:
			verdict = Unknown
		default: // the next one
		}
	}
	return verdict, wholePart
}

// ofSession reports whether the operation is about a session and no actor.
func (c opcode) ofSession() bool {
	switch c {
	case opJoin, opJoinOpen, opInUse, opLeave, opLeaveLost, opRevoke, opEndOpen:
		return true
	default:
		return false
	}
}

func (p *prover) reset() {
	p.searches, p.steps = 0, 0
	p.search.nodeSlot = grow(p.search.nodeSlot, len(p.x.nodes))
}

// begin prepares a search.
func (p *prover) begin(slots, budget int) {
	p.search.start(slots, budget)
	p.ops = p.ops[:0]
}

// add puts an operation into the search.
func (p *prover) add(i int32) {
	o := &p.x.ops[i]
	if o.code == opNone {
		return
	}
	o.search = &p.search
	p.ops = append(p.ops, porcupine.Operation{Input: o, Call: int64(o.from), Return: int64(o.ret)})
}

// run runs porcupine on what was added.
func (p *prover) run() Verdict {
	if len(p.ops) == 0 {
		return Ok
	}
	if p.x.open > 0 {
		p.ops = append(p.ops, porcupine.Operation{Input: &p.horizon, Call: int64(horizonTime), Return: int64(horizonTime)})
	}
	ok := porcupine.CheckOperations(p.model, p.ops)
	p.searches++
	p.steps += p.search.steps
	switch {
	case p.search.exhausted:
		return Unknown
	case ok:
		return Ok
	default:
		return Illegal
	}
}

func (p *prover) node(node int32, budget int) Verdict {
	p.search.nodeSlot[node] = 0
	p.begin(1, budget)
	for _, i := range p.byNode.of(node) {
		p.add(i)
	}
	return p.run()
}

func (p *prover) actor(actor int32, budget int) Verdict {
	x := p.x
	p.touched = p.touched[:0]
	for i := range x.nodes {
		p.search.nodeSlot[i] = none
	}
	touch := func(session int32) {
		n := x.sessions[session].node
		if p.search.nodeSlot[n] == none {
			p.search.nodeSlot[n] = int32(len(p.touched))
			p.touched = append(p.touched, n)
		}
	}
	for _, i := range p.byActor.of(actor) {
		if o := &x.ops[i]; o.record != none {
			touch(x.records[o.record].session)
			if o.made != none {
				touch(x.records[o.made].session)
			}
		} else if o.code == opClaimOpen {
			touch(o.session)
		}
	}
	p.search.actor0 = int32(len(p.touched)) - actor
	p.begin(len(p.touched)+1, budget)
	for _, n := range p.touched {
		for _, i := range p.byNode.of(n) {
			if c := x.ops[i].code; c != opInUse && c != opLeaveLost { // these change nothing
				p.add(i)
			}
		}
	}
	for _, i := range p.byActor.of(actor) {
		p.add(i)
	}
	return p.run()
}

// lists holds one list of places for each of a number of keys.
type lists struct {
	start []int32
	items []int32
}

// fill puts each of n items into the list of its key; none leaves it out.
func (l *lists) fill(keys, n int, key func(i int) int32) {
	l.start = grow(l.start, keys+1)
	clear(l.start)
	total := 0
	for i := range n {
		if k := key(i); k != none {
			l.start[k]++
			total++
		}
	}
	l.items = grow(l.items, total)
	end := int32(0)
	for k := range l.start {
		end += l.start[k]
		l.start[k] = end
	}
	for i := n - 1; i >= 0; i-- {
		if k := key(i); k != none {
			l.start[k]--
			l.items[l.start[k]] = int32(i)
		}
	}
}

func (l *lists) of(key int32) []int32 { return l.items[l.start[key]:l.start[key+1]] }

// grow returns a slice of length n that reuses s when it can. Its contents are
// undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
