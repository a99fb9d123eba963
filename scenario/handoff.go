package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
	"github.com/kelpie-registry/kelpie/registry"
)

// Promises about actors that are given away, beside what a history says of them:
// whoever gets the handle finds the payload of exactly the transfer that made its
// token, a transfer that was said to have failed has not taken effect, no handle is
// handed out twice as new, and once faults have stopped every session takes up
// what it was given.

// move is a transfer. Each has a payload of its own; the zero move has none.
type move struct {
	payload string
	actor   int
	from    registry.Token // of the claim that is given
	to      session        // zero when it is not known yet
	placed  bool           // it is a placement: nobody gives a claim
}

// handOvers is what is known of all transfers of a run.
type handOvers struct {
	moves  map[string]move // by payload
	denied map[string]bool // said to have failed
	made   map[holding]string
	got    map[holding]string // the payload that came with a handle
	lost   map[holding]bool   // ended before anybody got a handle
	taken  map[holding]bool   // somebody got a handle
	back   map[holding]bool   // given back by its session
}

// holding names an ownership.
type holding struct {
	actor int
	token registry.Token
}

func (r *run) newMove(actor int, c *registry.Claim, to session) move {
	h := &r.hand
	h.init()
	m := move{payload: fmt.Sprintf("transfer %d of %s", len(h.moves), r.actors[actor]), actor: actor, from: c.Token(), to: to}
	h.moves[m.payload] = m
	return m
}

func (h *handOvers) init() {
	if h.moves == nil {
		h.moves, h.denied = make(map[string]move), make(map[string]bool)
		h.made, h.got, h.lost = make(map[holding]string), make(map[holding]string), make(map[holding]bool)
		h.taken, h.back = make(map[holding]bool), make(map[holding]bool)
	}
}

// newest returns the session of a node that was joined last.
func (r *run) newest(id registry.NodeID) (newest session, ok bool) {
	for _, m := range r.members {
		if m.node == id && m.incarnation > newest.incarnation {
			newest, ok = m.session, true
		}
	}
	return newest, ok
}

// transfer gives the held claim away, or does once more what failed or is in doubt.
func (l *life) transfer(ctx context.Context, st Step) {
	r := l.n.r
	c, m := l.held[st.Actor], move{}
	if u := l.undone[st.Actor]; u != nil {
		c, m = u, l.moves[st.Actor]
	}
	if c == nil {
		return
	}
	if m.payload == "" {
		to, ok := r.newest(r.nodes[st.To].id)
		if !ok || to == (session{c.Session().Node(), c.Session().Incarnation()}) {
			return
		}
		m = r.newMove(st.Actor, c, to)
	}
	tctx, cancel := l.brief(ctx, st)
	defer cancel()
	if l.transferClaim(tctx, c, m) || !st.Again || l.undone[st.Actor] != c {
		return
	}
	if r.world.Draw("take-back", l.n.key, uint64(len(r.hand.moves)))%2 == 0 {
		l.claim(ctx, Step{Do: Claim, Actor: st.Actor})
		return
	}
	again, cancel := l.brief(ctx, Step{})
	defer cancel()
	l.transferClaim(again, c, m)
}

// transferClaim reports whether the claim is given away for sure.
func (l *life) transferClaim(ctx context.Context, c *registry.Claim, m move) bool {
	r, actor := l.n.r, m.actor
	target := registry.Target{Node: m.to.node, Incarnation: m.to.incarnation}
	id := l.begin(recording.Transfer(c, target))
	r.ending(actor, c.Token())
	again := l.undone[actor] == c
	if again {
		l.undone[actor] = nil
	}
	delete(r.hand.denied, m.payload)
	l.moving[actor] = true
	o, err := c.Transfer(ctx, target, registry.TransferOptions{Payload: []byte(m.payload)})
	version := taken(&l.moved[actor])
	l.moving[actor] = false
	if l.held[actor] == c && !c.Valid() {
		l.held[actor] = nil
	}
	if err == nil {
		r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
		if last := &r.lastOwner[actor]; last.node == l.n.id {
			last.kept = false
		}
		if o.Token != 0 {
			r.made(m, o.Token)
		}
	}
	if err == nil && again && version == 0 {
		// This transfer took effect, or what was in doubt before it.
		r.happened(evTransferRepeated)
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeUnknown})
		return true
	}
	switch l.end(id, recording.Transferred(o, err)) {
	case linearizability.OutcomeOK:
		r.happened(evTransferred)
		return true
	case linearizability.OutcomeUnknown:
		if err == nil {
			return true
		}
		r.happened(evTransferUnknown)
		l.undone[actor], l.moves[actor] = c, m
		return false
	case linearizability.OutcomeFailed:
		if errors.Is(err, registry.ErrNotActive) {
			r.happened(evTargetRefused)
		}
		if !errors.Is(err, registry.ErrSuperseded) && !c.Valid() {
			l.undone[actor], l.moves[actor] = c, m
		}
	default: // there is nothing to give
	}
	if !again {
		r.deny(m)
	}
	return false
}

