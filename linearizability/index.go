package linearizability

import (
	"cmp"
	"slices"
	"time"
)

// An index is a history with every name replaced by a small number, and with
// what follows from the history as a whole worked out once:
//
//   - The sessions of a node that the history needs are ranked by incarnation,
//     from 1. Incarnations of a node increase, and an operation that saw a
//     session needs it to have existed, so every legal order starts the
//     sessions of a node exactly in the order of their ranks, without a gap.
//   - The claims of an actor that the history saw are ranked by token, from 1,
//     and are made exactly in that order, for the same reason.
//
// So the state of a node is a rank and whether that session is live, and the
// state of an actor is a rank and whether that claim was released.
//
// Operations that cannot influence any result are left out; see prune.go.
type index struct {
	h *History

	ops      []xop   // in the order of h.Ops, and then what split adds
	byCall   []int32 // all, by call time
	byReturn []int32 // those with a definite result, by return time

	nodes        []nodeInfo
	actors       []actorInfo
	sessions     []sessionInfo
	records      []recordInfo
	sessionChain []int32 // ranked sessions, by node and incarnation
	recordChain  []int32 // ranked records, by actor and token

	relevant int  // operations that take part in the specification
	open     int  // of those, open ones
	rivals   bool // sessions compete for open joins; see prune

	nodeOf    map[string]int32
	actorOf   map[string]int32
	sessionOf map[sessionKey]int32
	recordOf  map[recordKey]int32
	claimRoom map[claimRoomKey]int32
}

// none is the place of something that is not there.
const none int32 = -1

// xop is an operation of an index. Numbers are places in the index's slices.
type xop struct {
	search  *search // what it is searched in; see porcupine.go
	op      int32   // place in h.Ops
	code    opcode
	replace bool
	node    int32
	actor   int32
	session int32 // that acts, or that is seen or ended
	record  int32
	made    int32 // transfer: the record that it made
	next    int32 // next of the open joins of a node, or of the open claims of an actor
	call    time.Duration
	from    time.Duration // before this it cannot have taken effect; at least call
	ret     time.Duration // Open for open ones, returned or not
}

type sessionKey struct {
	node int32
	inc  uint64
}

type recordKey struct {
	actor, session int32
	token          uint64
}

type claimRoomKey struct{ actor, session int32 }

type nodeInfo struct {
	name      string
	first     int32 // where its sessions begin in sessionChain
	count     int32 // how many are ranked
	unjoined  int32 // how many of those no ok join started
	openJoins int32 // its open joins, in the order of their calls
}

type actorInfo struct {
	name       string
	first      int32 // where its records begin in recordChain
	count      int32 // how many are ranked
	openClaims int32 // its open claims, in the order of their calls
}

// sessionInfo is what the history says about one session. Operations are
// places in index.ops.
type sessionInfo struct {
	node     int32
	inc      uint64
	rank     int32 // from 1; 0: the history does not need it
	needed   bool  // a definite result needs that it existed
	named    bool  // an open leave or revoke names it
	before   int32 // the session of the node that is needed and ranked before it
	after    int32 // the one ranked behind it
	join     int32 // the ok join
	rejoined int32 // another ok join of the same incarnation
	revoke   int32 // the ok revoke
	revoked  int32 // another ok revoke
	leave    int32 // the ok leave that was called first
	endOpen  int32 // the open leave or revoke that was called first
	records  int32 // its claims, through recordInfo.next
	sights   int32 // how many definite results need it live, effects aside
	lastSeen time.Duration
}

// recordInfo is what the history says about one claim: an actor, an owner and
// a token.
type recordInfo struct {
	actor    int32
	session  int32
	token    uint64
	rank     int32 // from 1; 0: nobody saw it
	twin     bool  // the record ranked before it has the same token
	witness  int32 // an operation that saw it
	claim    int32 // the ok claim that was called first
	given    int32 // the ok transfer that made it
	regiven  int32 // another ok transfer that did
	release  int32 // the ok release or transfer that ended it
	released int32 // another one
	relOpen  int32 // the open release or transfer that was called first
	next     int32 // next claim of the session
	sights   int32 // how many definite results need it in force, releases aside
	lastSeen time.Duration
}

