package registry

import (
	"bytes"
	"context"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// inboxPage is a page of a session's inbox, read at one instant with the records of its
// actors. The handles are made one by one, as the consumer asks for them, each in the
// actor's turn. What was read of an actor is true still then unless an operation of this
// session on it was under way at the read, or has begun since: as long as a session
// lives nobody else takes away what it owns.
type inboxPage struct {
	me     *sessionRecord
	actors []ActorID // in the order of ids
	seen   []inboxSeen

	// Guarded by the session's mutex.
	touched map[ActorID]bool      // until it is opened: actors with such an operation
	rows    map[ActorID]inboxSeen // then: those of the page without, as long as nobody has taken them
}

// inboxSeen is what a page shows of an actor: its row of the inbox, and its record.
type inboxSeen struct{ row, rec []byte }

// beginPage returns a page that is to be read. It notices what touches its actors until
// endPage.
func (s *Session) beginPage() *inboxPage {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &inboxPage{touched: make(map[ActorID]bool, len(s.busy))}
	for a := range s.busy {
		p.touched[a] = true
	}
	s.pages = append(s.pages, p)
	return p
}

func (s *Session) endPage(p *inboxPage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages = slices.DeleteFunc(s.pages, func(q *inboxPage) bool { return p == q })
}

// touch notes that an operation on an actor begins.
func (p *inboxPage) touch(a ActorID) {
	if p.rows == nil {
		p.touched[a] = true
		return
	}
	delete(p.rows, a)
}

// readPage reads what a range of the inbox has, at most assignmentRows, and the records
// of these actors, in two round trips. more means that there are others behind it, from
// next on.
func (s *Session) readPage(tx store.Reader, p *inboxPage, begin []byte) (next []byte, more bool, err error) {
	space := s.r.keys.inbox(s.id.node, s.id.incarnation)
	given, more, err := tx.GetRange(begin, append(slices.Clone(space), 0xff), store.RangeOptions{Limit: assignmentRows})
	p.actors, p.seen = make([]ActorID, len(given)), make([]inboxSeen, len(given))
	if err != nil || len(given) == 0 {
		return begin, more, err
	}
	keys := [][]byte{s.r.keys.state(s.id.node)}
	for i, kv := range given {
		if p.actors[i], err = actorOf(kv.Key, space); err != nil {
			return nil, false, err
		}
		keys = append(keys, s.r.keys.actor(p.actors[i]))
	}
	values, err := tx.GetAll(keys...)
	if err != nil {
		return nil, false, err
	}
	if p.me, err = decodeSession(values[0]); err != nil {
		return nil, false, err
	}
	for i, kv := range given {
		p.seen[i] = inboxSeen{kv.Value, values[i+1]}
	}
	return append(slices.Clone(given[len(given)-1].Key), 0), more, nil
}

// openPage is called once the page has been read, however often that took.
func (s *Session) openPage(p *inboxPage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := make(map[ActorID]inboxSeen, len(p.actors))
	for i, a := range p.actors {
		if !p.touched[a] {
			rows[a] = p.seen[i]
		}
	}
	p.rows, p.seen = rows, nil
}

// handOut yields the handles of a page that nobody has had before. going means that the
// consumer wants more.
func (s *Session) handOut(ctx context.Context, p *inboxPage, yield func(*Claim, error) bool) (going bool, err error) {
	s.openPage(p)
	if len(p.actors) > 0 && !p.me.lives(s.id.incarnation) {
		s.learn(s.endedError(p.me))
		return true, nil
	}
	for _, a := range p.actors {
		c, err := s.takeFrom(ctx, p, a)
		switch {
		case err != nil:
			return true, err
		case c != nil && !yield(c, nil):
			return false, nil
		}
	}
	return true, nil
}

// takeFrom returns the handle of an actor of the page if nobody has had it before, and
// nil if there is nothing to hand out.
func (s *Session) takeFrom(ctx context.Context, p *inboxPage, actor ActorID) (*Claim, error) {
	leave, err := s.enterFrom(ctx, p, actor)
	if err != nil {
		return nil, err
	}
	defer leave()
	if s.over.Load() {
		return nil, ErrSessionLost
	}
	if last := s.lastHandle(actor); last != nil && last.Valid() {
		return nil, nil // somebody here has it
	}
	s.mu.Lock()
	seen, ok := p.rows[actor]
	delete(p.rows, actor)
	s.mu.Unlock()
	var c *Claim
	var fresh bool
	if !ok {
		c, fresh, _, err = s.adoptInTurn(ctx, actor, s.accepting(actor))
	} else {
		c, fresh, err = s.adoptSeen(p.me, actor, seen)
	}
	if err != nil || !fresh {
		return nil, err
	}
	return c, nil
}

// adoptSeen is adopt with what a page shows of the actor.
func (s *Session) adoptSeen(me *sessionRecord, actor ActorID, seen inboxSeen) (c *Claim, fresh bool, err error) {
	rec, err := decodeActor(seen.rec)
	if err != nil || !s.owns(me, rec) {
		return nil, false, err
	}
	row, err := decodeInbox(seen.row)
	if err != nil {
		return nil, false, err
	}
	row.payload = bytes.Clone(row.payload) // or it would hold the page
	c, fresh = s.adoptRecord(actor, rec, row, s.accepting(actor))
	return c, fresh, nil
}
