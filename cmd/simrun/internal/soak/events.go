package soak

import (
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
	"github.com/kelpie-registry/kelpie/registry"
)

// event counts what happens inside a registry and records what it begins by
// itself. It is called from the registry's tasks.
func (l *life) event(e registry.Event) {
	now := l.r.now()
	if op, ok := recording.Begun(e); ok {
		op.Client = string(l.n.id) + byRegistry
		id := l.r.history.Invoke(now, op)
		l.mu.Lock()
		l.begun[e.ID] = id
		l.mu.Unlock()
	}
	if res, ok := recording.Ended(e); ok {
		l.mu.Lock()
		id := l.begun[e.ID]
		delete(l.begun, e.ID)
		l.mu.Unlock()
		l.r.history.Return(now, id, res)
	}
	if op, ok := recording.Lost(e); ok {
		op.Client = string(l.n.id) + byKeeper
		l.r.history.Note(now, op, linearizability.Result{Outcome: linearizability.OutcomeOK})
	}
	l.count(e)
}

func (l *life) count(e registry.Event) {
	switch e.Kind {
	case registry.EventHealth:
		if e.Health == registry.Degraded {
			l.r.book.Take(Note{At: l.r.now(), Kind: NoteDegrade, Node: e.Node})
		}
	case registry.EventDoubt:
		l.r.count(CountDoubt, 1)
	case registry.EventResolved:
		if e.Applied {
			l.r.count(CountApplied, 1)
		} else {
			l.r.count(CountDropped, 1)
		}
	case registry.EventReleased:
		l.mu.Lock()
		l.ends[e.Token] = e.Version
		l.mu.Unlock()
	case registry.EventLeft:
		l.mu.Lock()
		l.left[e.Incarnation] = e.Version
		l.mu.Unlock()
	case registry.EventRenewed, registry.EventRenewFailed, registry.EventSilent,
		registry.EventRevokeStart, registry.EventRevokeEnd, registry.EventGiveBackStart, registry.EventGiveBackEnd,
		registry.EventTransferred, registry.EventAccepted, registry.EventRevokeLimited, registry.EventRevokeLimitOver,
		registry.EventMarked, registry.EventUnmarked, registry.EventSwept, registry.EventForgotten,
		registry.EventPlaceStart, registry.EventPlaceEnd, registry.EventMoveStart, registry.EventMoveEnd,
		registry.EventDraining:
	}
}
