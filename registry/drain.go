package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// MaxDrainConcurrency is the upper limit of DrainOptions.Concurrency.
const MaxDrainConcurrency = 1000

const defaultDrainConcurrency = 16

// DrainOptions of [Session.Drain]. The zero value is ready for use.
type DrainOptions struct {
	// Strategy chooses the next owner of each actor. Default: [PowerOfTwo].
	Strategy Strategy
	// Concurrency bounds how many actors are under way at one time; 1 to
	// [MaxDrainConcurrency]. Default: 16.
	Concurrency int
	// PerActor bounds the time for one actor, its hand-off included; above 0.
	// Default: TTL/3.
	PerActor time.Duration
	// HandOff, when not nil, prepares each actor. One that does not return in time
	// is not waited for; the claim stays Valid.
	HandOff HandOff
	// Progress, when not nil, is told the counts after each actor, one call at a
	// time, without Kept. It must not block.
	Progress func(Drained)
}

func (o DrainOptions) withDefaults(ttl time.Duration) (DrainOptions, error) {
	if o.Strategy == nil {
		o.Strategy = PowerOfTwo{}
	}
	if o.Concurrency == 0 {
		o.Concurrency = defaultDrainConcurrency
	}
	if o.PerActor == 0 {
		o.PerActor = ttl / 3
	}
	switch {
	case o.Concurrency < 1 || o.Concurrency > MaxDrainConcurrency:
		return o, invalid("DrainOptions.Concurrency is %d, must be from 1 to %d", o.Concurrency, MaxDrainConcurrency)
	case o.PerActor <= 0:
		return o, invalid("DrainOptions.PerActor is %v, must be above 0", o.PerActor)
	}
	return o, nil
}

// Drained says what became of the actors of a session that drains.
type Drained struct {
	Moved    int // came to another node by this call
	Released int // were freed by this call: no node took them
	Gone     int // left the session meanwhile by other calls
	// Left is how many the session still owns, also those that were not tried; −1
	// when the store did not tell.
	Left int
	Kept []Kept // those that were tried in vain, in the order of their ids
}

// ErrNotDrained: a drain has ended, and the session still owns actors.
var ErrNotDrained = errors.New("registry: the session still owns actors")

// Drain makes the session Draining, for good: it gets no more actors, and claims
// are refused with [ErrDraining]. Then it gives away all that it owns, also what
// nobody here has a handle of: each actor is transferred to a node that the
// strategy chooses, or released if no node takes it.
//
// An actor that is slow, or whose target is, holds up no other: it has its own
// deadline, and is kept when that has passed. A Drain that ends before its work is
// done, for whatever reason, is taken up by another Drain; until then the session
// serves what is left, and what nobody had accepted before the Drain can be accepted
// after it. The session goes on renewing its lease until it ends: when nothing is left,
// call Leave.
//
// The counts are exact whatever the error is, and their sum is what the session
// owned when Drain was called and it was Draining: what was in doubt has been
// settled by then, unless the store did not answer within PerActor after ctx had
// ended; then Left is −1.
//
// Errors: [ErrInvalid]; [ErrNotDrained]; [ErrSessionLost]; errors of the store and
// of ctx.
func (s *Session) Drain(ctx context.Context, o DrainOptions) (Drained, error) {
	o, err := o.withDefaults(s.r.o.TTL)
	if err != nil {
		return Drained{}, err
	}
	s.countDrains(1)
	defer s.countDrains(-1)
	d := &drain{s: s, o: o, began: s.r.census.fromNow()}
	if err := d.run(ctx); err != nil {
		return d.sum, fmt.Errorf("registry: drain %q: %w", s.id.node, err)
	}
	return d.sum, nil
}

func (s *Session) countDrains(change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drains += change
}

// drain is the state of one Drain. Its own task alone touches sum and failed.
type drain struct {
	s      *Session
	o      DrainOptions
	began  freshness
	total  int // owned when it began
	sum    Drained
	failed []drainedActor // not given away, or in doubt

	mu       sync.Mutex
	ended    []drainedActor // not counted yet
	underWay int
	wake     clock.Event // set when an actor has ended; nil when nobody waits
}

