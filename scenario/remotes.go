package scenario

import (
	"context"
	"strconv"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// remoteNames are the processes that serve the store to the nodes.
func remoteNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = "remote-" + strconv.Itoa(i+1)
	}
	return names
}

// startRemotes puts servers of store/remote between the run's store and its nodes.
// They crash as the store's own servers do. A crash takes all that a server
// remembers; the store behind it stays.
func (r *run) startRemotes(handlers faults.Handlers) {
	inner := r.engine
	names := remoteNames(r.shape.remotes)
	addresses := make([]network.Address, len(names))
	for i, name := range names {
		addresses[i] = network.Address(name)
		r.world.Process(name, sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
			store := &behindServer{Engine: inner(h)}
			s, err := remote.NewServer(h, store, remote.ServerOptions{TxnIdle: effectTimeout})
			if err != nil {
				r.world.Fail("harness", err)
				return
			}
			r.remotes = append(r.remotes, remoteLife{host: h, server: s, store: store})
		})
	}
	r.engine = func(h *sim.Host) store.Engine {
		e, err := remote.Open(h, remote.Options{Servers: addresses, CallTimeout: time.Second, Poll: 2 * time.Second, Gather: time.Millisecond})
		if err != nil {
			r.world.Fail("harness", err)
		}
		r.clients = append(r.clients, e)
		return e
	}
	handlers[faults.ServerCrash] = r.crashHandler(append(handlers[faults.ServerCrash].Targets, names...))
	handlers[faults.ServerDrain] = r.drainHandler(names)
}

// countRemotes counts what the servers and their clients have met.
func (r *run) countRemotes() {
	for _, l := range r.remotes {
		n := l.server.Stats()
		r.events[evCopied] += n.Copies
		r.events[evStranger] += n.Strangers
	}
	for _, e := range r.clients {
		n := e.Stats()
		r.events[evSwitched] += n.Switches
		r.events[evRemoteDoubt] += n.Doubts
		r.events[evBatched] += n.Batches
		r.events[evAskedAgain] += n.AskedAgain
		r.events[evBatchLost] += n.LostBatches
		r.events[evWatchResumed] += n.Resumed
	}
}
