package registry_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// opening is what nodes find that want one actor at one instant.
type opening uint8

const (
	fresh    opening = iota + 1 // nobody has ever owned it
	orphaned                    // the session of its owner has ended
	starting                    // as fresh, and the nodes have only just joined
)

func (o opening) String() string { return [...]string{"", "fresh", "orphaned", "starting"}[o] }

// rush has many nodes call ClaimWait for one actor, that nobody owns, at the same
// instant: when they know each other, or, if found is starting, when they have joined.
// Each round has other nodes, with other ranks.
func rush(t testing.TB, round, nodes int, way time.Duration, found opening) (run herdRun) {
	t.Helper()
	w := newWire(t, way)
	o := registry.Options{TTL: ttl, Monitors: -1}
	if found == orphaned {
		w.contender("owner", o, &herdWrites{}, func(ctx context.Context, s *registry.Session) {
			if _, err := s.Claim(ctx, "a"); err != nil {
				t.Error(err)
			}
			// Its end frees nothing: the record stays, and names a session that is over.
			if _, err := s.Registry().Join(ctx, "owner", registry.JoinOptions{Replace: true}); err != nil {
				t.Error(err)
			}
		})
	}
	ids := make([]registry.NodeID, nodes)
	for i := range ids {
		ids[i] = registry.NodeID(fmt.Sprintf("node-%d-%d", round, i))
	}
	start := 2 * ttl
	if found == starting {
		o.Monitors, start = 0, w.world.Now()
	}
	for _, id := range ids {
		w.contender(string(id), o, &run.herdWrites, func(ctx context.Context, s *registry.Session) {
			if found != starting {
				s.RankAmong(ids)
				if err := s.Host().Sleep(ctx, start-w.world.Now()); err != nil {
					t.Error(err)
				}
			}
			if _, err := s.ClaimWait(ctx, "a"); err == nil {
				run.took = w.world.Now() - start
				run.winners++
			}
		})
	}
	w.until(start + ttl)
	return run
}

// Many nodes find one actor free, or left by a session that ended, at the same instant.
// At most three write.
func TestRushForAFreeActor(t *testing.T) {
	for _, found := range []opening{fresh, orphaned} {
		for _, way := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 40 * time.Millisecond} {
			run := rush(t, 0, 150, way, found)
			t.Logf("%v, a message takes %v: claims %+v, taken after %v", found, way, run.claims, run.took)
			if run.winners != 1 || run.claims.writes() < 1 || run.claims.writes() > 3 {
				t.Errorf("%v, a message takes %v: %d winners, claims %+v; at most 3 writes expected", found, way, run.winners, run.claims)
			}
			// Whoever ranks first waits for nobody: it reads once, or twice, and commits.
			if most := 6 * way; run.took <= 0 || run.took > most {
				t.Errorf("%v, a message takes %v: taken after %v, at most %v expected", found, way, run.took, most)
			}
		}
	}
}

// BenchmarkRush reports how many write transactions it costs that many nodes want an
// actor nobody owns at the same instant, and how long it takes, by the number of nodes
// and by what a message takes.
func BenchmarkRush(b *testing.B) {
	for _, found := range []opening{fresh, orphaned} {
		for _, way := range []time.Duration{time.Millisecond, 10 * time.Millisecond} {
			for _, nodes := range []int{10, 100, 1000} {
				b.Run(fmt.Sprintf("%v/way=%v/nodes=%d", found, way, nodes), func(b *testing.B) {
					var writes []int
					var took time.Duration
					for i := 0; b.Loop(); i++ {
						run := rush(b, i, nodes, way, found)
						writes = append(writes, run.claims.writes())
						took = max(took, run.took)
					}
					slices.Sort(writes)
					b.ReportMetric(float64(writes[len(writes)-1]), "max-writes")
					b.ReportMetric(float64(took)/float64(time.Millisecond), "max-ms")
				})
			}
		}
	}
}
