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
	unit  time.Duration // of turns
	delay time.Duration // by this process's rank, once the silence is complete

	marked time.Duration // monotonic time at which the session was seen to be marked as degraded; 0: not yet
	mine   bool          // this process has marked it
	ending bool          // a task of this process is revoking it
}

// maxSightings bounds how many sessions one process observes at a time.
const maxSightings = 10_000

// view is what one read showed of a session.
type view struct {
	id    sessionID
	state *sessionRecord
	beat  store.Version
}

func (v *view) lives() bool { return v.state.lives(v.id.incarnation) }

// look is one read of the sessions that are observed, of the ledger of
// revocations, and of what else the observer asks for.
type look struct {
	views  []view
	ledger ledger
	extra  [][]byte
}

// look reads all at one instant, in one round trip.
func (r *Registry) look(tx store.Reader, ids []sessionID, extra ...[]byte) (l look, err error) {
	keys := make([][]byte, 0, 2*len(ids)+1+len(extra))
	for _, id := range ids {
		keys = append(keys, r.keys.state(id.node), r.keys.beat(id.node))
	}
	keys = append(append(keys, r.keys.ledger()), extra...)
	values, err := tx.GetAll(keys...)
	if err != nil {
		return l, err
	}
	l.views = make([]view, len(ids))
	for i, id := range ids {
		v := view{id: id}
		if v.state, err = decodeSession(values[2*i]); err != nil {
			return l, err
		}
		beat, err := decodeBeat(values[2*i+1])
		if err != nil {
			return l, err
		}
		v.beat = beat.version
		l.views[i] = v
	}
	if l.ledger, err = decodeLedger(values[2*len(ids)]); err != nil {
		return l, err
	}
	l.extra = values[2*len(ids)+1:]
	return l, nil
}

// waitForActor returns when it is worth trying again: the actor's record has
// changed or the owner's session has ended, and this node's turn has come.
func (s *Session) waitForActor(ctx context.Context, held *HeldError) error {
	r, owner := s.r, sessionID{held.Owner.Node, held.Owner.Incarnation}
	for {
		l, rec, watches, err := r.lookAndWatch(ctx, owner, held.Actor)
		free, next := false, r.o.PollEvery
		switch {
		case err != nil:
			err = r.patientAbout(ctx, err)
		case rec == nil || rec.token() != held.Owner.Token:
			free = true
		default:
			free, next, err = r.judge(ctx, s, l)
		}
		if err == nil && !free {
			err = r.waitForAnyWithin(ctx, watches, r.jittered(next))
		}
		cancelAll(watches)
		if err != nil {
			return err
		}
		if free {
			return s.takeTurn(ctx, string(held.Actor), r.o.contendedTurn(r.pace.time()))
		}
	}
}

// lookAndWatch looks at the owner's session and the actor's record, and sets
// watches on both in the same transaction, so that no change falls in between.
func (r *Registry) lookAndWatch(ctx context.Context, owner sessionID, actor ActorID) (l look, rec *actorRecord, watches []store.Watch, err error) {
	_, err = r.db.Transact(ctx, func(tx store.Tx) error {
		cancelAll(watches)
		watches = nil
		if l, err = r.look(tx, []sessionID{owner}, r.keys.actor(actor)); err != nil {
			return err
		}
		if rec, err = decodeActor(l.extra[0]); err != nil {
			return err
		}
		if !l.views[0].lives() || rec == nil || rec.node != owner.node || rec.incarnation != owner.incarnation {
			return nil // nothing to wait for, and no time to lose
		}
		for _, key := range [][]byte{r.keys.actor(actor), r.keys.state(owner.node)} {
			w, err := tx.Watch(key)
			if err != nil {
				return err
			}
			watches = append(watches, w)
		}
		return nil
	})
	return l, rec, watches, err
}

// waitForNode returns when the session may have ended.
func (r *Registry) waitForNode(ctx context.Context, id sessionID) error {
	var l look
	err := r.db.Read(ctx, func(tx store.Reader) (err error) {
		l, err = r.look(tx, []sessionID{id})
		return err
	})
	gone, next := false, r.o.PollEvery
	if err != nil {
		err = r.patientAbout(ctx, err)
	} else {
		gone, next, err = r.judge(ctx, nil, l)
	}
	if gone || err != nil {
		return err
	}
	return r.waitForChange(ctx, r.keys.state(id.node), r.jittered(next))
}

