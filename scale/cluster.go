package scale

import (
	"context"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simstore"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// office is the network between all processes: one data centre, without faults.
var office = sim.Link{LatencyMin: 100 * time.Microsecond, LatencyMax: 500 * time.Microsecond}

// storeTime bounds what one call of the simulated store takes: there and back.
var storeTime = 2 * office.LatencyMax

// cluster is a world with one store and many nodes.
type cluster struct {
	ctx     context.Context // of the measurement; looked at between steps
	world   *sim.World
	server  *simstore.Server
	meter   Meter
	options registry.Options
	monitor *linearizability.Monitor
	nodes   []*node
	failed  error         // the first of any process
	tidied  time.Duration // true time at which a session's end was last noticed or swept
}

// node is one process of the application.
type node struct {
	c       *cluster
	index   int
	id      registry.NodeID
	proc    *sim.Process
	h       *sim.Host
	reg     *registry.Registry
	session *registry.Session
}

// newCluster makes a world with a store in it. The caller closes the world.
func newCluster(ctx context.Context, seed uint64, nodes int, o registry.Options) *cluster {
	c := &cluster{
		ctx:     ctx,
		world:   sim.NewWorld(seed, sim.Options{MaxEvents: 1 << 40, MaxInstantEvents: 1 << 30}),
		options: o,
		monitor: linearizability.NewMonitor(),
	}
	c.options.Events = func(e registry.Event) {
		switch e.Kind {
		case registry.EventRevokeEnd, registry.EventSwept:
			c.tidied = c.world.Now()
		default: // leaves no records behind
		}
	}
	c.world.Net().SetDefault(office)
	c.world.Process("store-disk", sim.ProcessOptions{}).Start(func(context.Context, *sim.Host) {})
	engine := memory.New(memory.Options{Clock: c.world.Lookup("store-disk").Host(), MaxWatches: 64 * (nodes + 64)})
	c.server = simstore.NewServer(c.world, &metered{engine, &c.meter}, &simstore.Faults{Server: "store"})
	c.world.Invariant("registry", func() error {
		if c.failed != nil {
			return c.failed
		}
		return c.monitor.Check(c.world.Now())
	})
	return c
}

// step is how far the world runs between two looks at the context.
const step = time.Second

// until runs the world up to a true time.
func (c *cluster) until(at time.Duration) error {
	for c.world.Now() < at {
		if err := c.advance(at - c.world.Now()); err != nil {
			return err
		}
	}
	return nil
}

// advance runs the world for d, a step at most.
func (c *cluster) advance(d time.Duration) error {
	if err := c.ctx.Err(); err != nil {
		return fmt.Errorf("scale: at %v of true time: %w", c.world.Now(), err)
	}
	return c.world.Run(c.world.Now() + min(d, step))
}

// start starts a node whose main is f, after it has joined. An error of f stops
// the world.
func (c *cluster) start(i int, clock sim.ProcessOptions, f func(ctx context.Context, n *node) error) {
	n := &node{c: c, index: i, id: registry.NodeID(fmt.Sprintf("node-%04d", i+1))}
	n.proc = c.world.Process(string(n.id), clock)
	c.nodes = append(c.nodes, n)
	n.proc.Start(func(ctx context.Context, h *sim.Host) {
		if err := n.main(ctx, h, f); err != nil && c.failed == nil {
			c.failed = fmt.Errorf("%s: %w", n.id, err)
		}
	})
}

func (n *node) main(ctx context.Context, h *sim.Host, f func(ctx context.Context, n *node) error) error {
	n.h = h
	if err := n.open(); err != nil {
		return err
	}
	return f(ctx, n)
}

func (n *node) open() error {
	db, err := store.Open(n.c.server.Connect(n.h), n.h, n.h.Rand(), store.Options{})
	if err != nil {
		return err
	}
	n.reg, err = registry.Open(n.h, db, n.c.options)
	return err
}

// join joins, in place of the node's dead process if there was one.
func (n *node) join(ctx context.Context) (err error) {
	n.session, err = n.reg.Join(ctx, n.id, registry.JoinOptions{Address: string(n.id), Wait: true})
	return err
}

// granted has the monitor watch a claim.
func (n *node) granted(c *registry.Claim) {
	proc, life := n.proc, n.proc.Life()
	n.c.monitor.Granted(n.c.world.Now(), string(c.Actor()), string(n.id), uint64(n.session.Incarnation()), uint64(c.Token()),
		func() bool { return proc.Life() == life && proc.Alive() && c.Valid() })
}

// options returns the registry's options in force.
func (n *node) options() registry.Options { return n.reg.Options() }

func actorName(i int) registry.ActorID { return registry.ActorID(fmt.Sprintf("actor/%08d", i)) }

// rest lets the sweeps come to their end: nobody has seen a session end or cleared what
// one left for as long as a monitor may leave that to another.
func (c *cluster) rest() error {
	o := c.nodes[len(c.nodes)-1].options()
	patience := time.Duration(o.Monitors+1)*o.TTL + 2*o.LookEvery
	for c.tidied = c.world.Now(); c.world.Now()-c.tidied < patience; {
		if err := c.advance(step); err != nil {
			return err
		}
	}
	return nil
}

// audit looks whether records, index and load agree, once the registry is at rest.
func (c *cluster) audit() error {
	if err := c.rest(); err != nil {
		return err
	}
	var result error
	done := false
	n := c.nodes[len(c.nodes)-1]
	n.h.Go("audit", func(ctx context.Context) {
		result = n.reg.Check(ctx)
		done = true
	})
	for !done {
		if err := c.advance(step); err != nil {
			return err
		}
	}
	return result
}
