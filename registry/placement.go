package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// PlaceOptions of [Registry.Place]. The zero value is ready for use.
type PlaceOptions struct {
	// Strategy chooses among the nodes that take actors. Default: [PowerOfTwo].
	Strategy Strategy

	// Payload goes with the actor to the node that gets it, see
	// [Session.Assignments]; at most [MaxPayloadBytes]. An owner that is found
	// does not get it.
	Payload []byte

	// MaxStale bounds the age of the loads and labels that the strategy sees, on
	// this process's clock; at most [MaxTTL]. What it has placed since is counted
	// in. A choice that proves to be out of date is made again by a fresh read.
	// Zero means the default, TTL/30; a negative value, a read for each actor that
	// is placed.
	MaxStale time.Duration
}

// defaultLoadShare of the TTL is the default of PlaceOptions.MaxStale.
const defaultLoadShare = 30

func (o PlaceOptions) withDefaults(ttl time.Duration) (PlaceOptions, error) {
	if o.Strategy == nil {
		o.Strategy = PowerOfTwo{}
	}
	if o.MaxStale == 0 {
		o.MaxStale = ttl / defaultLoadShare
	}
	switch {
	case len(o.Payload) > MaxPayloadBytes:
		return o, invalid("PlaceOptions.Payload has %d bytes, at most %d are allowed", len(o.Payload), MaxPayloadBytes)
	case o.MaxStale > MaxTTL:
		return o, invalid("PlaceOptions.MaxStale is %v, at most %v are allowed", o.MaxStale, MaxTTL)
	}
	o.MaxStale = max(o.MaxStale, 0)
	return o, nil
}

// Placed is an actor's owner, found or made.
type Placed struct {
	Owner Owner
	New   bool // this call made it the owner
}

// Place returns the owner of an actor at one instant between call and return, and
// if it has none, makes a node its owner that the strategy chooses. Nothing is
// asked of that node: one transaction checks that the actor is free or its owner's
// session has ended, and that the chosen session is Active, not degraded, and has
// room, and makes it the owner. The node learns so by [Session.Assignments].
//
// Capacity is exact for a node that is nearly full (an eighth of its capacity
// left, or 8 actors): there, placements wait for each other. Before that, a node
// that gets more than so many actors within one transaction's time may go over.
//
// Calls for one actor at one time in one process share what they find.
//
// Errors: [ErrInvalid], also for what a strategy must not choose; [ErrNoNode];
// [ErrUnknown]: the actor may be placed, or may yet be, and Place may be called
// again; an error of the strategy; errors of the store and of ctx, after which
// nothing was changed.
func (r *Registry) Place(ctx context.Context, actor ActorID, o PlaceOptions) (Placed, error) {
	if err := actor.Validate(); err != nil {
		return Placed{}, err
	}
	o, err := o.withDefaults(r.o.TTL)
	if err != nil {
		return Placed{}, err
	}
	p, err := r.placeInTurn(ctx, actor, o)
	if err != nil {
		return Placed{}, fmt.Errorf("registry: place %q: %w", actor, err)
	}
	return p, nil
}

// placements lets one Place of an actor act at a time.
type placements struct {
	mu    sync.Mutex
	turns map[ActorID]*placeTurn // of actors with a call under way
}

type placeTurn struct {
	callers  int         // that act or wait
	begun    uint64      // how many have acted
	ended    clock.Event // set when the one that acts has ended; nil when none does
	answer   Owner       // found by the newest that succeeded
	answered uint64      // its number
}

// placeInTurn acts unless another call that began to act after this one was made
// has found an answer: that answer was true between this call and its return.
func (r *Registry) placeInTurn(ctx context.Context, actor ActorID, o PlaceOptions) (Placed, error) {
	fresh, mine := r.census.fromNow(), r.host.NewEvent()
	t, seen := r.placements.join(actor)
	defer r.placements.leave(actor, t)
	for {
		ended, owner := r.placements.act(t, mine, seen)
		switch {
		case owner != (Owner{}):
			return Placed{Owner: owner}, nil
		case ended != nil:
			if err := ended.Wait(ctx); err != nil {
				return Placed{}, err
			}
			continue
		}
		var found *Placed
		defer func() { r.placements.end(t, mine, found) }() // also when a strategy panics
		p, err := r.place(ctx, actor, o, fresh)
		if err == nil {
			found = &p
		}
		return p, err
	}
}

// join returns the turn of an actor and how many have acted in it so far.
func (ps *placements) join(a ActorID) (t *placeTurn, seen uint64) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	t = ps.turns[a]
	if t == nil {
		t = &placeTurn{}
		ps.turns[a] = t
	}
	t.callers++
	return t, t.begun
}

func (ps *placements) leave(a ActorID, t *placeTurn) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if t.callers--; t.callers == 0 {
		delete(ps.turns, a)
	}
}

// act returns an answer that was found by one who began after seen, or else the
// event for which to wait, or neither: then it is the caller's turn, until it calls
// end.
func (ps *placements) act(t *placeTurn, mine clock.Event, seen uint64) (wait clock.Event, answer Owner) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	switch {
	case t.answered > seen:
		return nil, t.answer
	case t.ended != nil:
		return t.ended, Owner{}
	}
	t.begun++
	t.ended = mine
	return nil, Owner{}
}

func (ps *placements) end(t *placeTurn, mine clock.Event, found *Placed) {
	ps.mu.Lock()
	t.ended = nil
	if found != nil {
		t.answer, t.answered = found.Owner, t.begun
	}
	ps.mu.Unlock()
	mine.Set()
}

