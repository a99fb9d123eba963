package scenario

import (
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/registry"
)

// Two promises about sessions, beside those about claims: no node believes in a
// session that has ended in the store, and none loses a lease that it never tried
// to renew.

// member is a session as the process that joined it has it.
type member struct {
	session
	valid func() bool
	ended bool // in the store
}

// joined notes a session. The older ones of the node id are over: this one, when
// its join took so long to return that others have joined since.
func (r *run) joined(l *life, s *registry.Session, replaced bool) {
	proc, number := l.n.proc, l.number
	newest := s.Incarnation()
	r.members = append(r.members, member{
		session: session{s.Node(), s.Incarnation()},
		valid:   func() bool { return proc.Life() == number && proc.Alive() && s.Valid() },
	})
	for _, m := range r.members {
		if m.node == s.Node() {
			newest = max(newest, m.incarnation)
		}
	}
	for i := range r.members {
		if m := &r.members[i]; m.node == s.Node() && m.incarnation < newest {
			r.sessionEnded(m, replaced)
		}
	}
}

// revokedSession notes that an observer has revoked a session.
func (r *run) revokedSession(id session) {
	for i := range r.members {
		if m := &r.members[i]; m.session == id {
			r.sessionEnded(m, false)
		}
	}
}

// sessionEnded tells the monitor until when the node may believe: if clocks keep
// their bound it has stopped before it is revoked. Otherwise, and when it was
// replaced alive, it stops when its lease, which no renewal prolongs, runs out on
// the slowest clock.
func (r *run) sessionEnded(m *member, replaced bool) {
	if m.ended {
		return
	}
	m.ended = true
	now := r.world.Now()
	deadline := now
	if replaced || !r.shape.exclusive {
		deadline += time.Duration(float64(r.shape.ttl) / (1 - float64(r.shape.rate)/1e9))
	}
	r.monitor.SessionEnded(now, deadline, string(m.node), uint64(m.incarnation), m.valid)
}

// neglect returns an error when the session's lease ran out although the process could
// have renewed it and did not try: it was joined some time ago, and the process
// has not stood still since.
func (l *life) neglect(cause error) error {
	now, ttl := l.now(), l.n.r.shape.ttl
	// An attempt is known when it ends, after a sixth of the TTL at the latest.
	if !errors.Is(cause, registry.ErrExpired) || l.renewed || now-l.joinedAt < ttl/4 {
		return nil
	}
	for _, f := range l.n.r.plan.Faults {
		if f.Kind == faults.Pause && f.Target == l.n.proc.Name() && f.At <= now && f.At+f.For >= l.joinedAt {
			return nil
		}
	}
	return fmt.Errorf("the session of %q was lost %v after its join had returned, without an attempt to renew it", l.n.id, now-l.joinedAt)
}
