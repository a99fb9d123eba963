package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
)

// RollingConfig is a cluster of which every node is restarted, one after the other,
// as an upgrade does it: drain, leave, stop, start.
type RollingConfig struct {
	Nodes   int // 2 to 1,000
	Actors  int // 1 to MaxActors
	Seed    uint64
	Options registry.Options
}

// RollingFigures is what actors noticed of it.
type RollingFigures struct {
	TTL   time.Duration
	Moved int // hand-overs
	// Released counts the actors that no other node took.
	Released int
	// Without is how long each hand-over left its actor without a handle that is
	// Valid: from the moment at which the old owner stopped believing to the one
	// at which the new owner had its handle.
	Without Distribution
	Drains  Distribution  // how long each node took to drain
	Took    time.Duration // true time of the whole restart
}

// pauseBetween is how long a rolling restart waits between two nodes, for each to
// have joined again and taken a look around.
const pauseBetween = 2 * time.Second

// rolling is one run of MeasureRolling.
type rolling struct {
	*cluster
	config  RollingConfig
	figures RollingFigures
	stopped map[registry.ActorID]time.Duration // when the old owner did
	without []time.Duration
	drains  []time.Duration
	ready   int
}

// MeasureRolling runs one cluster. The error wraps [ErrConfig] or that of ctx, or is
// a [*sim.Failure] when something that must hold did not.
func MeasureRolling(ctx context.Context, c RollingConfig) (RollingFigures, error) {
	if err := errors.Join(between("Nodes", c.Nodes, 2, 1000), between("Actors", c.Actors, 1, MaxActors)); err != nil {
		return RollingFigures{}, err
	}
	r := &rolling{
		cluster: newCluster(ctx, c.Seed, c.Nodes, c.Options), config: c,
		stopped: make(map[registry.ActorID]time.Duration),
	}
	defer r.world.Close()
	for i := range c.Nodes {
		r.start(i, sim.ProcessOptions{}, r.node)
	}
	for r.ready < c.Nodes {
		if err := r.advance(step); err != nil {
			return r.figures, err
		}
	}
	r.figures.TTL = r.nodes[0].options().TTL
	began := r.world.Now()
	for _, n := range r.nodes {
		if err := r.restart(n); err != nil {
			return r.figures, err
		}
	}
	r.figures.Took = r.world.Now() - began
	r.figures.Without, r.figures.Drains = distribution(r.without), distribution(r.drains)
	if r.figures.Without.N() != r.figures.Moved {
		return r.figures, fmt.Errorf("scale: %d of %d actors that were moved were taken up", r.figures.Without.N(), r.figures.Moved)
	}
	return r.figures, r.audit()
}

// node is a node's program: it joins, claims its share in its first life, and takes
// up what it is given.
func (r *rolling) node(ctx context.Context, n *node) error {
	if err := n.join(ctx); err != nil {
		return err
	}
	n.h.Go("taker", func(ctx context.Context) {
		for c, err := range n.session.Assignments(ctx) {
			if err != nil {
				return // the session has ended
			}
			r.taken(n, c)
		}
	})
	if n.proc.Life() == 1 {
		for i := n.index; i < r.config.Actors; i += r.config.Nodes {
			c, err := n.session.Claim(ctx, actorName(i))
			if err != nil {
				return err
			}
			n.granted(c)
		}
	}
	r.ready++
	return nil
}

// taken notes that the new owner has its handle.
func (r *rolling) taken(n *node, c *registry.Claim) {
	n.granted(c)
	if at, ok := r.stopped[c.Actor()]; ok {
		r.without = append(r.without, r.world.Now()-at)
		delete(r.stopped, c.Actor())
	}
}

// restart drains a node, ends its process and starts it again.
func (r *rolling) restart(n *node) error {
	began, done := r.world.Now(), false
	n.h.Go("restart", func(ctx context.Context) {
		sum, err := n.session.Drain(ctx, registry.DrainOptions{HandOff: r.handOff(n)})
		r.figures.Moved += sum.Moved
		r.figures.Released += sum.Released
		r.drains = append(r.drains, r.world.Now()-began)
		if err == nil {
			err = n.session.Leave(ctx)
		}
		if err != nil && r.failed == nil {
			r.failed = err
		}
		done = true
	})
	for !done {
		if err := r.advance(step / 10); err != nil {
			return err
		}
	}
	n.proc.Crash()
	r.ready--
	n.proc.Restart()
	for r.ready < r.config.Nodes {
		if err := r.advance(step / 10); err != nil {
			return err
		}
	}
	return r.until(r.world.Now() + pauseBetween)
}

// handOff notes when the holder stops believing.
func (r *rolling) handOff(n *node) registry.HandOff {
	return func(_ context.Context, c *registry.Claim) ([]byte, error) {
		n.h.Go("stop", func(context.Context) {
			forever := n.h.NewEvent()
			_ = forever.Wait(c.Context()) // it ends with the claim
			if _, ok := r.stopped[c.Actor()]; !ok {
				r.stopped[c.Actor()] = r.world.Now()
			}
		})
		return nil, nil
	}
}
