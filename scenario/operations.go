package scenario

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// Each action of a step calls the registry and records call and result.

// actions are what the steps of a program do, but for Think.
var actions = [actionCount]func(l *life, ctx context.Context, st Step){
	Join:      (*life).joinAgain,
	Claim:     (*life).claim,
	Wait:      (*life).claimWait,
	Use:       (*life).use,
	Write:     (*life).write,
	Guard:     (*life).guard,
	Release:   (*life).release,
	Transfer:  (*life).transfer,
	Place:     (*life).place,
	Drain:     (*life).drain,
	Rebalance: (*life).rebalance,
	Lookup:    (*life).lookup,
	Leave:     (*life).goAway,
}

// begin records a call.
func (l *life) begin(op linearizability.Op) int {
	op.Client = l.client()
	l.n.r.operations++
	return l.n.r.history.Invoke(l.now(), op)
}

// end records a result, and returns its outcome.
func (l *life) end(id int, res linearizability.Result) linearizability.Outcome {
	l.n.r.history.Return(l.now(), id, res)
	return res.Outcome
}

func (l *life) timeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return l.h.WithTimeout(ctx, d)
}

// brief ends when the step gives up, which may be before the answer can be
// there.
func (l *life) brief(ctx context.Context, st Step) (context.Context, context.CancelFunc) {
	if st.Within != 0 {
		return l.timeout(ctx, st.Within)
	}
	return l.timeout(ctx, opTimeout)
}

// join joins as the node. It waits for the node id unless others may have it.
func (l *life) join(ctx context.Context) bool {
	r := l.n.r
	l.n.joins++
	o := registry.JoinOptions{Wait: !r.shape.sharedID || r.world.Draw("wait", l.n.key, l.n.joins)%2 == 0}
	o.NotReady = (r.shape.watch || r.shape.lateReady) && r.world.Draw("not-ready", l.n.key, l.n.joins)%3 == 0
	if r.shape.watch {
		o.Labels = map[string]string{"life": strconv.FormatUint(l.number, 10)}
	}
	o.Replace = r.shape.replace && r.world.Draw("replace", l.n.key, l.n.joins)%4 == 0
	return l.joinWith(ctx, o)
}

// joinAgain joins although there is a session.
func (l *life) joinAgain(ctx context.Context, _ Step) { l.joinWith(ctx, registry.JoinOptions{}) }

func (l *life) joinWith(ctx context.Context, o registry.JoinOptions) bool {
	r := l.n.r
	ctx, cancel := l.timeout(ctx, 3*r.shape.ttl)
	defer cancel()
	o.Address, o.Capacity = l.n.proc.Name(), l.n.capacity
	if l.n.odd {
		o.Labels = map[string]string{"odd": "yes"}
	}
	r.sessionEnding(l.n.id)
	rejoin := l.session != nil
	// A process may end a session that it lost, or one that a join of its own
	// made without its knowing: no claim of it is valid.
	id := l.begin(recording.Join(l.n.id, rejoin || l.doubtful || o.Replace))
	s, err := l.reg.Join(ctx, l.n.id, o)
	switch l.end(id, recording.Joined(ctx, s, err)) {
	case linearizability.OutcomeOK:
		l.session, l.joinedAt, l.renewed = s, l.now(), false
		clear(l.inDoubt)
		if r.accepts {
			l.h.Go("acceptor", func(ctx context.Context) { l.accept(ctx, s) })
		}
		replaced := o.Replace && s.Replaced()
		r.joined(l, s, replaced)
		if replaced {
			r.happened(evReplaced)
		}
		if rejoin {
			r.happened(evRejoined)
		}
		r.give.capacity[l.self()] = o.Capacity
		if o.NotReady {
			l.activate(ctx, s)
		}
		return true
	case linearizability.OutcomeInUse:
		r.happened(evInUse)
	case linearizability.OutcomeUnknown:
		l.doubtful = true
	default: // nothing was changed
	}
	return false
}

func (l *life) claim(ctx context.Context, st Step) {
	if r := l.n.r; r.shape.batches && r.world.Draw("batch", l.n.key, uint64(r.operations))%4 == 0 {
		ctx, cancel := l.brief(ctx, st)
		defer cancel()
		l.claimAll(ctx)
		return
	}
	l.claimOne(ctx, st)
}

func (l *life) claimOne(ctx context.Context, st Step) {
	ctx, cancel := l.brief(ctx, st)
	defer cancel()
	l.claimWith(ctx, st.Actor, l.session.Claim)
}

