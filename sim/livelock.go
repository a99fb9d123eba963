package sim

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// livelockWindow is the number of events, up to the one that breaks a bound,
// over which it is counted who caused them.
const livelockWindow = 2000

// livelockWatch counts who runs while a bound is near.
type livelockWatch struct {
	last   uint64 // index of the last event counted
	counts map[string]uint64
}

// beginInstant allows for the events of a new instant.
func (w *World) beginInstant() {
	w.instant = w.stats.Events + min(w.maxInstant, math.MaxUint64-w.stats.Events)
}

// watchFrom returns the index from which events are counted.
func (w *World) watchFrom() uint64 {
	limit := min(w.maxEvents, w.instant)
	if limit < livelockWindow {
		return 0
	}
	return limit - livelockWindow + 2
}

// watchLivelock counts the event that begins, and fails the world if it is one
// too many.
func (w *World) watchLivelock(c *coroutine, p *pending) {
	x := &w.watch
	if x.counts == nil || x.last+1 != w.stats.Events {
		x.counts = make(map[string]uint64)
	}
	x.last = w.stats.Events
	x.counts[p.describe()]++
	if w.stats.Events <= min(w.maxEvents, w.instant) {
		return
	}
	var b strings.Builder
	if w.stats.Events > w.instant {
		fmt.Fprintf(&b, "more than %d events at one instant", w.maxInstant)
	} else {
		fmt.Fprintf(&b, "more than %d events", w.maxEvents)
	}
	names := make([]string, 0, len(x.counts))
	var total uint64
	for name, n := range x.counts {
		names = append(names, name)
		total += n
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(x.counts[b], x.counts[a]), cmp.Compare(a, b))
	})
	fmt.Fprintf(&b, "; of the last %d:", total)
	for i, name := range names {
		if i == 10 {
			fmt.Fprintf(&b, "\n  and %d others", len(names)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %d: %s", x.counts[name], name)
	}
	where := names[0]
	if p.kind == kindTask && p.task.co != nil {
		fmt.Fprintf(&b, "\nthe task that was to go on stands in %s", w.inspect(c, p.task))
	}
	w.task = nil
	w.attribute(p.host, "")
	w.fail(&Failure{Rule: RuleLivelock, Err: &stuckError{text: b.String(), where: where}})
}

// describe names the event for reports.
func (p *pending) describe() string {
	switch p.kind {
	case kindTask:
		return "task " + p.host.proc.name + "/" + p.task.name
	case kindTimer:
		return "timer of " + p.host.proc.name
	case kindDeadline:
		return "deadline of " + p.host.proc.name
	case kindCallback:
		if p.host == nil {
			return "callback " + p.delivery.name
		}
		return "callback of " + p.host.proc.name
	default:
		l := p.delivery.link
		return fmt.Sprintf("%s from %s to %s", p.delivery.subject(), l.from, l.to)
	}
}