// made notes that a transfer has made a token.
func (r *run) made(m move, token registry.Token) {
	r.tokens[m.actor] = append(r.tokens[m.actor], token)
	r.acquired(m.actor, token, m.to)
	r.sent(m, token)
}

// sent notes what was sent along with a token.
func (r *run) sent(m move, token registry.Token) {
	key := holding{m.actor, token}
	r.hand.made[key] = m.payload
	if got, ok := r.hand.got[key]; ok && got != m.payload {
		r.wrongPayload(key, got, m.payload)
	}
	r.checkGivenBack(key)
}

// wasGiven reports whether an ownership is known to be a gift.
func (r *run) wasGiven(key holding) bool {
	t := r.tenures[key]
	return r.hand.made[key] != "" || t != nil && t.given
}

// gaveBack notes that a session has given an actor back for which nobody had a
// handle.
func (r *run) gaveBack(e registry.Event) {
	if r.hand.moves == nil {
		return
	}
	key := holding{r.actorIndex[e.Actor], e.Token}
	r.hand.back[key] = true
	r.checkGivenBack(key)
}

// checkGivenBack: what a session was given is not for the session to give back.
func (r *run) checkGivenBack(key holding) {
	if h := &r.hand; h.back[key] && h.made[key] != "" && h.got[key] == "" {
		r.world.Fail("given-and-given-back", fmt.Errorf("token %v of %q came by %q, and its session gave it back before anybody had the handle",
			key.token, r.actors[key.actor], h.made[key]))
	}
}

// deny notes that a transfer is said to have failed.
func (r *run) deny(m move) {
	r.hand.denied[m.payload] = true
	for key, payload := range r.hand.got { //determinism:allow at most one
		if payload == m.payload {
			r.deniedInVain(key, payload)
		}
	}
}

func (r *run) deniedInVain(key holding, payload string) {
	r.world.Fail("transfer-denied", fmt.Errorf("%q was said to have failed, and token %v of %q came by it", payload, key.token, r.actors[key.actor]))
}

func (r *run) wrongPayload(key holding, got, want string) {
	r.world.Fail("wrong-payload", fmt.Errorf("token %v of %q came with payload %q, want %q", key.token, r.actors[key.actor], got, want))
}

// accept takes up what a session is given, as long as it lives.
func (l *life) accept(ctx context.Context, s *registry.Session) {
	r := l.n.r
	// Half begin late, so that claims find what the session was given, and drains most of
	// the time.
	late := r.world.Draw("late-acceptor", l.n.key, uint64(s.Incarnation())) % 4
	if late%2 == 0 || late == 1 && r.shape.cutShort {
		l.sleep(ctx, min(4*r.shape.ttl, max(0, chaosEnds-l.now())))
	}
	for c, err := range s.Assignments(ctx) {
		if err != nil {
			if !errors.Is(err, registry.ErrSessionLost) && ctx.Err() == nil {
				r.world.Fail("assignments-end", err)
			}
			return
		}
		actor := r.actorIndex[c.Actor()]
		for _, known := range l.n.granted {
			if known.Actor() == c.Actor() && known.Token() == c.Token() {
				r.world.Fail("given-twice", fmt.Errorf("token %v of %q was handed out before", c.Token(), c.Actor()))
			}
		}
		if len(c.Payload()) == 0 {
			r.wrongPayload(holding{actor, c.Token()}, "", "some")
		}
		l.grant(actor, c)
		r.happened(evAccepted)
		// Some take their time with each.
		if r.world.Draw("slow-acceptor", l.n.key, uint64(c.Token()))%4 == 0 {
			l.sleep(ctx, min(r.shape.ttl/4, max(0, chaosEnds-l.now())))
		}
	}
}

