package linearizability

import "slices"

// Real-time rules. Each compares an operation with what had returned before it
// was called, so that none depends on how operations that overlap are ordered.
const (
	// RuleStaleUse: a handle answered that it is valid, in a use that was
	// called after a claim of the actor with a higher token had returned.
	RuleStaleUse Rule = "stale-use"
	// RuleStaleWrite: a resource accepted a write that was called after it had
	// accepted one with a higher token.
	RuleStaleWrite Rule = "stale-write"
	// RuleTokenOrder: a claim returned a lower token than a claim of the actor
	// that had returned before it was called.
	RuleTokenOrder Rule = "token-order"
	// RuleUseAfterRelease: a handle answered that it is valid, in a use that
	// was called after the claim's release or transfer had returned.
	RuleUseAfterRelease Rule = "use-after-release"
	// RuleValidAgain: a handle answered that it is valid, in a use that was
	// called after another use of it had returned that it is not. What a release
	// or transfer does is left out: a claim after one that failed may get the same
	// token, with a new handle.
	RuleValidAgain Rule = "valid-again"
	// RuleActAfterEnd: a claim, use, guard or write of a session was successful
	// although it was called after the session had left or had been told that it
	// is lost. Not acts are a claim that others made for it, in which it has no part,
	// and a release or a transfer: giving up what one no longer believes to own harms
	// nobody.
	RuleActAfterEnd Rule = "act-after-end"
	// RuleVersionOrder: an effect has a lower commit version than one that had
	// returned before it was called.
	RuleVersionOrder Rule = "version-order"
)

// RealTimeRules lists the rules that [Options.Skip] may name.
func RealTimeRules() []Rule {
	return []Rule{RuleStaleUse, RuleStaleWrite, RuleTokenOrder, RuleUseAfterRelease, RuleValidAgain, RuleActAfterEnd, RuleVersionOrder}
}

// maxPerRule bounds how many violations of one rule a report lists.
const maxPerRule = 5

// mark remembers the highest number seen so far and the operation it is from.
type mark struct {
	n  uint64
	op int32
}

func (m *mark) raise(n uint64, op int32) {
	if n > m.n {
		m.n, m.op = n, op
	}
}

// ruleSweep checks the real-time rules in one pass over the events.
type ruleSweep struct {
	x       *index
	skip    []Rule
	claimed []mark  // by actor: highest token of a claim that returned
	written []mark  // by actor: highest token of an accepted write that returned
	version mark    // highest commit version that returned
	over    []int32 // by session: what told that it is over, or none
	freed   []int32 // by record: its release, or none
	invalid []int32 // by record: a use that found it invalid before any release was called, or none
	given   []bool  // by record: a release of it was called
	found   []Violation
}

// run returns the violations in the order of the calls that show them.
func (s *ruleSweep) run(x *index, skip []Rule) []Violation {
	s.x, s.skip, s.found, s.version = x, skip, nil, mark{op: none}
	s.claimed = fill(s.claimed, len(x.actors), mark{op: none})
	s.written = fill(s.written, len(x.actors), mark{op: none})
	s.over = fill(s.over, len(x.sessions), none)
	s.freed = fill(s.freed, len(x.records), none)
	s.invalid = fill(s.invalid, len(x.records), none)
	s.given = fill(s.given, len(x.records), false)
	returned := 0
	for _, i := range x.byCall {
		call := x.ops[i].call
		for ; returned < len(x.byReturn) && x.ops[x.byReturn[returned]].ret < call; returned++ {
			s.returned(x.byReturn[returned])
		}
		s.called(i)
	}
	return s.found
}

func fill[T any](s []T, n int, v T) []T {
	s = grow(s, n)
	for i := range s {
		s[i] = v
	}
	return s
}

