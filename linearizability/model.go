package linearizability

import (
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

// state is a state of the sequential specification. It is immutable. It has a
// slot for every node and every actor that its search is about:
//
//	node:  rank of its last session << 2 | unseen << 1 | live
//	actor: rank of its last claim << 1 | not released
//
// unseen means that a session that nobody saw, started by an open join with
// replace, is live in place of the one with that rank.
type state struct {
	hash  uint64
	slots []int32
	ended bool // the horizon is past: only open operations are left
}

const (
	live   = 1
	unseen = 2
	held   = 1
)

// search is what one run of porcupine works with: which slots there are, how
// many steps it may take, and the memory of its states.
//
// Open operations return after an operation of our own, the horizon, which is
// called when everything with a definite result has returned. Before the
// horizon an open operation may be put into the order only where it has an
// effect; after it, always. That keeps the search from trying out all the
// places where an open operation would do nothing.
//
// When the steps are used up every further step is refused. The search then
// unwinds in linear time; its verdict is not to be looked at.
type search struct {
	x        *index
	nodeSlot []int32 // slot by node
	actor0   int32   // slot of actor a is actor0 + a
	initial  *state

	stepsLeft int
	steps     uint64
	exhausted bool

	states []state // memory for states, handed out from the front
	slots  []int32
}

// start prepares a search over the given number of slots.
func (s *search) start(slots, budget int) {
	s.states, s.slots = s.states[:0], s.slots[:0]
	s.initial = s.make(slots)
	clear(s.initial.slots)
	s.initial.hash = 0
	s.stepsLeft, s.steps, s.exhausted = budget, 0, false
}

// make returns a new state with the given number of slots, their contents
// undefined.
func (s *search) make(slots int) *state {
	if len(s.states) == cap(s.states) {
		s.states = make([]state, 0, max(64, min(2*cap(s.states), 4096)))
	}
	if cap(s.slots)-len(s.slots) < slots {
		s.slots = make([]int32, 0, max(64*slots, min(2*cap(s.slots), 1<<16)))
	}
	from := len(s.slots)
	s.slots = s.slots[:from+slots]
	s.states = append(s.states, state{slots: s.slots[from : from+slots : from+slots]})
	return &s.states[len(s.states)-1]
}

// with returns st with one slot changed.
func (s *search) with(st *state, slot, v int32) *state {
	n := s.make(len(st.slots))
	copy(n.slots, st.slots)
	n.hash = st.hash ^ slotHash(slot, n.slots[slot]) ^ slotHash(slot, v)
	n.slots[slot] = v
	return n
}

// slotHash hashes the contents of one slot; zero contents hash to zero.
func slotHash(slot, v int32) uint64 {
	if v == 0 {
		return 0
	}
	h := uint64(uint32(slot))<<32 | uint64(uint32(v))
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9 // splitmix64
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

func (a *state) equal(b *state) bool {
	return a == b || a.hash == b.hash && a.ended == b.ended && slices.Equal(a.slots, b.slots)
}

// node returns a node's slot and its contents.
func (s *search) node(st *state, node int32) (slot, v int32) {
	slot = s.nodeSlot[node]
	return slot, st.slots[slot]
}

// claim returns an actor's slot and its contents.
func (s *search) claim(st *state, actor int32) (slot, v int32) {
	slot = s.actor0 + actor
	return slot, st.slots[slot]
}

// live reports whether a session is live.
func (s *search) live(st *state, session int32) bool {
	info := &s.x.sessions[session]
	_, v := s.node(st, info.node)
	return info.rank > 0 && v == info.rank<<2|live
}

// inForce reports whether a claim is in force: it is the actor's record and its
// owner's session is live.
func (s *search) inForce(st *state, record int32) bool {
	r := &s.x.records[record]
	_, v := s.claim(st, r.actor)
	return r.rank > 0 && v == r.rank<<1|held && s.live(st, r.session)
}

// free reports whether nobody owns the actor: no claim is in force.
func (s *search) free(st *state, actor int32) bool {
	_, v := s.claim(st, actor)
	return v&held == 0 || !s.live(st, s.x.records[s.x.recordAt(actor, v>>1)].session)
}

// step is the sequential specification: whether the operation can be the next
// one, and the state after it. docs/history.md says the same in words.
func (s *search) step(st *state, p *xop) (bool, *state) {
	if s.stepsLeft == 0 {
		s.exhausted = true
		return false, st
	}
	s.stepsLeft--
	s.steps++
	if st.ended {
		return p.code.isOpen(), st
	}
	switch p.code {
	case opJoin:
		return s.join(st, p)
	case opJoinOpen:
		return s.joinOpen(st, p)
	case opInUse:
		return s.live(st, p.session), st
	case opClaim:
		if s.inForce(st, p.record) {
			return true, st
		}
		return s.newClaim(st, p.record)
	case opClaimOpen:
		_, v := s.claim(st, p.actor)
		r := s.x.recordAt(p.actor, v>>1+1)
		if r == none || s.x.records[r].session != p.session {
			return false, st
		}
		return s.newClaim(st, r)
	case opSees:
		return s.inForce(st, p.record), st
	case opSeesNot:
		return !s.inForce(st, p.record), st
	case opUnowned:
		return s.free(st, p.actor), st
	case opRelease, opReleaseOpen:
		if !s.inForce(st, p.record) {
			return false, st
		}
		slot, v := s.claim(st, s.x.records[p.record].actor)
		return true, s.with(st, slot, v&^held)
	case opTransfer:
		return s.transfer(st, p)
	case opLeave, opLeaveLost:
		return s.leave(st, p)
	case opRevoke, opEndOpen:
		if !s.live(st, p.session) {
			return false, st
		}
		slot, v := s.node(st, p.node)
		return true, s.with(st, slot, v&^live)
	case opHorizon:
		end := s.make(0)
		end.ended, end.hash = true, 1
		return true, end
	default:
		return false, st
	}
}

// newClaim makes the claim that has the given record.
func (s *search) newClaim(st *state, record int32) (bool, *state) {
	r := &s.x.records[record]
	slot, v := s.claim(st, r.actor)
	if v>>1+1 != r.rank || r.twin || r.given != none || !s.live(st, r.session) || !s.free(st, r.actor) {
		return false, st
	}
	return true, s.with(st, slot, r.rank<<1|held)
}

// transfer ends a claim and makes the next one.
func (s *search) transfer(st *state, p *xop) (bool, *state) {
	made := &s.x.records[p.made]
	slot, v := s.claim(st, p.actor)
	if v>>1+1 != made.rank || made.twin || !s.inForce(st, p.record) || !s.live(st, made.session) {
		return false, st
	}
	return true, s.with(st, slot, made.rank<<1|held)
}

func (s *search) join(st *state, p *xop) (bool, *state) {
	slot, v := s.node(st, p.node)
	if v&live != 0 && !p.replace {
		return false, st
	}
	// Nothing that is needed may be skipped: sessions that only an open
	// operation names may not have existed.
	info := &s.x.sessions[p.session]
	last := v >> 2
	if info.rank <= last || info.before != none && s.x.sessions[info.before].rank > last {
		return false, st
	}
	return true, s.with(st, slot, info.rank<<2|live)
}

// joinOpen starts the next session that the history needs, unless an ok join
// did that; else one that only an open operation names; else, to end the
// session that it replaces, one that nobody saw.
func (s *search) joinOpen(st *state, p *xop) (bool, *state) {
	slot, v := s.node(st, p.node)
	if v&live != 0 && !p.replace {
		return false, st
	}
	rank := v>>2 + 1
	if n := s.x.neededAt(p.node, rank); n != none && s.x.sessions[n].join == none {
		return true, s.with(st, slot, s.x.sessions[n].rank<<2|live)
	}
	if n := s.x.sessionAt(p.node, rank); n != none && !s.x.sessions[n].needed {
		return true, s.with(st, slot, rank<<2|live)
	}
	if v&(live|unseen) == live {
		return true, s.with(st, slot, v|unseen)
	}
	return false, st
}

func (s *search) leave(st *state, p *xop) (bool, *state) {
	slot, v := s.node(st, p.node)
	rank := s.x.sessions[p.session].rank
	switch {
	case v>>2 > rank:
		return true, st
	case v>>2 < rank:
		return false, st // it does not exist yet
	case v != rank<<2|live:
		return true, st // ended, or replaced by an unseen session
	case p.code == opLeaveLost:
		return false, st
	}
	return true, s.with(st, slot, v&^live)
}

// model returns the specification in the form that porcupine takes. The same
// model serves every search: operations carry theirs.
func (x *index) model(initial func() *state) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return initial() },
		Step: func(st, input, _ any) (bool, any) {
			p := input.(*xop)
			return p.search.step(st.(*state), p)
		},
		Equal: func(a, b any) bool { return a.(*state).equal(b.(*state)) },
		Hash:  func(st any) uint64 { return st.(*state).hash },
		DescribeOperation: func(input, _ any) string {
			if p := input.(*xop); p.code != opHorizon {
				return x.h.Ops[p.op].String()
			}
			return "end of the history"
		},
	}
}

