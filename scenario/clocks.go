package scenario

import (
	"strconv"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// clockOf draws a node's clocks: a wall clock that is wrong by up to an hour,
// and a monotonic clock whose rate is wrong by up to the shape's bound. Half of
// the nodes run at one of the two extremes, where margins are thin.
func (r *run) clockOf(i int) sim.ProcessOptions {
	name := strconv.Itoa(i)
	rnd := r.world.Rand("clock/" + name)
	o := sim.ProcessOptions{WallOffset: time.Duration(rnd.Int64N(int64(2*time.Hour))) - time.Hour}
	switch bound := r.shape.rate; {
	case bound == 0:
	case rnd.IntN(4) == 0:
		o.RatePPB = bound
	case rnd.IntN(3) == 0:
		o.RatePPB = -bound
	default:
		o.RatePPB = rnd.Int64N(2*bound+1) - bound
	}
	return o
}
