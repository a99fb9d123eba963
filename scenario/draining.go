package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// Promises about what a session gives away: after a drain that succeeded it owns
// nothing, what it says of what it moved is true, and a rebalance makes loads more
// even with each move.

// tally is what the events of a life say of what it gave away.
type tally struct {
	moved, moveUnknown int
	freed              int // perhaps, and perhaps by the settling of a claim in doubt
	freedUnaccepted    int // for sure, of what was given to the session and nobody had the handle of
}

// drain gives everything away, with as many tries as a patient operator makes, the
// first of which may be cut short; then the node leaves. Half of those that were cut
// short are not taken up again, and the node goes on.
func (l *life) drain(ctx context.Context, st Step) {
	if l.givesAway != "" {
		return
	}
	l.givesAway = "drain"
	defer func() { l.givesAway = "" }()
	r, s := l.n.r, l.session
	o := registry.DrainOptions{HandOff: l.handOff, Concurrency: 1 + int(r.world.Draw("concurrency", l.n.key, l.n.joins)%4)}
	if r.world.Draw("no-hand-off", l.n.key, l.n.joins)%4 == 0 {
		o.HandOff = l.instantHandOff
	}
	for try := range drainTries {
		d, err := l.drainOnce(ctx, s, st, o)
		if err == nil {
			r.happened(evDrained)
			if try > 0 {
				r.happened(evDrainResumed)
			}
			l.demandDrained(ctx, s)
			break
		}
		if d.Left > 0 {
			r.happened(evDrainKept)
		}
		if ctx.Err() != nil || r.quiet() || !s.Valid() {
			return
		}
		if st.Within != 0 && r.world.Draw("drain-given-up", l.n.key, uint64(r.operations))%2 == 0 {
			r.happened(evDrainGivenUp)
			return
		}
		st.Within = 0
	}
	if l.session == s {
		l.leave(ctx)
	}
}

const drainTries = 3

// drainOnce checks what one Drain says of itself.
func (l *life) drainOnce(ctx context.Context, s *registry.Session, st Step, o registry.DrainOptions) (registry.Drained, error) {
	ctx, cancel := l.brief(ctx, st)
	defer cancel()
	r, before := l.n.r, l.gave
	clear(l.superseded)
	last := registry.Drained{}
	o.Progress = func(d registry.Drained) {
		if d.Moved < last.Moved || d.Released < last.Released || d.Moved+d.Released+d.Gone < last.Moved+last.Released+last.Gone {
			r.world.Fail("drain-miscounts", fmt.Errorf("progress went from %+v to %+v", last, d))
		}
		last = d
	}
	d, err := s.Drain(ctx, o)
	moved, unknown, freed := l.gave.moved-before.moved, l.gave.moveUnknown-before.moveUnknown, l.gave.freed-before.freed
	if d.Moved < moved || d.Moved > moved+unknown || d.Released > freed {
		r.world.Fail("drain-miscounts", fmt.Errorf("it says %+v (error: %s); it moved %d and perhaps %d more, and freed %d at most", d, fmt.Sprint(err), moved, unknown, freed))
	}
	if n := l.gave.freedUnaccepted - before.freedUnaccepted; n > d.Released {
		r.world.Fail("given-and-given-back", fmt.Errorf("%q freed %d actors that it was given and nobody had accepted; its drain says %+v (error: %s)", s.Node(), n, d, fmt.Sprint(err)))
	}
	if err == nil && (d.Left != 0 || len(d.Kept) != 0) || len(d.Kept) > d.Left && d.Left >= 0 && !errors.Is(err, registry.ErrSessionLost) {
		r.world.Fail("drain-miscounts", fmt.Errorf("it says %+v (error: %s)", d, fmt.Sprint(err)))
	}
	return d, err
}

// demandDrained checks that the session owns nothing, and notes that it is so for
// good.
func (l *life) demandDrained(ctx context.Context, s *registry.Session) {
	r := l.n.r
	r.give.drained[session{s.Node(), s.Incarnation()}] = l.now()
	for _, c := range l.n.granted {
		if c.Session() == s && c.Valid() {
			r.world.Fail("owned-after-drain", fmt.Errorf("token %v of %q is valid after %q has drained", c.Token(), c.Actor(), s.Node()))
		}
	}
	ctx, cancel := l.timeout(ctx, opTimeout)
	defer cancel()
	for owned, err := range l.reg.List(ctx, registry.ListOptions{Node: s.Node()}) {
		if err != nil {
			return // the store does not answer just now
		}
		if owned.Owner.Incarnation == s.Incarnation() {
			r.world.Fail("owned-after-drain", fmt.Errorf("%q owns %q after it has drained", s.Node(), owned.Actor))
		}
	}
}

