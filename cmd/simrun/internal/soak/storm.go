package soak

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/stall"
)

// storm stalls one node's connection by turns until ctx ends, and leaves it
// calm. Calm spells and stalls last from a fraction of the TTL to a few times
// it, so that some leases come through and some run out.
func (r *run) storm(ctx context.Context, e *stall.Engine, rnd *rand.Rand) {
	defer e.Stall(stall.None, 0)
	kinds := stall.Kinds()
	for {
		if r.clock.Sleep(ctx, r.spell(rnd, 4)) != nil {
			return
		}
		e.Stall(kinds[rnd.IntN(len(kinds))], r.o.TTL/8)
		if r.clock.Sleep(ctx, r.spell(rnd, 3)) != nil {
			return
		}
		e.Stall(stall.None, 0)
	}
}

// spell draws a time of up to so many TTLs.
func (r *run) spell(rnd *rand.Rand, ttls int64) time.Duration {
	return time.Duration(1 + rnd.Int64N(ttls*int64(r.o.TTL)))
}
