package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// BenchmarkSweep kills the owner of 100,000 actors in a simulated cluster of four
// nodes and reports how many transactions ended its session, how long after the
// death an actor of it was claimed, and how long the sweep of all took.
func BenchmarkSweep(b *testing.B) {
	const actors, rate = 100_000, 10_000
	for b.Loop() {
		w := newBench(b)
		w.die("dead", actors)
		died := w.world.Now()
		var revocations, swept int
		var claimed, last time.Duration
		for _, name := range []registry.NodeID{"n1", "n2", "n3"} {
			w.process(string(name), sweepOptions(rate), func(ctx context.Context, c *client) {
				c.watchEvents = func(e registry.Event) {
					switch {
					case e.Kind == registry.EventRevokeEnd && e.Err == nil:
						revocations++
					case e.Kind == registry.EventSwept:
						swept += e.Count
						last = w.world.Now()
					default:
					}
				}
				s := c.join(ctx, name)
				if name != "n1" {
					return
				}
				if _, err := s.ClaimWait(ctx, actorNo(actors-1)); err != nil {
					b.Error(err)
				}
				claimed = w.world.Now()
			})
		}
		w.until(died + 10*ttl)
		if swept != actors-1 {
			b.Errorf("%d of %d actors were swept", swept, actors-1)
		}
		b.ReportMetric(float64(revocations), "revocations")
		b.ReportMetric(float64(claimed-died)/float64(ttl), "claimed-TTLs")
		b.ReportMetric((last - claimed).Seconds(), "sweep-s")
	}
}
