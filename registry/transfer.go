package registry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// Target names the session that an actor is given to.
type Target struct {
	Node NodeID
	// Incarnation, when not zero, means exactly that session of the node; zero
	// means its current one.
	Incarnation Incarnation
}

// TransferOptions of [Claim.Transfer]. The zero value is ready for use.
type TransferOptions struct {
	// Payload goes to the new owner, who finds it in [Claim.Payload]; at most
	// [MaxPayloadBytes] bytes.
	Payload []byte
}

// Transfer gives the actor to another session, in one transaction that demands
// that the target's session is Active and not full, and returns the new owner. The claim stops
// being Valid before that transaction begins, and stays so whatever Transfer
// returns; a target that turns out at a first look to take no actors leaves it
// Valid.
//
// The target has the actor from the commit on. Its process gets the handle by
// [Session.Assignments], by a call that a [Router] delivers, or by claiming the
// actor.
//
// The owner's token is zero when the transfer was in doubt and the actor has gone
// on from the target since: then it is not known any more.
//
// Errors: [ErrInvalid]; [ErrNotActive], [ErrFull] and [ErrNotOwner]; [ErrSessionLost] when
// this session has ended, and with it the ownership; [ErrSuperseded] when a
// Transfer or Release that failed, or is in doubt, was followed by a Claim;
// [ErrUnknown]: the target may own the actor, or may do so yet; errors of the
// store and of ctx. After all of them but ErrInvalid, ErrNotOwner and
// ErrSessionLost the actor may still be this session's, and Transfer or Release
// may be called again: with the same target and payload, that is the same transfer.
func (c *Claim) Transfer(ctx context.Context, to Target, o TransferOptions) (Owner, error) {
	if err := c.validateTransfer(to, o); err != nil {
		return Owner{}, err
	}
	owner, err := c.transfer(ctx, to, o.Payload, nil)
	if err != nil {
		return Owner{}, fmt.Errorf("registry: transfer %q to %q: %w", c.actor, to.Node, err)
	}
	return owner, nil
}

func (c *Claim) validateTransfer(to Target, o TransferOptions) error {
	if err := to.Node.Validate(); err != nil {
		return fmt.Errorf("Target.Node: %w", err)
	}
	if to.Node == c.s.id.node && (to.Incarnation == 0 || to.Incarnation == c.s.id.incarnation) {
		return invalid("Target is %q, the session that owns the actor", to.Node)
	}
	if n := len(o.Payload); n > MaxPayloadBytes {
		return invalid("TransferOptions.Payload has %d bytes, at most %d are allowed", n, MaxPayloadBytes)
	}
	return nil
}

// transfer is Transfer of valid arguments. also, when not nil, is run in the
// transaction before its writes, with both sessions' records; it refuses the
// transfer with an error that is not the store's.
func (c *Claim) transfer(ctx context.Context, to Target, payload []byte, also func(tx store.Tx, me, target *sessionRecord) error) (Owner, error) {
	s := c.s
	if c.Valid() {
		// The holder goes on believing when there is nobody to take over.
		if err := s.r.db.Read(ctx, func(tx store.Reader) error {
			rec, err := s.r.readSession(tx, to.Node)
			if err != nil {
				return err
			}
			if err := to.takes(rec); err != nil {
				return err
			}
			return s.r.roomNow(tx, rec, sessionID{to.Node, rec.incarnation()})
		}); err != nil {
			return Owner{}, err
		}
	}
	c.stopBelieving(errTransferred)
	leave, err := s.enter(ctx, c.actor)
	if err != nil {
		return Owner{}, err
	}
	defer leave()
	if c.isSuperseded() {
		return Owner{}, ErrSuperseded
	}
	t := transferring{c: c, to: to, payload: payload, also: also, op: c.moves.mark(s.r, to, payload)}
	t.doubt = c.moves.doubts(t.op)
	about := s.event(EventTransferred)
	about.Actor, about.Token = c.actor, c.token
	wasDoubt := t.doubt
	version, err := s.r.transact(ctx, about, &t.doubt, t.attempt)
	if err == nil {
		err = t.refused
	}
	if t.doubt && !wasDoubt && !errors.Is(err, ErrUnknown) {
		s.r.resolved(about, err == nil && t.over)
	}
	switch {
	case errors.Is(err, ErrUnknown):
		c.moves.doubt(t.op)
	case err != nil:
		c.moves.settle(t.op)
	}
	if err != nil {
		s.learn(err)
		return Owner{}, err
	}
	c.doubt, c.moves.inDoubt = false, 0
	s.forget(c)
	if !t.over {
		t.owner.Token, about.Version = Token(stamped(t.epoch, version)), version
	}
	s.r.emit(about)
	return t.owner, nil
}

var errTransferred = fmt.Errorf("%w: the claim was transferred", ErrNotOwner)

// takes returns an error unless rec is the session meant and takes actors.
func (to Target) takes(rec *sessionRecord) error {
	switch {
	case rec == nil:
		return &NotActiveError{Node: to.Node, Incarnation: to.Incarnation}
	case to.Incarnation != 0 && rec.incarnation() != to.Incarnation:
		return &NotActiveError{Node: to.Node, Incarnation: to.Incarnation}
	case !rec.takes(rec.incarnation()):
		return &NotActiveError{Node: to.Node, Incarnation: rec.incarnation(), State: rec.state()}
	}
	return nil
}

