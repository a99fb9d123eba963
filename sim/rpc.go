package sim

import (
	"bytes"
	"context"
	"fmt"

	"github.com/kelpie-registry/kelpie/network"
)

// MaxBodyBytes bounds the bodies of simulated requests and replies.
const MaxBodyBytes = 1 << 20

// endpoint is a life's place on the network.
//
// A call is a request message and a reply message on the links between the two
// processes. A request that arrives where no life or no handler is is refused;
// the refusal takes no further time. When a caller gives up, a third message
// ends the context of the handler.
type endpoint struct{ host *Host }

// service is a handler with the name of its tasks.
type service struct {
	method  string
	name    string
	handler network.Handler
}

// answer is the outcome of a call.
type answer struct {
	reply []byte
	err   error
}

// call is a call on its caller's side.
type call struct {
	host     *Host // the caller's life
	task     *task
	to       *Process
	method   string
	req      []byte
	copied   bool // more than one handler may get the request
	done     bool // the caller is no longer waiting
	answer   answer
	servings []*serving

	prev, next *call // in Net.calls while it lasts
}

// callList holds the calls that last, in the order in which they began.
type callList struct{ first, last *call }

func (l *callList) append(c *call) {
	c.prev = l.last
	if l.last != nil {
		l.last.next = c
	} else {
		l.first = c
	}
	l.last = c
}

func (l *callList) remove(c *call) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		l.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		l.last = c.prev
	}
	c.prev, c.next = nil, nil
}

// serving is a call on its handler's side; as many as requests arrive.
type serving struct {
	service *service
	call    *call
	req     []byte
	ctx     simContext
}

// Address implements [network.Network].
func (e *endpoint) Address() network.Address { return network.Address(e.host.proc.name) }

// Handle implements [network.Network].
func (e *endpoint) Handle(method string, h network.Handler) {
	if !e.host.may() {
		return
	}
	if h == nil {
		delete(e.host.services, method)
		return
	}
	if e.host.services == nil {
		e.host.services = make(map[string]*service)
	}
	e.host.services[method] = &service{method: method, name: "serve " + method, handler: h}
}

// Call implements [network.Network]. It is a scheduling point even when it
// fails at once.
func (e *endpoint) Call(ctx context.Context, to network.Address, method string, req []byte) ([]byte, error) {
	h := e.host
	t := h.blocking("Network.Call")
	w := h.world
	w.stats.Calls++
	p := w.byName[string(to)]
	var err error
	switch {
	case p == nil:
		err = network.ErrUnknownAddress
	case h.dead:
		err = fmt.Errorf("%w: the caller's host has crashed", network.ErrRefused)
	case len(req) > MaxBodyBytes:
		err = fmt.Errorf("%w: the request has %d bytes, at most %d", network.ErrTooLarge, len(req), MaxBodyBytes)
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %w", network.ErrNoReply, ctx.Err())
	}
	if err != nil {
		h.Yield()
		return nil, callError(method, to, err)
	}

	c := &call{host: h, task: t, to: p, method: method, req: bytes.Clone(req)}
	w.net.calls.append(c)
	d := w.arena.delivery()
	d.kind, d.proc, d.call = kindRequest, p, c
	w.net.send(w.net.between(h.proc, p), d, false)
	t.watch(ctx)
	t.call = c
	t.block(waitCall)
	if c.done {
		t.onContext.remove()
		if c.answer.err != nil {
			return nil, callError(method, to, c.answer.err)
		}
		return c.answer.reply, nil
	}
	c.done = true
	w.net.calls.remove(c)
	w.net.giveUp(c)
	return nil, callError(method, to, fmt.Errorf("%w: %w", network.ErrNoReply, t.ended))
}

func callError(method string, to network.Address, err error) error {
	return fmt.Errorf("call %s at %s: %w", method, to, err)
}

// finish ends a call that its caller still waits for.
func (n *Net) finish(c *call, a answer) {
	c.done, c.answer = true, a
	n.calls.remove(c)
	c.task.ready()
}

// giveUp tells the handlers of a call that nobody waits for it any more.
func (n *Net) giveUp(c *call) {
	d := n.world.arena.delivery()
	d.kind, d.proc, d.call = kindAbort, c.to, c
	n.send(n.between(c.host.proc, c.to), d, false)
}

