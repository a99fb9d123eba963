package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/store"
)

// Claim is the handle of one ownership of one actor. It is safe for use from
// several tasks.
type Claim struct {
	s        *Session
	actor    ActorID
	token    Token
	payload  []byte
	unserved bool        // made to pass on what nobody has accepted; nobody was handed it
	released atomic.Bool // the holder has stopped believing, for good

	// Guarded by the actor's turn.
	doubt      bool  // a release is in doubt
	moves      moves // transfers, and which are in doubt
	superseded bool  // one of them is, and a later claim wrote a record in place of this one, or may have

	mu     sync.Mutex
	ctx    context.Context // made on demand
	cancel context.CancelCauseFunc
	why    error // the holder stopped believing
}

// Actor returns the claimed actor.
func (c *Claim) Actor() ActorID { return c.actor }

// Token returns the fencing token, to be sent along with every effect.
func (c *Claim) Token() Token { return c.token }

// Payload returns what came along with the actor when this session was given it,
// at most [MaxPayloadBytes] bytes; nothing when it was claimed. It is not to be
// changed, and kept as long as the handle.
func (c *Claim) Payload() []byte { return c.payload }

// Session returns the session that owns the actor.
func (c *Claim) Session() *Session { return c.s }

// Valid reports whether the holder may still believe that it owns the actor. It
// reads the clock at every call and costs no I/O. The answer is about now: by
// the time an effect arrives elsewhere it may be false, which is what the token
// and [Guard] are for.
func (c *Claim) Valid() bool {
	return !c.released.Load() && c.s.Valid()
}

// Context ends when the claim is released or transferred, or its session ends;
// clock.Cause tells why. A lease that runs out during a pause of the process ends it only
// after the pause: ask Valid.
func (c *Claim) Context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = c.s.r.host.WithCancel(c.s.ctx)
		if c.released.Load() {
			c.cancel(c.why)
		}
	}
	return c.ctx
}

var errReleased = fmt.Errorf("%w: the claim was released", ErrNotOwner)

// stopBelieving makes the claim invalid for good.
func (c *Claim) stopBelieving(why error) {
	c.mu.Lock()
	if !c.released.Swap(true) {
		c.why = why
	}
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel(why)
	}
}

// isSuperseded reports whether the session has claimed the actor again under the
// same token, or may have replaced it. Called in the actor's turn.
func (c *Claim) isSuperseded() bool {
	now := c.s.lastHandle(c.actor)
	return c.superseded || now != nil && now != c && now.token == c.token
}

// inDoubt reports whether a release or transfer of the claim may still be on its
// way. Called in the actor's turn.
func (c *Claim) inDoubt() bool { return c.doubt || c.moves.inDoubt != 0 }

// Claim makes this session the owner of an actor that is free, or whose owner's
// session has ended. A session that owns the actor already gets the same handle
// again. The claim that it returns may already be invalid when the lease ran
// out on the way: ask Valid.
//
// Errors: [ErrInvalid]; [ErrHeld] with the owner; [ErrDegraded]; [ErrDraining];
// [ErrSessionLost]; [ErrUnknown]: the session may own the actor, and gives it
// back by itself unless Claim is called again first; errors of the store and of
// ctx, after which nothing was changed.
func (s *Session) Claim(ctx context.Context, actor ActorID) (*Claim, error) {
	if err := actor.Validate(); err != nil {
		return nil, err
	}
	c, err := s.claim(ctx, actor)
	if err != nil {
		return nil, fmt.Errorf("registry: claim %q: %w", actor, err)
	}
	return c, nil
}

func (s *Session) claim(ctx context.Context, actor ActorID) (*Claim, error) {
	return s.claimAs(ctx, actor, nil)
}

// claimAs is claim, as one of many that want the actor when t is not nil.
func (s *Session) claimAs(ctx context.Context, actor ActorID, t *turn) (*Claim, error) {
	leave, err := s.enter(ctx, actor)
	if err != nil {
		return nil, err
	}
	defer leave()
	if err := s.mayClaim(); err != nil {
		return nil, err
	}
	a := s.newClaiming(actor)
	a.turn = t
	about := s.event(0)
	about.Actor = actor
	once := s.r.db.Transact
	if t != nil {
		once = s.r.db.TransactFresh
	}
	version, err := s.r.transactBy(ctx, once, about, &a.doubt, a.attempt)
	return a.finish(version, err)
}

// mayClaim returns an error unless the session is healthy.
func (s *Session) mayClaim() error {
	switch s.Health() {
	case Lost:
		return ErrSessionLost
	case Degraded:
		return ErrDegraded
	case Healthy:
	}
	return nil
}

// newClaiming begins a claim. Called in the actor's turn.
func (s *Session) newClaiming(actor ActorID) *claiming {
	a := &claiming{s: s, actor: actor, op: s.r.newOpID(), last: s.lastHandle(actor)}
	a.superseded = a.last != nil && a.last.superseded
	return a
}

