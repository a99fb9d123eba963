package simfdb

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// suiteWorld makes the world that the conformance suite runs in: a cluster and
// one process for each client.
func suiteWorld(tb testing.TB, seed uint64, o Options, disturb func(w *sim.World, c *Cluster)) storetest.World {
	tb.Helper()
	w := sim.NewWorld(seed, sim.Options{MaxEvents: 1 << 40})
	tb.Cleanup(w.Close)
	c := NewCluster(w, o)
	w.Invariant("cluster", c.Invariants)
	hosts := make([]*sim.Host, storetest.Clients)
	for i := range hosts {
		p := w.Process(fmt.Sprint("client-", i), sim.ProcessOptions{})
		p.Start(func(context.Context, *sim.Host) {})
		hosts[i] = p.Host()
	}
	if disturb != nil {
		disturb(w, c)
	}
	return &storetest.Hosts{
		Host:    func(i int) host.Host { return hosts[i] },
		Connect: func(i int) store.Engine { return c.Client(hosts[i]) },
		Step:    func() error { return w.Run(w.Now() + 10*time.Millisecond) },
		Check: func() error {
			return errors.Join(c.Invariants(), w.Run(w.Now()+time.Second))
		},
	}
}

// age lets so much time pass that no version taken before can be read.
func age(ctx context.Context, w storetest.World, client int) error {
	return w.Clock(client).Sleep(ctx, 10*time.Second)
}

// ageWithCommits is age for clusters that recover so often that they are never
// idle: versions advance with the commits, and what recoveries skip counts for
// nothing.
func ageWithCommits(ctx context.Context, w storetest.World, client int) error {
	for range 300 {
		tx := w.Engine(client).Begin(ctx)
		tx.Set([]byte("age"), nil)
		tx.Clear([]byte("age"))
		_ = tx.Commit() // a failure just takes longer
		if err := w.Clock(client).Sleep(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func TestSuite(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		New: func(tb testing.TB, seed uint64) storetest.World {
			tb.Helper()
			return suiteWorld(tb, seed, Options{}, nil)
		},
		Age:       age,
		Quiet:     20 * time.Second, // longer than any keepalive
		Histories: 200,
	})
}

// The suite again, while the cluster suffers. Answers must be as right as ever;
// only errors that the port allows may come on top.
func TestSuiteUnderFaults(t *testing.T) {
	injected := Faults{
		TagThrottled: 0.002, BatchRateLimit: 0.002, ProcessBehind: 0.002, FutureVersion: 0.002,
		ProxyMemory: 0.002, Conflict: 0.002, RequestLost: 0.002, ReplyLost: 0.002,
		UpgradeBefore: 0.002, UpgradeAfter: 0.002,
	}
	rough := sim.Link{
		LatencyMin: 50 * time.Microsecond, LatencyMax: 2 * time.Millisecond, TailProb: 0.02, TailMax: 100 * time.Millisecond,
		Loss: 0.005, Duplicate: 0.05, Reorder: 0.05, ReorderMax: 20 * time.Millisecond,
	}
	for _, c := range []struct {
		name    string
		o       Options
		disturb func(w *sim.World, c *Cluster)
	}{
		{"injected", Options{Faults: injected}, nil},
		{"rough network", Options{ServerLink: rough, ClientLink: rough, SyncMin: time.Microsecond, SyncMax: time.Millisecond}, nil},
		{"crashes", Options{RecoveryMin: time.Millisecond, RecoveryMax: 300 * time.Millisecond, SyncMax: time.Millisecond}, crashNowAndThen},
	} {
		t.Run(c.name, func(t *testing.T) {
			storetest.Run(t, storetest.Harness{
				New: func(tb testing.TB, seed uint64) storetest.World {
					tb.Helper()
					return suiteWorld(tb, seed, c.o, c.disturb)
				},
				Faults:    []storetest.Fault{storetest.TransientErrors, storetest.UnknownCommits},
				Age:       ageWithCommits,
				Quiet:     7 * time.Second, // longer than a keepalive
				Patience:  5 * time.Minute,
				Histories: 60,
			})
		})
	}
}

// crashNowAndThen crashes one server, or all, and restarts it; for ever.
func crashNowAndThen(w *sim.World, c *Cluster) {
	r := w.Rand("crashes")
	var next func()
	next = func() {
		servers := c.Servers()
		if n := r.IntN(len(servers) + 1); n < len(servers) {
			servers = servers[n : n+1]
		}
		for _, s := range servers {
			w.Lookup(s).Crash()
		}
		w.After(time.Duration(r.Int64N(int64(200*time.Millisecond))), "restart", func() {
			for _, s := range servers {
				w.Lookup(s).Restart()
			}
			w.After(time.Duration(r.Int64N(int64(2*time.Second))), "crash", next)
		})
	}
	w.After(time.Duration(r.Int64N(int64(20*time.Millisecond))), "crash", next)
}
