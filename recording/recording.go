// Package recording translates what a registry is asked and what it answers into
// the operations of a history (see docs/history.md), so that every harness that
// runs a workload records it alike, in the simulator and for real. It keeps no
// time, names no client and writes nothing: those are the harness's.
package recording

import (
	"context"
	"errors"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// Join is a call of Join. replace says that it may end a live session: one that
// it is told to replace, or one that its own process had, or may have made.
func Join(id registry.NodeID, replace bool) linearizability.Op {
	return linearizability.Op{Kind: linearizability.KindJoin, Node: string(id), Replace: replace}
}

// Of is a call of a session on an actor: a claim.
func Of(kind linearizability.Kind, s *registry.Session, a registry.ActorID) linearizability.Op {
	return linearizability.Op{Kind: kind, Node: string(s.Node()), Incarnation: uint64(s.Incarnation()), Actor: string(a)}
}

// With is a call that presents a claim's token: a release, a use, a write or a
// guarded transaction.
func With(kind linearizability.Kind, c *registry.Claim) linearizability.Op {
	op := Of(kind, c.Session(), c.Actor())
	op.Token = uint64(c.Token())
	return op
}

// Transfer is a call of a claim's Transfer to a session. The target has to be named
// with its incarnation, so that the history says whose claim may come of it.
func Transfer(c *registry.Claim, to registry.Target) linearizability.Op {
	op := With(linearizability.KindTransfer, c)
	op.OwnerNode, op.OwnerIncarnation = string(to.Node), uint64(to.Incarnation)
	return op
}

// Lookup is a call of Lookup.
func Lookup(a registry.ActorID) linearizability.Op {
	return linearizability.Op{Kind: linearizability.KindLookup, Actor: string(a)}
}

// Leave is a call of Leave.
func Leave(s *registry.Session) linearizability.Op {
	return linearizability.Op{Kind: linearizability.KindLeave, Node: string(s.Node()), Incarnation: uint64(s.Incarnation())}
}

// Failure is the result of a call that failed with an error which says nothing
// about the state of the registry.
func Failure(err error) linearizability.Result {
	switch {
	case errors.Is(err, registry.ErrUnknown), errors.Is(err, store.ErrCommitUnknown):
		return linearizability.Result{Outcome: linearizability.OutcomeUnknown}
	case errors.Is(err, registry.ErrSessionLost):
		return linearizability.Result{Outcome: linearizability.OutcomeLost}
	}
	return linearizability.Result{Outcome: linearizability.OutcomeFailed}
}

// Joined is the result of Join. ctx is that of the call: when it ended a wait,
// the session that err names was seen some time before.
func Joined(ctx context.Context, s *registry.Session, err error) linearizability.Result {
	var use *registry.InUseError
	switch {
	case err == nil:
		inc := uint64(s.Incarnation())
		return linearizability.Result{Outcome: linearizability.OutcomeOK, Incarnation: inc, Version: inc}
	case errors.As(err, &use) && ctx.Err() == nil && !errors.Is(err, registry.ErrUnknown):
		return linearizability.Result{
			Outcome: linearizability.OutcomeInUse, OwnerNode: string(use.Node), OwnerIncarnation: uint64(use.Incarnation),
		}
	}
	return Failure(err)
}

// Claimed is the result of Claim or ClaimWait; ctx is as for [Joined].
func Claimed(ctx context.Context, c *registry.Claim, err error) linearizability.Result {
	var held *registry.HeldError
	switch {
	case err == nil:
		return linearizability.Result{Outcome: linearizability.OutcomeOK, Token: uint64(c.Token())}
	case errors.As(err, &held) && ctx.Err() == nil:
		res := owned(held.Owner)
		res.Outcome = linearizability.OutcomeHeld
		return res
	}
	return Failure(err)
}

func owned(o registry.Owner) linearizability.Result {
	return linearizability.Result{
		Outcome: linearizability.OutcomeOK, Token: uint64(o.Token),
		OwnerNode: string(o.Node), OwnerIncarnation: uint64(o.Incarnation),
	}
}

// LookedUp is the result of Lookup.
func LookedUp(o registry.Owner, err error) linearizability.Result {
	switch {
	case err == nil:
		return owned(o)
	case errors.Is(err, registry.ErrUnowned):
		return linearizability.Result{Outcome: linearizability.OutcomeUnowned}
	}
	return linearizability.Result{Outcome: linearizability.OutcomeFailed}
}

// Released is the result of Release; version is that of the event of this very
// release, zero when there was none.
func Released(version store.Version, err error) linearizability.Result {
	var other *registry.NotOwnerError
	if errors.As(err, &other) {
		return linearizability.Result{Outcome: linearizability.OutcomeNotOwner}
	}
	return Left(version, err)
}

// Transferred is the result of Transfer, provided that no transfer or release of
// the claim was in doubt before the call: otherwise it may be that one which took
// effect, and the result is unknown unless an event told the version of this one.
func Transferred(o registry.Owner, err error) linearizability.Result {
	var other *registry.NotOwnerError
	switch {
	case err == nil && o.Token != 0:
		return linearizability.Result{Outcome: linearizability.OutcomeOK, NewToken: uint64(o.Token), Version: uint64(o.Token)}
	case err == nil: // by then nobody knew its token
		return linearizability.Result{Outcome: linearizability.OutcomeUnknown}
	case errors.As(err, &other) && !errors.Is(err, registry.ErrUnknown):
		return linearizability.Result{Outcome: linearizability.OutcomeNotOwner}
	}
	return Failure(err)
}

// Left is the result of Leave; version is as for [Released].
func Left(version store.Version, err error) linearizability.Result {
	if err != nil {
		return Failure(err)
	}
	return linearizability.Result{Outcome: linearizability.OutcomeOK, Version: uint64(version)}
}

// Used is the answer of a claim's Valid.
func Used(valid bool) linearizability.Result {
	if valid {
		return linearizability.Result{Outcome: linearizability.OutcomeValid}
	}
	return linearizability.Result{Outcome: linearizability.OutcomeInvalid}
}

// Guarded is the result of a transaction with a Guard in it.
func Guarded(version store.Version, err error) linearizability.Result {
	switch {
	case err == nil:
		return linearizability.Result{Outcome: linearizability.OutcomeOK, Version: uint64(version)}
	case errors.Is(err, registry.ErrNotOwner), errors.Is(err, registry.ErrSessionLost):
		return linearizability.Result{Outcome: linearizability.OutcomeRejected}
	}
	return Failure(err)
}

// Begun returns the operation that an event tells the registry to have begun by
// itself: a revocation, the release of what a claim in doubt has got, what Place does
// on behalf of a session, which is a claim, and what Drain and Rebalance do. The
// event with the same ID and one of the kinds of [Ended] ends it.
func Begun(e registry.Event) (op linearizability.Op, ok bool) {
	op = linearizability.Op{Node: string(e.Node), Incarnation: uint64(e.Incarnation)}
	switch e.Kind {
	case registry.EventRevokeStart:
		op.Kind = linearizability.KindRevoke
	case registry.EventGiveBackStart:
		op.Kind, op.Actor, op.Token = linearizability.KindRelease, string(e.Actor), uint64(e.Token)
	case registry.EventPlaceStart:
		op.Kind, op.Actor, op.Given = linearizability.KindClaim, string(e.Actor), true
	case registry.EventMoveStart:
		op.Kind, op.Actor, op.Token = linearizability.KindTransfer, string(e.Actor), uint64(e.Token)
		op.OwnerNode, op.OwnerIncarnation = string(e.Target.Node), uint64(e.Target.Incarnation)
	default:
		return linearizability.Op{}, false
	}
	return op, true
}

// Ended returns the result of an operation that the registry began by itself.
func Ended(e registry.Event) (res linearizability.Result, ok bool) {
	switch e.Kind {
	case registry.EventGiveBackEnd:
		return Left(e.Version, e.Err), true
	case registry.EventRevokeEnd:
		res = Left(e.Version, e.Err)
		if e.Err != nil && !errors.Is(e.Err, registry.ErrUnknown) {
			res = linearizability.Result{Outcome: linearizability.OutcomeFailed}
		}
		return res, true
	case registry.EventPlaceEnd:
		return placed(e), true
	case registry.EventMoveEnd:
		return Transferred(registry.Owner{Token: e.NewToken}, e.Err), true
	default:
		return linearizability.Result{}, false
	}
}

// placed is the result of an attempt to make a session an actor's owner.
func placed(e registry.Event) linearizability.Result {
	var held *registry.HeldError
	switch {
	case e.Err == nil:
		return linearizability.Result{Outcome: linearizability.OutcomeOK, Token: uint64(e.Token)}
	case errors.Is(e.Err, registry.ErrUnknown):
		return linearizability.Result{Outcome: linearizability.OutcomeUnknown}
	case errors.As(e.Err, &held):
		res := owned(held.Owner)
		if held.Owner.Node != e.Node || held.Owner.Incarnation != e.Incarnation {
			res.Outcome = linearizability.OutcomeHeld
			return res
		}
		return linearizability.Result{Outcome: linearizability.OutcomeOK, Token: res.Token}
	}
	return linearizability.Result{Outcome: linearizability.OutcomeFailed}
}

// Lost is the note that a node was told that its session is lost.
func Lost(e registry.Event) (op linearizability.Op, ok bool) {
	if e.Kind != registry.EventHealth || e.Health != registry.Lost {
		return linearizability.Op{}, false
	}
	return linearizability.Op{Kind: linearizability.KindLost, Node: string(e.Node), Incarnation: uint64(e.Incarnation)}, true
}
