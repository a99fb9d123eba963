package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
)

// Health is how sure a node is of its own lease.
type Health uint8

const (
	// Healthy: renewals succeed.
	Healthy Health = iota + 1
	// Degraded: renewals fail, or little of the lease is left. Claims stay Valid,
	// new ones are refused.
	Degraded
	// Lost: the session is over. No claim of it will be Valid again.
	Lost
)

func (h Health) String() string {
	switch h {
	case Healthy:
		return "healthy"
	case Degraded:
		return "degraded"
	case Lost:
		return "lost"
	}
	return fmt.Sprintf("Health(%d)", uint8(h))
}

// Session is a node's membership, from one join to its end. It is safe for use
// from several tasks.
type Session struct {
	r        *Registry
	id       sessionID
	epoch    uint8
	ttl      time.Duration
	began    time.Duration // monotonic time from which the first lease counts
	replaced bool
	onHealth func(Health)

	ctx    context.Context // ends, with the reason as cause, when the session does
	cancel context.CancelCauseFunc

	// leaseEnd is the monotonic time at which the holder stops believing. It
	// only grows, and only while over is false. Whoever finds that it has passed
	// makes it 0, and 0 it stays.
	leaseEnd atomic.Int64
	over     atomic.Bool // Lost or left; never becomes false again

	nodes atomic.Pointer[roster] // nil before the first read
	met   clock.Event            // set after the first read

	leaveDoubt bool // a Leave is in doubt; guarded by the turn of the empty actor id

	mu       sync.Mutex
	claims   map[ActorID]*Claim      // the newest handle of each actor
	busy     map[ActorID]clock.Event // actors with an operation under way
	handing  map[ActorID]clock.Event // actors with a hand-off under way
	failures int                     // renewals that failed in a row
	health   Health                  // as last told; the clock may say worse
	changes  []Event                 // of health, to be told in their order
	telling  bool                    // a task tells them
	timer    clock.Timer             // for the next change that time alone brings
	doubtful []ActorID               // claims in doubt that nobody waits for, each actor once
	freeing  map[ActorID]Token       // of those, what was given back by a commit in doubt
	settling bool                    // a task settles them
	waits    map[ActorID]*contention // actors that tasks wait for
	accepted []*Claim                // given actors whose inbox rows are to be cleared
	clearing bool                    // a task clears them
	drains   int                     // calls of Drain under way
	pages    []*inboxPage            // of the inbox, from which handles are made
}

func newSession(r *Registry, n NodeID, rec *sessionRecord, o JoinOptions, began time.Duration) *Session {
	s := &Session{
		r:        r,
		id:       sessionID{n, rec.incarnation()},
		epoch:    rec.epoch,
		ttl:      rec.ttl,
		began:    began,
		onHealth: o.OnHealth,
		claims:   make(map[ActorID]*Claim),
		busy:     make(map[ActorID]clock.Event),
		waits:    make(map[ActorID]*contention),
		freeing:  make(map[ActorID]Token),
		handing:  make(map[ActorID]clock.Event),
		health:   Healthy,
		met:      r.host.NewEvent(),
	}
	s.ctx, s.cancel = r.host.WithCancel(r.host.Context())
	s.leaseEnd.Store(int64(began + shrink(s.ttl, r.o.MaxDrift)))
	return s
}

func (s *Session) start() {
	s.armTimer()
	s.r.host.Go("keeper/"+string(s.id.node), s.keep)
	if s.r.o.Monitors > 0 {
		s.r.host.Go("roster/"+string(s.id.node), s.keepRoster)
		s.r.host.Go("monitor/"+string(s.id.node), s.watchOver)
		s.r.host.Go("sweeper/"+string(s.id.node), s.sweep)
	}
}

// Node returns the session's node id.
func (s *Session) Node() NodeID { return s.id.node }

// Incarnation returns the session's incarnation.
func (s *Session) Incarnation() Incarnation { return s.id.incarnation }

// Replaced reports whether the join ended a live session of the same node id.
func (s *Session) Replaced() bool { return s.replaced }

// Context ends when the session does; clock.Cause tells why.
func (s *Session) Context() context.Context { return s.ctx }

// Valid reports whether the node may still believe in its session. It reads the
// clock at every call: a timer that should have fired during a pause fires late.
func (s *Session) Valid() bool { return s.LeaseLeft() > 0 }

