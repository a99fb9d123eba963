package soak

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/sink"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
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

// join joins as the life's node and reports whether there is a session.
func (w *worker) join(ctx context.Context) bool {
	l := w.l
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	// A process may end a session that it had itself; that of an earlier life
	// has to be seen silent.
	id := w.begin(l.r.now(), recording.Join(l.n.id, l.joined))
	s, err := l.reg.Join(ctx, l.n.id, registry.JoinOptions{Address: string(l.n.id), Wait: true})
	switch w.end(id, recording.Joined(ctx, s, err)) {
	case linearizability.OutcomeOK:
		l.joined = true
		l.mu.Lock()
		l.session = s
		l.mu.Unlock()
		l.host.Go("acceptor", func(ctx context.Context) { l.accept(ctx, s) })
		return true
	case linearizability.OutcomeUnknown:
		l.joined = true
	default: // nothing was changed
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
	id := w.begin(w.l.r.now(), recording.Of(linearizability.KindClaim, s, a))
	c, err := claim(ctx, a)
	if w.end(id, recording.Claimed(ctx, c, err)) == linearizability.OutcomeOK {
		w.l.take(c)
	}
	return err
}

// use asks the handle and believes it.
func (w *worker) use(a registry.ActorID) {
	c := w.l.handle(a)
	if c == nil {
		return
	}
	id := w.begin(w.l.r.now(), recording.With(linearizability.KindUse, c))
	// A handle that does not hold is asked once more at times: it must not come
	// to life again.
	if w.end(id, recording.Used(c.Valid())) == linearizability.OutcomeInvalid && w.rand.IntN(4) == 0 {
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
	answered := w.l.r.now()
	id := w.begin(call, recording.With(linearizability.KindWrite, c))
	wait := time.Duration(w.rand.Int64N(int64(2 * time.Millisecond)))
	if w.rand.IntN(w.l.r.linger) == 0 {
		wait = time.Duration(w.rand.Int64N(2 * int64(w.l.r.o.TTL)))
	}
	w.sleep(ctx, wait)
	w.end(id, linearizability.Result{Outcome: w.l.r.sink.Write(ctx, fencedWrite(c, call, answered))})
}

func fencedWrite(c *registry.Claim, asked, answered time.Duration) sink.Write {
	return sink.Write{
		Actor: c.Actor(), Token: c.Token(), Node: c.Session().Node(), Incarnation: c.Session().Incarnation(),
		Asked: asked, Answered: answered,
	}
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
	id := w.begin(call, recording.With(linearizability.KindGuard, c))
	v, err := w.l.db.Transact(ctx, func(tx store.Tx) error {
		if err := registry.Guard(tx, c); err != nil {
			return err
		}
		tx.Set(guardedKey(a), binary.BigEndian.AppendUint64(nil, uint64(c.Token())))
		return nil
	})
	w.end(id, recording.Guarded(v, err))
}

// guardedKey is where guarded transactions leave their token. It is outside the
// registry's namespace.
func guardedKey(a registry.ActorID) []byte { return []byte("data/" + string(a)) }

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
	id := w.begin(call, recording.With(linearizability.KindRelease, c))
	err := c.Release(ctx)
	l.mu.Lock()
	v := l.ends[c.Token()]
	delete(l.ends, c.Token())
	l.mu.Unlock()
	w.end(id, recording.Released(v, err))
	return true
}

func (w *worker) lookup(ctx context.Context, a registry.ActorID) {
	ctx, cancel := w.timeout(ctx)
	defer cancel()
	id := w.begin(w.l.r.now(), recording.Lookup(a))
	o, err := w.l.reg.Lookup(ctx, a)
	w.end(id, recording.LookedUp(o, err))
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
	id := w.begin(l.r.now(), recording.Leave(s))
	err := s.Leave(ctx)
	l.mu.Lock()
	v := l.left[s.Incarnation()]
	delete(l.left, s.Incarnation())
	l.mu.Unlock()
	w.end(id, recording.Left(v, err))
}
