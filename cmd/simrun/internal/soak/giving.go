package soak

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
	"github.com/kelpie-registry/kelpie/registry"
)

// Rules about actors that are given away, beside what the history says of them.
const (
	RuleWrongPayload    = "wrong-payload"
	RuleGivenTwice      = "given-twice"
	RuleOwnedAfterDrain = "owned-after-drain"
)

// RuleUnknownNote: a process wrote a note that this program does not know.
const RuleUnknownNote = "unknown-note"

// send returns the payload of a new gift, which is noted first. A token of zero is
// that of a placement.
func (r *run) send(from owning) []byte {
	payload := fmt.Sprintf("gift %s %d: %s from %v", r.name, r.gifts.Add(1), from.actor, from.token)
	r.book.Take(Note{At: r.now(), Kind: NoteSent, Actor: from.actor, Token: from.token, Payload: payload})
	return []byte(payload)
}

// target draws a session of another node, as far as the session knows, which may
// have ended meanwhile.
func (w *worker) target(s *registry.Session) (registry.Target, bool) {
	nodes := s.Nodes()
	if len(nodes) == 0 {
		return registry.Target{}, false
	}
	n := nodes[w.rand.IntN(len(nodes))]
	return registry.Target{Node: n.ID, Incarnation: n.Incarnation}, n.ID != s.Node()
}

// transfer gives the actor to another node, which may have died meanwhile.
func (w *worker) transfer(ctx context.Context, a registry.ActorID) {
	l := w.l
	call := l.r.now()
	c := l.handle(a)
	if c == nil || !c.Valid() {
		return
	}
	to, ok := w.target(c.Session())
	if !ok {
		return
	}
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	payload := l.r.send(owning{a, c.Token()})
	id := w.begin(call, recording.Transfer(c, to))
	o, err := c.Transfer(ctx, to, registry.TransferOptions{Payload: payload})
	if w.end(id, recording.Transferred(o, err)) == linearizability.OutcomeOK {
		l.r.count(CountGiven, 1)
		l.r.book.Take(Note{At: l.r.now(), Kind: NoteMade, Actor: a, Token: o.Token, Payload: string(payload)})
	}
}

// place finds an owner, or makes one. What it makes is told by events.
func (w *worker) place(ctx context.Context, a registry.ActorID) {
	l := w.l
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	l.r.count(CountPlace, 1)
	payload := l.r.send(owning{actor: a})
	id := w.begin(l.r.now(), recording.Lookup(a))
	p, err := l.reg.Place(ctx, a, registry.PlaceOptions{Payload: payload})
	w.end(id, recording.LookedUp(p.Owner, err))
	if err == nil && p.New {
		l.r.count(CountGiven, 1)
	}
}

// drain gives all away that the session has, and leaves if there is nothing left.
func (w *worker) drain(ctx context.Context, s *registry.Session) {
	l := w.l
	bounded, cancel := w.timeout(ctx)
	defer cancel()
	l.r.count(CountDrain, 1)
	d, err := s.Drain(bounded, registry.DrainOptions{HandOff: func(_ context.Context, c *registry.Claim) ([]byte, error) {
		return l.r.send(owning{c.Actor(), c.Token()}), nil
	}})
	l.r.count(CountGiven, d.Moved)
	if err != nil {
		return
	}
	if d.Left != 0 || len(d.Kept) > 0 {
		l.r.demand(RuleOwnedAfterDrain, fmt.Sprintf("%q has drained without an error, and says %+v", s.Node(), d))
	}
	for _, a := range l.handles() {
		if c := l.handle(a); c != nil && c.Session() == s && c.Valid() {
			l.r.demand(RuleOwnedAfterDrain, fmt.Sprintf("token %v of %q is valid after %q has drained", c.Token(), a, s.Node()))
		}
	}
	w.leave(ctx)
}

// accept takes up what a session is given, as long as it lives.
func (l *life) accept(ctx context.Context, s *registry.Session) {
	for c, err := range s.Assignments(ctx) {
		if err != nil {
			if !errors.Is(err, registry.ErrSessionLost) && ctx.Err() == nil {
				l.r.broken(fmt.Errorf("soak: assignments of %s end: %w", l.n.id, err))
			}
			return
		}
		if l.has(c) {
			l.r.demand(RuleGivenTwice, fmt.Sprintf("token %v of %q was handed out before", c.Token(), c.Actor()))
		}
		l.r.count(CountAccept, 1)
		l.take(c)
	}
}

// demand notes what is wrong; "" is nothing.
func (r *run) demand(rule, wrong string) {
	if wrong != "" {
		r.book.Take(Note{At: r.now(), Kind: NoteDefect, Rule: rule, Message: wrong})
	}
}

// count notes that something has happened so many times.
func (r *run) count(c Counter, n int) {
	if n > 0 {
		r.book.Take(Note{At: r.now(), Kind: NoteCount, Count: c, N: uint64(n)})
	}
}
