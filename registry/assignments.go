package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// assignmentRows bounds the rows of an inbox that one transaction reads: with
// full payloads they stay inside what a transaction may carry.
const assignmentRows = 64

// Assignments returns the handles of actors that this session is given by a
// [Claim.Transfer] to it, those that wait already at once and others as they
// come. [Claim.Payload] is what the former owner sent along.
//
// Each is returned once, whoever asks: a handle that a [Router] made for a call,
// or that Claim returned, is not returned here. An actor for which nobody asks
// stays this session's, and idle, until the session ends.
//
// It costs two round trips and a watch for each change and for every 64 actors that
// wait, and a read every PollEvery. Failures of the store are waited out. The last
// element is an error: that of ctx when it ends, [ErrSessionLost] when the session does,
// [ErrCorrupt] or the store's when it was closed.
func (s *Session) Assignments(ctx context.Context) iter.Seq2[*Claim, error] {
	return func(yield func(*Claim, error) bool) {
		ctx, stop := s.within(ctx)
		defer stop()
		for {
			watch, going, err := s.receive(ctx, yield)
			if going && err == nil {
				err = s.r.waitForAny(ctx, []store.Watch{watch})
			} else if going {
				if err = s.r.patientAbout(ctx, err); err == nil {
					err = s.r.host.Sleep(ctx, s.r.o.PollEvery)
				}
			}
			if watch != nil {
				watch.Cancel()
			}
			switch {
			case !going:
				return
			case s.over.Load():
				err = clock.Cause(s.ctx)
			}
			if err != nil {
				yield(nil, fmt.Errorf("registry: assignments of %q: %w", s.id.node, err))
				return
			}
		}
	}
}

// within returns a context that ends with ctx and with the session, until stop is
// called.
func (s *Session) within(ctx context.Context) (both context.Context, stop func()) {
	both, cancel := s.r.host.WithCancel(ctx)
	done := s.r.host.NewEvent()
	s.r.host.Go("assignments/"+string(s.id.node), func(context.Context) {
		if done.Wait(s.ctx) != nil {
			cancel(clock.Cause(s.ctx))
		}
	})
	return both, func() {
		done.Set()
		cancel(nil)
	}
}

// receive yields what waits in the inbox. The watch fires when there has been more
// since. going means that the consumer wants more.
func (s *Session) receive(ctx context.Context, yield func(*Claim, error) bool) (watch store.Watch, going bool, err error) {
	space := s.r.keys.inbox(s.id.node, s.id.incarnation)
	begin := append(slices.Clone(space), 0)
	going = true
	for more := true; more && going; {
		first := watch == nil
		p := s.beginPage()
		next := begin
		_, err := s.r.db.Transact(ctx, func(tx store.Tx) (err error) {
			if first {
				if watch != nil {
					watch.Cancel()
				}
				if watch, err = tx.Watch(space); err != nil {
					return err
				}
			}
			next, more, err = s.readPage(tx, p, begin)
			return err
		})
		if err == nil {
			begin = next
			going, err = s.handOut(ctx, p, yield)
		}
		s.endPage(p)
		if err != nil {
			return watch, true, err
		}
	}
	return watch, going, nil
}

// adopt returns the handle of an actor that this session owns and whose holder
// believes in it. fresh means that the session was given the actor and nobody had
// the handle before. Otherwise c is nil, and owner is who owns the actor.
func (s *Session) adopt(ctx context.Context, actor ActorID) (c *Claim, fresh bool, owner Owner, err error) {
	return s.adoptTo(ctx, actor, s.accepting(actor))
}

// accepting makes the handle of an actor that the session was given, and accepts it.
func (s *Session) accepting(actor ActorID) func(Token, []byte) *Claim {
	return func(t Token, payload []byte) *Claim {
		c := s.handle(actor, t, payload)
		s.accept(c)
		return c
	}
}

// adoptTo is adopt with the function that makes a fresh handle.
func (s *Session) adoptTo(ctx context.Context, actor ActorID, fromInbox func(Token, []byte) *Claim) (c *Claim, fresh bool, owner Owner, err error) {
	leave, err := s.enter(ctx, actor)
	if err != nil {
		return nil, false, Owner{}, err
	}
	defer leave()
	return s.adoptInTurn(ctx, actor, fromInbox)
}

