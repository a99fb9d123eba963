package scenario

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// operation is one step of a worker on an actor: it calls the registry and
// records call and result.
type operation func(l *life, ctx context.Context, actor int)

func (l *life) begin(op linearizability.Op) int {
	op.Client = l.client()
	l.n.r.operations++
	return l.n.r.history.Invoke(l.now(), op)
}

func (l *life) end(id int, res linearizability.Result) {
	l.n.r.history.Return(l.now(), id, res)
}

// mine is an operation of the current session.
func (l *life) mine(kind linearizability.Kind, actor int) linearizability.Op {
	return linearizability.Op{
		Kind:        kind,
		Node:        string(l.session.Node()),
		Incarnation: uint64(l.session.Incarnation()),
		Actor:       string(l.n.r.actors[actor]),
	}
}

func (l *life) timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return l.h.WithTimeout(ctx, d)
}

// brief is the timeout of a registry call: a hasty worker gives up at times
// before the answer can be there, and does not learn what became of its call.
func (l *life) brief(d time.Duration) time.Duration {
	if l.n.r.shape.hasty && l.h.Rand().IntN(3) == 0 {
		return l.upTo(20 * time.Millisecond)
	}
	return d
}

func (l *life) upTo(d time.Duration) time.Duration {
	return time.Duration(1 + l.h.Rand().Int64N(int64(d)))
}

// failure maps an error that says nothing about the state of an actor.
func failure(err error) linearizability.Result {
	switch {
	case errors.Is(err, registry.ErrUnknown), errors.Is(err, store.ErrCommitUnknown):
		return linearizability.Result{Outcome: linearizability.OutcomeUnknown}
	case errors.Is(err, registry.ErrSessionLost):
		return linearizability.Result{Outcome: linearizability.OutcomeLost}
	}
	return linearizability.Result{Outcome: linearizability.OutcomeFailed}
}

func (l *life) join(ctx context.Context) bool {
	r := l.n.r
	ctx, cancel := l.timeout(ctx, 3*r.shape.ttl)
	defer cancel()
	l.n.work++
	wait := !r.shape.sharedID || r.world.Draw("wait", l.n.key, uint64(l.n.work))%2 == 0
	replace := r.shape.replace && r.world.Draw("replace", l.n.key, uint64(l.n.work))%4 == 0
	rejoin := l.session != nil
	l.renewed = false
	// A process may end a session that it lost, or one that a join of its own
	// made without its knowing: no claim of it is valid.
	id := l.begin(linearizability.Op{Kind: linearizability.KindJoin, Node: string(l.n.id), Replace: rejoin || l.doubtful || replace})
	s, err := l.reg.Join(ctx, l.n.id, registry.JoinOptions{Address: l.n.proc.Name(), Wait: wait, Replace: replace})
	var use *registry.InUseError
	switch {
	case err == nil:
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Incarnation: uint64(s.Incarnation()), Version: uint64(s.Incarnation())})
		l.session, l.joinedAt = s, l.now()
		clear(l.inDoubt)
		r.joined(l, s, replace && s.Replaced())
		if replace && s.Replaced() {
			r.happened(evReplaced)
		}
		if rejoin {
			r.happened(evRejoined)
		}
		return true
	case errors.As(err, &use) && ctx.Err() == nil && !errors.Is(err, registry.ErrUnknown):
		r.happened(evInUse)
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeInUse, OwnerNode: string(use.Node), OwnerIncarnation: uint64(use.Incarnation)})
	default:
		res := failure(err)
		l.doubtful = l.doubtful || res.Outcome == linearizability.OutcomeUnknown
		l.end(id, res)
	}
	return false
}

func (l *life) claim(ctx context.Context, actor int) {
	ctx, cancel := l.timeout(ctx, l.brief(opTimeout))
	defer cancel()
	l.claimWith(ctx, actor, l.session.Claim)
}

func (l *life) claimWait(ctx context.Context, actor int) {
	ctx, cancel := l.timeout(ctx, min(waitTTLs*l.n.r.shape.ttl, chaosEnds+2*time.Second-l.now()))
	defer cancel()
	l.claimWith(ctx, actor, l.session.ClaimWait)
}

