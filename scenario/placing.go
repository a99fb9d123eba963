package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
	"github.com/kelpie-registry/kelpie/registry"
)

// Promises about nodes that are given actors: none gets one while it is not ready,
// or drains, or owns as many as its capacity allows. (That none gets one when its
// session is over is for the history to say: a placement is a claim.)

// giving is what is known of sessions that are given actors.
type giving struct {
	capacity map[session]int64
	notReady map[session]bool          // joined so, and Activate was not called yet
	draining map[session]time.Duration // since when for sure
	drained  map[session]time.Duration // since when it owns nothing, for good
	placings int                       // so far, to tell payloads apart
}

func newGiving() giving {
	return giving{
		capacity: make(map[session]int64), notReady: make(map[session]bool),
		draining: make(map[session]time.Duration), drained: make(map[session]time.Duration),
	}
}

// strategies are what placements draw from.
var strategies = [...]func(*life) registry.Strategy{
	func(*life) registry.Strategy { return nil },
	func(*life) registry.Strategy { return registry.LeastLoaded{} },
	func(*life) registry.Strategy { return registry.Random{} },
	func(l *life) registry.Strategy { return &l.roundRobin },
	func(*life) registry.Strategy { return registry.Rendezvous{} },
	func(*life) registry.Strategy {
		return registry.Affinity{Rules: []registry.LabelRule{{Key: "odd"}}, Then: registry.PowerOfTwo{}}
	},
}

// place finds or makes an owner. What it finds is recorded as a lookup; what it makes
// is a claim by whom it makes it, told by events.
func (l *life) place(ctx context.Context, st Step) {
	r := l.n.r
	ctx, cancel := l.brief(ctx, st)
	defer cancel()
	r.give.placings++
	n := uint64(r.give.placings)
	m := r.newPlacement(st.Actor)
	o := registry.PlaceOptions{Payload: []byte(m.payload)}
	o.Strategy = strategies[r.world.Draw("strategy", n)%uint64(len(strategies))](l)
	// Some believe for long what they once read of the nodes, so that their choices
	// are out of date.
	o.MaxStale = [...]time.Duration{0, 3 * r.shape.ttl, -1}[r.world.Draw("stale", n)%3]
	began := l.now()
	id := l.begin(recording.Lookup(r.actors[st.Actor]))
	p, err := l.reg.Place(ctx, r.actors[st.Actor], o)
	res := recording.LookedUp(p.Owner, err)
	l.end(id, res)
	switch {
	case res.Outcome == linearizability.OutcomeOK && p.New:
		r.happened(evPlaced)
		r.sent(m, p.Owner.Token)
	case res.Outcome == linearizability.OutcomeOK:
		r.happened(evFound)
	case errors.Is(err, registry.ErrNoNode):
		r.happened(evNoNode)
	}
	if err == nil {
		r.seenOwner(began, p.Owner)
	}
}

// newPlacement makes the payload of a placement.
func (r *run) newPlacement(actor int) move {
	h := &r.hand
	h.init()
	m := move{payload: fmt.Sprintf("placement %d of %s", len(h.moves), r.actors[actor]), actor: actor, placed: true}
	h.moves[m.payload] = m
	return m
}

// seenOwner checks an owner that somebody was told who asked at an instant.
func (r *run) seenOwner(asked time.Duration, o registry.Owner) {
	if at, ok := r.give.drained[session{o.Node, o.Incarnation}]; ok && asked > at {
		r.world.Fail("owned-after-drain", fmt.Errorf("%v owned an actor after it had drained", o))
	}
}

// given is told of each actor that the registry has given to a session by itself, in
// an attempt that began at an instant.
func (r *run) given(actor int, token registry.Token, to session, began time.Duration) {
	fail := func(rule, format string, args ...any) {
		r.world.Fail(rule, fmt.Errorf("%q was given to %q (incarnation %v): %s", r.actors[actor], to.node, to.incarnation, fmt.Sprintf(format, args...)))
	}
	if at, ok := r.give.draining[to]; ok && began > at {
		fail("given-to-draining", "it had been draining for %v", began-at)
	}
	if r.give.notReady[to] {
		fail("given-to-joining", "it was not ready")
	}
	r.acquired(actor, token, to)
	r.tenures[holding{actor, token}].given = true
	if limit := r.give.capacity[to]; limit > 0 {
		if newest, owned := r.newestGiven(to); int64(owned) >= limit {
			fail("over-capacity", "it owned %d already when token %v was made, its capacity is %d", owned, newest, limit)
		}
	}
	r.tokens[actor] = append(r.tokens[actor], token)
}

// placeEnded takes up what an attempt to place an actor has come to.
func (l *life) placeEnded(e registry.Event, began time.Duration) {
	r, to := l.n.r, session{e.Node, e.Incarnation}
	switch {
	case e.Err == nil && to != l.self():
		r.given(r.actorIndex[e.Actor], e.Token, to, began)
	case errors.Is(e.Err, registry.ErrFull):
		r.happened(evFull)
	case errors.Is(e.Err, registry.ErrNotActive):
		r.happened(evTargetRefused)
	}
}

func (l *life) self() session {
	if l.session == nil {
		return session{}
	}
	return session{l.session.Node(), l.session.Incarnation()}
}

// activate makes a node ready that has joined before it was. If that fails the node
// stays as it is.
func (l *life) activate(ctx context.Context, s *registry.Session) {
	r, id := l.n.r, l.self()
	if r.shape.lateReady {
		r.give.notReady[id] = true
		l.sleep(ctx, upToDraw(r.world.Draw("ready", l.n.key, l.n.joins), r.shape.ttl))
		delete(r.give.notReady, id)
	}
	_ = s.Activate(ctx)
}

func upToDraw(draw uint64, d time.Duration) time.Duration { return time.Duration(draw % uint64(d)) }
