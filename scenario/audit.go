package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
)

// The audit demands convergence: with every fault healed, a live node must be
// able to claim every actor, also those of nodes that died without a word, and
// what stands in the store must agree.

// claimBound is how long a dead session may keep an actor from a node that
// wants it, once faults have stopped: the silence, counted on a clock that may
// run slow, two polls with their jitter, and the retries of a store that has
// just recovered.
func (s *shape) claimBound() time.Duration {
	silence := time.Duration(float64(s.ttl) * (1 + s.drift) / (1 - s.drift))
	poll := s.ttl / 10
	bound := silence + 3*poll + 4*time.Second
	if s.herd {
		// As many windows as it takes to revoke all, and its turn.
		bound += time.Duration((s.nodes+herdRevokeMin-1)/herdRevokeMin)*silence + s.ttl/10
	}
	return bound
}

func (r *run) startAudit() {
	n := r.newNode("auditor", "auditor", sim.ProcessOptions{})
	n.proc.Start(func(ctx context.Context, h *sim.Host) {
		l := n.newLife(h)
		if err := l.open(); err != nil {
			r.world.Fail("harness", err)
			return
		}
		for !l.join(ctx) {
			l.sleep(ctx, r.shape.ttl/10)
		}
		for actor := range r.actors {
			if !l.auditActor(ctx, actor) {
				return
			}
		}
		if r.shape.monitors > 0 {
			l.demandSessionKnows(ctx)
		}
		l.giveBack(ctx)
		if r.shape.watch {
			l.demandTold(ctx)
			l.countLateRows(ctx)
		}
		if err := l.reg.Check(ctx); err != nil {
			r.world.Fail("store-disagrees", err)
			return
		}
		r.happened(evAudited)
	})
}

// auditActor claims one actor within the bound.
func (l *life) auditActor(ctx context.Context, actor int) bool {
	bound := l.n.r.shape.claimBound()
	ctx, cancel := l.timeout(ctx, bound)
	defer cancel()
	var last error
	l.claimWith(ctx, actor, func(ctx context.Context, a registry.ActorID) (*registry.Claim, error) {
		c, err := l.session.ClaimWait(ctx, a)
		last = err
		return c, err
	})
	if last != nil {
		l.n.r.world.Fail("not-claimable", fmt.Errorf("actor %q was not claimed within %v of a world without faults: %w", l.n.r.actors[actor], bound, last))
	}
	return last == nil
}