// drainedActor is what became of one actor.
type drainedActor struct {
	actor ActorID
	fate  fate
	err   error
}

// fate is what was done with an actor, or tried if there is an error.
type fate uint8

const (
	fateGone fate = iota // it was not the session's any more
	fateMoved
	fateReleased
)

func (d *drain) run(ctx context.Context) error {
	s := d.s
	err := s.setDraining(ctx)
	if err == nil {
		d.total, err = s.countOwned(ctx)
	}
	switch {
	case errors.Is(err, ErrSessionLost):
		return err
	case err != nil:
		d.sum.Left = -1
		return err
	}
	s.r.emit(s.event(EventDraining))
	d.sum.Left = d.total
	err = d.pass(ctx)
	if ferr := d.finish(); err == nil || errors.Is(ferr, ErrSessionLost) {
		err = ferr
	}
	if err == nil && d.sum.Left > 0 {
		err = fmt.Errorf("%w: %d, of which %d were tried", ErrNotDrained, d.sum.Left, len(d.sum.Kept))
		if len(d.sum.Kept) > 0 {
			err = fmt.Errorf("%w; the first is %q: %w", err, d.sum.Kept[0].Actor, d.sum.Kept[0].Err)
		}
	}
	return err
}

// pass tries each actor of the session once. As the session gets no more actors,
// the index shows all there will ever be.
func (d *drain) pass(ctx context.Context) error {
	s := d.s
	space := s.r.keys.session(tagOwned, s.id.node, s.id.incarnation, 0)
	begin, end := space, append(slices.Clone(space), 0xff)
	var err error
	for more := true; more && err == nil; {
		var rows []store.KeyValue
		err = s.r.db.Read(ctx, func(tx store.Reader) (err error) {
			rows, more, err = tx.GetRange(begin, end, store.RangeOptions{Limit: defaultPageRows})
			return err
		})
		for i := 0; err == nil && i < len(rows); i++ {
			var actor ActorID
			if actor, err = actorOf(rows[i].Key, space); err != nil {
				break
			}
			if err = d.waitUntilUnder(ctx, d.o.Concurrency); err == nil {
				d.start(ctx, actor)
			}
			begin = append(slices.Clone(rows[i].Key), 0)
		}
	}
	// Those under way end at their deadlines, or when ctx does.
	return errors.Join(err, d.waitUntilUnder(s.r.host.Context(), 1))
}

// start tries one actor in a task of its own.
func (d *drain) start(ctx context.Context, actor ActorID) {
	d.mu.Lock()
	d.underWay++
	d.mu.Unlock()
	d.s.r.host.Go("drain", func(context.Context) {
		jctx, cancel := d.s.r.host.WithTimeout(ctx, d.o.PerActor)
		defer cancel()
		a := drainedActor{actor: actor}
		a.fate, a.err = d.giveAway(jctx, actor)
		d.mu.Lock()
		d.underWay--
		d.ended = append(d.ended, a)
		wake := d.wake
		d.wake = nil
		d.mu.Unlock()
		if wake != nil {
			wake.Set()
		}
	})
}

// waitUntilUnder counts what has ended until less than n actors are under way.
func (d *drain) waitUntilUnder(ctx context.Context, n int) error {
	for {
		wake := d.s.r.host.NewEvent()
		d.mu.Lock()
		ended, enough := d.ended, d.underWay < n
		d.ended = nil
		d.wake = wake
		d.mu.Unlock()
		var lost error
		for _, a := range ended {
			if errors.Is(a.err, ErrSessionLost) {
				lost = a.err
			}
			d.count(a)
		}
		switch {
		case lost != nil && n > 1:
			return lost // no need to try the others
		case enough:
			return lost
		}
		if err := wake.Wait(ctx); err != nil {
			return err
		}
	}
}