// Reset breaks the connections between two processes. The calls in flight, in
// both directions, end with network.ErrNoReply, and the contexts of their
// handlers end; ports are told, see [Port.OnReset]. It returns how many calls,
// and requests of ports, it broke.
func (n *Net) Reset(a, b string) (broken int) {
	if n.world.mute() {
		return 0
	}
	n.mark("reset", n.named(a, b), Link{})
	for c := n.calls.first; c != nil; {
		next := c.next
		from, to := c.host.proc.name, c.to.name
		if from == a && to == b || from == b && to == a {
			for _, s := range c.servings {
				s.ctx.end(context.Canceled, nil)
			}
			n.finish(c, answer{err: fmt.Errorf("%w: connection reset", network.ErrNoReply)})
			broken++
		}
		c = next
	}
	return broken + n.resetPorts(a, b) + n.resetPorts(b, a)
}

// request handles the arrival of a request and returns the task that serves
// it, nil when none does.
func (n *Net) request(d *delivery) *task {
	w := n.world
	c, h := d.call, d.proc.host
	w.attribute(h, c.method)
	t := n.accept(d, h)
	w.arena.recycle(d)
	return t
}

func (n *Net) accept(d *delivery, h *Host) *task {
	w, c := n.world, d.call
	if !n.pass(d) {
		return nil
	}
	var s *service
	if h != nil {
		s = h.services[c.method]
	}
	if s == nil {
		n.lose(d, "refused")
		if !c.done && !n.between(c.to, c.host.proc).cut {
			why := "nobody serves the method"
			if h == nil {
				why = "the process is down"
			}
			n.finish(c, answer{err: fmt.Errorf("%w: %s", network.ErrRefused, why)})
		}
		return nil
	}
	w.stats.Delivered++
	w.attribute(h, s.name)
	if w.trace != nil {
		w.trace.message(w, d, "arrives")
	}
	x := &serving{service: s, call: c, req: c.req}
	if c.copied {
		x.req = bytes.Clone(c.req)
	}
	x.ctx = simContext{host: h, parent: h.root}
	c.servings = append(c.servings, x)
	t := h.newTask(s.name, fateDraw(d.ident, drawTask))
	t.serving = x
	return t
}

// run is the code of the task that serves a call.
func (s *serving) run(t *task) {
	reply, err := s.service.handler(&s.ctx, s.req)
	if t.host.dead {
		return
	}
	s.ctx.end(context.Canceled, nil)
	c, h := s.call, t.host
	w := h.world
	d := w.arena.delivery()
	d.kind, d.proc, d.call = kindReply, c.host.proc, c
	switch {
	case err != nil:
		d.answer.err = &network.RemoteError{Method: s.service.method, Message: err.Error()}
	case len(reply) > MaxBodyBytes:
		d.answer.err = fmt.Errorf("%w: the reply has %d bytes, at most %d", network.ErrTooLarge, len(reply), MaxBodyBytes)
	default:
		d.answer.reply = bytes.Clone(reply)
	}
	w.net.send(w.net.between(h.proc, c.host.proc), d, false)
}

// reply handles the arrival of a reply.
func (n *Net) reply(d *delivery) {
	w, c := n.world, d.call
	w.attribute(d.proc.host, "reply")
	if !n.pass(d) {
		return
	}
	if c.done || c.host.dead {
		n.lose(d, "finds nobody")
		return
	}
	w.stats.Delivered++
	if w.trace != nil {
		w.trace.message(w, d, "arrives")
	}
	w.task, w.src = nil, &w.driver
	n.finish(c, d.answer)
}

// abort handles the arrival of the message that a caller gave up.
func (n *Net) abort(d *delivery) {
	w := n.world
	w.attribute(d.proc.host, "abort")
	if !n.pass(d) {
		return
	}
	w.stats.Delivered++
	if w.trace != nil {
		w.trace.message(w, d, "arrives")
	}
	w.callback = source{ident: d.ident}
	w.task, w.src = nil, &w.callback
	for _, s := range d.call.servings {
		s.ctx.end(context.Canceled, nil)
	}
}
