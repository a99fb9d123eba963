package soak

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// Each operation reads the clock before it asks a handle whether it is Valid:
// what is recorded as begun while the session held had then begun while it held.

// patience bounds an operation, in TTLs.
const patience = 4

func (w *worker) timeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return w.l.host.WithTimeout(ctx, patience*w.l.r.o.TTL)
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

// join joins as the life's node and reports whether there is a session.
func (w *worker) join(ctx context.Context) bool {
	l := w.l
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	l.r.counts.joins.Add(1)
	// A process may end a session that it had itself; that of an earlier life
	// has to be seen silent.
	id := w.begin(l.r.now(), linearizability.Op{Kind: linearizability.KindJoin, Node: string(l.n.id), Replace: l.joined})
	s, err := l.reg.Join(ctx, l.n.id, registry.JoinOptions{Address: string(l.n.id), Wait: true})
	var use *registry.InUseError
	switch {
	case err == nil:
		w.end(id, linearizability.Result{
			Outcome: linearizability.OutcomeOK, Incarnation: uint64(s.Incarnation()), Version: uint64(s.Incarnation()),
		})
		l.joined = true
		l.mu.Lock()
		l.session = s
		l.mu.Unlock()
		return true
	case errors.As(err, &use) && ctx.Err() == nil:
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeInUse, OwnerNode: string(use.Node), OwnerIncarnation: uint64(use.Incarnation)})
	default:
		res := failure(err)
		l.joined = l.joined || res.Outcome == linearizability.OutcomeUnknown
		w.end(id, res)
	}
	return false
}

func (w *worker) claim(ctx context.Context, s *registry.Session, a registry.ActorID) {
	_ = w.claimWith(ctx, s, a, s.Claim) // recorded
}

func (w *worker) claimWait(ctx context.Context, s *registry.Session, a registry.ActorID) {
	_ = w.claimWith(ctx, s, a, s.ClaimWait) // recorded
}

func (w *worker) claimWith(ctx context.Context, s *registry.Session, a registry.ActorID,
	claim func(context.Context, registry.ActorID) (*registry.Claim, error),
) error {
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	w.l.r.counts.claims.Add(1)
	id := w.begin(w.l.r.now(), by(linearizability.KindClaim, s, a))
	c, err := claim(ctx, a)
	var held *registry.HeldError
	switch {
	case err == nil:
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Token: uint64(c.Token())})
		w.l.take(c)
	case errors.As(err, &held) && ctx.Err() == nil:
		w.end(id, linearizability.Result{
			Outcome: linearizability.OutcomeHeld, Token: uint64(held.Owner.Token),
			OwnerNode: string(held.Owner.Node), OwnerIncarnation: uint64(held.Owner.Incarnation),
		})
	default:
		w.end(id, failure(err))
	}
	return err
}

// use asks the handle and believes it.
func (w *worker) use(a registry.ActorID) {
	c := w.l.handle(a)
	if c == nil {
		return
	}
	w.l.r.counts.uses.Add(1)
	id := w.begin(w.l.r.now(), with(linearizability.KindUse, c))
	res := linearizability.Result{Outcome: linearizability.OutcomeInvalid}
	if c.Valid() {
		res.Outcome = linearizability.OutcomeValid
	}
	w.end(id, res)
	// A handle that does not hold is asked once more at times: it must not come
	// to life again.
	if res.Outcome == linearizability.OutcomeInvalid && w.rand.IntN(4) == 0 {
		w.l.drop(c)
	}
}

// write is an effect outside the store. The holder asks Valid and then takes
// its time, sometimes more than its lease lasts.
func (w *worker) write(ctx context.Context, a registry.ActorID) {
	call := w.l.r.now()
	c := w.l.handle(a)
	if c == nil || !c.Valid() {
		return
	}
	w.l.r.counts.writes.Add(1)
	id := w.begin(call, with(linearizability.KindWrite, c))
	wait := time.Duration(w.rand.Int64N(int64(2 * time.Millisecond)))
	if w.rand.IntN(50) == 0 {
		wait = time.Duration(w.rand.Int64N(2 * int64(w.l.r.o.TTL)))
	}
	w.sleep(ctx, wait)
	if w.l.r.sink.write(a, c.Token()) {
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK})
		return
	}
	w.l.r.counts.refusedWrites.Add(1)
	w.end(id, linearizability.Result{Outcome: linearizability.OutcomeRejected})
}

// guard is an effect in the registry's own store.
func (w *worker) guard(ctx context.Context, a registry.ActorID) {
	call := w.l.r.now()
	c := w.l.handle(a)
	if c == nil || !c.Valid() {
		return
	}
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	w.l.r.counts.guards.Add(1)
	id := w.begin(call, with(linearizability.KindGuard, c))
	v, err := w.l.db.Transact(ctx, func(tx store.Tx) error {
		if err := registry.Guard(tx, c); err != nil {
			return err
		}
		tx.Set([]byte("data/"+string(a)), binary.BigEndian.AppendUint64(nil, uint64(c.Token())))
		return nil
	})
	switch {
	case err == nil:
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Version: uint64(v)})
	case errors.Is(err, registry.ErrNotOwner), errors.Is(err, registry.ErrSessionLost):
		w.l.r.counts.refusedGuards.Add(1)
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeRejected})
	default:
		w.end(id, failure(err))
	}
}

// release reports whether there was a valid handle to release.
func (w *worker) release(ctx context.Context, a registry.ActorID) bool {
	l := w.l
	call := l.r.now()
	c := l.handle(a)
	if c == nil || !c.Valid() {
		return false
	}
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	l.r.counts.releases.Add(1)
	id := w.begin(call, with(linearizability.KindRelease, c))
	err := c.Release(ctx)
	var other *registry.NotOwnerError
	switch {
	case err == nil:
		l.released(a)
		l.mu.Lock()
		v := l.ends[c.Token()]
		delete(l.ends, c.Token())
		l.mu.Unlock()
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Version: uint64(v)})
	case errors.As(err, &other):
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeNotOwner})
	default:
		w.end(id, failure(err))
	}
	return true
}

func (w *worker) lookup(ctx context.Context, a registry.ActorID) {
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	w.l.r.counts.lookups.Add(1)
	id := w.begin(w.l.r.now(), linearizability.Op{Kind: linearizability.KindLookup, Actor: string(a)})
	o, err := w.l.reg.Lookup(ctx, a)
	switch {
	case err == nil:
		w.end(id, linearizability.Result{
			Outcome: linearizability.OutcomeOK, Token: uint64(o.Token),
			OwnerNode: string(o.Node), OwnerIncarnation: uint64(o.Incarnation),
		})
	case errors.Is(err, registry.ErrUnowned):
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeUnowned})
	default:
		w.end(id, linearizability.Result{Outcome: linearizability.OutcomeFailed})
	}
}

// leave ends the session.
func (w *worker) leave(ctx context.Context) {
	l := w.l
	s := l.current()
	if s == nil {
		return
	}
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	l.r.counts.leaves.Add(1)
	id := w.begin(l.r.now(), linearizability.Op{
		Kind: linearizability.KindLeave, Node: string(s.Node()), Incarnation: uint64(s.Incarnation()),
	})
	if err := s.Leave(ctx); err != nil {
		w.end(id, failure(err))
		return
	}
	l.mu.Lock()
	v := l.left[s.Incarnation()]
	l.mu.Unlock()
	w.end(id, linearizability.Result{Outcome: linearizability.OutcomeOK, Version: v})
}
