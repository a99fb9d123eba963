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
// takes back; and revokes one that is silent, in the order of ranks. So nobody
// needs to want an actor of a dead node for its session to end.

// monitoring is what a session keeps between its looks.
type monitoring struct {
	s      *Session
	roster *roster     // by which mine was chosen
	mine   []sessionID // to be watched over
}

// watchOver looks until the session ends.
func (s *Session) watchOver(context.Context) {
	m := monitoring{s: s}
	for {
		next := m.round()
		jitter := time.Duration(s.r.host.Rand().Int64N(int64(s.r.o.LookEvery)/8 + 1))
		if s.r.host.Sleep(s.ctx, next+jitter) != nil {
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
		if left := m.judge(&l.views[i], &l); left > 0 {
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
	m.roster, m.mine = now, nil
	for _, n := range now.live() {
		if n.ID != m.s.id.node && now.peers.rankBeside(n.ID, m.s.id.node, m.s.r.o.Monitors) < m.s.r.o.Monitors {
			m.mine = append(m.mine, sessionID{n.ID, n.Incarnation})
		}
	}
}

// judge acts on what a look showed of a session, and returns how long it is until
// there may be something to do.
func (m *monitoring) judge(v *view, l *look) time.Duration {
	s, r := m.s, m.s.r
	if !v.lives() {
		r.unsee(v.id)
		return 0
	}
	at := r.see(s, v, l)
	mark, turn := at.markAt(r.o), at.turn(r.o.MaxDrift)
	now := r.host.Monotonic()
	if now < mark {
		return mark - now
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

// markAt is the monotonic time from which on the session is to be marked as
// degraded: no more than DegradedShare of the silence that ends it is left.
func (at *sighting) markAt(o Options) time.Duration {
	return at.since + time.Duration((1-o.DegradedShare)*float64(stretch(at.ttl, o.MaxDrift))) + at.delay
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
		r.emit(Event{Kind: EventMarked, Node: v.id.node, Incarnation: v.id.incarnation, Version: version})
	}
}
