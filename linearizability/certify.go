package linearizability

import "time"

// certify replays an order that the witness found through the specification:
// every operation with a definite result must be in it once, none may stand
// behind one that was called after it had returned, and every step must be
// legal. An order that passes proves that the history is linearizable,
// whatever mistakes the checkers may have.
func (x *index) certify(s *search, order []int32) bool {
	s.nodeSlot = grow(s.nodeSlot, len(x.nodes))
	for i := range x.nodes {
		s.nodeSlot[i] = int32(i)
	}
	s.actor0 = int32(len(x.nodes))
	s.start(len(x.nodes)+len(x.actors), len(order))
	st, definite := s.initial, 0
	var latestCall time.Duration
	for _, i := range order {
		p := &x.ops[i]
		if latestCall = max(latestCall, p.call); p.ret < latestCall {
			return false
		}
		ok, next := s.step(st, p)
		if !ok {
			return false
		}
		st = next
		if !p.code.isOpen() {
			definite++
		}
	}
	return definite == x.relevant-x.open && !s.exhausted
}
