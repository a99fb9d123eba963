package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// A session that has ended leaves records behind: of its actors, their index,
// inbox and load. Nobody needs to wait for their removal: a record that names an
// ended session is that of an unowned actor. Its monitors clear them in the
// background, SweepRate a second, the one that ranks first at once, and others when
// they see no progress. The index is the cursor: who goes on begins with what is
// left. When nothing is left of a session that has ended, its node is forgotten
// after NodeRetention.

// sweepBatch bounds the actors of one transaction of a sweep.
const sweepBatch = 100

// sweeping is what a session keeps between its rounds.
type sweeping struct {
	s      *Session
	roster *roster // by which mine was chosen
	mine   []swept
	known  map[NodeID]*remains
}

// swept is a node after whose ended sessions this one looks.
type swept struct {
	node *Node
	rank int
}

// below returns the incarnation below which all sessions of the node have ended.
func (t *swept) below() Incarnation {
	if t.node.State.Live() {
		return t.node.Incarnation
	}
	return t.node.Incarnation + 1
}

// remains is what is known of what a node's ended sessions have left.
type remains struct {
	clean Incarnation   // nothing is left of sessions below
	since time.Duration // monotonic time since which first is the first row, or nothing is left
	first string        // key of the first row of the index; empty: none
}

// sweep goes on until the session ends.
func (s *Session) sweep(context.Context) {
	w := sweeping{s: s, known: make(map[NodeID]*remains)}
	for {
		w.choose()
		for i := range w.mine {
			if s.ctx.Err() != nil || s.Health() != Healthy {
				break
			}
			w.sweepNode(&w.mine[i])
		}
		if s.r.host.Sleep(s.ctx, s.r.o.LookEvery) != nil {
			return
		}
	}
}

// choose takes up the roster, if it has changed.
func (w *sweeping) choose() {
	now, me := w.s.roster(), w.s.id.node
	if now == w.roster {
		return
	}
	w.roster, w.mine = now, nil
	known := make(map[NodeID]*remains)
	for _, n := range now.nodes {
		rank := now.peers.rankBeside(n.ID, me, w.s.r.o.Monitors)
		if rank >= w.s.r.o.Monitors || n.ID == me && !n.State.Live() {
			continue
		}
		w.mine = append(w.mine, swept{n, rank})
		if known[n.ID] = w.known[n.ID]; known[n.ID] == nil {
			known[n.ID] = &remains{}
		}
	}
	w.known = known
}

// sweepNode does what there is to do about one node. Failures of the store are
// made good by the next round.
func (w *sweeping) sweepNode(t *swept) {
	r, rest := w.s.r, w.known[t.node.ID]
	if rest.clean < t.below() && !w.sweepRows(t, rest) {
		return
	}
	if t.node.State.Live() || r.host.Monotonic()-rest.since < r.o.NodeRetention+w.patience(t) {
		return
	}
	ctx, cancel := r.host.WithTimeout(w.s.ctx, r.o.RenewTimeout)
	defer cancel()
	// In doubt or not, the roster tells.
	if gone, err := r.forgetEnded(ctx, sessionID{t.node.ID, t.node.Incarnation}); err == nil && gone {
		r.emit(Event{Kind: EventForgotten, Node: t.node.ID, Incarnation: t.node.Incarnation})
	}
}

// patience is how long a rank leaves the work to those before it.
func (w *sweeping) patience(t *swept) time.Duration { return time.Duration(t.rank) * w.s.ttl }

// sweepRows clears what is left, and reports whether nothing is.
func (w *sweeping) sweepRows(t *swept, rest *remains) bool {
	s, r := w.s, w.s.r
	for s.ctx.Err() == nil && s.Health() == Healthy {
		limit := min(sweepBatch, max(1, r.o.SweepRate))
		if t.rank > 0 {
			first, err := w.firstRow(t)
			if now := r.host.Monotonic(); err != nil {
				return false
			} else if rest.since == 0 || first != rest.first {
				rest.first, rest.since = first, now
			}
			if first != "" && r.host.Monotonic()-rest.since < w.patience(t) {
				return false // there is progress, or may be soon
			}
		}
		n, err := w.batch(t, limit)
		switch {
		case err != nil:
			return false
		case n == 0:
			rest.clean, rest.first, rest.since = t.below(), "", r.host.Monotonic()
			return true
		}
		r.emit(Event{Kind: EventSwept, Node: t.node.ID, Count: n})
		if s.r.host.Sleep(s.ctx, time.Duration(n)*time.Second/time.Duration(r.o.SweepRate)) != nil {
			return false
		}
		if t.rank > 0 {
			rest.since = r.host.Monotonic() - w.patience(t) // its own progress is no reason to wait
			if rest.first, err = w.firstRow(t); err != nil {
				return false
			}
		}
	}
	return false
}