// describe puts a state into words, for pictures.
func (s *search) describe(st *state) string {
	if st.ended {
		return "(end of the history)"
	}
	var parts []string
	for i := range s.x.nodes {
		_, v := s.node(st, int32(i))
		switch {
		case v == 0:
			continue
		case v&unseen != 0:
			parts = append(parts, s.x.nodes[i].name+": a session nobody saw")
			continue
		}
		mode := "ended"
		if v&live != 0 {
			mode = "live"
		}
		parts = append(parts, fmt.Sprintf("%s/%d %s", s.x.nodes[i].name, s.x.sessions[s.x.sessionAt(int32(i), v>>2)].inc, mode))
	}
	for i := range s.x.actors {
		_, v := s.claim(st, int32(i))
		if v == 0 {
			continue
		}
		r := &s.x.records[s.x.recordAt(int32(i), v>>1)]
		owner := &s.x.sessions[r.session]
		mode := "released"
		if v&held != 0 {
			mode = fmt.Sprintf("of %s/%d", s.x.nodes[owner.node].name, owner.inc)
		}
		parts = append(parts, fmt.Sprintf("%q: token %d %s", s.x.actors[i].name, r.token, mode))
	}
	if parts == nil {
		return "(empty)"
	}
	return strings.Join(parts, "; ")
}
