package linearizability

import (
	"fmt"
	"slices"
	"time"
)

// Rules of the [Monitor], besides [RuleTokenOrder] (a claim is valid although a
// higher token of its actor had been granted), [RuleTokenReused] (one token was
// granted to two sessions) and [RuleValidAgain] (a handle is valid that was seen
// to be invalid).
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
	// RuleEndedSessionValid: a node believed in a session that had ended in the
	// store, beyond the time for which it may.
	RuleEndedSessionValid Rule = "ended-session-valid"
)

// MonitorError is a promise that broke while a world ran.
type MonitorError struct {
	Rule   Rule
	At     time.Duration // true time since the start of the world
	Actor  string        // empty when it is about a session
	Detail string
}

func (e *MonitorError) Error() string {
	if e.Actor == "" {
		return fmt.Sprintf("%s at %v: %s", e.Rule, e.At, e.Detail)
	}
	return fmt.Sprintf("%s: actor %q at %v: %s", e.Rule, e.Actor, e.At, e.Detail)
}

// Monitor watches claims inside the simulator. The world tells it what it
// grants, drops and loses, and calls Check after every event. Two checks
// ask one handle, of one actor, and one session that has ended, in turn: so a
// handle that becomes valid again is found if it stays so for long enough. Of
// actors that are suspect,
//
//   - a contested one, which has a handle below the highest token granted, has
//     its handles asked whether they are valid at every check;
//   - one that has a handle of a lost session and is not contested has them
//     asked at the check after the loss, and then one such actor at each check,
//     in turn.
//
// A monitor is for one task. The first broken promise sticks: every later Check
// returns it.
type Monitor struct {
	// SkipExclusion turns off what rests on clocks: two-valid-handles, and
	// token-order for valid claims. It is for worlds whose clocks break their
	// bounds, where only tokens keep their promise.
	SkipExclusion bool

	actors    map[string]*monitorActor
	all       []*monitorActor // in the order in which they were first named
	sessions  map[monitorSession]*monitorLoss
	ended     []monitorEnd
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
	invalid bool // it was seen to be
	valid   func() bool
}

// monitorEnd is a session that has ended in the store.
type monitorEnd struct {
	session  monitorSession
	deadline time.Duration // when its node has stopped believing, at the latest
	valid    func() bool
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

// SessionEnded tells that a session has ended in the store: it was revoked, it
// left, or its node was joined anew. From the deadline on, which may be now, valid
// must never be true; it is as that of Granted.
func (m *Monitor) SessionEnded(now, deadline time.Duration, node string, inc uint64, valid func() bool) {
	e := monitorEnd{monitorSession{node, inc}, deadline, valid}
	m.ended = append(m.ended, e)
	m.askSession(now, e)
}

func (m *Monitor) askSession(now time.Duration, e monitorEnd) {
	if now >= e.deadline && e.valid() {
		m.failSession(RuleEndedSessionValid, now, fmt.Sprintf("%s/%d has ended, its node must have stopped believing in it at %v, and does not",
			e.session.node, e.session.inc, e.deadline))
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
	if m.err != nil || len(m.all) == 0 {
		return m.err
	}
	m.turn++
	if turn := m.turn / 2; m.turn%2 == 0 {
		if n := len(m.ended); n > 0 {
			m.askSession(now, m.ended[turn%n])
		}
	} else if a := m.all[turn%len(m.all)]; len(a.handles) > 0 {
		m.ask(now, a, &a.handles[turn/len(m.all)%len(a.handles)])
	}
	for _, a := range m.contested {
		m.examine(now, a)
	}
	asked := min(1, len(m.lost))
	if m.allLost {
		asked, m.allLost = len(m.lost), false
	}
	for i := range asked {
		m.examine(now, m.lost[(m.turn+i)%len(m.lost)])
	}
	return m.err
}

// ask asks a handle whether it is valid.
func (m *Monitor) ask(now time.Duration, a *monitorActor, h *monitorHandle) bool {
	valid := h.valid()
	switch {
	case !valid:
		h.invalid = true
	case h.invalid:
		m.fail(RuleValidAgain, now, a, fmt.Sprintf("token %d of %s/%d is valid, and was not before", h.token, h.session.node, h.session.inc))
	}
	return valid
}

// examine asks the handles of one actor.
func (m *Monitor) examine(now time.Duration, a *monitorActor) {
	var first *monitorHandle // the first valid one
	for i := range a.handles {
		h := &a.handles[i]
		if !m.ask(now, a, h) {
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
		m.all = append(m.all, a)
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

func (m *Monitor) failSession(rule Rule, now time.Duration, detail string) {
	if m.err == nil {
		m.err = &MonitorError{Rule: rule, At: now, Detail: detail}
	}
}