func newIndex() *index {
	return &index{
		nodeOf:    make(map[string]int32),
		actorOf:   make(map[string]int32),
		sessionOf: make(map[sessionKey]int32),
		recordOf:  make(map[recordKey]int32),
		claimRoom: make(map[claimRoomKey]int32),
	}
}

// build fills the index from a valid history, reusing its memory.
func (x *index) build(h *History) {
	x.reset(h)
	for i := range h.Ops {
		x.ops = append(x.ops, x.convert(int32(i), &h.Ops[i]))
	}
	x.split()
	x.order()
	for _, i := range x.byCall {
		x.note(i)
	}
	x.rank()
	x.prune()
}

func (x *index) reset(h *History) {
	x.h = h
	x.ops, x.byCall, x.byReturn = x.ops[:0], x.byCall[:0], x.byReturn[:0]
	x.nodes, x.actors = x.nodes[:0], x.actors[:0]
	x.sessions, x.records = x.sessions[:0], x.records[:0]
	x.sessionChain, x.recordChain = x.sessionChain[:0], x.recordChain[:0]
	x.relevant, x.open, x.rivals = 0, 0, false
	clear(x.nodeOf)
	clear(x.actorOf)
	clear(x.sessionOf)
	clear(x.recordOf)
	clear(x.claimRoom)
}

// order sorts the operations by call and by return.
func (x *index) order() {
	sorted := true
	for i := range x.ops {
		x.byCall = append(x.byCall, int32(i))
		sorted = sorted && (i == 0 || x.ops[i-1].call <= x.ops[i].call)
		if x.ops[i].ret != Open {
			x.byReturn = append(x.byReturn, int32(i))
		}
	}
	if !sorted {
		slices.SortFunc(x.byCall, func(a, b int32) int {
			return cmp.Or(cmp.Compare(x.ops[a].call, x.ops[b].call), cmp.Compare(a, b))
		})
	}
	slices.SortFunc(x.byReturn, func(a, b int32) int {
		return cmp.Or(cmp.Compare(x.ops[a].ret, x.ops[b].ret), cmp.Compare(a, b))
	})
}

// note adds one operation to what is known of its session and its claim.
// Operations come in the order of their calls.
func (x *index) note(i int32) {
	p := &x.ops[i]
	switch p.code {
	case opJoin:
		s := x.see(p.session, p.call)
		first(&s.join, &s.rejoined, i)
	case opInUse:
		x.see(p.session, p.call).sights++
	case opClaim, opSees, opRelease:
		r, s := x.seeRecord(p.record, i)
		switch {
		case p.code == opRelease:
			first(&r.release, &r.released, i)
			return
		case p.code == opClaim && r.claim == none:
			r.claim = i
		}
		r.sights++
		s.sights++
	case opTransfer:
		r, _ := x.seeRecord(p.record, i)
		first(&r.release, &r.released, i)
		made, _ := x.seeRecord(p.made, i)
		first(&made.given, &made.regiven, i)
	case opReleaseOpen:
		if r := &x.records[p.record]; r.relOpen == none {
			r.relOpen = i
		}
	case opLeave, opLeaveLost:
		s := &x.sessions[p.session]
		s.needed = true
		if p.code == opLeave && s.leave == none {
			s.leave = i
		}
	case opRevoke:
		s := x.see(p.session, p.call)
		first(&s.revoke, &s.revoked, i)
	case opEndOpen:
		s := &x.sessions[p.session]
		s.named = true
		if s.endOpen == none {
			s.endOpen = i
		}
	default: // names nothing that it needs
	}
}

