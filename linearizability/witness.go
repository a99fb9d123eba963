package linearizability

import "time"

// witness is the second checker. It uses tokens and incarnations as the order
// of the effects on each actor and each node, and decides in O(n log n), n
// being the operations, plus the operations that wait at once.
//
// Criterion. The specification itself fixes, for every effect, what must come
// before it:
//
//	start of a session    the end of the node's session before it
//	a claim               the end of the actor's claim before it (its release,
//	                      or the end of its session); the start of its session
//	a release             its claim, and every result that saw the claim in force
//	a transfer            what must come before the release of the one claim, and
//	                      before the other: it is both
//	the end of a session  its start, every claim, release and transfer that it made,
//	                      every transfer to it, and every result that saw it live
//	                      or one of its claims in force
//
// The history is swept in the order of time. An operation is put into the
// order no sooner than it must be: at its return, after everything that must
// come before it, recursively; all of that must have been called by then. An
// operation that changes nothing is put into the order at the first moment at
// which its result is right, its call or later. If at its return there was no
// such moment, the least that makes its result right is put into the order
// first. What may have several causes (a session that two operations could
// have ended, a claim that was answered twice) takes the cause that was called
// first, which serves at least as well as any other.
//
// Sweeping so keeps every node and every actor at the earliest place that any
// legal order has at that time, so that when the sweep fails no legal order
// exists. One thing is not decided: when sessions compete for open joins (see
// hasRivals), a failure is reported as [Unknown].
//
// When the sweep ends it has an order, which certify replays through the
// specification.
type witness struct {
	x *index

	order    []int32 // operations in the order of their effects
	done     []bool  // by operation
	sessions []sessionSweep
	records  []recordSweep
	nodes    []nodeSweep
	actors   []actorSweep
	waiting  []int32 // next in a waiting list, by operation

	now   time.Duration
	cause int32 // the operation whose return is being handled
	fail  *failure
}

// progress of a step that needs other steps first; a step that needs itself
// cannot be made.
type progress uint8

const (
	idle progress = iota
	busy
	finished
)

type sessionSweep struct {
	start  progress
	drain  progress
	ended  bool
	ending bool
	sights int32 // results that need it live and are not in the order
}

type recordSweep struct {
	claim    progress
	released bool
	sights   int32 // results that need it in force and are not in the order
}

type nodeSweep struct {
	unseen  bool // an open join replaced its last session by one that nobody saw
	waiting int32
}

type actorSweep struct {
	current int32 // its last claim, or none
	waiting int32
}

// run sweeps the history.
func (w *witness) run(x *index) Verdict {
	w.reset(x)
	if !w.unique() {
		return Illegal
	}
	next := 0
	for _, r := range x.byReturn {
		ret := x.ops[r].ret
		for ; next < len(x.byCall) && x.ops[x.byCall[next]].call <= ret; next++ {
			w.called(x.byCall[next])
		}
		if x.ops[r].code == opNone || w.done[r] {
			continue
		}
		w.now, w.cause = ret, r
		if !w.returned(r) {
			return w.refused()
		}
	}
	return Ok
}

// refused is the verdict on a history for which the sweep found no order.
func (w *witness) refused() Verdict {
	if w.x.rivals {
		return Unknown
	}
	return Illegal
}

func (w *witness) reset(x *index) {
	w.x, w.fail, w.order = x, nil, w.order[:0]
	w.done = grow(w.done, len(x.ops))
	clear(w.done)
	w.waiting = grow(w.waiting, len(x.ops))
	w.sessions = w.sessions[:0]
	for i := range x.sessions {
		w.sessions = append(w.sessions, sessionSweep{sights: x.sessions[i].sights})
	}
	w.records = w.records[:0]
	for i := range x.records {
		w.records = append(w.records, recordSweep{sights: x.records[i].sights})
	}
	w.nodes = w.nodes[:0]
	for range x.nodes {
		w.nodes = append(w.nodes, nodeSweep{waiting: none})
	}
	w.actors = w.actors[:0]
	for range x.actors {
		w.actors = append(w.actors, actorSweep{current: none, waiting: none})
	}
}

