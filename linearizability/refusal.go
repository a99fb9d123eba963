package linearizability

import "fmt"

// failure says why there is no order.
type failure struct {
	rule    Rule
	actor   int32
	session int32 // of owner-not-ended: which did not end
	ops     []int32
	text    string
}

// refuse notes why there is no order. It returns false.
func (w *witness) refuse(rule Rule, actor int32, text string, ops ...int32) bool {
	w.fail = &failure{rule: rule, actor: actor, session: none, text: text, ops: ops}
	return false
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
