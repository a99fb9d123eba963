package linearizability

import (
	"fmt"
	"slices"
	"time"
)

// Rules of the [Monitor], besides [RuleTokenOrder] (a claim is valid although a
// higher token of its actor had been granted) and [RuleTokenReused] (one token
// was granted to two sessions).
const (
	// RuleTwoValidHandles: two claims of one actor with different tokens were
	// both valid at one moment.
	RuleTwoValidHandles Rule = "two-valid-handles"
	// RuleStaleWriteAccepted: a fenced resource accepted a token below one that
	// it had accepted before.
	RuleStaleWriteAccepted Rule = "stale-write-accepted"
	// RuleLostNodeActs: a claim was valid after its session had been told that
	// it is lost.
	RuleLostNodeActs Rule = "lost-node-acts"
)

// MonitorError is a promise that broke while a world ran.
type MonitorError struct {
	Rule   Rule
	At     time.Duration // true time since the start of the world
	Actor  string
	Detail string
}

func (e *MonitorError) Error() string {
	return fmt.Sprintf("%s: actor %q at %v: %s", e.Rule, e.Actor, e.At, e.Detail)
}

// Monitor watches claims inside the simulator. The world tells it what it
// grants, drops and loses, and calls Check after every event. A check costs a
// few nanoseconds while no actor is suspect; of the others
//
//   - a contested one, which has a handle below the highest token granted, has
//     its handles asked whether they are valid at every check;
//   - one that has a handle of a lost session and is not contested has them
//     asked at the check after the loss, and then one such actor at each check,
//     in turn. So a handle that becomes valid again is found within as many
//     events as there are such actors, if it stays valid for so long.
//
// A monitor is for one task. The first broken promise sticks: every later Check
// returns it.
type Monitor struct {
	// SkipExclusion turns off what rests on clocks: two-valid-handles, and
	// token-order for valid claims. It is for worlds whose clocks break their
	// bounds, where only tokens keep their promise.
	SkipExclusion bool

	actors    map[string]*monitorActor
	sessions  map[monitorSession]*monitorLoss
	contested []*monitorActor // asked at every check
	lost      []*monitorActor // asked in turn
	turn      int
	allLost   bool // ask all of them at the next check
	err       error
}

type monitorSession struct {
	node string
	inc  uint64
}

// monitorLoss says whether a session was lost, and which actors it was granted.
type monitorLoss struct {
	lost   bool
	actors []*monitorActor
}

type monitorActor struct {
	name    string
	list    suspicion
	granted uint64 // highest token granted
	holder  monitorSession
	written uint64 // highest token accepted by a fenced resource
	handles []monitorHandle
}

// suspicion is the list that an actor is on.
type suspicion uint8

const (
	unsuspected suspicion = iota
	isContested
	isLost
)

type monitorHandle struct {
	session monitorSession
	token   uint64
	lost    bool
	valid   func() bool
}

// NewMonitor returns a monitor that tracks nothing.
func NewMonitor() *Monitor {
	m := &Monitor{}
	m.Reset()
	return m
}

// Reset forgets everything but SkipExclusion.
func (m *Monitor) Reset() {
	*m = Monitor{
		SkipExclusion: m.SkipExclusion,
		actors:        make(map[string]*monitorActor),
		sessions:      make(map[monitorSession]*monitorLoss),
	}
}

// Granted tells that a claim was handed to its owner. valid asks the handle; it
// must not block, change anything, or be called after Dropped.
func (m *Monitor) Granted(now time.Duration, actor, node string, inc, token uint64, valid func() bool) {
	a, s := m.actor(actor), monitorSession{node, inc}
	loss := m.session(s)
	if !slices.Contains(loss.actors, a) {
		loss.actors = append(loss.actors, a)
	}
	if token == a.granted && a.holder != s {
		m.fail(RuleTokenReused, now, a,
			fmt.Sprintf("token %d was granted to %s/%d and to %s/%d", token, a.holder.node, a.holder.inc, node, inc))
	}
	if token > a.granted {
		a.granted, a.holder = token, s
	}
	a.handles = append(a.handles, monitorHandle{session: s, token: token, lost: loss.lost, valid: valid})
	m.review(a)
}

// Dropped tells that all handles of a claim are gone: it was released, or its
// process crashed.
func (m *Monitor) Dropped(actor string, token uint64) {
	if a := m.actors[actor]; a != nil {
		m.drop(a, func(h monitorHandle) bool { return h.token == token })
	}
}

