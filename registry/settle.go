package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// A claim whose caller did not wait for its outcome may have made the session
// the owner of the actor, or may do so yet, and nobody has a handle. The session
// settles such doubts by itself: it gives back what it owns without a handle,
// and a commit that is still on its way conflicts with that. A Claim of the
// actor that comes first and gets an answer settles the doubt as well.

// settleLater notes that a claim of the actor is in doubt.
func (s *Session) settleLater(a ActorID) {
	s.mu.Lock()
	if !slices.Contains(s.doubtful, a) {
		s.doubtful = append(s.doubtful, a)
	}
	begin := !s.settling
	s.settling = true
	s.mu.Unlock()
	if begin {
		s.r.host.Go("settler/"+string(s.id.node), s.settleAll)
	}
}

// settled notes that no claim of the actor is in doubt any more.
func (s *Session) settled(a ActorID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.freeing, a)
	s.doubtful = slices.DeleteFunc(s.doubtful, func(b ActorID) bool { return a == b })
}

// nextDoubtful returns the actor to settle next; false when there is none, and
// the task is to end.
func (s *Session) nextDoubtful() (ActorID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.doubtful) == 0 || s.over.Load() || s.ctx.Err() != nil { // the last: the host is closed
		s.settling = false
		return "", false
	}
	return s.doubtful[0], true
}

// settleAll runs until nothing is in doubt, or the session is over.
func (s *Session) settleAll(context.Context) {
	failures := 0
	for {
		a, ok := s.nextDoubtful()
		if !ok {
			return
		}
		if err := s.settle(a); err == nil {
			failures = 0
			continue
		}
		// Others first: this one may wait for an operation of the application.
		s.mu.Lock()
		if len(s.doubtful) > 0 && s.doubtful[0] == a {
			s.doubtful = append(s.doubtful[1:], a)
		}
		s.mu.Unlock()
		_ = s.r.host.Sleep(s.ctx, s.r.o.Retry.Delay(failures, s.r.host.Rand())) // the end of ctx ends the loop
		failures++
	}
}

// settle makes one attempt at one actor, as an operation on it like others.
func (s *Session) settle(a ActorID) error {
	ctx, cancel := s.r.host.WithTimeout(s.ctx, s.r.o.RenewTimeout)
	defer cancel()
	leave, err := s.enter(ctx, a)
	if err != nil {
		return err
	}
	defer leave()
	s.mu.Lock()
	inDoubt := slices.Contains(s.doubtful, a)
	s.mu.Unlock()
	if !inDoubt {
		return nil
	}
	t := settling{s: s, actor: a, last: s.lastHandle(a), about: s.event(EventGiveBackStart)}
	t.about.Actor = a
	version, err := s.r.transact(ctx, t.about, &t.doubt, t.attempt)
	t.finish(version, err)
	if s.learn(err); errors.Is(err, ErrSessionLost) {
		err = nil // and with it the ownership
	}
	switch {
	case err == nil:
		s.settled(a)
	case t.began && t.doubt:
		s.mu.Lock()
		s.freeing[a] = t.about.Token
		s.mu.Unlock()
	}
	return err
}

// freed returns the token of the actor's record that was given back by a commit in
// doubt; zero when there is none. Called in the actor's turn.
func (s *Session) freed(a ActorID) Token {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freeing[a]
}

// settling is the state of one attempt to settle over its transactions.
type settling struct {
	s     *Session
	actor ActorID
	last  *Claim // the session's newest handle of the actor; may be nil
	about Event
	began bool // the start was told
	frees bool // the last transaction gives the actor back
	doubt bool
}

func (t *settling) attempt(tx store.Tx) error {
	t.frees = false
	s, k := t.s, t.s.r.keys
	me, rec, err := s.r.readSessionAndActor(tx, s.id.node, t.actor)
	if err != nil {
		return err
	}
	if !me.lives(s.id.incarnation) {
		return s.endedError(me)
	}
	keep, err := t.keeps(tx, me, rec)
	if err != nil {
		return err
	}
	if keep {
		// Nothing to give back. The claim may be on its way still: it read this
		// key, and conflicts with what writes it.
		s.r.overtake(tx, t.actor)
		return nil
	}
	if t.began && t.about.Token != rec.token() {
		t.overtaken()
	}
	if !t.began {
		t.began = true
		t.about.Token, t.about.ID = rec.token(), s.r.lastID.Add(1)
		s.r.emit(t.about)
	}
	t.frees = true
	tx.Clear(k.actor(t.actor))
	s.r.disown(tx, s.id, t.actor)
	return nil
}

// keeps reports whether there is nothing to give back: the actor is not this
// session's, or somebody has its handle, or the session was given it, whatever
// became of its claims.
func (t *settling) keeps(tx store.Tx, me *sessionRecord, rec *actorRecord) (bool, error) {
	s := t.s
	if !s.owns(me, rec) {
		return true, nil
	}
	if t.last != nil && t.last.token == rec.token() && !t.last.unserved {
		return !t.last.released.Load(), nil
	}
	row, err := s.r.readInbox(tx, s.id, t.actor)
	return row.brings(rec), err
}

// overtaken tells that the claim in doubt came before the transaction that gives back
// the record which the claim replaced. That one read the record, so it has no effect,
// nor will it have, and is in doubt no more.
func (t *settling) overtaken() {
	e := t.about
	e.Kind, e.Err = EventGiveBackEnd, fmt.Errorf("%w: a claim in doubt has replaced the record", ErrNotOwner)
	t.s.r.emit(e)
	t.began, t.doubt = false, false
}

// overtake makes what is still on its way to the actor's record, and has read it,
// conflict with tx.
func (r *Registry) overtake(tx store.Tx, a ActorID) {
	key := r.keys.actor(a)
	tx.AddWriteConflict(key, append(slices.Clone(key), 0))
}

// finish tells what became of giving the actor back.
func (t *settling) finish(version store.Version, err error) {
	if !t.began {
		return
	}
	e := t.about
	e.Kind, e.Err = EventGiveBackEnd, err
	switch {
	case err == nil && t.frees:
		e.Version = version
	case err == nil && !t.doubt:
		// Gone between two transactions: a release that was in doubt.
		e.Err = fmt.Errorf("%w: it was released meanwhile", ErrNotOwner)
	case err != nil && t.doubt && !errors.Is(err, ErrUnknown):
		e.Err = fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	t.s.r.emit(e)
}
