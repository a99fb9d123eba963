package simfdb

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// lab is a world with a cluster.
type lab struct {
	*sim.World
	t *testing.T
	c *Cluster
}

func newLab(t *testing.T, seed uint64, o Options) *lab {
	t.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	t.Cleanup(w.Close)
	l := &lab{World: w, t: t, c: NewCluster(w, o)}
	w.Invariant("cluster", l.c.Invariants)
	return l
}

// client runs f as the main task of a new process.
func (l *lab) client(name string, f func(h *sim.Host, cl *Client) error) {
	l.Process(name, sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		if err := f(h, l.c.Client(h)); err != nil {
			l.Fail(name, err)
		}
	})
}

func (l *lab) run(d time.Duration) {
	l.t.Helper()
	if err := l.Run(l.Now() + d); err != nil {
		l.t.Fatal(err)
	}
}

func TestContendedAppendsAllCount(t *testing.T) {
	l := newLab(t, 1, Options{})
	finished := 0
	for _, name := range []string{"a", "b", "c"} {
		l.client(name, func(h *sim.Host, cl *Client) error {
			for done := 0; done < 50; {
				tx := cl.beginPort(h.Context())
				v, err := tx.Get([]byte("log"))
				if err != nil {
					return err
				}
				tx.Set([]byte("log"), append(v, name...))
				err = tx.Commit()
				switch {
				case err == nil:
					done++
				case !errors.Is(err, Error{CodeNotCommitted}):
					return err
				}
			}
			finished++
			return nil
		})
	}
	l.run(10 * time.Second)
	if v := read(l, "log"); finished != 3 || len(v) != 150 {
		t.Errorf("%d clients finished, the log has %d entries", finished, len(v))
	}
	if n := l.c.Counts(); n.Committed != 150 || n.Conflicts == 0 {
		t.Errorf("%+v", n)
	}
}

// TestInjectedFaultsFire sets each rate to 1 in turn.
func TestInjectedFaultsFire(t *testing.T) {
	for _, c := range []struct {
		name    string
		set     Faults
		want    int // the error's number
		applied bool
		fired   FaultCounts
	}{
		{"1213 at the read version", Faults{TagThrottled: 1}, 1213, false, FaultCounts{TagThrottled: 1}},
		{"1051 at the read version", Faults{BatchRateLimit: 1}, 1051, false, FaultCounts{BatchRateLimit: 1}},
		{"1037 at a read", Faults{ProcessBehind: 1}, 1037, false, FaultCounts{ProcessBehind: 1}},
		{"1009 at a read", Faults{FutureVersion: 1}, 1009, false, FaultCounts{FutureVersion: 1}},
		{"1042 at the commit", Faults{ProxyMemory: 1}, 1042, false, FaultCounts{ProxyMemory: 1}},
		{"1020 at the commit", Faults{Conflict: 1}, 1020, false, FaultCounts{Conflict: 1}},
		{"1004 at a read", Faults{TimedOut: 1}, 1004, false, FaultCounts{TimedOut: 1}},
		{"1039 before the commit", Faults{UpgradeBefore: 1}, 1039, false, FaultCounts{UpgradeBefore: 1}},
		{"1039 after the commit", Faults{UpgradeAfter: 1}, 1039, true, FaultCounts{UpgradeAfter: 1}},
		{"1021, the request lost", Faults{RequestLost: 1}, 1021, false, FaultCounts{RequestLost: 1}},
		{"1021, the reply lost", Faults{ReplyLost: 1}, 1021, true, FaultCounts{ReplyLost: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 1, Options{Faults: c.set})
			done := false
			l.client("client", func(h *sim.Host, cl *Client) error {
				tx := cl.beginPort(h.Context())
				// A lost connection is followed by a fence, which is to get through.
				h.After(100*time.Millisecond, func() {
					if err := l.c.SetFaults(Faults{}); err != nil {
						t.Error(err)
					}
				})
				_, err := tx.Get([]byte("other"))
				if err == nil {
					tx.Set([]byte("k"), []byte("x"))
					err = tx.Commit()
				}
				if !errors.Is(err, Error{c.want}) {
					t.Errorf("%v, want %d", err, c.want)
				}
				done = true
				return nil
			})
			l.run(10 * time.Second)
			got := l.c.Counts().Faults
			if c.want == CodeCommitUnknownResult { // the fence met it as well
				got.RequestLost, got.ReplyLost = min(got.RequestLost, 1), min(got.ReplyLost, 1)
			}
			if !done || got != c.fired || (read(l, "k") != nil) != c.applied {
				t.Errorf("finished %v, fired %+v, stored %q", done, got, read(l, "k"))
			}
		})
	}
}

func TestFaultsThatAreNoProbabilitiesChangeNothing(t *testing.T) {
	l := newLab(t, 1, Options{Faults: Faults{Conflict: 0.5}})
	if err := l.c.SetFaults(Faults{Conflict: 2}); err == nil {
		t.Error("accepted")
	}
	if l.c.o.Faults.Conflict != 0.5 {
		t.Error("changed")
	}
}