// handedOut checks the payload of a handle that somebody got.
func (r *run) handedOut(l *life, actor int, c *registry.Claim) {
	h, key, payload := &r.hand, holding{actor, c.Token()}, string(c.Payload())
	if h.moves == nil {
		return
	}
	h.taken[key] = true
	if want, ok := h.made[key]; ok && want != payload {
		r.wrongPayload(key, payload, want)
	}
	if payload == "" {
		if last := r.lastMade(actor, c.Token()); last.token != 0 && h.got[last] == "" && !h.lost[last] {
			h.lost[last] = true
			r.happened(evGivenLost)
		}
		return
	}
	h.got[key] = payload
	m, ok := h.moves[payload]
	// The registry chooses for whom a placement is, and a drain passes on what nobody
	// has taken up.
	meant := m.to == session{} || r.drains || m.to == session{c.Session().Node(), c.Session().Incarnation()}
	if !ok || m.actor != actor || !meant || m.from >= c.Token() {
		r.wrongPayload(key, payload, "one that was sent to "+string(l.n.id))
	}
	for _, t := range r.tokens[actor] {
		passedOn := r.drains && !h.taken[holding{actor, t}]
		if m.from < t && t < c.Token() && !m.placed && !passedOn {
			r.wrongPayload(key, payload, fmt.Sprintf("that of the transfer from token %v", t))
		}
	}
	if h.denied[payload] {
		r.deniedInVain(key, payload)
	}
}

// lastMade returns the newest ownership below a token that a transfer made.
func (r *run) lastMade(actor int, below registry.Token) (last holding) {
	for _, t := range r.tokens[actor] {
		if key := (holding{actor, t}); t < below && t > last.token && r.hand.made[key] != "" {
			last = key
		}
	}
	return last
}

// resolvedMove counts what became of a transfer in doubt.
func (l *life) resolvedMove(e registry.Event) {
	if e.Actor == "" || !l.moving[l.n.r.actorIndex[e.Actor]] {
		return
	}
	if e.Applied {
		l.n.r.happened(evTransferFound)
	} else {
		l.n.r.happened(evTransferRedone)
	}
}

// crashedInMove counts transfers that were under way when the last life ended.
func (r *run) crashedInMove(n *node) {
	if n.life == nil {
		return
	}
	for _, moving := range n.life.moving {
		if moving {
			r.happened(evCrashedInTransfer)
		}
	}
}

// acceptedWithin bounds how long a session may take to take up what it was given, in
// a world without faults: a poll, in case the watch was lost, reads, and the time
// that its acceptor takes for others.
const acceptedWithin = 4 * time.Second

// demandAccepted checks that the session has the handles of all that it owns.
func (l *life) demandAccepted(ctx context.Context) {
	r := l.n.r
	if !r.accepts {
		return
	}
	deadline := max(l.now(), chaosEnds) + acceptedWithin
	for actor := range r.actors {
		for ctx.Err() == nil && l.session != nil && l.session.Valid() {
			o, err := l.reg.Lookup(ctx, r.actors[actor])
			mine := err == nil && o.Node == l.n.id && o.Incarnation == l.session.Incarnation()
			if errors.Is(err, registry.ErrUnowned) || err == nil && (!mine || l.has(actor, o.Token)) {
				break
			}
			if l.now() > deadline {
				r.world.Fail("given-not-accepted", fmt.Errorf("%v after the workload has ended %q has no handle of token %v of %q, which it was given",
					l.now()-chaosEnds, l.n.id, o.Token, r.actors[actor]))
				return
			}
			l.sleep(ctx, acceptedWithin/20)
		}
	}
}

// has reports whether the process was handed out a handle of the ownership, or gives
// it away, or may have done so, by a drain that has found it in the inbox.
func (l *life) has(actor int, token registry.Token) bool {
	for _, c := range l.n.granted {
		if c.Actor() == l.n.r.actors[actor] && c.Token() == token {
			return true
		}
	}
	return l.adopted[holding{actor, token}]
}
