package sim

import (
	"maps"
	"slices"
)

// PortAddr names a port.
type PortAddr struct{ Process, Port string }

// String returns process/port.
func (a PortAddr) String() string { return a.Process + "/" + a.Port }

// Message is what a port delivers. Body is the very value that was sent: the
// processes share it, and a duplicate shares it again, so nobody changes it.
type Message struct {
	From *Port
	Body any
}

// Port is a place where one life of a process gets and sends messages without
// connections, answers or tasks. It is for building simulated servers.
type Port struct {
	host    *Host
	name    string
	deliver func(m Message)
	onReset func(peer string) (broken int)
	closed  bool
}

// Bind makes a port of that name, in place of an earlier one. Each message
// that arrives is an event of the process in which deliver runs; deliver must
// not block. The port closes when the life ends. A nil deliver drops messages.
func (h *Host) Bind(name string, deliver func(m Message)) *Port {
	p := &Port{host: h, name: name, deliver: deliver}
	if !h.may() {
		p.closed = true
		return p
	}
	if h.ports == nil {
		h.ports = make(map[string]*Port)
	}
	if old := h.ports[name]; old != nil {
		old.closed = true
	}
	h.ports[name] = p
	return p
}

// Addr returns the port's name.
func (p *Port) Addr() PortAddr { return PortAddr{Process: p.host.proc.name, Port: p.name} }

// Host returns the life to which the port belongs.
func (p *Port) Host() *Host { return p.host }

// Close unbinds the port. Messages on their way to it are dropped.
func (p *Port) Close() {
	if p.closed || !p.host.may() {
		return
	}
	p.closed = true
	delete(p.host.ports, p.name)
}

// OnReset makes f be told when the connections between the port's process and
// another one break, see [Net.Reset]. It returns how many requests that this
// ends. It runs at once, also while the process stands still: it may end waits,
// and must neither block nor send.
func (p *Port) OnReset(f func(peer string) (broken int)) { p.onReset = f }

// resetPorts tells the ports of a process, in the order of their names.
func (n *Net) resetPorts(process, peer string) (broken int) {
	p := n.world.byName[process]
	if p == nil || p.host == nil {
		return 0
	}
	for _, name := range slices.Sorted(maps.Keys(p.host.ports)) {
		if port := p.host.ports[name]; port.onReset != nil {
			broken += port.onReset(peer)
		}
	}
	return broken
}

// Send sends body to that very port: it is dropped when the port is closed, or
// its life over, by the time it arrives.
func (p *Port) Send(to *Port, body any) {
	h := p.host
	if !h.may() {
		return
	}
	d := h.world.arena.delivery()
	d.kind, d.from, d.to, d.body = kindMessage, p, to, body
	d.proc = to.host.proc
	h.world.net.send(h.world.net.between(h.proc, d.proc), d, true)
}

// SendTo sends body to the port of that name that the process has when the
// message arrives, be it of a later life. Messages to a process that does not
// exist are dropped. From, which may be nil, is shown to the receiver.
func (h *Host) SendTo(from *Port, process, port string, body any) {
	if !h.may() {
		return
	}
	w := h.world
	d := w.arena.delivery()
	d.kind, d.from, d.toName, d.toPort, d.body = kindMessage, from, process, port, body
	d.proc = w.byName[process]
	if d.proc == nil {
		d.link = w.net.named(h.proc.name, process)
		w.net.lose(d, "sent to nobody")
		w.arena.recycle(d)
		return
	}
	w.net.send(w.net.between(h.proc, d.proc), d, true)
}

// arrive delivers a message to its port.
func (n *Net) arrive(d *delivery) {
	w := n.world
	to := d.to
	if to == nil && d.proc.host != nil {
		to = d.proc.host.ports[d.toPort]
	}
	w.attribute(d.proc.host, d.toPort)
	if to != nil {
		w.eventName = to.name
	}
	if !n.pass(d) {
		return
	}
	if to == nil || to.closed || to.host.dead {
		n.lose(d, "finds nobody")
		return
	}
	w.stats.Delivered++
	if w.trace != nil {
		w.trace.message(w, d, "arrives")
	}
	if to.deliver != nil {
		d.to = to
		w.guard(d)
	}
}
