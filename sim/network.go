package sim

import (
	"fmt"

	"github.com/kelpie-registry/kelpie/network"
)

// Net is the network between the processes of a world. Links have a direction
// and are named by processes, which need not exist yet.
//
// The fate of a message (whether it is lost, how long it takes, whether it
// comes twice or out of order) depends on nothing but the seed, the two
// processes, and the number of messages that the link took before. A cut holds
// for messages sent while it lasts and for those that would arrive while it
// does.
type Net struct {
	world    *World
	standard Link
	links    map[[2]string]*link
	order    []*link // in the order of their creation
	epoch    uint64  // resumes of processes so far
	calls    callList
}

func (n *Net) init(w *World) {
	n.world, n.standard = w, DefaultLink
	n.links = make(map[[2]string]*link)
}

// SetDefault sets the link between processes that have none of their own. A
// link out of range panics.
func (n *Net) SetDefault(l Link) {
	if n.world.mute() {
		return
	}
	mustLink(l)
	n.standard = l
	n.mark("default", nil, l)
}

// SetLink sets the link from one process to another, for messages sent from
// now on. A link out of range panics.
func (n *Net) SetLink(from, to string, l Link) {
	if n.world.mute() {
		return
	}
	mustLink(l)
	x := n.named(from, to)
	x.own, x.options = true, l
	n.mark("set link", x, l)
}

// Link returns the link from one process to another as it is for messages sent
// now, and whether it is the link's own (see [Net.SetLink]) or the default.
func (n *Net) Link(from, to string) (l Link, own bool) {
	if x := n.links[[2]string{from, to}]; x != nil && x.own {
		return x.options, true
	}
	if from == to {
		return Loopback, true
	}
	return n.standard, false
}

// ClearLink makes the link from one process to another the default one again,
// and that of a process to itself the [Loopback].
func (n *Net) ClearLink(from, to string) {
	if n.world.mute() {
		return
	}
	x := n.named(from, to)
	x.own, x.options = from == to, Loopback
	n.mark("clear link", x, n.standard)
}

// Cut stops all messages from one process to another.
func (n *Net) Cut(from, to string) { n.setCut(from, to, true) }

// Heal ends a Cut.
func (n *Net) Heal(from, to string) { n.setCut(from, to, false) }

// HealAll ends every Cut.
func (n *Net) HealAll() {
	for _, l := range n.order {
		n.setCut(l.from, l.to, false)
	}
}

// IsCut reports whether messages from one process to another are stopped.
func (n *Net) IsCut(from, to string) bool {
	l := n.links[[2]string{from, to}]
	return l != nil && l.cut
}

// Counts returns what the link from one process to another did so far.
func (n *Net) Counts(from, to string) LinkCounts {
	if l := n.links[[2]string{from, to}]; l != nil {
		return l.counts
	}
	return LinkCounts{}
}

func (n *Net) setCut(from, to string, cut bool) {
	if n.world.mute() || n.IsCut(from, to) == cut {
		return
	}
	l := n.named(from, to)
	l.cut = cut
	if cut {
		n.mark("cut", l, l.options)
	} else {
		n.mark("heal", l, l.options)
	}
}

func mustLink(l Link) {
	if err := l.Validate(); err != nil {
		panic(err)
	}
}

// mark puts a change of the network into the trace and its hash.
func (n *Net) mark(what string, l *link, o Link) {
	w := n.world
	var ident uint64
	between := "the network"
	if l != nil {
		ident = l.ident
		between = l.from + " -> " + l.to
	}
	w.fold(what, ident, o.digest())
	if w.trace != nil {
		w.trace.detail(w, what+" "+between)
	}
}

// named returns the link between two names.
func (n *Net) named(from, to string) *link {
	key := [2]string{from, to}
	l := n.links[key]
	if l == nil {
		l = &link{from: from, to: to}
		l.ident = hashString(hashString(hashString(n.world.ident, "net"), from), to)
		if from == to {
			l.own, l.options = true, Loopback
		}
		n.links[key] = l
		n.order = append(n.order, l)
	}
	return l
}

// between returns the link between two processes.
func (n *Net) between(from, to *Process) *link {
	if to.index < len(from.links) {
		if l := from.links[to.index]; l != nil {
			return l
		}
	}
	for len(from.links) <= to.index {
		from.links = append(from.links, nil)
	}
	l := n.named(from.name, to.name)
	from.links[to.index] = l
	return l
}

// send puts d on the link, which decides its fate. An ordered message does not
// overtake those before it.
func (n *Net) send(l *link, d *delivery, ordered bool) {
	w := n.world
	l.ordinal++
	fate := mix(l.ident + l.ordinal*golden)
	d.link, d.ident, d.ordinal = l, fate, l.ordinal
	w.stats.Messages++
	l.counts.Sent++
	o := &l.options
	if !l.own {
		o = &n.standard
	}
	if l.cut || chance(fateDraw(fate, drawLoss), o.Loss) {
		if l.cut {
			l.counts.Cut++
		} else {
			l.counts.Lost++
		}
		w.hash.fold(fate, 0)
		n.lose(d, "lost")
		w.arena.recycle(d)
		return
	}
	at := later(w.now, o.delay(fate))
	switch {
	case chance(fateDraw(fate, drawReorder), o.Reorder):
		w.stats.Reordered++
		l.counts.Reordered++
		if o.ReorderMax > 0 {
			at = later(at, below(fateDraw(fate, drawReorderLength), o.ReorderMax)+1)
		}
	case ordered:
		at = max(at, later(l.arrival, 1))
		l.arrival = at
	}
	w.hash.fold(fate, uint64(at))
	if w.trace != nil {
		w.trace.sent(w, d, at)
	}
	if chance(fateDraw(fate, drawDuplicate), o.Duplicate) {
		n.duplicate(d, o)
	}
	w.push(&d.pending, at, fateDraw(fate, drawPriority))
}

// duplicate sends a second copy of d, which arrives at a time of its own.
func (n *Net) duplicate(d *delivery, o *Link) {
	w := n.world
	twin := w.arena.delivery()
	*twin = *d
	twin.pending.delivery = twin
	twin.ident = fateDraw(d.ident, drawDuplicate)
	w.stats.Duplicated++
	d.link.counts.Duplicated++
	if twin.call != nil {
		twin.call.copied = true
	}
	at := later(w.now, o.delay(twin.ident))
	if w.trace != nil {
		w.trace.sent(w, twin, at)
	}
	w.push(&twin.pending, at, fateDraw(twin.ident, drawPriority))
}

// lose counts a message that reaches nobody.
func (n *Net) lose(d *delivery, why string) {
	w := n.world
	w.stats.Dropped++
	w.hash.fold(d.ident, 1)
	if w.trace != nil {
		w.trace.message(w, d, why)
	}
}

// pass reports whether a message that arrives gets through.
func (n *Net) pass(d *delivery) bool {
	if d.link.cut {
		d.link.counts.Cut++
		n.lose(d, "cut off")
		return false
	}
	return true
}

// drop forgets the calls of a life that ended. Tasks of other lives that made
// them through its host are told.
func (n *Net) drop(h *Host) {
	for c := n.calls.first; c != nil; {
		next := c.next
		switch {
		case c.task.host == h:
			c.done = true
			n.calls.remove(c)
		case c.host == h:
			n.finish(c, answer{err: fmt.Errorf("%w: the caller's host has crashed", network.ErrNoReply)})
		}
		c = next
	}
}