func (d *drain) count(a drainedActor) {
	switch {
	case a.err != nil:
		d.failed = append(d.failed, a)
	case a.fate == fateMoved:
		d.sum.Moved++
		d.sum.Left--
	case a.fate == fateReleased:
		d.sum.Released++
		d.sum.Left--
	case a.fate == fateGone:
		d.sum.Gone++
		d.sum.Left--
	}
	if d.o.Progress != nil {
		p := d.sum
		p.Kept, p.Left = nil, max(p.Left, 0)
		d.o.Progress(p)
	}
}

// giveAway transfers the actor, or releases it when no node takes it.
func (d *drain) giveAway(ctx context.Context, actor ActorID) (fate, error) {
	s := d.s
	c, fresh, err := s.handleToGive(ctx, actor)
	switch {
	case errors.Is(err, ErrNotOwner):
		return fateGone, nil
	case err != nil:
		return fateGone, err
	}
	var payload []byte
	switch {
	case fresh:
		payload = c.Payload() // nobody here has served it: what was sent goes on
	case d.o.HandOff != nil:
		if payload, err = s.handOff(ctx, c, d.o.HandOff); err != nil {
			return fateGone, err
		}
	}
	refused := map[sessionID]bool{s.id: true}
	takes := func(n *Node) bool { return n.Takes() && !refused[sessionID{n.ID, n.Incarnation}] }
	anew := s.r.census.fromNow()
	for known := d.known(); ; {
		n, err := s.r.chooseSince(ctx, known, actor, d.o.Strategy, takes)
		switch {
		case errors.Is(err, ErrNoNode) && known.after < anew.after:
			known = anew
			continue
		case errors.Is(err, ErrNoNode):
			err := c.giveBack(ctx)
			if errors.Is(err, ErrSuperseded) {
				return d.giveAway(ctx, actor)
			}
			return freed(err)
		case err != nil:
			return fateGone, err
		}
		_, err = c.move(ctx, sessionID{n.ID, n.Incarnation}, payload, nil)
		switch {
		case err == nil:
			s.r.countIn(sessionID{n.ID, n.Incarnation}, 1)
			return fateMoved, nil
		case errors.Is(err, ErrNotOwner):
			return fateGone, nil
		case errors.Is(err, ErrSuperseded):
			return d.giveAway(ctx, actor) // somebody has claimed it, and serves it now
		case !refusesActor(err):
			return fateMoved, err
		}
		refused[sessionID{n.ID, n.Incarnation}] = true
		known = s.r.census.fromNow()
	}
}

// known is how old what is known of the nodes may be when an actor is tried first:
// not from before the drain, nor older than for Place.
func (d *drain) known() freshness {
	f := d.began
	f.notBefore = d.s.r.host.Uptime() - d.s.r.o.TTL/defaultLoadShare
	return f
}

// handleToGive returns a handle of an actor that the session owns: a Valid one, or,
// with fresh set, one that nobody else has, and that nobody is handed any more. Its
// holder may have stopped believing, because a release or a transfer has failed:
// then the handle is a new one, and what is in doubt has no effect any more.
// ErrNotOwner: the session does not own it.
func (s *Session) handleToGive(ctx context.Context, actor ActorID) (c *Claim, fresh bool, err error) {
	if c = s.lastHandle(actor); c != nil && c.Valid() {
		return c, false, nil
	}
	if c != nil && c.unserved {
		leave, err := s.enter(ctx, actor)
		if err != nil {
			return nil, false, err
		}
		// If a claim may have written a record in place of this one, it is its handle
		// that is needed.
		superseded := c.isSuperseded()
		leave()
		if !superseded {
			return c, true, nil
		}
	}
	c, fresh, owner, err := s.adoptTo(ctx, actor, func(t Token, payload []byte) *Claim { return s.unservedHandle(actor, t, payload) })
	if err != nil || c != nil {
		return c, fresh, err
	}
	if owner.Node != s.id.node || owner.Incarnation != s.id.incarnation {
		return nil, false, ErrNotOwner
	}
	c, err = s.claimTold(ctx, actor)
	if errors.Is(err, ErrDraining) || errors.Is(err, ErrHeld) {
		err = ErrNotOwner // it has gone meanwhile
	}
	return c, false, err
}

