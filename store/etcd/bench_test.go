package etcd_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

// BenchmarkAcquire measures how a claim compares with what etcd's own library
// offers for the same purpose: a Mutex and an Election on a key of its own each,
// of one session. All three run by turns, in short rounds, on one cluster of
// three members that write to disk, so that their ratios hold whatever else the
// machine does. An iteration is one round of each.
func BenchmarkAcquire(b *testing.B) {
	cluster, err := embedded.Start(context.Background(), embedded.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			b.Error(err)
		}
	})
	for _, clients := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) { acquire(b, cluster, clients) })
	}
}

// contender is one way to acquire the i-th key.
type contender struct {
	name string
	take func(ctx context.Context, i int) error

	made  int           // keys so far
	took  time.Duration // on the clock
	cpu   time.Duration // of the whole process: client and members
	waits []time.Duration
}

// roundPerClient is how many keys each client acquires in a round.
const roundPerClient = 32

func acquire(b *testing.B, cluster *embedded.Cluster, clients int) {
	b.Helper()
	all := []*contender{
		{name: "claim", take: claims(b, cluster)},
		{name: "mutex", take: mutexes(b, cluster)},
		{name: "election", take: elections(b, cluster)},
	}
	for _, c := range all {
		c.round(b, clients) // connections, caches
		c.took, c.cpu, c.waits = 0, 0, nil
	}
	for n := 0; b.Loop(); n++ {
		for i := range all {
			all[(n+i)%len(all)].round(b, clients)
		}
	}
	for _, c := range all {
		slices.Sort(c.waits)
		b.ReportMetric(float64(c.cpu.Microseconds())/float64(len(c.waits)), c.name+"-cpu-us")
		b.ReportMetric(c.rate(), c.name+"/s")
		b.ReportMetric(c.quantile(0.5), c.name+"-p50-ms")
		b.ReportMetric(c.quantile(0.99), c.name+"-p99-ms")
	}
	b.ReportMetric(all[0].rate()/all[1].rate(), "claim:mutex")
	b.ReportMetric(all[0].rate()/all[2].rate(), "claim:election")
	b.ReportMetric(0, "ns/op")
}

func (c *contender) rate() float64 { return float64(len(c.waits)) / c.took.Seconds() }

func (c *contender) quantile(q float64) float64 {
	return c.waits[int(q*float64(len(c.waits)-1))].Seconds() * 1000
}

// round has each client acquire some keys, one after the other.
func (c *contender) round(b *testing.B, clients int) {
	b.Helper()
	waits := make([]time.Duration, clients*roundPerClient)
	errs := make([]error, clients)
	began, spent := time.Now(), processTime(b)
	var working sync.WaitGroup
	for n := range clients {
		working.Go(func() {
			for i := n; i < len(waits); i += clients {
				start := time.Now()
				if err := c.take(b.Context(), c.made+i); err != nil {
					errs[n] = err
					return
				}
				waits[i] = time.Since(start)
			}
		})
	}
	working.Wait()
	c.took += time.Since(began)
	c.cpu += processTime(b) - spent
	c.made += len(waits)
	c.waits = append(c.waits, waits...)
	for _, err := range errs {
		if err != nil {
			b.Fatalf("%s: %v", c.name, err)
		}
	}
}

// processTime is the processor time that this process has used.
func processTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// claims claims actors of one session.
func claims(b *testing.B, cluster *embedded.Cluster) func(context.Context, int) error {
	b.Helper()
	e := open(b, etcd.Options{Endpoints: cluster.Endpoints(), Namespace: "kelpie-" + rand.Text()[:4]})
	s := join(b, e, "bench", registry.Options{})
	return func(ctx context.Context, i int) error {
		_, err := s.Claim(ctx, registry.ActorID(fmt.Sprintf("actor-%d", i)))
		return err
	}
}

// join opens a registry on an engine and joins it.
func join(tb testing.TB, e store.Engine, node registry.NodeID, o registry.Options) *registry.Session {
	tb.Helper()
	h, err := host.NewSystem(host.SystemOptions{Name: string(node)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	db, err := store.Open(e, h, h.Rand(), store.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	r, err := registry.Open(h, db, o)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := r.Join(context.Background(), node, registry.JoinOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// session opens a session of etcd's own library.
func session(b *testing.B, cluster *embedded.Cluster) *concurrency.Session {
	b.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: cluster.Endpoints(), DialTimeout: 5 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	s, err := concurrency.NewSession(client)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func mutexes(b *testing.B, cluster *embedded.Cluster) func(context.Context, int) error {
	b.Helper()
	s := session(b, cluster)
	return func(ctx context.Context, i int) error {
		return concurrency.NewMutex(s, fmt.Sprintf("%s/mutex-%d", b.Name(), i)).Lock(ctx)
	}
}

func elections(b *testing.B, cluster *embedded.Cluster) func(context.Context, int) error {
	b.Helper()
	s := session(b, cluster)
	return func(ctx context.Context, i int) error {
		return concurrency.NewElection(s, fmt.Sprintf("%s/election-%d", b.Name(), i)).Campaign(ctx, "bench")
	}
}
