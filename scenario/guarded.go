package scenario

import (
	"fmt"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// A history says when a guarded transaction was called and returned, and so
// cannot tell on which side of a take-over in between it committed. Its commit
// version can: it must lie before that of the next claim of the actor, and
// before that of the end of its session.

// guarded is a guarded transaction that committed.
type guarded struct {
	actor   int
	session session
	token   registry.Token
	version store.Version
}

// session names a session.
type session struct {
	node        registry.NodeID
	incarnation registry.Incarnation
}

// endedAt notes the end of a session, if its commit version is known.
func (r *run) endedAt(e registry.Event) {
	if e.Version != 0 {
		r.ended[session{e.Node, e.Incarnation}] = e.Version
	}
}

// judgeGuards returns the first guarded transaction that committed after its
// claim had ended.
func (r *run) judgeGuards() error {
	for _, g := range r.guards {
		if ended, ok := r.ended[g.session]; ok && g.version > ended {
			return fmt.Errorf("a guarded write under token %v of %q committed at %d, after its session had been ended at %d",
				g.token, r.actors[g.actor], g.version, ended)
		}
		for _, t := range r.tokens[g.actor] {
			if t > g.token && store.Version(t) < g.version {
				return fmt.Errorf("a guarded write under token %v of %q committed at %d, after the claim with token %v",
					g.token, r.actors[g.actor], g.version, t)
			}
		}
	}
	return nil
}