// unservedHandle makes a handle that is not Valid: a Claim gets another one. The row
// stays in the inbox: nobody has accepted the actor.
func (s *Session) unservedHandle(a ActorID, t Token, payload []byte) *Claim {
	c := &Claim{s: s, actor: a, token: t, payload: payload, unserved: true}
	c.released.Store(true)
	s.mu.Lock()
	s.claims[a] = c
	s.mu.Unlock()
	return c
}

func freed(err error) (fate, error) {
	if errors.Is(err, ErrNotOwner) {
		return fateGone, nil
	}
	return fateReleased, err
}

// finish settles what is in doubt, looks what has become of the actors that were not
// given away, and counts what is left.
func (d *drain) finish() error {
	s := d.s
	ctx, cancel := s.r.host.WithTimeout(s.r.host.Context(), d.o.PerActor)
	defer cancel()
	var err error
	left := -1
	for batch := range slices.Chunk(d.failed, MaxBatch) {
		owned := make([]bool, len(batch))
		if err == nil {
			left, err = s.settleAndLook(ctx, batch, owned)
		}
		for i, a := range batch {
			inDoubt := errors.Is(a.err, ErrUnknown)
			switch {
			case err == nil && owned[i] && inDoubt:
				d.sum.Kept = append(d.sum.Kept, Kept{a.actor, fmt.Errorf("it is settled that this was not done in time: %s", a.err.Error())})
			case err != nil || owned[i]:
				d.sum.Kept = append(d.sum.Kept, Kept{a.actor, a.err})
			case inDoubt:
				d.count(drainedActor{a.actor, a.fate, nil})
			default:
				d.count(drainedActor{a.actor, fateGone, nil})
			}
		}
	}
	if err == nil && left < 0 {
		left, err = s.countOwned(ctx)
	}
	switch {
	case errors.Is(err, ErrSessionLost):
		d.sum.Left, d.sum.Kept = 0, nil
	case err != nil:
		d.sum.Left = -1
	default:
		d.sum.Left = left
		d.sum.Gone = d.total - d.sum.Moved - d.sum.Released - d.sum.Left
	}
	slices.SortFunc(d.sum.Kept, func(a, b Kept) int { return cmp.Compare(a.Actor, b.Actor) })
	return err
}

// settleAndLook finds out which of the actors the session still owns, and how many
// in all, and makes commits about them that are still on their way conflict.
func (s *Session) settleAndLook(ctx context.Context, actors []drainedActor, owned []bool) (left int, err error) {
	keys := make([][]byte, 0, len(actors)+2)
	for _, a := range actors {
		keys = append(keys, s.r.keys.owned(s.id.node, s.id.incarnation, a.actor))
	}
	keys = append(keys, s.r.keys.state(s.id.node), s.r.keys.load(s.id.node, s.id.incarnation))
	doubt := false
	_, err = s.r.transact(ctx, s.event(0), &doubt, func(tx store.Tx) error {
		vs, err := tx.GetAll(keys...)
		if err != nil {
			return err
		}
		me, err := decodeSession(vs[len(actors)])
		if err != nil {
			return err
		}
		if !me.lives(s.id.incarnation) {
			return s.endedError(me)
		}
		n, err := decodeLoad(vs[len(actors)+1])
		if err != nil {
			return err
		}
		left = int(n)
		for i, a := range actors {
			owned[i] = vs[i] != nil
			s.r.overtake(tx, a.actor)
		}
		return nil
	})
	s.learn(err)
	return left, err
}

// countOwned returns how many actors the session owns.
func (s *Session) countOwned(ctx context.Context) (owned int, err error) {
	err = s.r.db.Read(ctx, func(tx store.Reader) error {
		vs, err := tx.GetAll(s.r.keys.state(s.id.node), s.r.keys.load(s.id.node, s.id.incarnation))
		if err != nil {
			return err
		}
		me, err := decodeSession(vs[0])
		if err != nil {
			return err
		}
		if !me.lives(s.id.incarnation) {
			return s.endedError(me)
		}
		n, err := decodeLoad(vs[1])
		owned = int(n)
		return err
	})
	s.learn(err)
	return owned, err
}
