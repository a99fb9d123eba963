package registry

import (
	"errors"
	"fmt"
)

// Errors that say how things stand in the store. None of them left a change
// behind.
var (
	// ErrHeld: another live session owns the actor. The error is a [*HeldError].
	ErrHeld = errors.New("registry: actor is held")
	// ErrNotOwner: the claim is not the actor's current one. The error is a
	// [*NotOwnerError].
	ErrNotOwner = errors.New("registry: not the owner")
	// ErrNotActive: the session that an actor was to be given to takes none. The
	// error is a [*NotActiveError].
	ErrNotActive = errors.New("registry: the target takes no actors")
	// ErrUnowned: no live session owns the actor.
	ErrUnowned = errors.New("registry: actor is unowned")
	// ErrNodeInUse: a live session has the node id. The error is a
	// [*InUseError].
	ErrNodeInUse = errors.New("registry: node id is in use")
	// ErrSessionLost: the session has ended, or this node can no longer be sure
	// that it has not. It never comes back; join again.
	ErrSessionLost = errors.New("registry: session lost")
	// ErrFull: the session that an actor was to be given to owns as many as its
	// capacity allows.
	ErrFull = errors.New("registry: the target is full")
	// ErrNoNode: no node takes the actor: none is Active, has room, and is wanted by
	// the strategy.
	ErrNoNode = errors.New("registry: no node takes the actor")
	// ErrExpired, beside [ErrSessionLost] in the cause of a session's context:
	// the lease ran out without a renewal.
	ErrExpired = errors.New("registry: lease expired")
)

// Errors that say what the caller may do.
var (
	// ErrDegraded: the session's renewals fail; it takes no new claims until one
	// succeeds.
	ErrDegraded = errors.New("registry: session degraded")
	// ErrDraining: the session gives its actors away and takes none.
	ErrDraining = errors.New("registry: session is draining")
	// ErrSuperseded: the session has claimed the actor again, and what it owns
	// since is not this handle's to release. Nothing was changed.
	ErrSuperseded = errors.New("registry: claim superseded by a newer handle")
	// ErrUnknown: the operation may or may not have taken effect, or may yet.
	// Repeating it with the same handle is safe.
	ErrUnknown = errors.New("registry: outcome unknown")
	// ErrInvalid: an argument or option is out of its range. The text names the
	// field and the limit.
	ErrInvalid = errors.New("registry: invalid argument")
	// ErrCorrupt: a record in the store cannot be read. Nothing was changed.
	ErrCorrupt = errors.New("registry: corrupt record")
)

// Owner says who owns an actor.
type Owner struct {
	Node        NodeID
	Incarnation Incarnation
	Token       Token
	Address     string // as given to Join
}

func (o Owner) String() string {
	return fmt.Sprintf("node %q (incarnation %v) with token %v", o.Node, o.Incarnation, o.Token)
}

// HeldError is an [ErrHeld] with the owner.
type HeldError struct {
	Actor ActorID
	Owner Owner
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("%v: %q by %v", ErrHeld, e.Actor, e.Owner)
}

// Unwrap returns ErrHeld.
func (e *HeldError) Unwrap() error { return ErrHeld }

// NotOwnerError is an [ErrNotOwner] with the owner, if there is a live one.
type NotOwnerError struct {
	Actor ActorID
	Owner Owner // zero when the actor is unowned
}

func (e *NotOwnerError) Error() string {
	if e.Owner == (Owner{}) {
		return fmt.Sprintf("%v of %q: it is unowned", ErrNotOwner, e.Actor)
	}
	return fmt.Sprintf("%v of %q: it is held by %v", ErrNotOwner, e.Actor, e.Owner)
}

// Unwrap returns ErrNotOwner.
func (e *NotOwnerError) Unwrap() error { return ErrNotOwner }

// NotActiveError is an [ErrNotActive] with the session in question.
type NotActiveError struct {
	Node        NodeID
	Incarnation Incarnation // zero when the node has no session
	State       NodeState   // zero when there is no such session
}

func (e *NotActiveError) Error() string {
	if e.State == 0 {
		return fmt.Sprintf("%v: node %q has no session of incarnation %v", ErrNotActive, e.Node, e.Incarnation)
	}
	return fmt.Sprintf("%v: node %q (incarnation %v) is %v", ErrNotActive, e.Node, e.Incarnation, e.State)
}

// Unwrap returns ErrNotActive.
func (e *NotActiveError) Unwrap() error { return ErrNotActive }

// InUseError is an [ErrNodeInUse] with the session that has the node id.
type InUseError struct {
	Node        NodeID
	Incarnation Incarnation
	Address     string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%v: %q by incarnation %v at %q", ErrNodeInUse, e.Node, e.Incarnation, e.Address)
}

// Unwrap returns ErrNodeInUse.
func (e *InUseError) Unwrap() error { return ErrNodeInUse }

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
