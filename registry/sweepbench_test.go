package registry_test

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
)

// BenchmarkSweep kills the owner of 100,000 actors in a simulated cluster of four
// nodes, and whichever of the others sweeps first when it has swept half of them. It
// reports how many transactions ended the owner's session, how long after its death an
// actor of it was claimed, how long the sweep of all took, how many actors were swept
// within a second at most, and how long nobody swept after the sweeper's death.
func BenchmarkSweep(b *testing.B) {
	const actors, rate = 100_000, 10_000
	for b.Loop() {
		w := newBench(b)
		w.die("dead", actors)
		var (
			died          = w.world.Now()
			revocations   int
			claimed       time.Duration
			batches       []time.Duration // at which a hundred were swept
			swept         int
			killed        time.Duration
			idle, busiest = time.Duration(0), 0
			procs         = make(map[registry.NodeID]*sim.Process)
		)
		for _, name := range []registry.NodeID{"n1", "n2", "n3"} {
			mine := 0
			procs[name] = w.process(string(name), sweepOptions(rate), func(ctx context.Context, c *client) {
				c.watchEvents = func(e registry.Event) {
					switch {
					case e.Kind == registry.EventRevokeEnd && e.Err == nil && e.Node == "dead":
						revocations++
					case e.Kind == registry.EventSwept:
						swept += e.Count
						mine += e.Count
						batches = append(batches, w.world.Now())
						if mine > actors/2 && killed == 0 {
							killed = w.world.Now()
							w.world.After(time.Millisecond, "kill", procs[name].Crash)
						}
					default:
					}
				}
				c.join(ctx, name)
			})
		}
		w.process("client", registry.Options{Monitors: -1}, func(ctx context.Context, c *client) {
			c.watchEvents = func(e registry.Event) {
				if e.Kind == registry.EventRevokeEnd && e.Err == nil && e.Node == "dead" {
					revocations++
				}
			}
			if _, err := c.join(ctx, "client").ClaimWait(ctx, actorNo(actors-1)); err != nil {
				b.Error(err)
			}
			claimed = w.world.Now()
		})
		w.until(died + 14*ttl)
		if swept != actors-1 || killed == 0 || revocations != 1 {
			b.Fatalf("%d of %d actors were swept, the sweeper was killed at %v, %d revocations", swept, actors-1, killed, revocations)
		}
		from := 0
		for i, at := range batches {
			for batches[from] <= at-time.Second {
				from++
			}
			busiest = max(busiest, 100*(i-from+1))
			if i > 0 {
				idle = max(idle, at-batches[i-1])
			}
		}
		b.ReportMetric(float64(revocations), "revocations")
		b.ReportMetric(float64(claimed-died)/float64(ttl), "claimed-TTLs")
		b.ReportMetric((batches[len(batches)-1] - batches[0]).Seconds(), "sweep-s")
		b.ReportMetric(float64(busiest), "most-swept/s")
		b.ReportMetric(idle.Seconds(), "idle-s")
	}
}
