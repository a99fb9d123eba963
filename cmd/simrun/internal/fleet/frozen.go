package fleet

import (
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
)

// RuleOutlivedFreeze: a node believed in a session after its process had stood still
// for a whole TTL.
const RuleOutlivedFreeze = "outlived-freeze"

// frozen is what became of the handles of frozen processes.
type frozen struct {
	long   int    // freezes of at least a TTL
	asked  uint64 // times a handle from before one was asked after it
	broken string // what is wrong; "" is nothing
}

// outlived holds a history against the freezes of processes with nodes. Whatever a
// node does on the strength of a session that it had joined before its process stood
// still for a TTL, and calls after that, must find its handle invalid: each renewal
// of it had begun before.
func outlived(h *linearizability.History, faults []Fault, ttl time.Duration) (r frozen) {
	joined := make(map[session]time.Duration)
	for i := range h.Ops {
		if op := &h.Ops[i]; op.Kind == linearizability.KindJoin && op.Outcome == linearizability.OutcomeOK {
			joined[session{op.Node, op.Incarnation}] = op.Return
		}
	}
	freezes := make(map[string][]Fault)
	for _, f := range faults {
		if f.Kind == faultFreeze && f.Target != serverName && f.Until-f.At >= ttl {
			r.long++
			for _, n := range f.Nodes {
				freezes[nodeName(n)] = append(freezes[nodeName(n)], f)
			}
		}
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		believes, asks := believed(op)
		if !asks {
			continue
		}
		at, ok := joined[session{op.Node, op.Incarnation}]
		if !ok {
			continue // a join whose process was killed before it was told
		}
		for _, f := range freezes[op.Node] {
			if at > f.At || op.Call < f.Until {
				continue
			}
			r.asked++
			if believes && r.broken == "" {
				r.broken = fmt.Sprintf("%v at %v, by a session from before its process stood still from %v to %v", op, op.Call, f.At, f.Until)
			}
			break
		}
	}
	return r
}

// believed reports whether an operation is called after its handle was asked, and
// what it said.
func believed(op *linearizability.Op) (believes, asks bool) {
	switch op.Kind {
	case linearizability.KindUse:
		return op.Outcome == linearizability.OutcomeValid, op.Outcome != linearizability.OutcomePending
	case linearizability.KindWrite:
		return true, true // the writer asked, and then began
	default: // may be without a handle
		return false, false
	}
}
