package etcd_test

import (
	"context"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

// relay passes connections on to an address, and counts them and their bytes.
type relay struct {
	net.Listener
	to          string // empty: connections are closed at once
	came        func() // called for each connection
	accepted    atomic.Int64
	bytes       atomic.Int64
	running     sync.WaitGroup
	mu          sync.Mutex
	shut        bool
	connections []net.Conn
}

func newRelay(t *testing.T, to string, came func()) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: to, came: came}
	r.running.Go(r.serve)
	t.Cleanup(r.end)
	return r
}

func (r *relay) address() string { return r.Addr().String() }

func (r *relay) serve() {
	for {
		c, err := r.Accept()
		if err != nil {
			return
		}
		r.accepted.Add(1)
		r.came()
		var member net.Conn
		if r.to != "" {
			member, err = net.Dial("tcp", r.to)
		}
		if r.to == "" || err != nil {
			_ = c.Close() // there is nobody behind
			continue
		}
		if !r.keep(c, member) {
			return
		}
		for _, way := range [][2]net.Conn{{c, member}, {member, c}} {
			r.running.Go(func() {
				n, _ := io.Copy(way[0], way[1]) // until either end closes
				r.bytes.Add(n)
				_ = way[0].Close()
			})
		}
	}
}

// keep notes connections that end with the relay, unless it has ended.
func (r *relay) keep(both ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		for _, c := range both {
			_ = c.Close()
		}
		return false
	}
	r.connections = append(r.connections, both...)
	return true
}

// end closes the relay and all that goes through it.
func (r *relay) end() {
	_ = r.Close() // it may be closed already
	r.mu.Lock()
	r.shut = true
	for _, c := range r.connections {
		_ = c.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
}

// TestNothingGoesRoundTheEndpoints gives an engine relays for endpoints, on a cluster
// whose members name a trap to whoever asks them where they are. A client that asked would
// be seen there, as one that does is; and with the relays gone nothing goes anywhere.
func TestNothingGoesRoundTheEndpoints(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	trap := newRelay(t, "", cancel)
	cluster, err := embedded.Start(context.Background(), embedded.Options{
		NoSync: true, Heartbeat: 50 * time.Millisecond, Advertise: trap.address(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	var relays []*relay
	var endpoints []string
	for _, to := range cluster.Endpoints() {
		r := newRelay(t, to, func() {})
		relays, endpoints = append(relays, r), append(endpoints, r.address())
	}
	e := open(t, etcd.Options{Endpoints: endpoints})
	db := newDB(t, e)
	write := func(value string) (w store.Watch) {
		t.Helper()
		for {
			_, err := db.Transact(ctx, func(tx store.Tx) (err error) {
				tx.Set([]byte("k"), []byte(value))
				w, err = tx.Watch([]byte("k"))
				return err
			})
			if err == nil {
				return w
			}
			if ctx.Err() != nil {
				t.Fatalf("%d connections went round the endpoints, and then: %v", trap.accepted.Load(), err)
			}
		}
	}
	first := write("1")
	for !slices.Contains(endpoints, e.Leader()) {
		if err := clock.System().Sleep(ctx, 5*time.Millisecond); err != nil {
			t.Fatalf("%d connections went round the endpoints, and then: %v", trap.accepted.Load(), err)
		}
	}
	cluster.Stop(max(cluster.Leader(), 0)) // the engine looks for another
	write("2")
	if err := first.Wait(ctx); err != nil {
		t.Error(err)
	}
	for _, r := range relays {
		r.end()
		if r.accepted.Load() == 0 || r.bytes.Load() == 0 {
			t.Errorf("by way of %s came %d connections with %d bytes", r.address(), r.accepted.Load(), r.bytes.Load())
		}
	}
	tx := e.Begin(ctx)
	defer tx.Cancel()
	if got, err := tx.Get([]byte("k")); err == nil {
		t.Errorf("read with all relays gone: %q", got)
	}
	if n := trap.accepted.Load(); n > 0 {
		t.Errorf("%d connections went round the endpoints", n)
	}
	asks(t, cluster, trap)
}

// asks shows that a client which asks for the members goes into the trap.
func asks(t *testing.T, cluster *embedded.Cluster, trap *relay) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: cluster.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		if _, err := client.Get(ctx, "k"); err == nil {
			t.Error("a member answers in the trap")
		}
	})
	for trap.accepted.Load() == 0 && !t.Failed() {
		if err := clock.System().Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	asking.Wait()
}
