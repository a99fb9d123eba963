package registry

import (
	"context"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// Each session is watched over by as many others as Options.Monitors says: those
// that rank first for its node id, by the roster that each of them keeps. A monitor
// looks every LookEvery, with one read at all sessions that are its own to watch;
// marks one as degraded whose renewals have been missed, which its next renewal
// takes back; and revokes one that is silent. So nobody needs to want an actor of a
// dead node for its session to end. Whoever has marked a session comes first when it
// is to be revoked, so that all who observe it, monitors or not, need not find out
// then who does.

// monitoring is what a session keeps between its looks.
type monitoring struct {
	s      *Session
	roster *roster     // by which mine was chosen
	mine   []sessionID // to be watched over
	ranks  []int       // of this monitor, for each of mine
}

// watchOver looks until the session ends.
func (s *Session) watchOver(context.Context) {
	m := monitoring{s: s}
	for {
		next := m.round()
		if next == s.r.o.LookEvery { // a turn is kept to the point
			next += time.Duration(s.r.host.Rand().Int64N(int64(next)/8 + 1))
		}
		if s.r.host.Sleep(s.ctx, next) != nil {
			return
		}
	}
}

// round makes one look, and returns after how long the next is due. A node whose
// own renewals fail may be the one that is cut off: it looks at nobody.
func (m *monitoring) round() (next time.Duration) {
	s, r := m.s, m.s.r
	next = r.o.LookEvery
	m.choose()
	if len(m.mine) == 0 || s.Health() != Healthy {
		return next
	}
	ctx, cancel := r.host.WithTimeout(s.ctx, r.o.RenewTimeout)
	defer cancel()
	var l look
	err := r.db.Read(ctx, func(tx store.Reader) (err error) {
		l, err = r.look(tx, m.mine)
		return err
	})
	if err != nil {
		return next // it says nothing about them
	}
	for i := range l.views {
		if left := m.judge(&l.views[i], &l, m.ranks[i]); left > 0 {
			next = min(next, left)
		}
	}
	return next
}

// choose takes up the roster, if it has changed.
func (m *monitoring) choose() {
	now := m.s.roster()
	if now == m.roster {
		return
	}
	m.roster, m.mine, m.ranks = now, nil, nil
	for _, n := range now.live() {
		if n.ID == m.s.id.node {
			continue
		}
		if rank := now.peers.rankBeside(n.ID, m.s.id.node, m.s.r.o.Monitors); rank < m.s.r.o.Monitors {
			m.mine = append(m.mine, sessionID{n.ID, n.Incarnation})
			m.ranks = append(m.ranks, rank)
		}
	}
}

// judge acts on what a look showed of a session, of whose monitors this one has a rank,
// and returns how long it is until there may be something to do.
func (m *monitoring) judge(v *view, l *look, rank int) time.Duration {
	s, r := m.s, m.s.r
	if !v.lives() {
		r.unsee(v.id)
		return 0
	}
	at := r.see(s, v, l)
	mark, turn := at.markAt(&r.o, rank), at.turn(&r.o)
	now := r.host.Monotonic()
	if left := min(mark, turn) - now; left > 0 {
		return left
	}
	if now < turn {
		if v.state.status == statusLive && !v.state.degraded {
			m.mark(v, at)
		}
		return turn - now
	}
	if s.Health() == Healthy {
		ctx, cancel := r.host.WithTimeout(s.ctx, r.o.RenewTimeout)
		defer cancel()
		// Only the end of ctx and a corrupt record are errors, and the next look
		// comes upon them again.
		_, _ = r.endSilent(ctx, s, v, at, l.ledger, true)
	}
	return 0
}

// markAt is the monotonic time from which on the monitor of a rank marks the session
// as degraded: no more than DegradedShare of the silence that ends it is left. The
// first is given the time to see the silence begin before the next does, and so on.
func (at *sighting) markAt(o *Options, rank int) time.Duration {
	return at.since + time.Duration((1-o.DegradedShare)*float64(stretch(at.ttl, o.MaxDrift))) + time.Duration(rank)*o.grace()
}

// mark notes in the session's record that its renewals have been missed, unless
// one came since. A mark whose commit is in doubt is seen, or missed, by the next
// look.
func (m *monitoring) mark(v *view, at sighting) {
	s, r := m.s, m.s.r
	ctx, cancel := r.host.WithTimeout(s.ctx, r.o.RenewTimeout)
	defer cancel()
	marks := false
	version, err := r.db.Transact(ctx, func(tx store.Tx) error {
		marks = false
		l, err := r.look(tx, []sessionID{v.id})
		if err != nil {
			return err
		}
		now := &l.views[0]
		if !now.lives() || now.beat != at.beat || now.state.degraded || now.state.status != statusLive {
			return nil
		}
		marks = true
		now.state.degraded = true
		return r.changeSession(tx, v.id.node, now.state)
	})
	if err == nil && marks {
		r.marked(v.id, at.beat)
		r.emit(Event{Kind: EventMarked, Node: v.id.node, Incarnation: v.id.incarnation, Version: version})
	}
}

// marked notes that this process has marked a session, whose last renewal is beat.
func (r *Registry) marked(id sessionID, beat store.Version) {
	now := r.host.Monotonic()
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, ok := r.seen[id]; ok && at.beat == beat {
		at.marked, at.mine = now, true
		r.seen[id] = at
	}
}