func TestFullProxyRefusesCommits(t *testing.T) {
	l := newLab(t, 1, Options{MaxQueue: 3})
	refused := 0
	l.Net().Cut("fdb-proxy", "fdb-log")
	l.run(0)
	l.Net().HealAll()
	l.client("client", func(h *sim.Host, cl *Client) error {
		if _, err := cl.beginPort(h.Context()).ReadVersion(); err != nil {
			return err
		}
		l.Net().Cut("fdb-proxy", "fdb-log")
		for range 5 {
			h.Go("commit", func(ctx context.Context) {
				if _, err := write(ctx, cl, "k"); errors.Is(err, Error{CodeProxyMemoryLimit}) {
					refused++
				}
			})
		}
		return nil
	})
	l.run(time.Second)
	if refused != 2 {
		t.Errorf("%d of 5 commits were refused by a queue of 3", refused)
	}
	l.Net().HealAll()
	l.run(10 * time.Second)
	if n := l.c.Counts().Committed; n != 3 {
		t.Errorf("%d commits after the cut", n)
	}
}

// TestBatchIsFlushedWhenFull commits more at once than a batch may hold.
func TestBatchIsFlushedWhenFull(t *testing.T) {
	l := newLab(t, 1, Options{MaxBatch: 10, BatchInterval: 100 * time.Millisecond})
	versions := map[store.Version]int{}
	l.client("client", func(h *sim.Host, cl *Client) error {
		for range 40 {
			h.Go("commit", func(ctx context.Context) {
				tx, err := write(ctx, cl, "k")
				if err != nil {
					l.Fail("commit", err)
				}
				versions[tx.Committed()]++
			})
		}
		return nil
	})
	l.run(time.Second)
	if len(versions) != 4 {
		t.Errorf("40 commits in batches of 10: %v", versions)
	}
}

func TestSameSeedSameWorld(t *testing.T) {
	for seed := range uint64(20) {
		a, b := runStorm(t, seed), runStorm(t, seed)
		if a.Hash() != b.Hash() || a.c.Counts() != b.c.Counts() {
			t.Errorf("seed %d: %v and %v", seed, a.Hash(), b.Hash())
		}
		if c := runStorm(t, seed+1000); a.Hash() == c.Hash() {
			t.Errorf("seeds %d and %d: the same hash", seed, seed+1000)
		}
	}
}

// TestInvariantsReject breaks a cluster that works in each of the ways that
// Invariants is to find.
func TestInvariantsReject(t *testing.T) {
	for _, c := range []struct {
		name      string
		sabotaged func(c *Cluster)
	}{
		{"an acknowledged version behind the log's end", func(c *Cluster) { c.witness.acked = c.logDisk.end + 1 }},
		{"an acknowledged entry that the log lost", func(c *Cluster) {
			d := &c.logDisk
			d.entries = append(d.entries[:len(d.entries)-2:len(d.entries)-2], d.entries[len(d.entries)-1])
			d.crashes++
		}},
		{"a broken chain", func(c *Cluster) {
			d := &c.logDisk
			e := *d.entries[len(d.entries)-1]
			e.prev--
			d.entries[len(d.entries)-1] = &e
			c.witness.chained = 0
		}},
		{"a storage server ahead of the log", func(c *Cluster) { c.storageDisk.applied.version = c.logDisk.end + 1 }},
		{"a storage server durable ahead of itself", func(c *Cluster) { c.storageDisk.durable.version = c.storageDisk.applied.version + 1 }},
		{"a log that forgot too much", func(c *Cluster) { c.logDisk.popped = c.storageDisk.durable.version + 1 }},
		{"a proxy ahead of the log", func(c *Cluster) { c.proxy.committed = c.logDisk.end + 1 }},
		{"batches out of order", func(c *Cluster) {
			c.proxy.batches = []*batch{{resolve: resolveRequest{prev: c.proxy.committed - 1, version: c.proxy.committed + 1}}}
		}},
		{"a batch above the versions assigned", func(c *Cluster) {
			c.proxy.batches = []*batch{{resolve: resolveRequest{prev: c.proxy.committed, version: c.proxy.assigned + 1}}}
		}},
		{"a reader ahead of a batch in flight", func(c *Cluster) {
			c.witness.given = c.proxy.committed + 1
			c.proxy.assigned++
			c.proxy.batches = []*batch{{resolve: resolveRequest{prev: c.proxy.committed, version: c.proxy.committed + 1}}}
		}},
		{"a window that is too short", func(c *Cluster) { c.resolver.window.oldest++ }},
		{"a stale read version", func(c *Cluster) { c.witness.gaveReadVersion(c.witness.acked - 1) }},
		{"a read version that goes back", func(c *Cluster) {
			c.witness.gaveReadVersion(c.witness.given + 2)
			c.witness.gaveReadVersion(c.witness.given - 1)
		}},
		{"a generation that begins too low", func(c *Cluster) { c.witness.beganGeneration(c.witness.given) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 1, Options{})
			l.client("client", func(h *sim.Host, cl *Client) error {
				for range 5 {
					if _, err := write(h.Context(), cl, "k"); err != nil {
						return err
					}
				}
				return nil
			})
			l.run(time.Second)
			if err := l.c.Invariants(); err != nil {
				t.Fatal(err)
			}
			c.sabotaged(l.c)
			if err := l.c.Invariants(); err == nil {
				t.Error("not found")
			}
		})
	}
}
