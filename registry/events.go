package registry

import "github.com/kelpie-registry/kelpie/store"

// EventKind says what an [Event] is about.
type EventKind uint8

// Kinds of events. Each comment names the fields that are set beside Kind.
const (
	// EventRenewed: a renewal succeeded. Node, Incarnation, Version.
	EventRenewed EventKind = iota + 1
	// EventRenewFailed: an attempt at a renewal failed. Node, Incarnation, Err.
	EventRenewFailed
	// EventHealth: a session's health changed. Node, Incarnation, Health; Err
	// when it was lost.
	EventHealth
	// EventSilent: a session has been seen silent for long enough to be revoked.
	// Node, Incarnation.
	EventSilent
	// EventRevokeStart: an attempt to revoke a session begins. Node,
	// Incarnation, ID.
	EventRevokeStart
	// EventRevokeEnd: that attempt ended. Node, Incarnation, ID; Version when the
	// session was revoked by it; Err: nil, ErrUnknown, or why it had no effect.
	EventRevokeEnd
	// EventDoubt: a commit's outcome is unknown and is being looked up. Node,
	// Incarnation, Actor, Err.
	EventDoubt
	// EventResolved: that look-up found out. Applied says which way. Node,
	// Incarnation, Actor.
	EventResolved
	// EventReleased: a claim was released. Node, Incarnation, Actor, Token,
	// Version (zero when found out later).
	EventReleased
	// EventLeft: a session was ended by its own node. Node, Incarnation, Version
	// (zero when found out later).
	EventLeft
	// EventGiveBackStart: an attempt begins to give back an actor: one that a claim
	// got whose caller did not learn so, or one that no node takes from a session
	// that drains. Node, Incarnation, Actor, Token, ID.
	EventGiveBackStart
	// EventGiveBackEnd: that attempt ended. Node, Incarnation, Actor, Token, ID;
	// Version when the actor was freed by it (zero when found out later); Err:
	// nil, ErrUnknown, or why it had no effect.
	EventGiveBackEnd
	// EventTransferred: this session gave an actor to another one. Node,
	// Incarnation, Actor, Token (the one that was given up), Version (zero when
	// found out later).
	EventTransferred
	// EventAccepted: an actor that this session was given has its handle. Node,
	// Incarnation, Actor, Token.
	EventAccepted
	// EventRevokeLimited: a session that is silent is not revoked now, because the
	// limit of revocations is reached. Told of the first that this process puts off;
	// others follow in silence until EventRevokeLimitOver. Node, Incarnation.
	EventRevokeLimited
	// EventMarked: this node, as a monitor, has marked a session as degraded whose
	// renewals were missed. Node, Incarnation, Version.
	EventMarked
	// EventUnmarked: a renewal of this node's session took such a mark back. Node,
	// Incarnation, Version.
	EventUnmarked
	// EventSwept: this node has cleared records of actors that ended sessions of a
	// node have left. Node, Count.
	EventSwept
	// EventForgotten: this node has removed the record of a session that ended
	// NodeRetention ago. Node, Incarnation.
	EventForgotten
	// EventPlaceStart: an attempt begins to make a session the owner of an actor by
	// [Registry.Place], or, by [Session.Drain], to get a new handle of one that it
	// owns. Node, Incarnation, Actor, ID.
	EventPlaceStart
	// EventPlaceEnd: that attempt ended. Node, Incarnation, Actor, ID; Token and
	// Version (zero when found out later) when it took effect; Err: nil, ErrUnknown,
	// a [*HeldError] when somebody owned the actor, or why it had no effect.
	EventPlaceEnd
	// EventMoveStart: [Session.Drain] or [Session.Rebalance] begins to transfer an
	// actor. Node, Incarnation, Actor, Token, Target, ID.
	EventMoveStart
	// EventMoveEnd: that transfer ended. Node, Incarnation, Actor, Token, Target, ID;
	// NewToken when it took effect and is still known; Err: nil, ErrUnknown, or why
	// it had no effect.
	EventMoveEnd
	// EventDraining: a session gets no more actors. Node, Incarnation.
	EventDraining
	// EventRevokeLimitOver: a look of this process has shown that the limit of
	// revocations, of which it told by EventRevokeLimited, holds no longer. Count: the
	// sessions that it has put off since, 10,000 at most.
	EventRevokeLimitOver
)

var eventNames = [...]string{
	"", "renewed", "renew-failed", "health", "silent", "revoke-start",
	"revoke-end", "doubt", "resolved", "released", "left", "give-back-start",
	"give-back-end", "transferred", "accepted", "revoke-limited", "marked", "unmarked", "swept", "forgotten",
	"place-start", "place-end",
	"move-start", "move-end", "draining", "revoke-limit-over",
}

func (k EventKind) String() string {
	if int(k) < len(eventNames) && k > 0 {
		return eventNames[k]
	}
	return "unknown"
}

// Event is something that the registry did by itself, for logs, metrics and
// checkers.
type Event struct {
	Kind        EventKind
	Node        NodeID
	Incarnation Incarnation
	Actor       ActorID
	Token       Token
	NewToken    Token  // of the new owner
	Target      Target // the new owner
	Version     store.Version
	Health      Health
	Applied     bool
	Monitor     bool   // of a revocation: by a monitor, not by one who wants something of the node
	Count       int    // of actors, or of sessions
	ID          uint64 // pairs a start with its end, within one Registry
	Err         error
}

func (r *Registry) emit(e Event) {
	if r.o.Events != nil {
		r.o.Events(e)
	}
}