// DroppedSession tells that all handles of a session are gone.
func (m *Monitor) DroppedSession(node string, inc uint64) {
	s := monitorSession{node, inc}
	if loss := m.sessions[s]; loss != nil {
		for _, a := range loss.actors {
			m.drop(a, func(h monitorHandle) bool { return h.session == s })
		}
	}
}

func (m *Monitor) drop(a *monitorActor, gone func(monitorHandle) bool) {
	a.handles = slices.DeleteFunc(a.handles, gone)
	m.review(a)
}

// SessionLost tells that a node was told, at now, that its session is lost.
func (m *Monitor) SessionLost(_ time.Duration, node string, inc uint64) {
	s := monitorSession{node, inc}
	loss := m.session(s)
	loss.lost = true
	for _, a := range loss.actors {
		for i := range a.handles {
			if a.handles[i].session == s {
				a.handles[i].lost = true
			}
		}
		m.review(a)
	}
}

// FencedWrite tells how a resource that checks tokens answered a write.
func (m *Monitor) FencedWrite(now time.Duration, actor string, token uint64, accepted bool) {
	if !accepted {
		return
	}
	a := m.actor(actor)
	if token < a.written {
		m.fail(RuleStaleWriteAccepted, now, a, fmt.Sprintf("token %d was accepted after token %d", token, a.written))
	}
	a.written = max(a.written, token)
}

// Check returns the first broken promise, as a [*MonitorError], or nil.
func (m *Monitor) Check(now time.Duration) error {
	if m.err != nil || len(m.contested)+len(m.lost) == 0 {
		return m.err
	}
	for _, a := range m.contested {
		m.examine(now, a)
	}
	asked := min(1, len(m.lost))
	if m.allLost {
		asked, m.allLost = len(m.lost), false
	}
	for range asked {
		m.turn++
		m.examine(now, m.lost[m.turn%len(m.lost)])
	}
	return m.err
}

// examine asks the handles of one actor.
func (m *Monitor) examine(now time.Duration, a *monitorActor) {
	var first *monitorHandle // the first valid one
	for i := range a.handles {
		h := &a.handles[i]
		if !h.valid() {
			continue
		}
		if first == nil {
			first = h
		}
		switch {
		case h.lost:
			m.fail(RuleLostNodeActs, now, a, fmt.Sprintf("token %d of %s/%d is valid, and the session was told that it is lost",
				h.token, h.session.node, h.session.inc))
		case m.SkipExclusion:
		case first.token != h.token:
			m.fail(RuleTwoValidHandles, now, a, fmt.Sprintf("token %d of %s/%d and token %d of %s/%d are both valid",
				first.token, first.session.node, first.session.inc, h.token, h.session.node, h.session.inc))
		}
	}
	if first != nil && first.token < a.granted && !m.SkipExclusion {
		m.fail(RuleTokenOrder, now, a, fmt.Sprintf("token %d of %s/%d is valid, and token %d has been granted",
			first.token, first.session.node, first.session.inc, a.granted))
	}
}

// review puts an actor on the list where it belongs.
func (m *Monitor) review(a *monitorActor) {
	list := unsuspected
	for i := range a.handles {
		switch h := &a.handles[i]; {
		case h.token < a.granted:
			list = isContested
		case h.lost && list == unsuspected:
			list = isLost
		}
	}
	m.allLost = m.allLost || list == isLost
	if list == a.list {
		return
	}
	same := func(b *monitorActor) bool { return a == b }
	switch a.list {
	case isContested:
		m.contested = slices.DeleteFunc(m.contested, same)
	case isLost:
		m.lost = slices.DeleteFunc(m.lost, same)
	default: // on neither
	}
	a.list = list
	switch list {
	case isContested:
		m.contested = append(m.contested, a)
	case isLost:
		m.lost = append(m.lost, a)
	default: // on neither
	}
}

func (m *Monitor) actor(name string) *monitorActor {
	a := m.actors[name]
	if a == nil {
		a = &monitorActor{name: name}
		m.actors[name] = a
	}
	return a
}

func (m *Monitor) session(s monitorSession) *monitorLoss {
	l := m.sessions[s]
	if l == nil {
		l = &monitorLoss{}
		m.sessions[s] = l
	}
	return l
}

// fail notes the first broken promise.
func (m *Monitor) fail(rule Rule, now time.Duration, a *monitorActor, detail string) {
	if m.err == nil {
		m.err = &MonitorError{Rule: rule, At: now, Actor: a.name, Detail: detail}
	}
}