// finish ends a claim. Called in the actor's turn, with what became of the
// transaction.
func (a *claiming) finish(version store.Version, err error) (*Claim, error) {
	s, actor := a.s, a.actor
	switch {
	case err == nil, errors.Is(err, ErrHeld):
		// Seen or written after all that is in doubt: of those claims none can
		// take effect any more.
		s.settled(actor)
	case errors.Is(err, ErrUnknown):
		s.settleLater(actor)
	}
	if err != nil {
		s.learn(err)
		if a.last != nil && !errors.Is(err, ErrUnknown) {
			a.last.superseded = a.superseded // nothing was changed
		}
		return nil, err
	}
	if a.doubt {
		about := s.event(0)
		about.Actor = actor
		s.r.resolved(about, a.found != 0)
	}
	token := a.found
	if token == 0 {
		token = Token(stamped(s.epoch, version))
	}
	if a.last == nil || a.last.token != token {
		if a.last != nil && a.last.unserved {
			a.payload = a.last.payload
		}
		c := s.handle(actor, token, a.payload)
		if a.given {
			s.accept(c)
		}
		return c, nil
	}
	if a.last.released.Load() {
		c := s.handle(actor, token, a.last.payload)
		if a.last.unserved {
			s.accept(c)
		}
		return c, nil
	}
	return a.last, nil
}

// lastHandle returns the newest handle of the actor, unless its release is known
// to have taken effect.
func (s *Session) lastHandle(a ActorID) *Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.claims[a]
}

// claiming is the state of one claim over its attempts.
type claiming struct {
	s     *Session
	actor ActorID
	op    opID
	last  *Claim // the session's newest handle of the actor; may be nil
	turn  *turn  // nil: it need not wait for one
	doubt bool
	found Token // the token that the session turns out to have already

	superseded bool // last.superseded, before

	given   bool // because it was given the actor, and had no handle yet
	payload []byte
}

// attempt is one transaction: my session is live; the actor is free, mine, or
// its owner's session is not live; then the record, the index and the load.
func (a *claiming) attempt(tx store.Tx) error {
	// The time from the read to the commit is that in which others may write the same,
	// in vain. So the session of the likely owner comes with the first read.
	likely := a.turn.likelyOwner()
	me, rec, last, err := a.s.r.readSessionsAndActor(tx, a.s.id.node, a.actor, likely)
	if err != nil {
		return err
	}
	return a.decide(tx, me, rec, func() (Owner, error) {
		switch {
		case likely != rec.node:
			return a.s.r.liveOwner(tx, rec)
		case !last.lives(rec.incarnation):
			return Owner{}, nil
		}
		return rec.owner(last), nil
	})
}

// decide is attempt with what it has read, and a way to the owner that rec names.
func (a *claiming) decide(tx store.Tx, me *sessionRecord, rec *actorRecord, liveOwner func() (Owner, error)) error {
	a.found, a.given, a.payload = 0, false, nil
	s := a.s
	if !me.lives(s.id.incarnation) {
		return a.lost(me)
	}
	switch mine := s.owns(me, rec); {
	case mine && rec.op != a.op && s.freed(a.actor) == rec.token():
		// It was given back, which is in doubt: as below.
		s.r.disown(tx, s.id, a.actor)
	case mine && rec.op != a.op && a.last != nil && a.last.inDoubt() && a.last.token == rec.token():
		// A release or transfer of this record is in doubt and may still be on its
		// way. A new record, with a new token, makes it conflict.
		a.last.superseded = true
		s.r.disown(tx, s.id, a.actor)
	case mine:
		a.found = rec.token()
		return a.receive(tx, rec)
	case me.status == statusDraining:
		return ErrDraining
	case rec != nil:
		owner, err := liveOwner()
		if err != nil {
			return err
		}
		if owner != (Owner{}) {
			return &HeldError{Actor: a.actor, Owner: owner}
		}
		s.r.disown(tx, sessionID{rec.node, rec.incarnation}, a.actor)
	}
	if !a.doubt && !a.turn.take() {
		return errNotYet
	}
	s.r.own(tx, s.id, s.epoch, a.actor, a.op)
	return nil
}

// receive looks whether the session was given the record that it turns out to
// have.
func (a *claiming) receive(tx store.Tx, rec *actorRecord) error {
	if rec.op == a.op || a.last != nil && a.last.token == rec.token() {
		return nil
	}
	row, err := a.s.r.readInbox(tx, a.s.id, a.actor)
	if a.given = row.brings(rec); a.given {
		a.payload = row.payload
	}
	return err
}

// lost reports that the session has ended. An attempt in doubt may have taken
// effect before that.
func (a *claiming) lost(me *sessionRecord) error {
	err := a.s.endedError(me)
	if a.doubt {
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return err
}
