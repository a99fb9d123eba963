package linearizability

// opcode is what an operation means to the specification.
type opcode uint8

const (
	opNone        opcode = iota // takes no part
	opJoin                      // ok
	opJoinOpen                  // may have started a session
	opInUse                     // sees a live session
	opClaim                     // ok: a new claim, or the same token back
	opClaimOpen                 // may have made a claim
	opSees                      // sees a claim in force: held, lookup ok, guard ok
	opSeesNot                   // sees that a claim is not in force: not-owner, rejected
	opUnowned                   // lookup that found nobody
	opRelease                   // ok
	opReleaseOpen               // may have released a claim
	opTransfer                  // ok: ends a claim and makes the next one of its actor
	opLeave                     // ok: ends a session, or finds it ended
	opLeaveLost                 // finds the session ended
	opRevoke                    // ok: ends a live session
	opEndOpen                   // a leave or revoke that may have ended a session
	opNever                     // a result that is wrong in every state
	opHorizon                   // the end of the history; see model.go
)

// isOpen reports whether the operation may take effect at any time after its
// call, or never.
func (c opcode) isOpen() bool {
	return c == opJoinOpen || c == opClaimOpen || c == opReleaseOpen || c == opEndOpen
}

// seesRecord reports whether the operation, other than a release, needs its
// claim to be in force.
func (c opcode) seesRecord() bool { return c == opClaim || c == opSees }

// meanings says what the specification makes of each kind and outcome. What is
// not here takes no part.
var meanings = [kindCount][outcomeCount]opcode{
	KindJoin: {
		OutcomePending: opJoinOpen, OutcomeUnknown: opJoinOpen,
		OutcomeOK: opJoin, OutcomeInUse: opInUse,
	},
	KindClaim: {
		OutcomePending: opClaimOpen, OutcomeUnknown: opClaimOpen,
		OutcomeOK: opClaim, OutcomeHeld: opSees,
	},
	KindRelease: {
		OutcomePending: opReleaseOpen, OutcomeUnknown: opReleaseOpen,
		OutcomeOK: opRelease, OutcomeNotOwner: opSeesNot,
	},
	// One whose result is not known is two open operations: see split.
	KindTransfer: {
		OutcomePending: opReleaseOpen, OutcomeUnknown: opReleaseOpen,
		OutcomeOK: opTransfer, OutcomeNotOwner: opSeesNot,
	},
	KindLookup: {OutcomeOK: opSees, OutcomeUnowned: opUnowned},
	KindLeave: {
		OutcomePending: opEndOpen, OutcomeUnknown: opEndOpen,
		OutcomeOK: opLeave, OutcomeLost: opLeaveLost,
	},
	KindRevoke: {
		OutcomePending: opEndOpen, OutcomeUnknown: opEndOpen,
		OutcomeOK: opRevoke,
	},
	KindGuard: {OutcomeOK: opSees, OutcomeRejected: opSeesNot},
}

// convert interns the names of one operation and finds its meaning.
func (x *index) convert(i int32, o *Op) xop {
	p := xop{
		op: i, code: meanings[o.Kind][o.Outcome], replace: o.Replace,
		node: none, actor: none, session: none, record: none, made: none, next: none,
		call: o.Call, from: o.Call, ret: o.Return,
	}
	if o.Outcome == OutcomeUnknown {
		p.ret = Open
	}
	if o.Actor != "" {
		p.actor = x.internActor(o.Actor)
	}
	if o.Node != "" {
		p.node = x.internNode(o.Node)
		if o.Incarnation != 0 {
			p.session = x.internSession(p.node, o.Incarnation)
		}
	}
	switch {
	case p.code == opInUse:
		p.session = x.internSession(p.node, o.OwnerIncarnation)
	case o.Kind == KindTransfer:
		p.record = x.internRecord(p.actor, o.Token, p.session)
		if p.code == opTransfer {
			p.made = x.internRecord(p.actor, o.NewToken, x.internTarget(o))
		}
	case o.OwnerNode != "":
		owner := x.internSession(x.internNode(o.OwnerNode), o.OwnerIncarnation)
		p.record = x.internRecord(p.actor, o.Token, owner)
		if o.Kind == KindClaim && owner == p.session {
			p.code = opNever
		}
	case p.session != none && o.Token != 0:
		p.record = x.internRecord(p.actor, o.Token, p.session)
	}
	return p
}

// split adds, for each transfer of which it is not known whether it took effect,
// an open claim of its target to the open release that convert made of it. Taken
// apart they may do more than the transfer could: what such a transfer may have
// done is not known to the instant, and so a history with it is believed a little
// more than it might be, and never less.
func (x *index) split() {
	for i := range x.h.Ops {
		o, p := &x.h.Ops[i], &x.ops[i]
		if o.Kind != KindTransfer || p.code != opReleaseOpen {
			continue
		}
		half := *p
		half.code, half.session, half.record = opClaimOpen, x.internTarget(o), none
		half.node = x.sessions[half.session].node
		x.ops = append(x.ops, half)
	}
}

// internTarget is the session that a transfer gives its claim to.
func (x *index) internTarget(o *Op) int32 {
	return x.internSession(x.internNode(o.OwnerNode), o.OwnerIncarnation)
}

func (x *index) internNode(name string) int32 {
	if i, ok := x.nodeOf[name]; ok {
		return i
	}
	i := int32(len(x.nodes))
	x.nodeOf[name] = i
	x.nodes = append(x.nodes, nodeInfo{name: name, openJoins: none})
	return i
}

func (x *index) internActor(name string) int32 {
	if i, ok := x.actorOf[name]; ok {
		return i
	}
	i := int32(len(x.actors))
	x.actorOf[name] = i
	x.actors = append(x.actors, actorInfo{name: name, openClaims: none})
	return i
}

func (x *index) internSession(node int32, inc uint64) int32 {
	k := sessionKey{node, inc}
	if i, ok := x.sessionOf[k]; ok {
		return i
	}
	i := int32(len(x.sessions))
	x.sessionOf[k] = i
	x.sessions = append(x.sessions, sessionInfo{
		node: node, inc: inc, before: none, after: none, join: none, rejoined: none, revoke: none, revoked: none,
		leave: none, endOpen: none, records: none,
	})
	return i
}

func (x *index) internRecord(actor int32, token uint64, session int32) int32 {
	k := recordKey{actor, session, token}
	if i, ok := x.recordOf[k]; ok {
		return i
	}
	i := int32(len(x.records))
	x.recordOf[k] = i
	x.records = append(x.records, recordInfo{
		actor: actor, session: session, token: token, witness: none,
		claim: none, given: none, regiven: none, release: none, released: none, relOpen: none, next: none,
	})
	return i
}