// returned takes note of an operation that returned before the next call.
func (s *ruleSweep) returned(i int32) {
	p := &s.x.ops[i]
	op := &s.x.h.Ops[p.op]
	switch {
	case op.Outcome == OutcomeLost, op.Kind == KindLost, op.Kind == KindLeave && op.Outcome == OutcomeOK:
		if s.over[p.session] == none {
			s.over[p.session] = i
		}
	case op.Outcome == OutcomeInvalid:
		if !s.given[p.record] && s.invalid[p.record] == none {
			s.invalid[p.record] = i
		}
	case op.Outcome != OutcomeOK:
		return
	case op.Kind == KindClaim:
		s.claimed[p.actor].raise(op.Token, i)
	case op.Kind == KindWrite:
		s.written[p.actor].raise(op.Token, i)
	case op.Kind == KindRelease:
		s.freed[p.record] = i
	case op.Kind == KindTransfer:
		s.claimed[p.actor].raise(op.NewToken, i)
		s.freed[p.record] = i
	}
	s.version.raise(effectVersion(op), i)
}

// effectVersion returns the commit version of what an ok operation did, or 0.
func effectVersion(op *Op) uint64 {
	if op.Outcome != OutcomeOK {
		return 0
	}
	switch op.Kind {
	case KindClaim:
		return op.Token
	case KindJoin:
		return op.Incarnation
	case KindTransfer:
		return op.NewToken
	default:
		return op.Version
	}
}

// called checks a call against what had returned before it.
func (s *ruleSweep) called(i int32) {
	if int(i) >= len(s.x.h.Ops) {
		return // half of a transfer, of which there is the other one
	}
	p := &s.x.ops[i]
	op := &s.x.h.Ops[p.op]
	if op.Kind == KindRelease || op.Kind == KindTransfer {
		s.given[p.record] = true
	}
	valid := op.Kind == KindUse && op.Outcome == OutcomeValid
	if op.Outcome != OutcomeOK && !valid {
		return
	}
	switch op.Kind {
	case KindUse:
		if m := s.claimed[p.actor]; m.n > op.Token {
			s.report(RuleStaleUse, i, "a handle was valid after a higher token had been claimed", m.op)
		}
		if f := s.freed[p.record]; f != none {
			s.report(RuleUseAfterRelease, i, "a handle was valid after its claim had been released", f)
		}
		if u := s.invalid[p.record]; u != none {
			s.report(RuleValidAgain, i, "a handle was valid after it had been invalid", u)
		}
	case KindWrite:
		if m := s.written[p.actor]; m.n > op.Token {
			s.report(RuleStaleWrite, i, "a write was accepted after one with a higher token had been", m.op)
		}
	case KindClaim:
		if m := s.claimed[p.actor]; m.n > op.Token {
			s.report(RuleTokenOrder, i, "a claim got a lower token than one before it", m.op)
		}
	case KindTransfer:
		if m := s.claimed[p.actor]; m.n > op.NewToken {
			s.report(RuleTokenOrder, i, "a transfer made a lower token than one before it", m.op)
		}
	default: // no token to compare
	}
	switch op.Kind {
	case KindUse, KindWrite, KindClaim, KindGuard:
		if p.session != none && !op.Given && s.over[p.session] != none {
			s.report(RuleActAfterEnd, i, "a session acted after it knew that it was over", s.over[p.session])
		}
	default: // not an act of a session
	}
	if v := effectVersion(op); v != 0 && v < s.version.n && s.isEffect(p) {
		s.report(RuleVersionOrder, i, "an effect has a lower commit version than one before it", s.version.op)
	}
}

// isEffect reports whether the operation itself must have made the effect whose
// version it returned: not a claim that another call may have made before.
func (s *ruleSweep) isEffect(p *xop) bool {
	if p.code != opClaim {
		return true
	}
	r := &s.x.records[p.record]
	if r.given != none || s.x.ops[r.claim].call < p.call {
		return false
	}
	open := s.x.actors[p.actor].openClaims
	for ; open != none; open = s.x.ops[open].next {
		if o := &s.x.ops[open]; o.session == p.session && o.call <= p.call {
			return false
		}
	}
	return true
}

func (s *ruleSweep) report(rule Rule, i int32, text string, before int32) {
	if slices.Contains(s.skip, rule) {
		return
	}
	n := 0
	for j := range s.found {
		if s.found[j].Rule == rule {
			n++
		}
	}
	if n >= maxPerRule {
		return
	}
	v := Violation{Rule: rule}
	if a := s.x.ops[i].actor; a != none {
		v.Actor = s.x.actors[a].name
	}
	s.found = append(s.found, s.x.withOps(v, text, before, i))
}
