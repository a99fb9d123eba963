package linearizability

import "fmt"

// The steps of the witness checker: each puts an effect into the order, after
// all that must come before it, or refuses the history and returns false.

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
	if info.given != none {
		return w.transfer(r)
	}
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

// transfer makes a claim by the transfer that ended the one before it.
func (w *witness) transfer(r int32) bool {
	at, info := &w.records[r], &w.x.records[r]
	from := w.x.ops[info.given].record
	if w.x.recordAt(info.actor, info.rank-1) != from {
		return w.refuse(RuleTransferNotNext, info.actor,
			fmt.Sprintf("token %d came by a transfer of token %d and is not the next one after it", info.token, w.x.records[from].token),
			w.x.records[from].witness, info.given)
	}
	if !w.claim(from) {
		return false
	}
	if w.records[from].sights > 0 {
		return w.seenLater(none, from)
	}
	if !w.start(info.session) {
		return false
	}
	if !w.isCalled(info.given) {
		return w.refuse(RuleTokenUnknown, info.actor,
			fmt.Sprintf("token %d of %s had to be there, and its transfer was called later", info.token, w.sessionName(info.session)),
			w.cause, info.given)
	}
	at.claim, w.records[from].released = finished, true
	a := &w.actors[info.actor]
	a.current = r
	w.put(info.given)
	w.wake(&a.waiting)
	return true
}

// maker returns an operation that has been called and can have made a claim: an
// transfer or ok claim, else an open one that is not in the order, else none.
func (w *witness) maker(info *recordInfo) int32 {
	if info.given != none {
		if w.isCalled(info.given) {
			return info.given
		}
		return none
	}
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

// release puts the release or transfer of a claim into the order.
func (w *witness) release(r int32) bool {
	at, info := &w.records[r], &w.x.records[r]
	if at.released {
		return true
	}
	if !w.claim(r) {
		return false
	}
	p := &w.x.ops[info.release]
	switch {
	case at.sights > 0:
		return w.seenLater(none, r)
	case !w.isCalled(info.release):
		return w.refuse(RuleOwnerSeenLater, info.actor,
			fmt.Sprintf("token %d had to be over, and a later %v found it in force", info.token, w.x.h.Ops[p.op].Kind), w.cause, info.release)
	case p.code == opTransfer:
		return w.claim(p.made)
	}
	at.released = true
	w.put(info.release)
	w.wake(&w.actors[info.actor].waiting)
	return true
}
