package linearizability

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// parseHistory reads the tests' short notation, one operation a line:
//
//	CALL RETURN OPERATION = RESULT
//
// Times are in nanoseconds; a RETURN of - means that the operation is pending
// and has no result. Sessions are written node/incarnation. The operations are
//
//	join NODE [replace]         = ok INC | in-use INC | failed | unknown
//	claim SESSION ACTOR [given] = ok TOKEN | held SESSION TOKEN | lost | failed | unknown
//	release SESSION ACTOR TOKEN = ok | not-owner | lost | failed | unknown
//	transfer SESSION ACTOR TOKEN SESSION = ok TOKEN | not-owner | lost | failed | unknown
//	lookup ACTOR                = ok SESSION TOKEN | unowned | failed
//	leave SESSION               = ok | lost | failed | unknown
//	revoke SESSION              = ok | failed | unknown
//	use SESSION ACTOR TOKEN     = valid | invalid
//	write SESSION ACTOR TOKEN   = ok | rejected | failed | unknown
//	guard SESSION ACTOR TOKEN   = ok | rejected | lost | failed | unknown
//	lost SESSION                = ok
//
// and any result may end with vN, its commit version. Empty lines and lines
// that begin with # are skipped. Every operation has a client of its own.
func parseHistory(tb testing.TB, text string) *History {
	tb.Helper()
	h := &History{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		op, err := parseOp(line)
		if err != nil {
			tb.Fatalf("%q: %v", line, err)
		}
		op.ID = len(h.Ops)
		op.Client = fmt.Sprintf("c%d", op.ID)
		if err := op.Validate(); err != nil {
			tb.Fatalf("%q: %v", line, err)
		}
		h.Ops = append(h.Ops, op)
	}
	return h
}

func parseOp(line string) (Op, error) {
	left, right, _ := strings.Cut(line, "=")
	words := strings.Fields(left)
	if len(words) < 4 {
		return Op{}, fmt.Errorf("too short")
	}
	op := Op{Call: time.Duration(number(words[0])), Return: Open}
	var err error
	if op.Kind, err = ParseKind(words[2]); err != nil {
		return op, err
	}
	words = append(words, "", "", "", "")
	switch op.Kind {
	case KindJoin:
		op.Node, op.Replace = words[3], words[4] == "replace"
	case KindLookup:
		op.Actor = words[3]
	default:
		op.Node, op.Incarnation = session(words[3])
		op.Actor, op.Given = words[4], words[5] == "given"
		if !op.Given {
			op.Token = number(words[5])
		}
		op.OwnerNode, op.OwnerIncarnation = session(words[6])
	}
	if words[1] == "-" {
		return op, nil
	}
	op.Return = time.Duration(number(words[1]))
	result := strings.Fields(right)
	if len(result) == 0 {
		return op, fmt.Errorf("no result")
	}
	if last := result[len(result)-1]; last[0] == 'v' && last != "valid" {
		op.Version = number(last[1:])
		result = result[:len(result)-1]
	}
	if op.Outcome, err = ParseOutcome(result[0]); err != nil {
		return op, err
	}
	result = append(result, "", "")
	switch {
	case op.Kind == KindJoin && op.Outcome == OutcomeOK:
		op.Incarnation = number(result[1])
	case op.Outcome == OutcomeInUse:
		op.OwnerIncarnation = number(result[1])
	case op.Kind == KindClaim && op.Outcome == OutcomeOK:
		op.Token = number(result[1])
	case op.Kind == KindTransfer:
		op.NewToken = number(result[1])
	case op.Outcome == OutcomeHeld, op.Kind == KindLookup && op.Outcome == OutcomeOK:
		op.OwnerNode, op.OwnerIncarnation = session(result[1])
		op.Token = number(result[2])
	}
	return op, nil
}

func session(s string) (node string, inc uint64) {
	node, n, _ := strings.Cut(s, "/")
	return node, number(n)
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// notation is the inverse of parseHistory.
func notation(h *History) string {
	var b strings.Builder
	for i := range h.Ops {
		o := &h.Ops[i]
		ret := "-"
		if o.Outcome != OutcomePending {
			ret = strconv.FormatInt(int64(o.Return), 10)
		}
		fmt.Fprintf(&b, "%d %s %v", o.Call, ret, o.Kind)
		switch o.Kind {
		case KindJoin:
			fmt.Fprintf(&b, " %s", o.Node)
			if o.Replace {
				b.WriteString(" replace")
			}
		case KindLookup:
			fmt.Fprintf(&b, " %s", o.Actor)
		default:
			fmt.Fprintf(&b, " %s/%d", o.Node, o.Incarnation)
			if o.Actor != "" {
				fmt.Fprintf(&b, " %s", o.Actor)
			}
			if o.Given {
				b.WriteString(" given")
			}
			if o.Kind != KindClaim && o.Token != 0 {
				fmt.Fprintf(&b, " %d", o.Token)
			}
			if o.Kind == KindTransfer {
				fmt.Fprintf(&b, " %s/%d", o.OwnerNode, o.OwnerIncarnation)
			}
		}
		if o.Outcome != OutcomePending {
			fmt.Fprintf(&b, " = %v", o.Outcome)
			switch {
			case o.Kind == KindJoin && o.Outcome == OutcomeOK:
				fmt.Fprintf(&b, " %d", o.Incarnation)
			case o.Outcome == OutcomeInUse:
				fmt.Fprintf(&b, " %d", o.OwnerIncarnation)
			case o.Kind == KindTransfer && o.Outcome == OutcomeOK:
				fmt.Fprintf(&b, " %d", o.NewToken)
			case o.Kind == KindTransfer: // nothing more
			case o.OwnerNode != "":
				fmt.Fprintf(&b, " %s/%d %d", o.OwnerNode, o.OwnerIncarnation, o.Token)
			case o.Kind == KindClaim && o.Outcome == OutcomeOK:
				fmt.Fprintf(&b, " %d", o.Token)
			}
			if o.Version != 0 {
				fmt.Fprintf(&b, " v%d", o.Version)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