// firstRow returns the key of the first row that is left, empty when there is none.
func (w *sweeping) firstRow(t *swept) (first string, err error) {
	r := w.s.r
	ctx, cancel := r.host.WithTimeout(w.s.ctx, r.o.RenewTimeout)
	defer cancel()
	err = r.db.Read(ctx, func(tx store.Reader) error {
		begin, end := r.keys.sessionsBelow(tagOwned, t.node.ID, t.below())
		rows, _, err := tx.GetRange(begin, end, store.RangeOptions{Limit: 1})
		first = ""
		if err == nil && len(rows) > 0 {
			first = string(rows[0].Key)
		}
		return err
	})
	return first, err
}

func (w *sweeping) batch(t *swept, limit int) (n int, err error) {
	r := w.s.r
	ctx, cancel := r.host.WithTimeout(w.s.ctx, r.o.RenewTimeout)
	defer cancel()
	// A batch whose commit is in doubt needs no look: the next finds what is left.
	_, err = r.db.Transact(ctx, func(tx store.Tx) (err error) {
		n, err = r.sweepSome(tx, t.node.ID, limit)
		return err
	})
	return n, err
}

// sweepSome clears up to limit actors of a node's ended sessions, and once there are
// none, what else is left of those. It returns how many actors it found.
//
// The index is read by a snapshot, so that a claim which takes an actor over makes
// the sweep conflict only if it is one of these: each one's record is read, and
// cleared if it still names the ended session.
func (r *Registry) sweepSome(tx store.Tx, n NodeID, limit int) (found int, err error) {
	state, err := r.readSession(tx, n)
	if err != nil {
		return 0, err
	}
	below := endedBelow(state)
	begin, end := r.keys.sessionsBelow(tagOwned, n, below)
	rows, _, err := tx.Snapshot().GetRange(begin, end, store.RangeOptions{Limit: limit})
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		return 0, r.sweepRest(tx, n, below)
	}
	ids, actors, keys := make([]sessionID, len(rows)), make([]ActorID, len(rows)), make([][]byte, len(rows))
	for i, kv := range rows {
		if len(kv.Key) < len(begin)+8 {
			return 0, fmt.Errorf("%w: index key %q", ErrCorrupt, kv.Key)
		}
		ids[i] = sessionID{n, Incarnation(binary.BigEndian.Uint64(kv.Key[len(begin):]))}
		if actors[i], err = actorOf(kv.Key, kv.Key[:len(begin)+8]); err != nil {
			return 0, err
		}
		keys[i] = r.keys.actor(actors[i])
	}
	values, err := tx.GetAll(keys...)
	if err != nil {
		return 0, err
	}
	for i, v := range values {
		rec, err := decodeActor(v)
		if err != nil {
			return 0, fmt.Errorf("%w (actor %q)", err, actors[i])
		}
		if rec == nil || rec.node != n || rec.incarnation != ids[i].incarnation {
			tx.Clear(rows[i].Key) // the index of nothing, which Check would report
			continue
		}
		tx.Clear(keys[i])
		r.disown(tx, ids[i], actors[i])
	}
	return len(rows), nil
}

// sweepRest clears the loads and the inboxes of a node's ended sessions, which own
// nothing any more and never will.
func (r *Registry) sweepRest(tx store.Tx, n NodeID, below Incarnation) error {
	for _, tag := range []byte{tagLoad, tagInbox} {
		begin, end := r.keys.sessionsBelow(tag, n, below)
		rows, _, err := tx.Snapshot().GetRange(begin, end, store.RangeOptions{Limit: 1})
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			tx.ClearRange(begin, end)
		}
	}
	return nil
}

// endedBelow returns the incarnation below which all sessions of a node have ended,
// s being its newest.
func endedBelow(s *sessionRecord) Incarnation {
	switch {
	case s == nil:
		return math.MaxUint64
	case s.status.lives():
		return s.incarnation()
	}
	return s.incarnation() + 1
}

// sessionsBelow returns the range of a node's keys of a tag whose incarnation is
// below one.
func (k keys) sessionsBelow(tag byte, n NodeID, below Incarnation) (begin, end []byte) {
	end = k.session(tag, n, below, 0)
	return slices.Clone(end[:len(end)-8]), end
}

// forgetEnded removes the record of a session that is still the node's newest, and
// has ended.
func (r *Registry) forgetEnded(ctx context.Context, id sessionID) (gone bool, err error) {
	_, err = r.db.Transact(ctx, func(tx store.Tx) error {
		s, err := r.readSession(tx, id.node)
		if gone = err == nil && s != nil && !s.status.lives() && s.incarnation() == id.incarnation; !gone {
			return err
		}
		return r.forgetNode(tx, id.node)
	})
	return gone, err
}
