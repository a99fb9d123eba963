package soak

import (
	"context"
	"errors"
	"fmt"
	"sync"

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

// gifts is what is known of actors that were given to sessions: each gift has a
// payload of its own, and whoever gets the handle must find that of the gift which
// made its token.
type gifts struct {
	mu       sync.Mutex
	sent     map[string]gift   // by payload
	made     map[owning]string // the payload that went with a token, where it is known
	got      map[owning]string // the payload that came with a handle
	sessions map[registry.NodeID]registry.Target
}

// gift is one transfer or placement.
type gift struct {
	actor registry.ActorID
	from  registry.Token // of the claim that is given; zero: it is placed
}

// owning names an ownership.
type owning struct {
	actor registry.ActorID
	token registry.Token
}

func newGifts() *gifts {
	return &gifts{
		sent: make(map[string]gift), made: make(map[owning]string), got: make(map[owning]string),
		sessions: make(map[registry.NodeID]registry.Target),
	}
}

// send returns the payload of a new gift.
func (g *gifts) send(x gift) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	payload := fmt.Sprintf("gift %d: %s from %v", len(g.sent), x.actor, x.from)
	g.sent[payload] = x
	return []byte(payload)
}

// arrived says what is wrong with a gift that has made a token; "" is nothing.
func (g *gifts) arrived(o owning, payload []byte) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.made[o] = string(payload)
	if got, ok := g.got[o]; ok && got != string(payload) {
		return fmt.Sprintf("token %v of %q came with payload %q, want %q", o.token, o.actor, got, payload)
	}
	return ""
}

// opened says what is wrong with a handle and its payload.
func (g *gifts) opened(o owning, payload []byte) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	if want, ok := g.made[o]; ok && want != string(payload) {
		return fmt.Sprintf("token %v of %q came with payload %q, want %q", o.token, o.actor, payload, want)
	}
	if len(payload) == 0 {
		return ""
	}
	g.got[o] = string(payload)
	if x, ok := g.sent[string(payload)]; !ok || x.actor != o.actor || x.from >= o.token {
		return fmt.Sprintf("token %v of %q came with payload %q, which was not sent with it", o.token, o.actor, payload)
	}
	return ""
}

// joined notes the newest session of a node.
func (g *gifts) joined(s *registry.Session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[s.Node()] = registry.Target{Node: s.Node(), Incarnation: s.Incarnation()}
}

// session returns the session of a node that was joined last.
func (g *gifts) session(n registry.NodeID) (registry.Target, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.sessions[n]
	return t, ok
}

// transfer gives the actor to another node, which may have died meanwhile.
func (w *worker) transfer(ctx context.Context, a registry.ActorID) {
	l := w.l
	call := l.r.now()
	c := l.handle(a)
	if c == nil || !c.Valid() {
		return
	}
	to, ok := l.r.gifts.session(registry.NodeID(fmt.Sprintf("node-%d", 1+w.rand.IntN(l.r.o.Nodes))))
	if !ok || to.Node == l.n.id {
		return
	}
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	l.r.counts.transfers.Add(1)
	payload := l.r.gifts.send(gift{a, c.Token()})
	id := w.begin(call, recording.Transfer(c, to))
	o, err := c.Transfer(ctx, to, registry.TransferOptions{Payload: payload})
	if w.end(id, recording.Transferred(o, err)) == linearizability.OutcomeOK {
		l.r.counts.given.Add(1)
		l.released(a)
		l.r.demand(RuleWrongPayload, l.r.gifts.arrived(owning{a, o.Token}, payload))
	}
}

// place finds an owner, or makes one. What it makes is told by events.
func (w *worker) place(ctx context.Context, a registry.ActorID) {
	l := w.l
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	l.r.counts.places.Add(1)
	payload := l.r.gifts.send(gift{actor: a})
	id := w.begin(l.r.now(), recording.Lookup(a))
	p, err := l.reg.Place(ctx, a, registry.PlaceOptions{Payload: payload})
	w.end(id, recording.LookedUp(p.Owner, err))
	if err == nil && p.New {
		l.r.counts.given.Add(1)
	}
}

// drain gives all away that the session has, and leaves if there is nothing left.
func (w *worker) drain(ctx context.Context, s *registry.Session) {
	l := w.l
	bounded, cancel := w.timeout(ctx)
	defer cancel()
	l.r.counts.drains.Add(1)
	d, err := s.Drain(bounded, registry.DrainOptions{HandOff: func(_ context.Context, c *registry.Claim) ([]byte, error) {
		return l.r.gifts.send(gift{c.Actor(), c.Token()}), nil
	}})
	l.r.counts.given.Add(uint64(d.Moved))
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
		l.r.counts.accepted.Add(1)
		l.take(c)
	}
}

// demand notes what is wrong, the first time; "" is nothing.
func (r *run) demand(rule, wrong string) {
	if wrong == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.violation == nil {
		r.violation = &Violation{Rule: rule, Message: wrong}
	}
}
