package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// sighting is what this process has seen of another session's renewals.
type sighting struct {
	beat  store.Version // of the last renewal seen; unique for each
	since time.Duration // monotonic time after the first read that showed it
	ttl   time.Duration // of the session
}

// maxSightings bounds how many sessions one process observes at a time.
const maxSightings = 10_000

// waitForActor returns when it is worth trying again: the actor's record has
// changed, the owner has been revoked, or some time has passed.
func (s *Session) waitForActor(ctx context.Context, held *HeldError) error {
	owner := sessionID{held.Owner.Node, held.Owner.Incarnation}
	// A node whose own renewals fail may be the one that is cut off: it observes
	// nobody.
	if owner != s.id && s.Health() == Healthy {
		if gone, err := s.r.observe(ctx, owner); gone || err != nil {
			return err
		}
	}
	return s.r.waitForChange(ctx, s.r.keys.actor(held.Actor), s.r.patience(owner))
}

// waitForNode returns when the session may have ended.
func (r *Registry) waitForNode(ctx context.Context, id sessionID) error {
	if gone, err := r.observe(ctx, id); gone || err != nil {
		return err
	}
	return r.waitForChange(ctx, r.keys.state(id.node), r.patience(id))
}

// observe looks at a session once, and revokes it when it has been silent for
// long enough. gone means that it is not live any more.
//
// Failures of the store are not the session's: they are waited out, and only
// the end of ctx is an error.
func (r *Registry) observe(ctx context.Context, id sessionID) (gone bool, err error) {
	var (
		state *sessionRecord
		beat  beatRecord
	)
	err = r.db.Read(ctx, func(tx store.Reader) (err error) {
		state, beat, err = r.readSessionAndBeat(tx, id.node)
		return err
	})
	switch {
	case err != nil:
		return false, r.patientAbout(ctx, err)
	case !state.lives(id.incarnation):
		r.unsee(id)
		return true, nil
	}
	at, silent := r.see(id, beat.version, state.ttl)
	if !silent {
		return false, nil
	}
	r.emit(Event{Kind: EventSilent, Node: id.node, Incarnation: id.incarnation})
	return r.revoke(ctx, id, at)
}

// patientAbout lets errors of the store pass, but not the end of ctx.
func (r *Registry) patientAbout(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrCorrupt) || errors.Is(err, store.ErrClosed) {
		return err
	}
	return nil
}

// see notes a read that showed the beat, and reports whether the session has
// shown no other for TTL·(1+MaxDrift) since the first such read returned.
func (r *Registry) see(id sessionID, beat store.Version, ttl time.Duration) (at sighting, silent bool) {
	now := r.host.Monotonic()
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.seen[id]
	if !ok || at.beat != beat {
		if !ok && len(r.seen) >= maxSightings {
			clear(r.seen) // costs patience, never safety
		}
		at = sighting{beat: beat, since: now, ttl: ttl}
		r.seen[id] = at
		return at, false
	}
	return at, now-at.since >= stretch(at.ttl, r.o.MaxDrift)
}

func (r *Registry) unsee(id sessionID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, id)
}

// patience returns how long to wait before the next look: until the silence
// would be complete, and PollEvery at most.
func (r *Registry) patience(id sessionID) time.Duration {
	now := r.host.Monotonic()
	r.mu.Lock()
	at, ok := r.seen[id]
	r.mu.Unlock()
	wait := r.o.PollEvery
	if ok {
		wait = min(wait, at.since+stretch(at.ttl, r.o.MaxDrift)-now)
	}
	// Jitter keeps the contenders for one actor apart.
	return max(wait, 0) + time.Duration(r.host.Rand().Int64N(int64(r.o.PollEvery)/8+1))
}

// revoke ends a session that has shown no renewal but the one of at. It reads
// the beat in the transaction that writes the state, and a renewal reads the
// state in the transaction that writes the beat: whichever of the two commits
// second fails.
func (r *Registry) revoke(ctx context.Context, id sessionID, at sighting) (gone bool, err error) {
	e := Event{Kind: EventRevokeStart, Node: id.node, Incarnation: id.incarnation, ID: r.lastID.Add(1)}
	r.emit(e)
	var doubt, renewed bool
	e.Version, e.Err = r.transact(ctx, e, &doubt, func(tx store.Tx) error {
		renewed = false
		state, beat, err := r.readSessionAndBeat(tx, id.node)
		if err != nil {
			return err
		}
		if !state.lives(id.incarnation) {
			return ErrNotLive
		}
		if beat.version != at.beat {
			renewed = true
			return ErrRenewed
		}
		state.status = statusRevoked
		return r.changeSession(tx, id.node, state)
	})
	if doubt && errors.Is(e.Err, ErrNotLive) {
		e.Err = fmt.Errorf("%w: %w", ErrUnknown, e.Err) // by this one or another
	}
	e.Kind = EventRevokeEnd
	r.emit(e)
	switch {
	case e.Err == nil, errors.Is(e.Err, ErrNotLive):
		r.unsee(id)
		return true, nil
	case renewed:
		return false, nil
	}
	return false, r.patientAbout(ctx, e.Err)
}

// Why a revocation had no effect, in the Err of an [EventRevokeEnd].
var (
	// ErrNotLive: the session has ended already.
	ErrNotLive = errors.New("registry: the session is not live")
	// ErrRenewed: a renewal came first.
	ErrRenewed = errors.New("registry: the session was renewed meanwhile")
)

// waitForChange returns when key has changed or d has passed, and the error of
// ctx when that ends first.
func (r *Registry) waitForChange(ctx context.Context, key []byte, d time.Duration) error {
	began := r.host.Monotonic()
	wctx, cancel := r.host.WithTimeout(ctx, d)
	defer cancel()
	var w store.Watch
	_, err := r.db.Transact(wctx, func(tx store.Tx) (err error) {
		if w != nil {
			w.Cancel()
		}
		w, err = tx.Watch(key)
		return err
	})
	if w != nil {
		defer w.Cancel()
	}
	if err == nil {
		err = w.Wait(wctx)
	}
	if err != nil && wctx.Err() == nil {
		// The store cannot watch just now: wait the time out.
		return r.host.Sleep(ctx, began+d-r.host.Monotonic())
	}
	return ctx.Err()
}
