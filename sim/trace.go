package sim

import (
	"fmt"
	"io"
	"time"
)

// tracer writes the readable trace. Each event is a line
//
//	index  true time  process/task  what happens
//
// and what the event does besides follows on lines without an index. Nothing
// that it does changes the run. Errors of the writer are ignored.
type tracer struct {
	w   io.Writer
	buf []byte
}

// line is the line of an event.
func (t *tracer) line(w *World, p *Process, name, what string) {
	who := name
	if p != nil {
		who = p.name + "/" + name
	}
	t.buf = fmt.Appendf(t.buf[:0], "%8d %14v  %-24s %s\n", w.stats.Events, w.now, who, what)
	_, _ = t.w.Write(t.buf)
}

// detail is a further line of the present event.
func (t *tracer) detail(w *World, what string) {
	t.buf = fmt.Appendf(t.buf[:0], "%8s %14v  %-24s   %s\n", "", w.now, "", what)
	_, _ = t.w.Write(t.buf)
}

// task is the line of a task that starts or goes on.
func (t *tracer) task(w *World, x *task) {
	what := "starts"
	switch x.waits {
	case waitNothing:
	case waitSleep:
		what = fmt.Sprintf("wakes, slept since %v", x.since)
		if x.ended != nil {
			what += ", context ended"
		}
	case waitEvent:
		what = fmt.Sprintf("goes on after event #%d", x.event.number)
		if !x.event.set {
			what += ", not set: context ended"
		}
	case waitCall:
		what = "gives up its call of " + x.call.method
		if x.call.done {
			what = fmt.Sprintf("has its reply to %s from %s", x.call.method, x.call.to.name)
			if x.call.answer.err != nil {
				what = fmt.Sprintf("has its call of %s at %s fail: %v", x.call.method, x.call.to.name, x.call.answer.err)
			}
		}
	}
	t.line(w, x.host.proc, x.name, what)
}

// message is a line about a message that arrives or is lost: of the event, if
// the message is its subject.
func (t *tracer) message(w *World, d *delivery, what string) {
	text := d.describeMessage() + " " + what
	if d.arrived {
		t.line(w, d.proc, w.eventName, text)
		return
	}
	t.detail(w, text)
}

// sent is a further line about a message that was sent.
func (t *tracer) sent(w *World, d *delivery, at time.Duration) {
	t.detail(w, fmt.Sprintf("%s sent, arrives at %v", d.describeMessage(), at))
}

// describeMessage names a message for traces.
func (d *delivery) describeMessage() string {
	return fmt.Sprintf("%s -> %s #%d %s", d.link.from, d.link.to, d.ordinal, d.subject())
}

// subject says what a message is about.
func (d *delivery) subject() string {
	switch {
	case d.kind == kindRequest:
		return "request " + d.call.method
	case d.kind == kindReply:
		return "reply of " + d.call.method
	case d.kind == kindAbort:
		return "abort of " + d.call.method
	case d.to != nil:
		return fmt.Sprintf("message to %s: %T", d.to.name, d.body)
	default:
		return fmt.Sprintf("message to %s: %T", d.toPort, d.body)
	}
}
