package soak

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
)

// worker is one task of a life that operates on actors. It is for one
// goroutine.
type worker struct {
	l      *life
	number int
	rand   *rand.Rand
}

// mix is the relative frequency of each operation. Those of a handle take one
// of the handles that the node has; the others any actor.
var mix = []struct {
	weight int
	handle bool
	do     func(w *worker, ctx context.Context, s *registry.Session, a registry.ActorID)
}{
	{50, false, func(w *worker, ctx context.Context, s *registry.Session, a registry.ActorID) { w.claim(ctx, s, a) }},
	{2, false, func(w *worker, ctx context.Context, s *registry.Session, a registry.ActorID) { w.claimWait(ctx, s, a) }},
	{60, true, func(w *worker, _ context.Context, _ *registry.Session, a registry.ActorID) { w.use(a) }},
	{30, true, func(w *worker, ctx context.Context, _ *registry.Session, a registry.ActorID) { w.write(ctx, a) }},
	{30, true, func(w *worker, ctx context.Context, _ *registry.Session, a registry.ActorID) { w.guard(ctx, a) }},
	{10, true, func(w *worker, ctx context.Context, _ *registry.Session, a registry.ActorID) { w.release(ctx, a) }},
	{40, false, func(w *worker, ctx context.Context, _ *registry.Session, a registry.ActorID) { w.lookup(ctx, a) }},
	{10, true, func(w *worker, ctx context.Context, _ *registry.Session, a registry.ActorID) { w.transfer(ctx, a) }},
	{10, false, func(w *worker, ctx context.Context, _ *registry.Session, a registry.ActorID) { w.place(ctx, a) }},
	{1, false, func(w *worker, ctx context.Context, s *registry.Session, _ registry.ActorID) { w.drain(ctx, s) }},
	{1, false, func(w *worker, ctx context.Context, _ *registry.Session, _ registry.ActorID) { w.leave(ctx) }},
}

// mixTotal is the sum of the weights.
var mixTotal = func() (sum int) {
	for _, m := range mix {
		sum += m.weight
	}
	return sum
}()

// run operates until the life ends or is to be quiet.
func (w *worker) run(ctx context.Context) {
	l := w.l
	for ctx.Err() == nil && !l.quiet.Load() && l.r.history.Len() < l.r.most {
		s := l.current()
		if s == nil {
			if w.number != 0 || !w.join(ctx) {
				w.sleep(ctx, l.r.o.TTL/20)
			}
			continue
		}
		w.operate(ctx, s)
		w.sleep(ctx, time.Duration(w.rand.Int64N(2*int64(l.r.think))))
	}
}

// operate does one operation.
func (w *worker) operate(ctx context.Context, s *registry.Session) {
	n := w.rand.IntN(mixTotal)
	for i := range mix {
		if n >= mix[i].weight {
			n -= mix[i].weight
			continue
		}
		a := w.l.r.actors[w.rand.IntN(len(w.l.r.actors))]
		if held := w.l.handles(); mix[i].handle && len(held) > 0 {
			a = held[w.rand.IntN(len(held))]
		}
		mix[i].do(w, ctx, s, a)
		return
	}
}

// sleep pauses for d; that it ends early with the life is for the caller to see.
func (w *worker) sleep(ctx context.Context, d time.Duration) { _ = w.l.r.clock.Sleep(ctx, d) }

// begin records a call that was made at that time.
func (w *worker) begin(call time.Duration, op linearizability.Op) int {
	op.Client = string(w.l.n.id) + "/" + strconv.Itoa(w.number)
	return w.l.r.history.Invoke(call, op)
}

// end records a result, and returns its outcome.
func (w *worker) end(id int, res linearizability.Result) linearizability.Outcome {
	w.l.r.history.Return(w.l.r.now(), id, res)
	return res.Outcome
}
