package linearizability

// prune takes out the operations that cannot decide whether a legal order
// exists, and narrows the open ones. Each step leaves the verdict as it was;
// why is said beside it. In all of them "open" means that the operation may
// take effect at any time after its call, or never: placed after everything
// else it is harmless, so an open operation matters only where its effect
// explains something.
func (x *index) prune() {
	for i := range x.nodes {
		x.nodes[i].openJoins = none
	}
	x.countClaimRoom()
	for _, i := range x.byCall {
		p := &x.ops[i]
		if !x.matters(i) {
			p.code = opNone
		}
		switch p.code {
		case opNone:
			continue
		case opEndOpen:
			// A session cannot end before the last result that needs it live
			// was asked for.
			p.from = max(p.call, x.sessions[p.session].lastSeen)
		case opReleaseOpen:
			p.from = max(p.call, x.records[p.record].lastSeen)
		default: // from its call
		}
		x.relevant++
		if p.code.isOpen() {
			x.open++
		}
	}
	for at := len(x.byCall) - 1; at >= 0; at-- {
		i := x.byCall[at]
		switch p := &x.ops[i]; p.code {
		case opJoinOpen:
			p.next, x.nodes[p.node].openJoins = x.nodes[p.node].openJoins, i
		case opClaimOpen:
			p.next, x.actors[p.actor].openClaims = x.actors[p.actor].openClaims, i
		default: // on no list
		}
	}
	for i := range x.nodes {
		x.rivals = x.rivals || x.hasRivals(int32(i))
	}
}

// hasRivals reports whether it is open which open join of the node started
// which session, or ended which: not so when there is exactly one for every
// session without an ok join and all are of one kind.
func (x *index) hasRivals(node int32) bool {
	n := &x.nodes[node]
	if n.openJoins == none {
		return false
	}
	for _, s := range x.sessionChain[n.first : n.first+n.count] {
		if !x.sessions[s].needed {
			return true
		}
	}
	unjoined := n.unjoined
	kind := x.ops[n.openJoins].replace
	for i := n.openJoins; i != none; i = x.ops[i].next {
		if x.ops[i].replace != kind {
			return true
		}
		unjoined--
	}
	return unjoined < 0
}

// matters reports whether operation i can decide the verdict.
func (x *index) matters(i int32) bool {
	p := &x.ops[i]
	switch p.code {
	case opNone:
		return false
	case opSeesNot:
		// A claim that nobody saw in force need not have been in force.
		return x.records[p.record].rank > 0
	case opReleaseOpen:
		// The claim was seen, and this is the first call of its open releases:
		// a later one could be replaced by it. Where the history has the
		// release that took effect, no open one did.
		r := &x.records[p.record]
		return r.rank > 0 && r.relOpen == i && r.release == none
	case opEndOpen:
		// As for releases; only an ok revoke is sure to have taken effect.
		s := &x.sessions[p.session]
		return s.rank > 0 && s.endOpen == i && s.revoke == none
	case opClaimOpen:
		return x.takeClaimRoom(p)
	case opJoinOpen:
		// Without replace its only use is to start a session that the history
		// needs and that no other join started.
		return p.replace || x.nodes[p.node].unjoined > 0
	default:
		return true
	}
}

// countClaimRoom counts the seen claims of each session and actor for which
// there is an open claim.
func (x *index) countClaimRoom() {
	open := false
	for i := range x.ops {
		open = open || x.ops[i].code == opClaimOpen
	}
	if !open {
		return
	}
	for _, i := range x.recordChain {
		r := &x.records[i]
		if r.given != none {
			continue
		}
		x.claimRoom[claimRoomKey{r.actor, r.session}]++
	}
}

// takeClaimRoom reports whether an open claim may have made a claim that was
// seen. An open claim whose token nobody saw only takes the actor away from
// others until its session ends, and so explains nothing: in every legal order
// it can be moved to the end. Of n claims that were seen at most n were made by
// open operations, and the n that were called first can stand in for any
// others.
func (x *index) takeClaimRoom(p *xop) bool {
	k := claimRoomKey{p.actor, p.session}
	room := x.claimRoom[k]
	if room == 0 {
		return false
	}
	x.claimRoom[k] = room - 1
	return true
}
