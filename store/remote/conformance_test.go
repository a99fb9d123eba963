package remote

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// window is small, so that the suite's histories reach it.
const window = 300

// age commits until every version taken so far has left the window.
var age = storetest.AgeByCommits(window+1, true)

// idle is the main of a process that others use.
func idle(context.Context, *sim.Host) {}

// cluster is a simulated world with servers over one memory engine.
type cluster struct {
	world   *sim.World
	inner   *memory.Engine
	servers []network.Address
	options ServerOptions
	last    map[string]*Server // by process, of its last life
}

func newCluster(tb testing.TB, seed uint64, servers int, o ServerOptions) *cluster {
	tb.Helper()
	c := &cluster{world: sim.NewWorld(seed, sim.Options{}), options: o, last: make(map[string]*Server)}
	tb.Cleanup(c.world.Close)
	disk := c.world.Process("disk", sim.ProcessOptions{})
	disk.Start(idle)
	c.inner = memory.New(memory.Options{Clock: disk.Host(), Window: window})
	for i := range servers {
		name := fmt.Sprint("server-", i)
		c.servers = append(c.servers, network.Address(name))
		c.world.Process(name, sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
			s, err := NewServer(h, c.inner, c.options)
			if err != nil {
				c.world.Fail("harness", err)
			}
			c.last[name] = s
		})
	}
	return c
}

// process returns the host of a new process.
func (c *cluster) process(name string) *sim.Host {
	p := c.world.Process(name, sim.ProcessOptions{})
	p.Start(idle)
	return p.Host()
}

func (c *cluster) open(tb testing.TB, h *sim.Host, o Options) *Engine {
	tb.Helper()
	o.Servers = c.servers
	e, err := Open(h, o)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// suiteWorld is a cluster as the suite's world.
func suiteWorld(tb testing.TB, c *cluster, o Options) storetest.World {
	tb.Helper()
	hosts := make([]*sim.Host, storetest.Clients)
	for i := range hosts {
		hosts[i] = c.process(fmt.Sprint("client-", i))
	}
	return &wired{c, &storetest.Hosts{
		Host:    func(i int) host.Host { return hosts[i] },
		Connect: func(i int) store.Engine { return c.open(tb, hosts[i], o) },
		Step:    func() error { return c.world.Run(c.world.Now() + 10*time.Millisecond) },
		Check:   c.inner.Check,
	}}
}

// wired is a suite's world that can be cut.
type wired struct {
	cluster *cluster
	*storetest.Hosts
}

// disconnect is Harness.Disconnect.
func disconnect(w storetest.World, client int, during func() error) error {
	c := w.(*wired).cluster
	net, name := c.world.Net(), fmt.Sprint("client-", client)
	for _, s := range c.servers {
		net.Cut(string(s), name)
		net.Cut(name, string(s))
	}
	err := during()
	for _, s := range c.servers {
		net.Heal(string(s), name)
		net.Heal(name, string(s))
	}
	return err
}

var suffers = []storetest.Fault{storetest.TransientErrors, storetest.UnknownCommits, storetest.LostWatches}

func TestConformanceInTheSimulator(t *testing.T) {
	for _, c := range []struct {
		name    string
		servers int
		server  ServerOptions
		client  Options
		disturb func(c *cluster)
		suffers []storetest.Fault
	}{
		{"one server", 1, ServerOptions{}, Options{}, nil, nil},
		{"small messages", 1, ServerOptions{MessageBytes: MinMessage}, Options{}, nil, nil},
		{
			"bad links", 2,
			ServerOptions{},
			Options{CallTimeout: 100 * time.Millisecond, Poll: 200 * time.Millisecond},
			badLinks, suffers,
		},
		{
			"servers crash and are cut off", 2,
			ServerOptions{},
			Options{CallTimeout: 100 * time.Millisecond, Poll: 200 * time.Millisecond},
			crashes, suffers,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := storetest.Harness{
				New: func(tb testing.TB, seed uint64) storetest.World {
					tb.Helper()
					cl := newCluster(tb, seed, c.servers, c.server)
					if c.disturb != nil {
						c.disturb(cl)
					}
					return suiteWorld(tb, cl, c.client)
				},
				Faults:    c.suffers,
				Age:       age,
				Histories: 20,
			}
			if c.suffers != nil {
				h.Disconnect = disconnect
			}
			storetest.Run(t, h)
		})
	}
}

// badLinks lets all links lose, double and disorder messages, and breaks the
// connections of a client now and then; for ever.
func badLinks(c *cluster) {
	c.world.Net().SetDefault(sim.Link{
		LatencyMin: 100 * time.Microsecond, LatencyMax: time.Millisecond,
		Loss: 0.002, Duplicate: 0.1, Reorder: 0.05, ReorderMax: 3 * time.Millisecond,
	})
	r := c.world.Rand("resets")
	var next func()
	next = func() {
		c.world.Net().Reset(string(c.servers[r.IntN(len(c.servers))]), fmt.Sprint("client-", r.IntN(storetest.Clients)))
		c.world.After(time.Duration(r.Int64N(int64(2*time.Second))), "reset", next)
	}
	c.world.After(0, "reset", next)
}

// crashes takes a server down, or cuts a client off from one, for a while; for
// ever.
func crashes(c *cluster) {
	c.world.Net().SetDefault(sim.Link{LatencyMin: 100 * time.Microsecond, LatencyMax: time.Millisecond, Duplicate: 0.05})
	r := c.world.Rand("crashes")
	var next func()
	next = func() {
		server, client := string(c.servers[r.IntN(len(c.servers))]), fmt.Sprint("client-", r.IntN(storetest.Clients))
		crash := r.IntN(2) == 0
		if crash {
			c.world.Lookup(server).Crash()
		} else {
			c.world.Net().Cut(server, client)
		}
		c.world.After(time.Duration(r.Int64N(int64(30*time.Millisecond))), "heal", func() {
			c.world.Net().HealAll()
			if crash {
				c.world.Lookup(server).Restart()
			}
			c.world.After(time.Duration(r.Int64N(int64(2*time.Second))), "next", next)
		})
	}
	c.world.After(time.Duration(r.Int64N(int64(20*time.Millisecond))), "next", next)
}

// machine is a host on the real network.
func machine(tb testing.TB, name string) *host.System {
	tb.Helper()
	n, err := httpnet.New(httpnet.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	h, err := host.NewSystem(host.SystemOptions{Name: name, Network: n})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nothing is to be waited for
		_ = n.Close(ctx)
		_ = h.Close(ctx)
	})
	return h
}

func TestConformanceOverHTTP(t *testing.T) {
	server, client := machine(t, "server"), machine(t, "client")
	storetest.Run(t, storetest.Harness{
		Age:       age,
		Histories: 20,
		New: func(tb testing.TB, _ uint64) storetest.World {
			inner := memory.New(memory.Options{Window: window})
			s, err := NewServer(server, inner, ServerOptions{})
			if err != nil {
				tb.Fatal(err)
			}
			e, err := Open(client, Options{Servers: []network.Address{server.Network().Address()}})
			if err != nil {
				tb.Fatal(err)
			}
			return storetest.Goroutines(e, func() error { return errors.Join(inner.Check(), s.Close()) })
		},
	})
}
