package linearizability

import (
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Verdict is what a checker says of a history.
type Verdict string

// Verdicts.
const (
	Ok      Verdict = "ok"
	Illegal Verdict = "illegal"
	Unknown Verdict = "unknown" // not decided within the bounds; never a pass
)

// Rule names what a violation broke. The names are stable: failures with one
// cause are grouped by them.
type Rule string

// Rules of a history, other than those of the real-time checks in rules.go.
// The first group says why there is no legal order; docs/history.md describes
// each.
const (
	RuleIncarnationReused Rule = "incarnation-reused"
	RuleTokenReused       Rule = "token-reused"
	RuleEndedTwice        Rule = "ended-twice"
	RuleHeldByItself      Rule = "held-by-itself"
	RuleSessionUnknown    Rule = "session-unknown"
	RuleSessionOver       Rule = "session-over"
	RuleTokenUnknown      Rule = "token-unknown"
	RuleOwnerNotEnded     Rule = "owner-not-ended"
	RuleOwnerSeenLater    Rule = "owner-seen-later"
	RuleTransferNotNext   Rule = "transfer-not-next"
	RuleCircular          Rule = "circular-order"
	RuleNoOrder           Rule = "no-legal-order" // porcupine's word, and no more is known

	RuleDisagree  Rule = "checkers-disagree"
	RuleMalformed Rule = "malformed-history"
)

// Violation is one promise that a history breaks.
type Violation struct {
	Rule        Rule
	Actor       string // the actor it is about; may be empty
	OpIDs       []int  // the operations that show it
	Explanation string // for people: what, and the operations in words
}

func (v Violation) String() string {
	if v.Actor == "" {
		return fmt.Sprintf("%s: %s", v.Rule, v.Explanation)
	}
	return fmt.Sprintf("%s: actor %q: %s", v.Rule, v.Actor, v.Explanation)
}

// Stats counts what a check did.
type Stats struct {
	Operations int    // in the history
	Relevant   int    // that the specification speaks of and that can decide it
	Open       int    // of those, with an unknown result
	Searches   int    // runs of porcupine
	Steps      uint64 // steps of the model in them
}

// Report is the result of a check.
type Report struct {
	// Verdict says whether the history is linearizable. It is Ok only when
	// porcupine searched the whole history and said so, or when the witness
	// checker's order was replayed and found legal; Illegal when a checker
	// proved that there is no legal order.
	Verdict Verdict

	Porcupine Verdict // of the parts, when Whole is not set
	Whole     bool    // porcupine searched the history as a whole
	Witness   Verdict

	// Violations come in a fixed order. A history with violations may be
	// linearizable: they include the real-time rules.
	Violations []Violation
	Stats      Stats
}

// ErrViolation is wrapped by [Report.Err] when a promise was broken, and
// ErrUndecided when the verdict is [Unknown].
var (
	ErrViolation = errors.New("linearizability: violation")
	ErrUndecided = errors.New("linearizability: not decided")
)

// Err returns nil when the verdict is Ok and there are no violations.
func (r *Report) Err() error {
	switch {
	case len(r.Violations) > 0:
		return fmt.Errorf("%w: %v", ErrViolation, r.Violations[0])
	case r.Verdict == Unknown:
		return fmt.Errorf("%w: %d operations, %d open, %d steps", ErrUndecided, r.Stats.Operations, r.Stats.Open, r.Stats.Steps)
	case r.Verdict != Ok:
		return fmt.Errorf("%w: %s", ErrViolation, RuleNoOrder)
	}
	return nil
}

// Options of a check. The zero value means the defaults.
type Options struct {
	// WholeMax is the largest number of relevant operations for which porcupine
	// searches the history as a whole; above it, in parts. Negative: always in
	// parts. Default 300.
	WholeMax int

	// Steps bounds the steps of the model in one search. Default 200,000.
	Steps int

	// Skip names real-time rules that do not apply, such as
	// [RuleStaleUse] in a world whose clocks break their bounds.
	Skip []Rule
}

const (
	defaultWholeMax = 300
	defaultSteps    = 200_000
)

// Check judges a history. The report is a function of the history and the
// options. It may be called from several goroutines.
func Check(h *History, o Options) Report {
	c := checkers.Get().(*checker)
	defer checkers.Put(c)
	return c.check(h, o)
}

// checkers keeps the memory of checks for the next ones.
var checkers = sync.Pool{New: func() any { return newChecker() }}

type checker struct {
	x       *index
	prover  *prover
	witness witness
	rules   ruleSweep
}

func newChecker() *checker {
	x := newIndex()
	return &checker{x: x, prover: newProver(x)}
}

func (c *checker) check(h *History, o Options) Report {
	if o.WholeMax == 0 {
		o.WholeMax = defaultWholeMax
	}
	if o.Steps <= 0 {
		o.Steps = defaultSteps
	}
	if err := h.Validate(); err != nil {
		return Report{
			Verdict: Unknown, Porcupine: Unknown, Witness: Unknown,
			Violations: []Violation{{Rule: RuleMalformed, Explanation: err.Error()}},
		}
	}
	c.x.build(h)
	r := Report{Stats: Stats{Operations: len(h.Ops), Relevant: c.x.relevant, Open: c.x.open}}
	c.linearizable(&r, o)
	r.Violations = append(r.Violations, c.rules.run(c.x, o.Skip)...)
	return r
}

// linearizable runs both checkers and combines what they say.
func (c *checker) linearizable(r *Report, o Options) {
	certified := false
	r.Witness = c.witness.run(c.x)
	if r.Witness == Ok {
		certified = c.x.certify(&c.prover.search, c.witness.order)
		if !certified {
			r.Witness = Unknown
		}
	}
	var failed part
	r.Whole = c.x.relevant <= o.WholeMax
	if r.Whole {
		r.Porcupine, failed = c.prover.whole(o.Steps), wholePart
	} else {
		r.Porcupine, failed = c.prover.parts(o.Steps)
	}
	r.Stats.Searches, r.Stats.Steps = c.prover.searches, c.prover.steps

	switch {
	case r.Witness == Illegal, r.Porcupine == Illegal && r.Witness == Unknown && c.witness.fail != nil:
		r.Violations = append(r.Violations, c.x.explain(c.witness.fail))
	case r.Porcupine == Illegal:
		r.Violations = append(r.Violations, c.x.unexplained(failed))
	}
	if !r.decide(certified) {
		r.Violations = append(r.Violations, Violation{
			Rule:        RuleDisagree,
			Explanation: fmt.Sprintf("porcupine says %s, the witness checker says %s", r.Porcupine, r.Witness),
		})
	}
}

// decide sets the verdict from those of the checkers, and reports whether they
// agree. Certified means that the witness's order was replayed.
func (r *Report) decide(certified bool) (agree bool) {
	switch {
	case r.Porcupine == Illegal || r.Witness == Illegal:
		r.Verdict = Illegal
	case certified || r.Whole && r.Porcupine == Ok:
		r.Verdict = Ok
	default:
		r.Verdict = Unknown
	}
	// That the parts are legal says nothing of the whole.
	refuted := certified && r.Porcupine == Illegal || r.Witness == Illegal && r.Whole && r.Porcupine == Ok
	return !refuted
}

// explain turns a failure of the witness checker into a violation.
func (x *index) explain(f *failure) Violation {
	v := Violation{Rule: f.rule}
	if f.actor != none {
		v.Actor = x.actors[f.actor].name
	}
	return x.withOps(v, f.text, f.ops...)
}

// unexplained is the violation when only porcupine found that there is no
// order.
func (x *index) unexplained(p part) Violation {
	v := Violation{Rule: RuleNoOrder, Explanation: "no order of the operations is legal"}
	switch {
	case p.actor != none:
		v.Actor = x.actors[p.actor].name
		v.Explanation = "no order of the operations on this actor is legal"
	case p.node != none:
		v.Explanation = fmt.Sprintf("no order of the sessions of node %q is legal", x.nodes[p.node].name)
	}
	return v
}

// withOps completes a violation with its operations.
func (x *index) withOps(v Violation, text string, ops ...int32) Violation {
	var b strings.Builder
	b.WriteString(text)
	for at, i := range ops {
		if i == none || contains(ops[:at], i) {
			continue
		}
		op := &x.h.Ops[x.ops[i].op]
		v.OpIDs = append(v.OpIDs, op.ID)
		sep := "; "
		if len(v.OpIDs) == 1 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%v by %s [%v, %s]", sep, op, op.Client, op.Call, returnText(op))
	}
	v.Explanation = b.String()
	return v
}

func contains(ops []int32, i int32) bool {
	for _, o := range ops {
		if o == i {
			return true
		}
	}
	return false
}

func returnText(o *Op) string {
	if o.Return == Open {
		return "open"
	}
	return o.Return.String()
}