// transferring is the state of one transfer over its attempts.
type transferring struct {
	c       *Claim
	to      Target
	payload []byte
	also    func(tx store.Tx, me, target *sessionRecord) error
	op      opID
	doubt   bool

	// Of the last attempt.
	over    bool  // the transfer turned out to have taken effect before
	owner   Owner // the new one; without its token unless that was read
	epoch   uint8
	refused error // for want of room or by also, although a commit was in doubt
}

func (t *transferring) attempt(tx store.Tx) error {
	t.over, t.refused = false, nil
	c, s := t.c, t.c.s
	me, rec, target, err := t.read(tx)
	if err != nil {
		return err
	}
	if rec != nil && rec.op == t.op {
		t.over, t.owner = true, Owner{Node: rec.node, Incarnation: rec.incarnation, Token: rec.token()}
		if target.lives(rec.incarnation) {
			t.owner.Address = target.address
		}
		return nil
	}
	mine := rec != nil && rec.node == s.id.node && rec.incarnation == s.id.incarnation && rec.token() == c.token
	switch {
	case !me.lives(s.id.incarnation):
		if t.doubt && !mine {
			return fmt.Errorf("%w: %w", ErrUnknown, s.endedError(me))
		}
		return s.endedError(me)
	case !mine:
		return t.gone(tx, rec)
	}
	// When this refuses, a commit in doubt that found the target willing will not
	// take effect any more: the target's state has changed since.
	if err := t.to.takes(target); err != nil {
		return err
	}
	to := sessionID{t.to.Node, target.incarnation()}
	err = s.r.hasRoom(tx, target, to)
	if err == nil && t.also != nil {
		err = t.also(tx, me, target)
	}
	if err != nil {
		if !t.doubt || store.Retryable(err) {
			return err
		}
		t.refused = err
		s.r.overtake(tx, c.actor) // ends the doubt
		return nil
	}
	t.owner = Owner{Node: to.node, Incarnation: to.incarnation, Address: target.address}
	t.epoch = target.epoch
	s.r.disown(tx, s.id, c.actor)
	s.r.own(tx, to, target.epoch, c.actor, t.op)
	s.r.deliver(tx, to, c.actor, t.payload)
	return nil
}

// read reads both sessions and the actor in one round trip.
func (t *transferring) read(tx store.Tx) (me *sessionRecord, rec *actorRecord, target *sessionRecord, err error) {
	k, s := t.c.s.r.keys, t.c.s
	vs, err := tx.GetAll(k.state(s.id.node), k.actor(t.c.actor), k.state(t.to.Node))
	if err != nil {
		return nil, nil, nil, err
	}
	if me, err = decodeSession(vs[0]); err != nil {
		return nil, nil, nil, err
	}
	if rec, err = decodeActor(vs[1]); err != nil {
		return nil, nil, nil, err
	}
	target, err = decodeSession(vs[2])
	return me, rec, target, err
}

// gone says what it means that the claim is not the actor's record any more. This
// session has been live all along, so it was its own release or transfer that took
// it away, if one is in doubt.
func (t *transferring) gone(tx store.Tx, rec *actorRecord) error {
	c := t.c
	if t.doubt && !c.doubt && !c.moves.others(t.op) && !c.moves.wrote(rec) {
		t.over, t.owner = true, Owner{Node: t.to.Node, Incarnation: t.to.Incarnation}
		return nil
	}
	owner, err := c.s.r.liveOwner(tx, rec)
	if err != nil {
		return err
	}
	err = &NotOwnerError{Actor: c.actor, Owner: owner}
	if t.doubt && !c.moves.wrote(rec) {
		// By this transfer, or by another call that is in doubt as well.
		return fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return err
}

// moves is what is known of the transfers of one claim that are in doubt. The
// first half of an operation id is the claim's, the second says which target and
// payload: so a call that is repeated knows its own effect, and those of others of
// the claim.
type moves struct {
	nonce   uint64 // zero before the first
	op      opID   // the transfer in doubt, when it is one
	inDoubt uint8
}

// Values of moves.inDoubt.
const (
	oneMove      = 1
	severalMoves = 2
)

// mark returns the operation id of a transfer.
func (m *moves) mark(r *Registry, to Target, payload []byte) opID {
	for m.nonce == 0 {
		m.nonce = r.host.Rand().Uint64()
	}
	h := sha256.New()
	h.Write(appendTuple(nil, string(to.Node)))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(to.Incarnation)))
	h.Write(payload)
	var op opID
	binary.BigEndian.PutUint64(op[:8], m.nonce)
	copy(op[8:], h.Sum(nil))
	return op
}

// doubts reports whether the transfer may have been tried.
func (m *moves) doubts(op opID) bool {
	return m.inDoubt == severalMoves || m.inDoubt == oneMove && m.op == op
}

// others reports whether another transfer may have been tried.
func (m *moves) others(op opID) bool {
	return m.inDoubt == severalMoves || m.inDoubt == oneMove && m.op != op
}

// wrote reports whether one of the claim's transfers wrote the record.
func (m *moves) wrote(rec *actorRecord) bool {
	return rec != nil && m.nonce != 0 && binary.BigEndian.Uint64(rec.op[:8]) == m.nonce
}

func (m *moves) doubt(op opID) {
	if m.others(op) {
		m.inDoubt = severalMoves
		return
	}
	m.op, m.inDoubt = op, oneMove
}

// settle notes that a transfer has not taken effect and will not.
func (m *moves) settle(op opID) {
	if !m.others(op) {
		m.inDoubt = 0
	}
}
