package soak

import (
	"fmt"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// NoteKind says what a [Note] is about.
type NoteKind string

// Kinds of notes.
const (
	NoteCount   NoteKind = "count"   // Count has happened N times
	NoteSent    NoteKind = "sent"    // Actor is about to be given away, with Payload, from Token; zero: placed
	NoteMade    NoteKind = "made"    // what was sent with Payload has made Token
	NoteOpened  NoteKind = "opened"  // a handle with Token came with Payload
	NoteDefect  NoteKind = "defect"  // Rule is broken, as Message says
	NoteDegrade NoteKind = "degrade" // Node's session was told that it is degraded
)

// Counter is what a note may count.
type Counter string

// Counters.
const (
	CountPlace   Counter = "place"
	CountDrain   Counter = "drain"
	CountKilled  Counter = "killed"  // lives that ended without a word
	CountGiven   Counter = "given"   // actors transferred, placed or drained to a node
	CountAccept  Counter = "accept"  // by nodes that were given them
	CountDoubt   Counter = "doubt"   // commits whose end was unknown
	CountApplied Counter = "applied" // operations in doubt that were found to have taken effect
	CountDropped Counter = "dropped" // and not to have
)

// Note is what a node did or saw and the history has no operation for.
type Note struct {
	At      time.Duration    `json:"t"` // of the history's clock
	Kind    NoteKind         `json:"note"`
	Count   Counter          `json:"count,omitempty"`
	N       uint64           `json:"n,omitempty"`
	Node    registry.NodeID  `json:"node,omitempty"`
	Actor   registry.ActorID `json:"actor,omitempty"`
	Token   registry.Token   `json:"token,omitempty"`
	Payload string           `json:"payload,omitempty"`
	Rule    string           `json:"rule,omitempty"`
	Message string           `json:"message,omitempty"`
}

// Book takes notes. It is safe for use from several goroutines.
type Book interface{ Take(n Note) }

// Ledger is a [Book] that adds up what it is told, and holds gifts against each
// other: the notes of one process as they come, or those of many in the order of
// their times.
type Ledger struct {
	mu       sync.Mutex
	gifts    gifts
	counts   map[Counter]uint64
	degraded uint64
	defect   *Violation // the first
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{gifts: newGifts(), counts: make(map[Counter]uint64)}
}

// Take implements [Book].
func (l *Ledger) Take(n Note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := owning{n.Actor, n.Token}
	switch n.Kind {
	case NoteCount:
		l.counts[n.Count] += n.N
	case NoteDegrade:
		l.degraded++
	case NoteSent:
		l.gifts.send(n.Payload, o)
	case NoteMade:
		l.demand(RuleWrongPayload, l.gifts.made(o, n.Payload))
	case NoteOpened:
		l.demand(RuleWrongPayload, l.gifts.opened(o, n.Payload))
	case NoteDefect:
		l.demand(n.Rule, n.Message)
	default:
		l.demand(RuleUnknownNote, fmt.Sprintf("a note of kind %q", n.Kind))
	}
}

// demand keeps what is wrong, the first time; "" is nothing.
func (l *Ledger) demand(rule, wrong string) {
	if wrong != "" && l.defect == nil {
		l.defect = &Violation{Rule: rule, Message: wrong}
	}
}

// Defect returns the first thing that was wrong, or nil.
func (l *Ledger) Defect() *Violation {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.defect
}

// fill adds what was counted to what the history told. A placement is a look-up there.
func (l *Ledger) fill(c *Counts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.counts
	c.Places, c.Drains, c.Killed = n[CountPlace], n[CountDrain], n[CountKilled]
	c.Given, c.Accepted = n[CountGiven], n[CountAccept]
	c.Doubts, c.ResolvedThere, c.ResolvedAbsent = n[CountDoubt], n[CountApplied], n[CountDropped]
	c.Degraded = l.degraded
	c.Lookups -= min(c.Places, c.Lookups)
}

// gifts is what is known of actors that were given to sessions: each gift has a
// payload of its own, and whoever gets the handle must find that of the gift which
// made its token.
type gifts struct {
	sent map[string]owning // by payload: what was given, zero token: placed
	came map[owning]string // the payload that went with a token, where it is known
	got  map[owning]string // the payload that came with a handle
}

// owning names an ownership.
type owning struct {
	actor registry.ActorID
	token registry.Token
}

func newGifts() gifts {
	return gifts{sent: make(map[string]owning), came: make(map[owning]string), got: make(map[owning]string)}
}

func (g *gifts) send(payload string, from owning) { g.sent[payload] = from }

// made says what is wrong with a gift that has made a token; "" is nothing.
func (g *gifts) made(o owning, payload string) string {
	g.came[o] = payload
	if got, ok := g.got[o]; ok && got != payload {
		return fmt.Sprintf("token %v of %q came with payload %q, want %q", o.token, o.actor, got, payload)
	}
	return ""
}

// opened says what is wrong with a handle and its payload.
func (g *gifts) opened(o owning, payload string) string {
	if want, ok := g.came[o]; ok && want != payload {
		return fmt.Sprintf("token %v of %q came with payload %q, want %q", o.token, o.actor, payload, want)
	}
	if payload == "" {
		return ""
	}
	g.got[o] = payload
	if x, ok := g.sent[payload]; !ok || x.actor != o.actor || x.token >= o.token {
		return fmt.Sprintf("token %v of %q came with payload %q, which was not sent with it", o.token, o.actor, payload)
	}
	return ""
}