// unique finds what must happen once and was seen twice, and results that are
// wrong whenever they come.
func (w *witness) unique() bool {
	x := w.x
	for i := range x.sessions {
		s := &x.sessions[i]
		if s.rejoined != none {
			return w.refuse(RuleIncarnationReused, none, "both joins returned the same incarnation", s.join, s.rejoined)
		}
		if s.revoked != none {
			return w.refuse(RuleEndedTwice, none, "both revocations ended the same session", s.revoke, s.revoked)
		}
	}
	for _, i := range x.recordChain {
		r := &x.records[i]
		if r.twin {
			other := &x.records[x.recordAt(r.actor, r.rank-1)]
			return w.refuse(RuleTokenReused, r.actor, "they saw one token with two owners", other.witness, r.witness)
		}
		if r.released != none {
			return w.refuse(RuleEndedTwice, r.actor, "both released the same claim", r.release, r.released)
		}
		if r.regiven != none {
			return w.refuse(RuleTokenReused, r.actor, "both transfers made the same token", r.given, r.regiven)
		}
	}
	for i := range x.ops {
		if x.ops[i].code == opNever {
			return w.refuse(RuleHeldByItself, x.ops[i].actor, "a session cannot be refused a claim because it holds it", int32(i))
		}
	}
	return true
}

// called handles a call.
func (w *witness) called(i int32) {
	p := &w.x.ops[i]
	switch p.code {
	case opClaim, opSees, opSeesNot, opUnowned:
		if w.right(p) {
			w.put(i)
			return
		}
		actor := p.actor
		w.waiting[i], w.actors[actor].waiting = w.actors[actor].waiting, i
	case opInUse, opLeave, opLeaveLost:
		if w.right(p) {
			w.put(i)
			return
		}
		w.waiting[i], w.nodes[p.node].waiting = w.nodes[p.node].waiting, i
	default: // an effect, or of no interest
	}
}

// right reports whether the result of an operation that changes nothing is
// right in the present state.
func (w *witness) right(p *xop) bool {
	switch p.code {
	case opClaim, opSees:
		return w.inForce(p.record)
	case opSeesNot:
		return !w.inForce(p.record)
	case opUnowned:
		c := w.actors[p.actor].current
		return c == none || !w.inForce(c)
	case opInUse:
		return w.sessions[p.session].start == finished && !w.sessions[p.session].ended
	default: // opLeave, opLeaveLost
		return w.sessions[p.session].ended
	}
}

func (w *witness) inForce(record int32) bool {
	return w.actors[w.x.records[record].actor].current == record &&
		!w.records[record].released && !w.sessions[w.x.records[record].session].ended
}

// put puts an operation into the order.
func (w *witness) put(i int32) {
	if w.done[i] {
		return
	}
	w.done[i] = true
	w.order = append(w.order, i)
	switch p := &w.x.ops[i]; p.code {
	case opClaim, opSees:
		w.records[p.record].sights--
		w.sessions[w.x.records[p.record].session].sights--
	case opInUse:
		w.sessions[p.session].sights--
	default: // saw nothing
	}
}

// wake puts those of the waiting operations into the order whose results are
// right now.
func (w *witness) wake(head *int32) {
	for at := head; *at != none; {
		i := *at
		if !w.done[i] && w.right(&w.x.ops[i]) {
			w.put(i)
		}
		if w.done[i] {
			*at = w.waiting[i]
			continue
		}
		at = &w.waiting[i]
	}
}

// returned puts an operation into the order that must be there now.
func (w *witness) returned(i int32) bool {
	switch p := &w.x.ops[i]; p.code {
	case opJoin:
		return w.start(p.session)
	case opRevoke, opLeave, opLeaveLost:
		return w.end(p.session)
	case opInUse:
		return w.start(p.session)
	case opClaim, opSees:
		return w.claim(p.record)
	case opRelease:
		return w.release(p.record)
	case opTransfer:
		return w.claim(p.made)
	case opSeesNot:
		return w.over(p.record)
	default: // opUnowned
		for a := &w.actors[p.actor]; w.inForce(a.current); { // a transfer ends one claim and makes the next
			if !w.over(a.current) {
				return false
			}
		}
		return true
	}
}

// isCalled reports whether an operation is there and can have taken effect.
func (w *witness) isCalled(i int32) bool {
	return i != none && w.x.ops[i].from <= w.now
}
