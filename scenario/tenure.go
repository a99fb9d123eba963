package scenario

import (
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// What is known of who owns what, for rules on loads: a session owns an actor for
// sure from the moment at which somebody learns that it does until its end may have
// begun.

// tenure is one ownership.
type tenure struct {
	session session
	since   time.Duration
	over    bool // its end may have begun
	given   bool // by the registry, which looks at the capacity
}

// granted notes that a session has the handle of an actor. It may be a new one, after
// the end of the ownership seemed to have begun.
func (r *run) granted(actor int, token registry.Token, s session) {
	delete(r.tenures, holding{actor, token})
	r.acquired(actor, token, s)
}

// acquired notes that a session came to own an actor.
func (r *run) acquired(actor int, token registry.Token, s session) {
	newest := token
	for key := range r.tenures {
		if key.actor == actor {
			newest = max(newest, key.token)
		}
	}
	key := holding{actor, token}
	if r.tenures[key] == nil {
		r.tenures[key] = &tenure{session: s, since: r.world.Now()}
	}
	for key, t := range r.tenures {
		if key.actor == actor && key.token < newest {
			t.over = true
		}
	}
}

// ending notes that an ownership may come to its end.
func (r *run) ending(actor int, token registry.Token) {
	if t := r.tenures[holding{actor, token}]; t != nil {
		t.over = true
		return
	}
	r.tenures[holding{actor, token}] = &tenure{over: true} // nobody has learnt yet that it began
}

// sessionEnding notes that the sessions of a node that were joined so far may come
// to their end.
func (r *run) sessionEnding(id registry.NodeID) {
	for _, t := range r.tenures {
		if t.session.node == id {
			t.over = true
		}
	}
}

// ownedSince returns how many actors the sessions that match have owned all the time
// since an instant.
func (r *run) ownedSince(at time.Duration, match func(session) bool) int {
	n := 0
	for _, t := range r.tenures { //determinism:allow a count
		if !t.over && t.since <= at && match(t.session) {
			n++
		}
	}
	return n
}

// newestGiven returns the highest token that a session owns by a gift, and how many
// actors it owned when that was made: those with lower tokens which it owns still.
// Capacities are so small that the registry is never allowed to exceed them.
func (r *run) newestGiven(s session) (newest registry.Token, owned int) {
	for key, t := range r.tenures {
		if t.given && !t.over && t.session == s {
			newest = max(newest, key.token)
		}
	}
	for key, t := range r.tenures {
		if !t.over && t.session == s && key.token < newest {
			owned++
		}
	}
	return newest, owned
}
