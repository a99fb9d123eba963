package soak

import (
	"errors"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
)

// event counts what happens inside a registry and records revocations and
// losses. It is called from the registry's tasks.
func (l *life) event(e registry.Event) {
	now := l.r.now()
	c := &l.r.counts
	switch e.Kind {
	case registry.EventRevokeStart:
		id := l.r.history.Invoke(now, linearizability.Op{
			Kind: linearizability.KindRevoke, Client: string(l.n.id) + "/observer",
			Node: string(e.Node), Incarnation: uint64(e.Incarnation),
		})
		l.mu.Lock()
		l.revokes[e.ID] = id
		l.mu.Unlock()
	case registry.EventRevokeEnd:
		l.revoked(e)
	case registry.EventHealth:
		if e.Health == registry.Lost {
			c.lost.Add(1)
			l.r.history.Note(now, linearizability.Op{
				Kind: linearizability.KindLost, Client: string(l.n.id) + "/keeper",
				Node: string(e.Node), Incarnation: uint64(e.Incarnation),
			}, linearizability.Result{Outcome: linearizability.OutcomeOK})
		}
	case registry.EventDoubt:
		c.doubts.Add(1)
	case registry.EventResolved:
		if e.Applied {
			c.doubtsApplied.Add(1)
		} else {
			c.doubtsDropped.Add(1)
		}
	case registry.EventReleased:
		l.mu.Lock()
		l.ends[e.Token] = e.Version
		l.mu.Unlock()
	case registry.EventLeft:
		l.mu.Lock()
		l.left[e.Incarnation] = uint64(e.Version)
		l.mu.Unlock()
	case registry.EventGiveBackStart:
		id := l.r.history.Invoke(now, linearizability.Op{
			Kind: linearizability.KindRelease, Client: string(l.n.id) + "/settler",
			Node: string(e.Node), Incarnation: uint64(e.Incarnation), Actor: string(e.Actor), Token: uint64(e.Token),
		})
		l.mu.Lock()
		l.revokes[e.ID] = id
		l.mu.Unlock()
	case registry.EventGiveBackEnd:
		res := linearizability.Result{Outcome: linearizability.OutcomeOK, Version: uint64(e.Version)}
		if e.Err != nil {
			res = failure(e.Err)
		}
		l.ended(e.ID, res)
	case registry.EventRenewed, registry.EventRenewFailed, registry.EventSilent:
	}
}

func (l *life) revoked(e registry.Event) {
	res := linearizability.Result{Outcome: linearizability.OutcomeOK, Version: uint64(e.Version)}
	switch {
	case e.Err == nil:
		l.r.counts.revoked.Add(1)
	case errors.Is(e.Err, registry.ErrUnknown):
		res = linearizability.Result{Outcome: linearizability.OutcomeUnknown}
	default:
		res = linearizability.Result{Outcome: linearizability.OutcomeFailed}
	}
	l.ended(e.ID, res)
}

// ended records the result of an operation that an event began.
func (l *life) ended(event uint64, res linearizability.Result) {
	l.mu.Lock()
	id := l.revokes[event]
	delete(l.revokes, event)
	l.mu.Unlock()
	l.r.history.Return(l.r.now(), id, res)
}
