package sim

import (
	"fmt"
	"strings"
)

// maxListed bounds the tasks that a report lists.
const maxListed = 50

// stuckError describes tasks that can never go on, or never stop.
type stuckError struct {
	text  string
	where string
}

func (e *stuckError) Error() string { return e.text }
func (e *stuckError) Where() string { return e.where }

// checkDeadlock reports whether tasks wait although nothing is left to happen,
// and then fails the world with what each of them waits for. A process that is
// paused may yet be resumed from outside, and with it everything else.
func (w *World) checkDeadlock(c *coroutine) bool {
	stuck := 0
	for _, p := range w.processes {
		if p.paused {
			return false
		}
		if p.host == nil {
			continue
		}
		for t := p.host.first; t != nil; t = t.next {
			if !t.daemon {
				stuck++
			}
		}
	}
	if stuck == 0 {
		return false
	}
	e := &stuckError{}
	var b strings.Builder
	fmt.Fprintf(&b, "nothing is left to happen before %v, and tasks wait:", w.until)
	listed := 0
	for _, p := range w.processes {
		if p.host == nil {
			continue
		}
		for t := p.host.first; t != nil; t = t.next {
			if listed++; listed > maxListed {
				continue
			}
			at := w.inspect(c, t)
			if e.where == "" && !t.daemon {
				e.where = t.name + " in " + at
			}
			fmt.Fprintf(&b, "\n  %s/%s %s since %v, in %s", p.name, t.name, t.describeWait(), t.since, at)
			if t.daemon {
				b.WriteString(" [daemon]")
			}
		}
	}
	if listed > maxListed {
		fmt.Fprintf(&b, "\n  and %d more", listed-maxListed)
	}
	e.text = b.String()
	w.task, w.eventHost, w.eventName = nil, nil, ""
	w.fail(&Failure{Rule: RuleDeadlock, Err: e})
	return true
}

// describeWait says what the task waits for.
func (t *task) describeWait() string {
	switch t.waits {
	case waitSleep:
		return "sleeps"
	case waitEvent:
		e := t.event
		return fmt.Sprintf("waits for event #%d of %s (made by %s)", e.number, e.host.proc.name, e.maker)
	case waitCall:
		return fmt.Sprintf("waits for the reply to %s from %s", t.call.method, t.call.to.name)
	default:
		return "runs"
	}
}

// inspect returns the place in the user's code at which a parked task stands.
// c is the coroutine that runs.
func (w *World) inspect(c *coroutine, t *task) string {
	switch {
	case t.co == nil:
		return "its start"
	case t.co == c:
		return caller()
	}
	w.inspector = c
	switchTo(c, t.co)
	return w.inspected
}
