package scale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
)

// LoadConfig is a cluster at rest: every actor has its owner, and nothing
// happens but renewals, monitoring and what else the registry does by itself.
type LoadConfig struct {
	Nodes  int // 1 to MaxNodes
	Actors int // 0 to MaxActors, shared out evenly
	Seed   uint64
	// For is how long the cluster is watched, in true time; at least a second,
	// at most a day. Default: ten renewals.
	For time.Duration
	// Kill is how many nodes die then, at once; below Nodes. Others claim one
	// actor of each.
	Kill int
	// Options of the registry; Events is not called: the measurement has its own.
	Options registry.Options
}

// LoadFigures is what a cluster at rest costs.
type LoadFigures struct {
	Nodes, Actors int
	For           time.Duration // true time that the rates are over
	AtRest        Meter         // in that time
	Filled        time.Duration // true time until every actor had its owner
	Filling       Meter         // until then
	FailOver      Distribution  // from the kill to the new claim, an actor of each that died
	Bound         time.Duration // of FailOver
	Events        uint64
}

// PerSecond returns how many a second of true time n is.
func (f LoadFigures) PerSecond(n uint64) float64 { return float64(n) / f.For.Seconds() }

func (c *LoadConfig) check() error {
	o := c.Options
	if c.For == 0 {
		every := o.RenewEvery
		if every == 0 {
			every = max(o.TTL, registry.MinTTL) / 3
			if o.TTL == 0 {
				every = registry.DefaultTTL / 3
			}
		}
		c.For = max(10*every, time.Second)
	}
	if c.For < time.Second || c.For > 24*time.Hour {
		return fmt.Errorf("%w: For is %v, must be from 1s to 24h", ErrConfig, c.For)
	}
	return errors.Join(
		between("Nodes", c.Nodes, 1, MaxNodes),
		between("Actors", c.Actors, 0, MaxActors),
		between("Kill", c.Kill, 0, max(c.Nodes-1, 0)),
	)
}

// load is one run of MeasureLoad.
type load struct {
	*cluster
	config LoadConfig
	ready  int // nodes that have claimed their share
	took   []time.Duration
	killed time.Duration
}

// claimers is how many claims a node has under way while it fills.
const claimers = 4

// MeasureLoad runs one cluster. The error wraps [ErrConfig] or that of ctx,
// or is a [*sim.Failure] when something that must hold did not.
func MeasureLoad(ctx context.Context, c LoadConfig) (LoadFigures, error) {
	if err := c.check(); err != nil {
		return LoadFigures{}, err
	}
	l := &load{cluster: newCluster(ctx, c.Seed, c.Nodes, c.Options), config: c}
	defer l.world.Close()
	f := LoadFigures{Nodes: c.Nodes, Actors: c.Actors, For: c.For}
	for i := range c.Nodes {
		l.start(i, sim.ProcessOptions{}, l.node)
	}
	for l.ready < c.Nodes {
		if err := l.advance(step); err != nil {
			return f, err
		}
	}
	f.Filled, f.Filling = l.world.Now(), l.meter
	// Settle: what joins and claims have set off ends.
	settled := f.Filled + l.nodes[0].options().TTL
	if err := l.until(settled); err != nil {
		return f, err
	}
	before := l.meter
	if err := l.until(settled + c.For); err != nil {
		return f, err
	}
	f.AtRest = l.meter.since(before)
	f.Bound = l.nodes[0].reg.Bounds(storeTime, c.Nodes).FailOver
	if err := l.failOver(); err != nil {
		return f, err
	}
	f.FailOver = distribution(l.took)
	err := l.audit()
	f.Events = l.world.Stats().Events
	return f, err
}

// node is a node's program: it joins at its time, so that renewals are spread,
// and claims its share.
func (l *load) node(ctx context.Context, n *node) error {
	every := n.options().RenewEvery
	if err := n.h.Sleep(ctx, every*time.Duration(n.index)/time.Duration(l.config.Nodes)); err != nil {
		return err
	}
	if err := n.join(ctx); err != nil {
		return err
	}
	left := claimers
	for k := range claimers {
		n.h.Go("claimer", func(ctx context.Context) {
			if err := l.share(ctx, n, k); err != nil && l.failed == nil {
				l.failed = err
			}
			if left--; left == 0 {
				l.ready++
			}
		})
	}
	return nil
}

// share claims the actors that fall to one claimer of a node.
func (l *load) share(ctx context.Context, n *node, k int) error {
	for i := n.index + k*l.config.Nodes; i < l.config.Actors; i += claimers * l.config.Nodes {
		c, err := n.session.Claim(ctx, actorName(i))
		if err != nil {
			return err
		}
		n.granted(c)
	}
	return nil
}

// failOver kills nodes, and has another node wait for one actor of each.
func (l *load) failOver() error {
	kill := min(l.config.Kill, l.config.Actors)
	waiting := kill
	for i := range kill {
		heir := l.nodes[l.config.Kill+i%(l.config.Nodes-l.config.Kill)]
		heir.h.Go("heir", func(ctx context.Context) {
			c, err := heir.session.ClaimWait(ctx, actorName(i))
			if err != nil {
				if l.failed == nil {
					l.failed = err
				}
				return
			}
			heir.granted(c)
			l.took = append(l.took, l.world.Now()-l.killed)
			waiting--
		})
	}
	// The heirs have looked once before the kill.
	if err := l.until(l.world.Now() + 2*l.nodes[0].options().PollEvery); err != nil {
		return err
	}
	l.killed = l.world.Now()
	for _, n := range l.nodes[:kill] {
		n.proc.Crash()
	}
	limit := l.world.Now() + 10*l.nodes[0].options().TTL
	for waiting > 0 && l.world.Now() < limit {
		if err := l.advance(step); err != nil {
			return err
		}
	}
	if waiting > 0 {
		return fmt.Errorf("scale: %d of %d actors of dead nodes had no owner after ten TTLs", waiting, kill)
	}
	return nil
}
