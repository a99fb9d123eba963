package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// Servers of store/remote end in order as cmd/kelpied does: they drain, wait until
// nothing is under way, let the last answers leave, and close.

const (
	// drainPoll is how often a server that drains looks whether it may close.
	drainPoll = 5 * time.Millisecond
	// lastAnswers is the time for the last answers to leave, and for those to come
	// who have not heard yet that the server is about to end.
	lastAnswers = 50 * time.Millisecond
)

// remoteLife is one life of a server.
type remoteLife struct {
	host   *sim.Host
	server *remote.Server
	store  *behindServer
}

// behindServer counts the commits that reach the store through a server.
type behindServer struct {
	store.Engine
	begun, ended int
}

func (e *behindServer) underWay() int { return e.begun - e.ended }

// Begin implements [store.Engine].
func (e *behindServer) Begin(ctx context.Context) store.Txn {
	return behindTxn{e.Engine.Begin(ctx), e}
}

type behindTxn struct {
	store.Txn
	engine *behindServer
}

// Commit implements [store.Txn].
func (t behindTxn) Commit() error {
	t.engine.begun++
	err := t.Txn.Commit()
	t.engine.ended++
	return err
}

// drainHandler has a server end in order when a fault begins, and starts its next
// life when none lasts any more, even if this one has not ended by then: so does who
// restarts servers, and loses patience.
func (r *run) drainHandler(servers []string) faults.Handler {
	draining := make(map[string]*sim.Host)
	return faults.Handler{Targets: servers, Apply: func(target string, lasting []faults.Fault) bool {
		p := r.world.Lookup(target)
		switch before := draining[target]; {
		case len(lasting) == 0:
			if before != nil && (p.Host() == before || !p.Alive()) {
				p.Restart()
			}
			delete(draining, target)
		case before == nil && p.Alive():
			for _, l := range r.remotes {
				if l.host == p.Host() {
					draining[target] = l.host
					l.host.Go("drain", func(ctx context.Context) { r.endInOrder(ctx, l) })
					return true
				}
			}
		}
		return false
	}}
}

// endInOrder ends a server's life, and checks what a drain promises: nothing new
// begins, no watch keeps anybody waiting, and once nothing is under way, Close gives
// up nothing.
func (r *run) endInOrder(ctx context.Context, l remoteLife) {
	l.server.Drain()
	if l.store.underWay() > 0 {
		r.happened(evServerWaited)
	}
	begun := l.store.begun
	for l.server.Stats().Busy > 0 {
		r.checkDrained(l, begun)
		if l.host.Sleep(ctx, drainPoll) != nil {
			return
		}
	}
	if l.host.Sleep(ctx, lastAnswers) != nil {
		return
	}
	r.checkDrained(l, begun)
	if n := l.store.underWay(); n > 0 {
		r.world.Fail("drain-broken", fmt.Errorf("%s closes while %d commits are under way, and said that none is", l.host.Name(), n))
	}
	if err := l.server.Close(); err != nil {
		r.world.Fail("harness", err)
	}
	r.happened(evServerEnded)
	l.host.Process().Crash()
}

// checkDrained checks that a server that drains has let nothing in, when so many
// commits had begun before.
func (r *run) checkDrained(l remoteLife, begun int) {
	if n := l.store.begun - begun; n > 0 {
		r.world.Fail("drain-broken", fmt.Errorf("%s has begun %d commits since it drains", l.host.Name(), n))
	}
	if n := l.server.Stats().Watches; n > 0 {
		r.world.Fail("drain-broken", fmt.Errorf("%s has %d watches although it drains", l.host.Name(), n))
	}
}
