package registry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// placeAtOnce places n actors on the session's node, in as many tasks, all of which
// read before the first commits. It returns how many were placed; the others must have
// been told that no node has room.
func (c *client) placeAtOnce(ctx context.Context, s *registry.Session, round string, n int) (placed int) {
	c.b.t.Helper()
	c.faulty.commit = func(commit func() error) error {
		c.sleep(ctx, time.Millisecond)
		return commit()
	}
	defer func() { c.faulty.commit = nil }()
	ended := 0
	for i := range n {
		actor := registry.ActorID(fmt.Sprintf("%s-%d", round, i))
		c.h.Go("placer", func(ctx context.Context) {
			_, err := c.Place(ctx, actor, on(s))
			switch {
			case err == nil:
				placed++
			case !errors.Is(err, registry.ErrNoNode):
				c.b.t.Errorf("place %q: %v", actor, err)
			}
			ended++
		})
	}
	for range 100 {
		if ended == n {
			return placed
		}
		c.sleep(ctx, 10*time.Millisecond)
	}
	c.b.t.Errorf("%d of %d placements have ended", ended, n)
	return placed
}

// A node is filled to the last place, and goes over its capacity only if more than its
// slack, an eighth of the capacity and 8, are placed on it within one transaction's time:
// then by what is beyond that, which none of them can see.
func TestCapacityIsExceededOnlyByWhatIsBeyondItsSlack(t *testing.T) {
	for _, x := range []struct{ capacity, slack int }{{1, 8}, {8, 8}, {20, 8}, {64, 8}, {100, 12}, {200, 25}} {
		for _, burst := range []int{2, x.slack, x.slack + 1, 2 * x.slack, 4 * x.slack} {
			t.Run(fmt.Sprintf("capacity=%d,burst=%d", x.capacity, burst), func(t *testing.T) {
				b := newBench(t)
				b.options.Monitors = -1
				b.run(func(ctx context.Context, c *client) {
					s, err := c.Join(ctx, "one", registry.JoinOptions{Capacity: int64(x.capacity)})
					if err != nil {
						t.Error(err)
						return
					}
					// The last load at which placements do not see each other.
					unseen := max(0, x.capacity-x.slack-1)
					owned, rounds := 0, 0
					place := func(n int) (placed int) {
						rounds++
						placed = c.placeAtOnce(ctx, s, fmt.Sprint(rounds), n)
						owned += placed
						return placed
					}
					for owned < unseen && place(min(burst, unseen-owned)) > 0 {
					}
					for owned < x.capacity && place(burst) > 0 {
					}
					if n := place(burst); n != 0 {
						t.Errorf("%d are placed on a node that is full", n)
					}
					want := x.capacity
					if x.capacity > x.slack {
						want += max(0, burst-x.slack-1)
					}
					if owned != want || c.owned(ctx)["one"] != owned {
						t.Errorf("%d were placed, %d at a time, and it owns %d, want %d", owned, burst, c.owned(ctx)["one"], want)
					}
					c.check(ctx)
				})
			})
		}
	}
}