// judge acts on a look at one session: it revokes it when it has been silent for
// long enough and the turn of s, the session that looks, has come. s is nil when
// the process has none. A node whose own renewals fail may be the one that is cut
// off: it judges nobody.
//
// gone means that the session is not live any more; if it is, the next look is due
// after next. Failures of the store are not the session's: they are waited out, and
// only the end of ctx is an error.
func (r *Registry) judge(ctx context.Context, s *Session, l look) (gone bool, next time.Duration, err error) {
	v, next := l.views[0], r.o.PollEvery
	if !v.lives() {
		r.unsee(v.id)
		return true, 0, nil
	}
	if s != nil && (v.id == s.id || s.Health() != Healthy) {
		return false, next, nil
	}
	at := r.see(s, &v, &l)
	if left := at.turn(&r.o) - r.host.Monotonic(); left > 0 {
		return false, min(left, next), nil
	}
	gone, err = r.endSilent(ctx, s, &v, at, l.ledger, false)
	return gone, next, err
}

// endSilent revokes a session whose silence is complete, if the limit lets it. One
// task of a process does; for another there is nothing to do, which the change of the
// session's record will wake.
func (r *Registry) endSilent(ctx context.Context, s *Session, v *view, at sighting, l ledger, monitor bool) (gone bool, err error) {
	if !r.beginEnding(v.id) {
		return false, nil
	}
	defer r.endEnding(v.id)
	about := Event{Kind: EventSilent, Node: v.id.node, Incarnation: v.id.incarnation, Monitor: monitor}
	r.emit(about)
	limit, err := r.revokeLimit(ctx, s, l)
	if err != nil {
		return false, r.patientAbout(ctx, err)
	}
	if !r.mayRevoke(l, limit) {
		r.putOff(about, limit)
		return false, nil
	}
	about.Kind = EventRevokeStart
	return r.revoke(ctx, about, at, limit)
}

// patientAbout lets errors of the store pass, but not the end of ctx.
func (r *Registry) patientAbout(ctx context.Context, err error) error {
	if ctx.Err() != nil || errors.Is(err, ErrCorrupt) || errors.Is(err, store.ErrClosed) {
		return err
	}
	return nil
}

// beginEnding reports whether no other task of this process is revoking the session.
func (r *Registry) beginEnding(id sessionID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := r.seen[id]
	if at.ending {
		return false
	}
	at.ending = true
	r.seen[id] = at
	return true
}

func (r *Registry) endEnding(id sessionID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.seen[id]; ok {
		at.ending = false
		r.seen[id] = at
	}
}

// turn is the monotonic time from which on the session may be revoked: it has been
// silent for TTL·(1+MaxDrift), and those who come before have had their turn.
//
// Whoever has marked the session as degraded comes first, and waits for nobody. All
// others know from when they saw the mark that its own time has come a DegradedShare of
// the silence later, or soon after: it does not come later than grace after anybody's.
// They follow by rank. When nobody has marked the session they go by rank alone, each
// from when it saw the silence begin.
func (at *sighting) turn(o *Options) time.Duration {
	over := at.since + stretch(at.ttl, o.MaxDrift)
	switch {
	case at.mine:
		return over
	case at.marked == 0:
		return over + at.delay
	default:
		first := at.marked + time.Duration(o.DegradedShare*float64(over-at.since))
		return max(over, min(first, over+o.grace())) + at.unit + at.delay
	}
}

// grace is how much later than anybody else a monitor that looks in time sees a
// silence begin, the time of a look left aside.
func (o *Options) grace() time.Duration { return o.LookEvery + o.LookEvery/8 }