func (l *life) claimWait(ctx context.Context, st Step) {
	ctx, cancel := l.timeout(ctx, min(waitTTLs*l.n.r.shape.ttl, chaosEnds+2*time.Second-l.now()))
	defer cancel()
	l.claimWith(ctx, st.Actor, l.session.ClaimWait)
}

func (l *life) claimWith(ctx context.Context, actor int, claim func(context.Context, registry.ActorID) (*registry.Claim, error)) {
	r := l.n.r
	id := l.begin(recording.Of(linearizability.KindClaim, l.session, r.actors[actor]))
	c, err := claim(ctx, r.actors[actor])
	l.claimed(ctx, actor, id, c, err)
}

// claimed takes note of the result of a claim.
func (l *life) claimed(ctx context.Context, actor, id int, c *registry.Claim, err error) {
	r := l.n.r
	l.inDoubt[actor] = errors.Is(err, registry.ErrUnknown)
	switch l.end(id, recording.Claimed(ctx, c, err)) {
	case linearizability.OutcomeOK:
		if len(c.Payload()) > 0 && !l.has(actor, c.Token()) {
			r.happened(evClaimedGiven)
		}
		l.grant(actor, c)
	case linearizability.OutcomeHeld:
		r.happened(evHeld)
	case linearizability.OutcomeUnknown:
		r.happened(evUnknown)
	default:
		if errors.Is(err, registry.ErrDegraded) {
			r.happened(evRefused)
		}
		if errors.Is(err, registry.ErrDraining) {
			r.happened(evDrainRefused)
		}
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
	if last := &r.lastOwner[actor]; last.valid != nil {
		if last.node != l.n.id {
			r.happened(evMoved)
			if last.kept {
				r.happened(evTakeover)
			}
		}
		if last.token != c.Token() && last.valid() && valid() {
			r.happened(evOverlap)
		}
	}
	r.grantedAfterDrain(c)
	r.handedOut(l, actor, c)
	r.granted(actor, c.Token(), session{c.Session().Node(), c.Session().Incarnation()})
	r.lastOwner[actor] = owner{node: l.n.id, token: c.Token(), kept: true, valid: valid}
	l.held[actor] = c
	r.tokens[actor] = append(r.tokens[actor], c.Token())
	l.n.granted = append(l.n.granted, c)
	r.monitor.Granted(l.now(), string(c.Actor()), string(c.Session().Node()), uint64(c.Session().Incarnation()), uint64(c.Token()), valid)
}

func (l *life) use(_ context.Context, st Step) {
	if c := l.held[st.Actor]; c != nil {
		id := l.begin(recording.With(linearizability.KindUse, c))
		l.end(id, recording.Used(c.Valid()))
	}
}

// effect is what write and guard have in common: the holder asks Valid, and then
// takes its time, as real code does.
func (l *life) effect(ctx context.Context, kind linearizability.Kind, st Step, do func(ctx context.Context, c *registry.Claim) linearizability.Result) {
	c := l.held[st.Actor]
	if c == nil || !c.Valid() {
		return
	}
	ctx, cancel := l.timeout(ctx, min(effectTimeout, chaosEnds+2*time.Second-l.now()))
	defer cancel()
	id := l.begin(recording.With(kind, c))
	l.sleep(ctx, st.For)
	l.end(id, do(ctx, c))
}

// write is an effect on a fenced resource.
func (l *life) write(ctx context.Context, st Step) {
	r := l.n.r
	l.effect(ctx, linearizability.KindWrite, st, func(ctx context.Context, c *registry.Claim) linearizability.Result {
		if !c.Valid() {
			r.happened(evLateDoubt)
		}
		reply, err := l.h.Network().Call(ctx, sinkName, sinkWrite, sinkRequest(st.Actor, c.Token()))
		switch {
		case err != nil:
			return linearizability.Result{Outcome: linearizability.OutcomeUnknown}
		case len(reply) == 1 && reply[0] == 1:
			return linearizability.Result{Outcome: linearizability.OutcomeOK}
		}
		r.happened(evStaleRefused)
		return linearizability.Result{Outcome: linearizability.OutcomeRejected}
	})
}

// guard is an effect in the registry's own store, with half as much work inside
// its transaction as before it.
func (l *life) guard(ctx context.Context, st Step) {
	r := l.n.r
	l.effect(ctx, linearizability.KindGuard, st, func(ctx context.Context, c *registry.Claim) linearizability.Result {
		version, err := l.patient.Transact(ctx, func(tx store.Tx) error {
			if err := registry.Guard(tx, c); err != nil {
				return err
			}
			l.sleep(ctx, st.For/2)
			tx.Set([]byte("data/"+string(c.Actor())), binary.BigEndian.AppendUint64(nil, uint64(c.Token())))
			return nil
		})
		res := recording.Guarded(version, err)
		switch res.Outcome {
		case linearizability.OutcomeOK:
			r.guards = append(r.guards, guarded{
				actor: st.Actor, session: session{c.Session().Node(), c.Session().Incarnation()}, token: c.Token(), version: version,
			})
		case linearizability.OutcomeRejected:
			r.happened(evGuardRefused)
		default: // it says nothing
		}
		return res
	})
}

// release gives up the held claim, or tries again with one whose release failed
// or is in doubt.
func (l *life) release(ctx context.Context, st Step) {
	c := l.held[st.Actor]
	if l.undone[st.Actor] != nil {
		c = l.undone[st.Actor]
	}
	if c == nil {
		return
	}
	rctx, cancel := l.brief(ctx, st)
	defer cancel()
	if !l.releaseClaim(rctx, st.Actor, c) && st.Again {
		l.claim(ctx, Step{Do: Claim, Actor: st.Actor, Within: st.Within})
	}
}

// releaseClaim reports whether the claim is released for sure.
func (l *life) releaseClaim(ctx context.Context, actor int, c *registry.Claim) bool {
	r := l.n.r
	id := l.begin(recording.With(linearizability.KindRelease, c))
	r.ending(actor, c.Token())
	if l.held[actor] == c {
		l.held[actor] = nil
	}
	again := l.undone[actor] == c
	l.undone[actor] = nil
	err := c.Release(ctx)
	outcome := l.end(id, l.released(taken(&l.ends[actor]), err, again))
	if err == nil && outcome == linearizability.OutcomeUnknown {
		r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
		return true
	}
	switch outcome {
	case linearizability.OutcomeOK:
		r.happened(evReleased)
		r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
		if o := &r.lastOwner[actor]; o.node == l.n.id {
			o.kept = false
		}
		return true
	case linearizability.OutcomeUnknown, linearizability.OutcomeFailed:
		if !errors.Is(err, registry.ErrSuperseded) {
			l.undone[actor], l.moves[actor] = c, move{}
		}
	default: // there is nothing to release
	}
	return false
}

// released is the result of a release. One that succeeds without a version took
// effect, or one before it did that was in doubt: an earlier call, or a drain's.
func (l *life) released(version store.Version, err error, again bool) linearizability.Result {
	if err == nil && version == 0 && (again || l.n.r.drains) {
		return linearizability.Result{Outcome: linearizability.OutcomeUnknown}
	}
	return recording.Released(version, err)
}

// taken returns the commit version that an event has left for the operation that
// it belongs to, and which ends without a pause in between: one that waited for
// its turn and found the work done has none.
func taken(v *store.Version) store.Version {
	version := *v
	*v = 0
	return version
}

func (l *life) lookup(ctx context.Context, st Step) {
	ctx, cancel := l.timeout(ctx, opTimeout)
	defer cancel()
	id := l.begin(recording.Lookup(l.n.r.actors[st.Actor]))
	began := l.now()
	o, err := l.reg.Lookup(ctx, l.n.r.actors[st.Actor])
	l.end(id, recording.LookedUp(o, err))
	if err == nil {
		l.n.r.seenOwner(began, o)
	}
}

func (l *life) goAway(ctx context.Context, _ Step) { l.leave(ctx) }

// leave reports whether the session is over for sure.
func (l *life) leave(ctx context.Context) bool {
	r := l.n.r
	ctx, cancel := l.timeout(ctx, opTimeout)
	defer cancel()
	s := l.session
	id := l.begin(recording.Leave(s))
	r.sessionEnding(s.Node())
	for actor, c := range l.held {
		if c != nil && c.Session() == s {
			r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
			l.held[actor] = nil
		}
	}
	err := s.Leave(ctx)
	switch l.end(id, recording.Left(taken(&l.left), err)) {
	case linearizability.OutcomeOK:
		r.happened(evLeft)
		return true
	case linearizability.OutcomeLost:
		return true
	default:
		return false
	}
}
