package linearizability

import (
	"fmt"
	"time"
)

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
//	the end of a session  its start, every claim and release it made, and every
//	                      result that saw it live or one of its claims in force
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

// failure says why there is no order.
type failure struct {
	rule    Rule
	actor   int32
	session int32 // of owner-not-ended: which did not end
	ops     []int32
	text    string
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
	}
	for i := range x.ops {
		if x.ops[i].code == opNever {
			return w.refuse(RuleHeldByItself, x.ops[i].actor, "a session cannot be refused a claim because it holds it", int32(i))
		}
	}
	return true
}

// refuse notes why there is no order. It returns false.
func (w *witness) refuse(rule Rule, actor int32, text string, ops ...int32) bool {
	w.fail = &failure{rule: rule, actor: actor, session: none, text: text, ops: ops}
	return false
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
	case opSeesNot:
		return w.over(p.record)
	default: // opUnowned
		return w.over(w.actors[p.actor].current)
	}
}

// isCalled reports whether an operation is there and can have taken effect.
func (w *witness) isCalled(i int32) bool {
	return i != none && w.x.ops[i].from <= w.now
}

// start starts a session.
func (w *witness) start(s int32) bool {
	at := &w.sessions[s]
	if at.start != idle {
		return at.start == finished || w.circular(s)
	}
	at.start = busy
	info := &w.x.sessions[s]
	prev := info.before
	if prev != none && !w.start(prev) {
		return false
	}
	join := info.join
	if join == none {
		over := prev == none || w.sessions[prev].ended
		if join = w.openJoin(info.node, over); join == none && !over {
			if !w.end(prev) {
				return false
			}
			join = w.openJoin(info.node, true)
		}
	}
	if !w.isCalled(join) {
		return w.refuse(RuleSessionUnknown, none,
			fmt.Sprintf("session %s had to have started, and no join can have started it by then", w.sessionName(s)), w.cause, info.join)
	}
	if prev != none && !w.sessions[prev].ended {
		if w.x.ops[join].replace && w.x.sessions[prev].revoke == none {
			if !w.drain(prev) {
				return false
			}
		} else if !w.end(prev) {
			return false
		}
	} else if w.nodes[info.node].unseen && !w.x.ops[join].replace {
		return w.refuse(RuleSessionUnknown, none, "an open join had to have started a session before it", w.cause, join)
	}
	at.start = finished
	w.put(join)
	n := &w.nodes[info.node]
	n.unseen = false
	if prev != none {
		w.ended(prev)
	}
	w.wake(&n.waiting)
	return true
}

// openJoin returns an open join of the node that has been called and is not in
// the order, or none: one without replace if plain is set and there is one,
// else one with.
func (w *witness) openJoin(node int32, plain bool) int32 {
	found := none
	for i := w.x.nodes[node].openJoins; i != none && w.isCalled(i); i = w.x.ops[i].next {
		switch {
		case w.done[i]:
		case !w.x.ops[i].replace:
			if plain {
				return i
			}
		case found == none:
			found = i
		}
	}
	return found
}

// drain puts everything into the order that a session's end must come after.
func (w *witness) drain(s int32) bool {
	at := &w.sessions[s]
	if at.drain != idle {
		return at.drain == finished || w.circular(s)
	}
	at.drain = busy
	for r := w.x.sessions[s].records; r != none; r = w.x.records[r].next {
		info := &w.x.records[r]
		if w.records[r].claim == idle && w.maker(info) == none {
			return w.refuse(RuleSessionOver, info.actor,
				fmt.Sprintf("session %s had to have ended, and it claimed token %d later", w.sessionName(s), info.token),
				w.cause, info.witness)
		}
		if !w.claim(r) {
			return false
		}
		if w.x.records[r].release != none && !w.release(r) {
			return false
		}
	}
	if at.sights > 0 {
		return w.seenLater(s, none)
	}
	at.drain = finished
	return true
}

// end ends a session.
func (w *witness) end(s int32) bool {
	at := &w.sessions[s]
	if at.ended {
		return true
	}
	if !w.start(s) {
		return false
	}
	if at.ending {
		return w.circular(s)
	}
	at.ending = true
	if !w.drain(s) {
		return false
	}
	if at.ended { // by the session after it, on the way
		return true
	}
	info := &w.x.sessions[s]
	var by int32
	switch {
	case info.revoke != none:
		if !w.isCalled(info.revoke) {
			return w.refuse(RuleOwnerSeenLater, none,
				fmt.Sprintf("session %s had to have ended, and a later revocation found it live", w.sessionName(s)), w.cause, info.revoke)
		}
		by = info.revoke
	case w.isCalled(info.leave):
		by = info.leave
	case w.isCalled(info.endOpen):
		by = info.endOpen
	default:
		return w.replaced(s)
	}
	w.put(by)
	w.ended(s)
	return true
}

// replaced ends a session by a join that replaces it.
func (w *witness) replaced(s int32) bool {
	next, node := w.x.sessions[s].after, w.x.sessions[s].node
	if next != none {
		join := w.x.sessions[next].join
		if join == none {
			join = w.openJoin(node, false)
		}
		if w.isCalled(join) && w.x.ops[join].replace {
			w.sessions[s].ending = false
			return w.start(next)
		}
	}
	if w.x.rivals && (next == none || w.x.sessions[next].join == none || w.x.ops[w.x.sessions[next].join].replace) {
		if join := w.openJoin(node, false); join != none {
			w.nodes[node].unseen = true
			w.put(join)
			w.ended(s)
			return true
		}
	}
	w.refuse(RuleOwnerNotEnded, none,
		fmt.Sprintf("session %s had to have ended, and nothing can have ended it by then", w.sessionName(s)),
		w.cause, w.x.sessions[s].join)
	w.fail.session = s
	return false
}