// see notes what a look showed, after it has returned, and returns since when the
// session has shown no other beat.
func (r *Registry) see(s *Session, v *view, l *look) sighting {
	defer r.noteLimit(l.ledger)
	now := r.host.Monotonic()
	r.mu.Lock()
	r.window.see(l.ledger, now)
	at, ok := r.seen[v.id]
	r.mu.Unlock()
	fresh := sighting{beat: v.beat, since: now, ttl: v.state.ttl}
	if !ok || at.beat != v.beat {
		fresh.unit = r.o.contendedTurn(r.pace.time())
		fresh.delay = s.delayBeside(v.id.node, fresh.unit)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok = r.seen[v.id]; !ok || at.beat != v.beat {
		fresh.ending = at.ending
		at = fresh
	}
	if v.state.degraded && at.marked == 0 {
		at.marked = now
	}
	if !ok && len(r.seen) >= maxSightings {
		clear(r.seen) // costs patience, never safety
	}
	r.seen[v.id] = at
	return at
}

func (r *Registry) unsee(id sessionID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, id)
}

// jittered adds up to PollEvery/8, which keeps the contenders for one actor apart.
func (r *Registry) jittered(d time.Duration) time.Duration {
	return d + time.Duration(r.host.Rand().Int64N(int64(r.o.PollEvery)/8+1))
}

// delay returns how long the session waits, by its rank for a key and with turns of
// unit, before it writes what others may write as well.
func (s *Session) delay(key string, unit time.Duration) time.Duration {
	p := s.roster().peers
	return stagger(unit, p.rank(key, s.id.node, p.size()), s.r.host.Rand())
}

// delayBeside is delay for what is done to another node's session.
func (s *Session) delayBeside(n NodeID, unit time.Duration) time.Duration {
	if s == nil {
		return 0
	}
	p := s.roster().peers
	return stagger(unit, p.rankBeside(n, s.id.node, p.size()), s.r.host.Rand())
}

// takeTurn waits for as long as delay says. The caller reads again.
func (s *Session) takeTurn(ctx context.Context, key string, unit time.Duration) error {
	if err := s.meet(ctx); err != nil {
		return err
	}
	d := s.delay(key, unit)
	if d == 0 {
		return ctx.Err()
	}
	return s.r.host.Sleep(ctx, d)
}

// meet waits until the session knows the others, for PollEvery at most: all who have
// just joined would rank first.
func (s *Session) meet(ctx context.Context) error {
	if s.knows() {
		return ctx.Err()
	}
	wctx, cancel := s.r.host.WithTimeout(ctx, s.r.o.PollEvery)
	defer cancel()
	if s.met.Wait(wctx) != nil {
		return ctx.Err()
	}
	return nil
}

// knows reports whether the session knows the others, or never will.
func (s *Session) knows() bool { return s.r.o.Monitors < 0 || s.met.IsSet() }

// ranksFirst reports whether the session is known to have the first turn for a key.
func (s *Session) ranksFirst(key string) bool {
	return s.knows() && s.roster().peers.rank(key, s.id.node, 1) == 0
}

// revoke ends the session of e that has shown no renewal but the one of at. It reads
// the beat in the transaction that writes the state, and a renewal reads the
// state in the transaction that writes the beat: whichever of the two commits
// second fails.
func (r *Registry) revoke(ctx context.Context, e Event, at sighting, limit int) (gone bool, err error) {
	id := sessionID{e.Node, e.Incarnation}
	e.ID = r.lastID.Add(1)
	r.emit(e)
	var doubt, renewed bool
	e.Version, e.Err = r.transact(ctx, e, &doubt, func(tx store.Tx) error {
		renewed = false
		l, err := r.look(tx, []sessionID{id})
		if err != nil {
			return err
		}
		v := &l.views[0]
		if !v.lives() {
			return ErrNotLive
		}
		if v.beat != at.beat {
			renewed = true
			return ErrRenewed
		}
		if err := r.charge(tx, l.ledger, limit); err != nil {
			return err
		}
		v.state.status = statusRevoked
		return r.changeSession(tx, id.node, v.state)
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
	case errors.Is(e.Err, ErrRevokeLimited):
		r.putOff(e, limit)
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
	// ErrRevokeLimited: as many sessions have been revoked in the present window
	// as [Options].RevokeMin and RevokeShare allow.
	ErrRevokeLimited = errors.New("registry: the limit of revocations is reached")
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