// drainsWithin bounds how long it may take a session that has begun to drain to come to
// an end of it, in a world without faults: the recovery of a store, hand-offs that have
// not returned, and a few attempts.
const drainsWithin = 5 * time.Second

// demandDrains checks that a session which has begun to drain can give away what it
// still owns: whatever became of a drain before is not in the way of another.
func (l *life) demandDrains(ctx context.Context) {
	r, s := l.n.r, l.session
	if s == nil {
		return
	}
	if _, ok := r.give.draining[l.self()]; !ok {
		return
	}
	deadline := max(l.now(), chaosEnds) + drainsWithin
	for ctx.Err() == nil && s.Valid() {
		if l.givesAway == "" {
			l.givesAway = "drain"
			d, err := l.drainOnce(ctx, s, Step{}, registry.DrainOptions{HandOff: l.instantHandOff})
			l.givesAway = ""
			if err == nil {
				r.happened(evDrainedAtLast)
				l.demandDrained(ctx, s)
				return
			}
			if l.now() > deadline && ctx.Err() == nil && s.Valid() {
				r.world.Fail("drain-stuck", fmt.Errorf("%v after the workload has ended a drain of %q says %+v: %w", l.now()-chaosEnds, l.n.id, d, err))
				return
			}
		}
		l.sleep(ctx, drainsWithin/20)
	}
}

// grantedAfterDrain checks that a session which has given everything away, and gets no
// more, is not handed out a handle that is valid.
func (r *run) grantedAfterDrain(c *registry.Claim) {
	s := c.Session()
	if at, ok := r.give.drained[session{s.Node(), s.Incarnation()}]; ok && c.Valid() {
		r.world.Fail("owned-after-drain", fmt.Errorf("token %v of %q was handed out %v after %q had drained", c.Token(), c.Actor(), r.world.Now()-at, s.Node()))
	}
}

// rebalance gives away what is too much.
func (l *life) rebalance(ctx context.Context, st Step) {
	if l.givesAway != "" {
		return
	}
	l.givesAway = "rebalance"
	defer func() { l.givesAway = "" }()
	ctx, cancel := l.brief(ctx, st)
	defer cancel()
	before := l.gave
	res, err := l.session.Rebalance(ctx, registry.RebalanceOptions{Max: 2, HandOff: l.instantHandOff})
	if moved := l.gave.moved - before.moved; len(res.Moved) != moved {
		l.n.r.world.Fail("rebalance-miscounts", fmt.Errorf("it says %+v (error: %s), and moved %d", res, fmt.Sprint(err), moved))
	}
}

// handOff takes its time, at times more than it has.
func (l *life) handOff(ctx context.Context, c *registry.Claim) ([]byte, error) {
	r := l.n.r
	l.sleep(ctx, upToDraw(r.world.Draw("hand-off", l.n.key, uint64(c.Token())), r.shape.ttl/2))
	return l.instantHandOff(ctx, c)
}

func (l *life) instantHandOff(_ context.Context, c *registry.Claim) ([]byte, error) {
	r, actor := l.n.r, l.n.r.actorIndex[c.Actor()]
	if !l.has(actor, c.Token()) {
		l.grant(actor, c) // the drain has claimed it again
	}
	m := r.newMove(actor, c, session{})
	l.handed[holding{actor, c.Token()}] = m.payload
	return []byte(m.payload), nil
}

// givesActors takes up what the registry gives away by itself.
func (l *life) givesActors(e registry.Event) {
	r := l.n.r
	switch e.Kind {
	case registry.EventPlaceEnd:
		l.placeEnded(e, l.started[e.ID])
	case registry.EventMoveStart:
		l.moveBegins(e)
	case registry.EventMoveEnd:
		l.moveEnded(e, l.started[e.ID])
	case registry.EventDraining:
		r.give.draining[session{e.Node, e.Incarnation}] = l.now()
	case registry.EventGiveBackStart:
		if l.givesAway == "drain" {
			l.moveBegins(e)
		}
		r.ending(r.actorIndex[e.Actor], e.Token)
	case registry.EventGiveBackEnd:
		l.freed(e)
	default: // it gives nothing
	}
}