// place looks for an owner, and then for a node to be one, until a transaction
// has found or made it. A node that refused is not asked again.
func (r *Registry) place(ctx context.Context, actor ActorID, o PlaceOptions, fresh freshness) (Placed, error) {
	owner, err := r.lookUp(ctx, actor)
	if err != nil || owner != (Owner{}) {
		return Placed{Owner: owner}, err
	}
	doubt := false
	fail := func(err error) (Placed, error) {
		if doubt && !errors.Is(err, ErrUnknown) {
			err = fmt.Errorf("%w: %w", ErrUnknown, err)
		}
		return Placed{}, err
	}
	refused := make(map[sessionID]bool)
	takes := func(n *Node) bool { return n.Takes() && !refused[sessionID{n.ID, n.Incarnation}] }
	known := fresh
	if o.MaxStale > 0 {
		known = freshness{notBefore: r.host.Uptime() - o.MaxStale}
	}
	for {
		n, err := r.chooseSince(ctx, known, actor, o.Strategy, takes)
		if errors.Is(err, ErrNoNode) && known.after == 0 && fresh.after > 0 {
			known = fresh
			continue
		}
		if err != nil {
			return fail(err)
		}
		p := placing{r: r, actor: actor, to: n, payload: o.Payload, op: r.newOpID()}
		placed, err := p.run(ctx)
		switch {
		case err == nil:
			return placed, nil
		case refusesActor(err):
			refused[sessionID{n.ID, n.Incarnation}] = true
			known = r.census.fromNow() // what was known of the nodes is out of date
		case !errors.Is(err, errGone):
			return fail(err)
		}
		doubt = doubt || errors.Is(err, ErrUnknown)
	}
}

// chooseSince has the strategy choose among the nodes that takes accepts.
func (r *Registry) chooseSince(ctx context.Context, known freshness, actor ActorID, s Strategy, takes func(*Node) bool) (*Node, error) {
	nodes, err := r.nodesTaking(ctx, known, takes)
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 {
		return nil, fmt.Errorf("%w: none is active and has room", ErrNoNode)
	}
	return choose(s, actor, nodes, r.host.Rand())
}

// errGone: an attempt in doubt may have had no effect; another may.
var errGone = errors.New("no trace of an attempt in doubt is left")

// placing is the state of one attempt to make a node an actor's owner over its
// transactions. It is a claim on the node's behalf.
type placing struct {
	r       *Registry
	actor   ActorID
	to      *Node
	payload []byte
	op      opID
	doubt   bool
	epoch   uint8 // of the session
	found   Owner // who owned the actor already
	mine    bool  // and this attempt, when it was in doubt, made it so
}

func (p *placing) run(ctx context.Context) (Placed, error) {
	r := p.r
	about := Event{Kind: EventPlaceStart, Node: p.to.ID, Incarnation: p.to.Incarnation, Actor: p.actor, ID: r.lastID.Add(1)}
	r.emit(about)
	version, err := r.transact(ctx, about, &p.doubt, p.attempt)
	if p.mine && err == nil {
		r.resolved(about, true)
	}
	about.Kind, about.Err = EventPlaceEnd, err
	placed := Placed{Owner: p.found, New: p.mine}
	switch {
	case err != nil:
		placed = Placed{}
	case p.found == (Owner{}):
		placed = Placed{Owner: p.owner(Token(stamped(p.epoch, version))), New: true}
		about.Token, about.Version = placed.Owner.Token, version
	case p.mine:
		about.Token = p.found.Token
	default:
		about.Err = &HeldError{Actor: p.actor, Owner: p.found}
		if p.doubt {
			about.Err = fmt.Errorf("%w: %w", ErrUnknown, about.Err)
		}
	}
	if placed.New {
		r.countIn(sessionID{p.to.ID, p.to.Incarnation}, 1)
	}
	r.emit(about)
	return placed, err
}

func (p *placing) owner(t Token) Owner {
	return Owner{Node: p.to.ID, Incarnation: p.to.Incarnation, Token: t, Address: p.to.Address}
}

// attempt is one transaction: the chosen session takes actors; the actor is free,
// or its owner's session is not live; then the record, the index, the load and the
// inbox of the node.
func (p *placing) attempt(tx store.Tx) error {
	p.found, p.mine = Owner{}, false
	r, id := p.r, sessionID{p.to.ID, p.to.Incarnation}
	to, rec, err := r.readSessionAndActor(tx, p.to.ID, p.actor)
	if err != nil {
		return err
	}
	if rec != nil && rec.op == p.op {
		p.found, p.mine = p.owner(rec.token()), true
		return nil
	}
	if p.found, err = r.liveOwner(tx, rec); err != nil || p.found != (Owner{}) {
		return err
	}
	if p.doubt {
		// It may have taken effect, and the node may have released the actor since:
		// doing it again would be a second ownership under one name. What is still
		// on its way conflicts with the next attempt.
		return fmt.Errorf("%w: %w", ErrUnknown, errGone)
	}
	if err := (Target{Node: id.node, Incarnation: id.incarnation}).takes(to); err != nil {
		return err
	}
	if err := r.hasRoom(tx, to, id); err != nil {
		return err
	}
	if rec != nil {
		r.disown(tx, sessionID{rec.node, rec.incarnation}, p.actor)
	}
	p.epoch = to.epoch
	r.own(tx, id, to.epoch, p.actor, p.op)
	r.deliver(tx, id, p.actor, p.payload)
	return nil
}