func (l *life) claimWith(ctx context.Context, actor int, claim func(context.Context, registry.ActorID) (*registry.Claim, error)) {
	r := l.n.r
	op := l.mine(linearizability.KindClaim, actor)
	id := l.begin(op)
	c, err := claim(ctx, r.actors[actor])
	l.inDoubt[actor] = errors.Is(err, registry.ErrUnknown)
	var held *registry.HeldError
	switch {
	case err == nil:
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Token: uint64(c.Token())})
		l.grant(actor, c)
	case errors.As(err, &held) && ctx.Err() == nil:
		r.happened(evHeld)
		l.end(id, linearizability.Result{
			Outcome: linearizability.OutcomeHeld, Token: uint64(held.Owner.Token),
			OwnerNode: string(held.Owner.Node), OwnerIncarnation: uint64(held.Owner.Incarnation),
		})
	default:
		if errors.Is(err, registry.ErrDegraded) {
			r.happened(evRefused)
		}
		if errors.Is(err, registry.ErrUnknown) {
			r.happened(evUnknown)
		}
		l.end(id, failure(err))
	}
}

// grant takes up a claim's handle.
func (l *life) grant(actor int, c *registry.Claim) {
	r := l.n.r
	if l.held[actor] == c {
		return
	}
	proc, number := l.n.proc, l.number
	valid := func() bool { return proc.Life() == number && proc.Alive() && c.Valid() }
	if last := &r.lastOwner[actor]; last.valid != nil && last.node != l.n.id {
		r.happened(evMoved)
		if last.kept {
			r.happened(evTakeover)
		}
	}
	if last := &r.lastOwner[actor]; last.valid != nil && last.token != c.Token() && last.valid() && valid() {
		r.happened(evOverlap)
	}
	r.lastOwner[actor] = owner{node: l.n.id, token: c.Token(), kept: true, valid: valid}
	l.held[actor] = c
	r.tokens[actor] = append(r.tokens[actor], c.Token())
	l.n.granted = append(l.n.granted, c)
	r.monitor.Granted(l.now(), string(c.Actor()), string(c.Session().Node()), uint64(c.Session().Incarnation()), uint64(c.Token()), valid)
	if !c.Valid() {
		r.happened(evBornInvalid)
	}
}

func (l *life) use(_ context.Context, actor int) {
	c := l.held[actor]
	if c == nil {
		return
	}
	op := l.mine(linearizability.KindUse, actor)
	op.Incarnation, op.Token = uint64(c.Session().Incarnation()), uint64(c.Token())
	id := l.begin(op)
	res := linearizability.Result{Outcome: linearizability.OutcomeInvalid}
	if c.Valid() {
		res.Outcome = linearizability.OutcomeValid
	}
	l.end(id, res)
}

// write is an effect on a fenced resource. The holder asks Valid, and then takes
// its time, as real code does.
func (l *life) write(ctx context.Context, actor int) {
	r := l.n.r
	c := l.held[actor]
	if c == nil || !c.Valid() {
		return
	}
	ctx, cancel := l.timeout(ctx, min(effectTimeout, chaosEnds+2*time.Second-l.now()))
	defer cancel()
	op := l.mine(linearizability.KindWrite, actor)
	op.Incarnation, op.Token = uint64(c.Session().Incarnation()), uint64(c.Token())
	id := l.begin(op)
	l.sleep(ctx, l.upTo(r.shape.ttl/2))
	if !c.Valid() {
		r.happened(evLateDoubt)
	}
	reply, err := l.h.Network().Call(ctx, sinkName, sinkWrite, sinkRequest(actor, c.Token()))
	switch {
	case err != nil:
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeUnknown})
	case len(reply) == 1 && reply[0] == 1:
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK})
	default:
		r.happened(evStaleRefused)
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeRejected})
	}
}

// guard is an effect in the registry's own store, with some work before it and
// inside its transaction.
func (l *life) guard(ctx context.Context, actor int) {
	r := l.n.r
	c := l.held[actor]
	if c == nil || !c.Valid() {
		return
	}
	ctx, cancel := l.timeout(ctx, min(effectTimeout, chaosEnds+2*time.Second-l.now()))
	defer cancel()
	op := l.mine(linearizability.KindGuard, actor)
	op.Incarnation, op.Token = uint64(c.Session().Incarnation()), uint64(c.Token())
	id := l.begin(op)
	l.sleep(ctx, l.upTo(r.shape.ttl/2))
	version, err := l.patient.Transact(ctx, func(tx store.Tx) error {
		if err := registry.Guard(tx, c); err != nil {
			return err
		}
		l.sleep(ctx, l.upTo(r.shape.ttl/4))
		tx.Set([]byte("data/"+string(c.Actor())), binary.BigEndian.AppendUint64(nil, uint64(c.Token())))
		return nil
	})
	switch {
	case err == nil:
		r.guards = append(r.guards, guarded{
			actor: actor, session: session{c.Session().Node(), c.Session().Incarnation()}, token: c.Token(), version: version,
		})
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Version: uint64(version)})
	case errors.Is(err, registry.ErrNotOwner), errors.Is(err, registry.ErrSessionLost):
		r.happened(evGuardRefused)
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeRejected})
	default:
		l.end(id, failure(err))
	}
}