// freed takes up what freeing an actor has come to.
func (l *life) freed(e registry.Event) {
	r, actor := l.n.r, l.n.r.actorIndex[e.Actor]
	if l.givesAway != "drain" {
		return
	}
	l.ends[actor] = 0
	key := holding{actor, e.Token}
	switch {
	case e.Err == nil:
		l.gave.freed++
		if r.wasGiven(key) && r.hand.got[key] == "" {
			l.gave.freedUnaccepted++
		}
		r.happened(evDrainFreed)
		r.monitor.Dropped(string(e.Actor), uint64(e.Token))
	case errors.Is(e.Err, registry.ErrUnknown):
		l.gave.freed++
	}
	if e.Err != nil {
		l.notGivenAway(key, e.Err)
	}
}

// supersededTries bounds how often one drain may try to give an ownership away by a
// handle that turns out to be superseded: once, and once more for each claim that comes
// in between.
const supersededTries = 10

// notGivenAway takes up that a drain has failed to give an actor away. If that is sure,
// and nobody had accepted the actor, it waits for somebody to do so.
func (l *life) notGivenAway(key holding, err error) {
	if errors.Is(err, registry.ErrSuperseded) {
		if l.superseded[key]++; l.superseded[key] > supersededTries {
			l.n.r.world.Fail("drain-in-circles", fmt.Errorf("it has tried token %v of %q %d times: %w", key.token, l.n.r.actors[key.actor], l.superseded[key], err))
		}
	}
	if errors.Is(err, registry.ErrUnknown) {
		l.unsure[key] = true
	}
	if !l.unsure[key] {
		delete(l.adopted, key)
	}
}

// moveBegins takes up that an actor is about to be given away.
func (l *life) moveBegins(e registry.Event) {
	actor := l.n.r.actorIndex[e.Actor]
	l.n.r.ending(actor, e.Token)
	if !l.has(actor, e.Token) {
		l.adopted[holding{actor, e.Token}] = true
	}
}

// moveEnded takes up what giving an actor away has come to.
func (l *life) moveEnded(e registry.Event, began time.Duration) {
	r, actor := l.n.r, l.n.r.actorIndex[e.Actor]
	to := session{e.Target.Node, e.Target.Incarnation}
	switch {
	case errors.Is(e.Err, registry.ErrUnknown):
		l.gave.moveUnknown++
	case errors.Is(e.Err, registry.ErrFull):
		r.happened(evFull)
	case errors.Is(e.Err, registry.ErrNotActive):
		r.happened(evTargetRefused)
	}
	if e.Err != nil {
		l.notGivenAway(holding{actor, e.Token}, e.Err)
		return
	}
	l.gave.moved++
	if l.givesAway == "rebalance" {
		r.happened(evRebalanced)
		r.demandEvener(actor, session{e.Node, e.Incarnation}, to, began)
	} else {
		r.happened(evDrainMoved)
	}
	r.monitor.Dropped(string(e.Actor), uint64(e.Token))
	if last := &r.lastOwner[actor]; last.token == e.Token {
		last.kept = false
	}
	if e.NewToken == 0 {
		return
	}
	payload, ok := l.handed[holding{actor, e.Token}]
	if !ok {
		payload = r.hand.made[holding{actor, e.Token}]
		r.happened(evPassedOn)
	}
	if payload != "" {
		m := r.hand.moves[payload]
		m.to = to
		r.hand.moves[payload] = m
		r.made(m, e.NewToken)
	}
	r.given(actor, e.NewToken, to, began)
}

// demandEvener checks that a move did not leave its target with more than its
// source. What others have owned all the time the source has not.
func (r *run) demandEvener(actor int, from, to session, began time.Duration) {
	target := r.ownedSince(began, func(s session) bool { return s == to })
	others := r.ownedSince(began, func(s session) bool { return s != from })
	if most := len(r.actors) - others; target+1 > most-1 {
		r.world.Fail("unbalanced", fmt.Errorf("%q went from %q, which owned %d at most, to %q, which owned %d at least", r.actors[actor], from.node, most, to.node, target))
	}
}