// adoptInTurn is adoptTo, called in the actor's turn.
func (s *Session) adoptInTurn(ctx context.Context, actor ActorID, fromInbox func(Token, []byte) *Claim) (c *Claim, fresh bool, owner Owner, err error) {
	var (
		me  *sessionRecord
		rec *actorRecord
		row *inboxRecord
	)
	err = s.r.db.Read(ctx, func(tx store.Reader) (err error) {
		if me, rec, err = s.r.readSessionAndActor(tx, s.id.node, actor); err != nil {
			return err
		}
		if !s.owns(me, rec) {
			owner, err = s.r.liveOwner(tx, rec)
			return err
		}
		owner = rec.owner(me)
		row, err = s.r.readInbox(tx, s.id, actor)
		return err
	})
	if err != nil {
		return nil, false, Owner{}, err
	}
	if !me.lives(s.id.incarnation) {
		s.learn(s.endedError(me))
	}
	if !s.owns(me, rec) {
		return nil, false, owner, nil
	}
	c, fresh = s.adoptRecord(actor, rec, row, fromInbox)
	return c, fresh, owner, nil
}

// adoptRecord is adoptTo with the record, which is this session's own, and the row.
func (s *Session) adoptRecord(actor ActorID, rec *actorRecord, row *inboxRecord, fromInbox func(Token, []byte) *Claim) (c *Claim, fresh bool) {
	last := s.lastHandle(actor)
	switch {
	case last != nil && last.token == rec.token() && last.Valid():
		return last, false
	case last != nil && last.token == rec.token() && !s.keptBack(last):
		return nil, false // its holder is giving it up
	case !row.brings(rec):
		return nil, false // what a claim in doubt has got, and which is being settled
	}
	return fromInbox(rec.token(), row.payload), true
}

// keptBack reports whether a drain has made the handle, to pass on what nobody has
// accepted, and has ended without that: somebody here may accept it after all, unless
// it is in doubt whether it has gone. Called in the actor's turn.
func (s *Session) keptBack(c *Claim) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.unserved && s.drains == 0 && !c.inDoubt()
}

// owns reports whether this session is live and rec is one of its own.
func (s *Session) owns(me *sessionRecord, rec *actorRecord) bool {
	return me.lives(s.id.incarnation) && rec != nil && rec.node == s.id.node && rec.incarnation == s.id.incarnation
}

// handle makes the newest handle of an actor.
func (s *Session) handle(actor ActorID, token Token, payload []byte) *Claim {
	c := &Claim{s: s, actor: actor, token: token, payload: payload}
	s.mu.Lock()
	s.claims[actor] = c
	s.mu.Unlock()
	return c
}

// accept is called once the handle of an actor exists that the session was given:
// now its row is not needed any more.
func (s *Session) accept(c *Claim) {
	e := s.event(EventAccepted)
	e.Actor, e.Token = c.actor, c.token
	s.r.emit(e)
	s.mu.Lock()
	s.accepted = append(s.accepted, c)
	begin := !s.clearing
	s.clearing = true
	s.mu.Unlock()
	if begin {
		s.r.host.Go("inbox/"+string(s.id.node), s.clearAccepted)
	}
}

// clearAccepted clears the rows of the actors that were accepted, until there are
// no more, or the session is over.
func (s *Session) clearAccepted(context.Context) {
	for failures := 0; ; {
		claims := s.nextAccepted()
		if len(claims) == 0 {
			return
		}
		if err := s.clearRows(claims); err != nil {
			failures++
			_ = s.r.host.Sleep(s.ctx, s.r.o.Retry.Delay(failures-1, s.r.host.Rand())) // the end of ctx ends the loop
			continue
		}
		failures = 0
		s.mu.Lock()
		s.accepted = slices.Clone(s.accepted[len(claims):])
		s.mu.Unlock()
	}
}

// nextAccepted returns what one transaction clears; nothing when the task is to
// end.
func (s *Session) nextAccepted() []*Claim {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.accepted) == 0 || s.over.Load() || s.ctx.Err() != nil {
		s.clearing = false
		return nil
	}
	return s.accepted[:min(len(s.accepted), assignmentRows)]
}

// clearRows clears the rows that brought the claims, and not those that have come
// since for the same actors.
func (s *Session) clearRows(claims []*Claim) error {
	ctx, cancel := s.r.host.WithTimeout(s.ctx, s.r.o.RenewTimeout)
	defer cancel()
	keys := make([][]byte, len(claims))
	for i, c := range claims {
		keys[i] = s.r.keys.given(s.id.node, s.id.incarnation, c.actor)
	}
	_, err := s.r.db.Transact(ctx, func(tx store.Tx) error {
		rows, err := tx.GetAll(keys...)
		if err != nil {
			return err
		}
		for i, v := range rows {
			row, err := decodeInbox(v)
			if err != nil {
				return err
			}
			if row != nil && Token(stamped(s.epoch, row.version)) == claims[i].token {
				tx.Clear(keys[i])
			}
		}
		return nil
	})
	if errors.Is(err, ErrCorrupt) {
		return nil // Check reports it, and whoever takes the actor next clears it
	}
	return err
}