// LeaseLeft returns how long, on this node's clock, the session stays valid if
// no renewal succeeds; zero when it is not. Once zero, it stays so.
func (s *Session) LeaseLeft() time.Duration {
	for !s.over.Load() {
		end := s.leaseEnd.Load()
		if left := time.Duration(end) - s.r.host.Monotonic(); left > 0 {
			return left
		}
		// A renewal may be about to extend the lease: not after this answer.
		if s.leaseEnd.CompareAndSwap(end, 0) {
			return 0
		}
	}
	return 0
}

// extend moves the end of the lease, unless it has run out: then claims have
// been invalid meanwhile.
func (s *Session) extend(to time.Duration) bool {
	end := s.leaseEnd.Load()
	return s.Valid() && s.leaseEnd.CompareAndSwap(end, int64(to))
}

// Health returns the session's health at this moment.
func (s *Session) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.healthLocked()
}

func (s *Session) healthLocked() Health {
	left := s.LeaseLeft()
	switch {
	case left <= 0:
		return Lost
	case s.failures >= s.r.o.DegradedAfter, left < s.degradedBelow():
		return Degraded
	}
	return Healthy
}

func (s *Session) degradedBelow() time.Duration {
	return time.Duration(s.r.o.DegradedShare * float64(shrink(s.ttl, s.r.o.MaxDrift)))
}

// Claims returns the actors of all claims that are Valid now, in order.
func (s *Session) Claims() []ActorID {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []ActorID
	for id, c := range s.claims { //determinism:allow sorted below
		if c.Valid() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// end makes every claim invalid, once. It reports whether this call did it.
func (s *Session) end(cause error) bool {
	if s.over.Swap(true) {
		return false
	}
	s.mu.Lock()
	timer := s.timer
	s.timer = nil
	s.mu.Unlock()
	if timer != nil {
		timer.Stop()
	}
	s.r.rememberEnd(s.id)
	s.cancel(cause)
	return true
}

// lose ends the session against its will and tells everyone.
func (s *Session) lose(cause error) {
	if s.end(cause) {
		s.tell(Lost, cause)
	}
}

// learn ends a session of which a transaction has shown that it is over.
func (s *Session) learn(err error) {
	if errors.Is(err, ErrSessionLost) {
		s.lose(err)
	}
}

// tell reports a change of health. When two tasks tell at once, one of them
// reports the changes of both, so that their order is that of the changes.
func (s *Session) tell(h Health, cause error) {
	s.mu.Lock()
	if s.health != h && s.health != Lost {
		s.health = h
		e := s.event(EventHealth)
		e.Health, e.Err = h, cause
		s.changes = append(s.changes, e)
	}
	begin := !s.telling
	s.telling = true
	s.mu.Unlock()
	for begin {
		e, ok := s.nextChange()
		if !ok {
			return
		}
		s.r.emit(e)
		if s.onHealth != nil {
			s.onHealth(e.Health)
		}
	}
}

// nextChange returns the change to report next; false when there is none, and
// the task is to report no more.
func (s *Session) nextChange() (Event, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.changes) == 0 {
		s.telling = false
		return Event{}, false
	}
	e := s.changes[0]
	s.changes = s.changes[1:]
	return e, true
}

func (s *Session) event(k EventKind) Event {
	return Event{Kind: k, Node: s.id.node, Incarnation: s.id.incarnation}
}

// enter waits until no other operation of this session on the actor is under
// way and keeps others out until leave is called: one actor's operations do not
// overtake each other inside a session.
func (s *Session) enter(ctx context.Context, a ActorID) (leave func(), err error) {
	return s.enterFrom(ctx, nil, a)
}

// enterFrom is enter to take an actor from a page of the inbox, if that is not nil.
func (s *Session) enterFrom(ctx context.Context, from *inboxPage, a ActorID) (leave func(), err error) {
	mine := s.r.host.NewEvent()
	for {
		s.mu.Lock()
		theirs, taken := s.busy[a]
		if !taken {
			s.busy[a] = mine
			for _, p := range s.pages {
				if p != from {
					p.touch(a)
				}
			}
		}
		s.mu.Unlock()
		if !taken {
			return func() {
				s.mu.Lock()
				delete(s.busy, a)
				s.mu.Unlock()
				mine.Set()
			}, nil
		}
		if err := theirs.Wait(ctx); err != nil {
			return nil, err
		}
	}
}