// see notes that a definite result of a call at the given time needs session s
// to have been live.
func (x *index) see(s int32, call time.Duration) *sessionInfo {
	info := &x.sessions[s]
	info.needed = true
	info.lastSeen = max(info.lastSeen, call)
	return info
}

// seeRecord notes that operation i, whose result is definite, needs the claim with a
// record to have been made, and its session to have been live.
func (x *index) seeRecord(record, i int32) (*recordInfo, *sessionInfo) {
	r, call := &x.records[record], x.ops[i].call
	r.lastSeen = max(r.lastSeen, call)
	if r.witness == none {
		r.witness = i
	}
	return r, x.see(r.session, call)
}

// first puts i into a, or into b when a is taken.
func first(a, b *int32, i int32) {
	switch {
	case *a == none:
		*a = i
	case *b == none:
		*b = i
	}
}

// rank fills the chains of sessions and of records.
func (x *index) rank() {
	for i := range x.ops {
		if p := &x.ops[i]; p.code == opJoinOpen {
			x.nodes[p.node].openJoins = int32(i) // only whether there is one; prune makes the list
		}
	}
	for i := range x.sessions {
		s := &x.sessions[i]
		if s.needed || s.named && x.nodes[s.node].openJoins != none {
			x.sessionChain = append(x.sessionChain, int32(i))
		}
	}
	slices.SortFunc(x.sessionChain, func(a, b int32) int {
		s, t := &x.sessions[a], &x.sessions[b]
		return cmp.Or(cmp.Compare(s.node, t.node), cmp.Compare(s.inc, t.inc))
	})
	for at, i := range x.sessionChain {
		s := &x.sessions[i]
		n := &x.nodes[s.node]
		if n.count == 0 {
			n.first = int32(at)
		}
		n.count++
		s.rank = n.count
		if s.join == none {
			n.unjoined++
		}
	}
	for i := range x.nodes {
		x.linkSessions(x.sessionChain[x.nodes[i].first : x.nodes[i].first+x.nodes[i].count])
	}
	for i := range x.records {
		if x.records[i].witness != none {
			x.recordChain = append(x.recordChain, int32(i))
		}
	}
	slices.SortFunc(x.recordChain, func(a, b int32) int {
		r, t := &x.records[a], &x.records[b]
		return cmp.Or(cmp.Compare(r.actor, t.actor), cmp.Compare(r.token, t.token), cmp.Compare(a, b))
	})
	for at, i := range x.recordChain {
		r := &x.records[i]
		a := &x.actors[r.actor]
		if a.count == 0 {
			a.first = int32(at)
		} else {
			r.twin = x.records[x.recordChain[at-1]].token == r.token
		}
		a.count++
		r.rank = a.count
		s := &x.sessions[r.session]
		r.next, s.records = s.records, i
	}
}

// linkSessions sets before and after of the ranked sessions of one node.
func (x *index) linkSessions(chain []int32) {
	last := none
	for _, i := range chain {
		s := &x.sessions[i]
		s.before = last
		if s.needed {
			last = i
		}
	}
	last = none
	for at := len(chain) - 1; at >= 0; at-- {
		s := &x.sessions[chain[at]]
		s.after = last
		if s.needed {
			last = chain[at]
		}
	}
}

// sessionAt returns the session of a node by its rank, or none.
func (x *index) sessionAt(node, rank int32) int32 {
	n := &x.nodes[node]
	if rank < 1 || rank > n.count {
		return none
	}
	return x.sessionChain[n.first+rank-1]
}

// neededAt returns the first session of a node, from the given rank on, that a
// definite result needs, or none.
func (x *index) neededAt(node, rank int32) int32 {
	s := x.sessionAt(node, rank)
	if s == none || x.sessions[s].needed {
		return s
	}
	return x.sessions[s].after
}

// recordAt returns the record of an actor by its rank, or none.
func (x *index) recordAt(actor, rank int32) int32 {
	a := &x.actors[actor]
	if rank < 1 || rank > a.count {
		return none
	}
	return x.recordChain[a.first+rank-1]
}
