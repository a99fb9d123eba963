package simfdb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// Cluster is a simulated FoundationDB cluster: four server processes. Crash,
// restart, pause and cut them by their names; the cluster recovers by itself
// once its processes run and reach each other.
type Cluster struct {
	world *sim.World
	o     Options

	proxyName, resolverName, logName, storageName string

	// The disks: what outlives a life of their process.
	logDisk     logDisk
	storageDisk storageDisk

	// The lives of the servers, for Invariants; nil before the first.
	proxy    *proxy
	resolver *resolver

	clients   []*clientProcess // in the order in which they were first seen
	throttled []string         // tags

	counts  Counts
	witness witness
}

// generation counts recoveries. Each generation of servers refuses the requests
// of the others.
type generation uint64

// requestID tells the requests of a client apart.
type requestID uint64

// portName is the name of the port that each server, and each client, has.
const portName = "fdb"

// Counts say what happened in a cluster.
type Counts struct {
	Committed      uint64 // transactions acknowledged
	Conflicts      uint64 // transactions refused with 1020, injected ones included
	TooOld         uint64 // transactions refused with 1007
	ConnectionLost uint64 // commits answered with the end of the connection
	Recoveries     uint64 // beyond the first start
	Restarted      uint64 // reads and read version requests sent again
	CommitUnknown  uint64 // commits that clients reported as 1021
	InDoubt        uint64 // commits in flight when their context ended
	Fences         uint64 // conflicting transactions committed after a 1021

	Faults FaultCounts // injected faults that fired
}

// FaultCounts count the faults of [Faults] that fired.
type FaultCounts struct {
	TagThrottled, BatchRateLimit, ProcessBehind, FutureVersion, TimedOut       uint64
	ProxyMemory, Conflict, RequestLost, ReplyLost, UpgradeBefore, UpgradeAfter uint64
}

// NewCluster starts a cluster in w. It serves as soon as its servers have found
// each other, less than a millisecond later by default. It panics when o is
// invalid; see [Options.Validate].
func NewCluster(w *sim.World, o Options) *Cluster {
	if err := o.Validate(); err != nil {
		panic(err)
	}
	o.setDefaults()
	c := &Cluster{
		world:        w,
		o:            o,
		proxyName:    o.Name + "-proxy",
		resolverName: o.Name + "-resolver",
		logName:      o.Name + "-log",
		storageName:  o.Name + "-storage",
	}
	servers := c.Servers()
	for _, from := range servers {
		for _, to := range servers {
			if from != to {
				w.Net().SetLink(from, to, o.ServerLink)
			}
		}
	}
	c.start(c.proxyName, c.startProxy)
	c.start(c.resolverName, c.startResolver)
	c.start(c.logName, c.startLog)
	c.start(c.storageName, c.startStorage)
	return c
}

func (c *Cluster) start(name string, life func(h *sim.Host)) {
	c.world.Process(name, sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) { life(h) })
}

// Servers returns the names of the server processes: proxy, resolver, log and
// storage.
func (c *Cluster) Servers() []string {
	return []string{c.proxyName, c.resolverName, c.logName, c.storageName}
}

// SetFaults sets the probabilities of injected faults from now on. It returns
// an error, and changes nothing, when one is not a probability.
func (c *Cluster) SetFaults(f Faults) error {
	if err := f.Validate(); err != nil {
		return err
	}
	c.o.Faults = f
	return nil
}

// Counts returns what happened so far.
func (c *Cluster) Counts() Counts { return c.counts }

// fires draws whether a fault of probability rate strikes the request, by the
// request's identity, and counts it.
func (c *Cluster) fires(rate float64, fault string, from *sim.Port, id requestID, count *uint64) bool {
	if rate <= 0 {
		return false
	}
	const bits = 53
	draw := c.world.Draw("fdb "+fault+" "+from.Addr().Process, uint64(id))
	if float64(draw>>(64-bits))/(1<<bits) >= rate {
		return false
	}
	*count++
	return true
}

// between draws a duration by identity.
func (c *Cluster) between(least, most time.Duration, stream string, id uint64) time.Duration {
	if most <= least {
		return least
	}
	return least + time.Duration(c.world.Draw(stream, id)%uint64(most-least+1))
}

// clientProcess is a process that has, or had, clients of the cluster.
type clientProcess struct {
	name string
	life uint64
	n    uint64 // clients in that life
}

// connect registers a new client of a process, and sets the process's links on
// first sight. It returns the client's number in this life of the process, from
// 1 on.
func (c *Cluster) connect(h *sim.Host) uint64 {
	i := slices.IndexFunc(c.clients, func(p *clientProcess) bool { return p.name == h.Name() })
	if i < 0 {
		i = len(c.clients)
		c.clients = append(c.clients, &clientProcess{name: h.Name()})
		if c.o.ClientLink != (sim.Link{}) {
			for _, server := range []string{c.proxyName, c.storageName} {
				c.world.Net().SetLink(h.Name(), server, c.o.ClientLink)
				c.world.Net().SetLink(server, h.Name(), c.o.ClientLink)
			}
		}
	}
	p := c.clients[i]
	if life := h.Process().Life(); p.life != life {
		p.life, p.n = life, 0
	}
	p.n++
	return p.n
}

// unexpected is the panic for a message that its receiver does not know: a
// broken invariant of this package.
func unexpected(server string, m sim.Message) string {
	return fmt.Sprintf("simfdb: %s got a message of type %T", server, m.Body)
}