// ended does what follows from the end of a session.
func (w *witness) ended(s int32) {
	if w.sessions[s].ended {
		return
	}
	w.sessions[s].ended = true
	w.wake(&w.nodes[w.x.sessions[s].node].waiting)
	for r := w.x.sessions[s].records; r != none; r = w.x.records[r].next {
		if a := &w.actors[w.x.records[r].actor]; a.current == r {
			w.wake(&a.waiting)
		}
	}
}

// claim makes a claim.
func (w *witness) claim(r int32) bool {
	at, info := &w.records[r], &w.x.records[r]
	if at.claim != idle {
		return at.claim == finished || w.circular(info.session)
	}
	at.claim = busy
	if prev := w.x.recordAt(info.actor, info.rank-1); prev != none {
		if !w.claim(prev) {
			return false
		}
		if p := &w.x.records[prev]; p.session == info.session && p.release == none && p.relOpen == none {
			return w.refuse(RuleOwnerNotEnded, info.actor,
				fmt.Sprintf("session %s got token %d while it had token %d", w.sessionName(info.session), info.token, p.token),
				p.witness, info.witness)
		}
		if !w.over(prev) {
			return false
		}
	}
	if !w.start(info.session) {
		return false
	}
	by := w.maker(info)
	if by == none {
		return w.refuse(RuleTokenUnknown, info.actor,
			fmt.Sprintf("token %d of %s had to be claimed, and no claim can have made it by then", info.token, w.sessionName(info.session)),
			w.cause, info.claim)
	}
	at.claim = finished
	a := &w.actors[info.actor]
	a.current = r
	w.put(by)
	w.wake(&a.waiting)
	return true
}

// maker returns an operation that has been called and can have made a claim: an
// ok claim, else an open one that is not in the order, else none.
func (w *witness) maker(info *recordInfo) int32 {
	if w.isCalled(info.claim) {
		return info.claim
	}
	for i := w.x.actors[info.actor].openClaims; i != none && w.isCalled(i); i = w.x.ops[i].next {
		if w.x.ops[i].session == info.session && !w.done[i] {
			return i
		}
	}
	return none
}

// over makes sure that a claim was made and is not in force any more.
func (w *witness) over(r int32) bool {
	info := &w.x.records[r]
	if !w.claim(r) {
		return false
	}
	switch {
	case w.records[r].released || w.sessions[info.session].ended:
		return true
	case info.release != none:
		return w.release(r)
	case w.records[r].sights > 0:
		return w.seenLater(none, r)
	case w.isCalled(info.relOpen):
		w.records[r].released = true
		w.put(info.relOpen)
		w.wake(&w.actors[info.actor].waiting)
		return true
	}
	if !w.end(info.session) {
		if w.fail.session == info.session {
			w.fail = &failure{
				rule: RuleOwnerNotEnded, actor: info.actor, session: none, ops: []int32{info.witness, w.cause},
				text: fmt.Sprintf("token %d of %s had to be over, and nothing can have ended it by then",
					info.token, w.sessionName(info.session)),
			}
		}
		return false
	}
	return true
}

// release puts the release of a claim into the order.
func (w *witness) release(r int32) bool {
	at, info := &w.records[r], &w.x.records[r]
	if at.released {
		return true
	}
	if !w.claim(r) {
		return false
	}
	switch {
	case at.sights > 0:
		return w.seenLater(none, r)
	case !w.isCalled(info.release):
		return w.refuse(RuleOwnerSeenLater, info.actor,
			fmt.Sprintf("token %d had to be over, and a later release found it in force", info.token), w.cause, info.release)
	}
	at.released = true
	w.put(info.release)
	w.wake(&w.actors[info.actor].waiting)
	return true
}

// circular refuses a history in which something must come before itself.
func (w *witness) circular(s int32) bool {
	return w.refuse(RuleCircular, w.x.ops[w.cause].actor,
		fmt.Sprintf("what session %s did and saw must come both before and after what others did and saw", w.sessionName(s)),
		w.cause, w.x.sessions[s].join)
}

// seenLater refuses a history in which a session, or a claim, had to be over
// and a result that saw it was asked for later.
func (w *witness) seenLater(s, r int32) bool {
	for i := range w.x.ops {
		p := &w.x.ops[i]
		if w.done[i] {
			continue
		}
		var what string
		switch {
		case p.code.seesRecord() && (p.record == r || s != none && w.x.records[p.record].session == s):
			what = fmt.Sprintf("token %d", w.x.records[p.record].token)
		case p.code == opInUse && p.session == s:
			what = "session " + w.sessionName(s)
		default:
			continue
		}
		return w.refuse(RuleOwnerSeenLater, w.x.ops[w.cause].actor,
			what+" had to be over, and an operation that was called later saw it in force", w.cause, int32(i))
	}
	panic("linearizability: a result that waits is nowhere")
}

func (w *witness) sessionName(s int32) string {
	return fmt.Sprintf("%s/%d", w.x.nodes[w.x.sessions[s].node].name, w.x.sessions[s].inc)
}