// release gives up the held claim, or tries again with one whose release failed
// or is in doubt.
func (l *life) release(ctx context.Context, actor int) {
	c := l.held[actor]
	if l.undone[actor] != nil {
		c = l.undone[actor]
	}
	if c == nil {
		return
	}
	rctx, cancel := l.timeout(ctx, l.brief(opTimeout))
	defer cancel()
	// Much real code wants back at once what it could not give up.
	if !l.releaseClaim(rctx, actor, c) && l.n.r.world.Draw("again", l.n.key, uint64(l.n.work))%2 == 0 {
		l.claim(ctx, actor)
	}
}

// releaseClaim reports whether the claim is released for sure.
func (l *life) releaseClaim(ctx context.Context, actor int, c *registry.Claim) bool {
	r := l.n.r
	op := l.mine(linearizability.KindRelease, actor)
	op.Node, op.Incarnation = string(c.Session().Node()), uint64(c.Session().Incarnation())
	op.Token = uint64(c.Token())
	id := l.begin(op)
	if l.held[actor] == c {
		l.held[actor] = nil
	}
	again := l.undone[actor] == c
	l.undone[actor] = nil
	err := c.Release(ctx)
	version := taken(&l.ends[actor])
	var other *registry.NotOwnerError
	switch {
	case err == nil && again && version == 0:
		// This release took effect, or the one before that was in doubt.
		r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeUnknown})
		return true
	case err == nil:
		r.happened(evReleased)
		r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
		if o := &r.lastOwner[actor]; o.node == l.n.id {
			o.kept = false
		}
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Version: version})
		return true
	case errors.As(err, &other):
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeNotOwner})
	default:
		res := failure(err)
		l.end(id, res)
		if res.Outcome != linearizability.OutcomeLost && !errors.Is(err, registry.ErrSuperseded) {
			l.undone[actor] = c
		}
	}
	return false
}

// taken returns the commit version that an event has left for the operation that
// it belongs to, and which ends without a pause in between: one that waited for
// its turn and found the work done has none.
func taken(v *store.Version) uint64 {
	version := *v
	*v = 0
	return uint64(version)
}

func (l *life) lookup(ctx context.Context, actor int) {
	ctx, cancel := l.timeout(ctx, opTimeout)
	defer cancel()
	id := l.begin(linearizability.Op{Kind: linearizability.KindLookup, Actor: string(l.n.r.actors[actor])})
	o, err := l.reg.Lookup(ctx, l.n.r.actors[actor])
	switch {
	case err == nil:
		l.end(id, linearizability.Result{
			Outcome: linearizability.OutcomeOK, Token: uint64(o.Token),
			OwnerNode: string(o.Node), OwnerIncarnation: uint64(o.Incarnation),
		})
	case errors.Is(err, registry.ErrUnowned):
		l.end(id, linearizability.Result{Outcome: linearizability.OutcomeUnowned})
	default:
		l.end(id, failure(err))
	}
}

func (l *life) goAway(ctx context.Context, actor int) { l.leave(ctx, actor) }

// leave reports whether the session is over for sure.
func (l *life) leave(ctx context.Context, _ int) bool {
	r := l.n.r
	ctx, cancel := l.timeout(ctx, opTimeout)
	defer cancel()
	s := l.session
	id := l.begin(linearizability.Op{Kind: linearizability.KindLeave, Node: string(s.Node()), Incarnation: uint64(s.Incarnation())})
	for actor, c := range l.held {
		if c != nil && c.Session() == s {
			r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
			l.held[actor] = nil
		}
	}
	if err := s.Leave(ctx); err != nil {
		res := failure(err)
		l.end(id, res)
		return res.Outcome == linearizability.OutcomeLost
	}
	r.happened(evLeft)
	l.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Version: taken(&l.left)})
	return true
}
