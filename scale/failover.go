package scale

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
)

// FailOverConfig is a cluster in which the owner of one actor dies while others
// wait for it, once for each seed.
type FailOverConfig struct {
	Nodes   int    // 2 to 1,000
	Seeds   int    // 1 to MaxSeeds
	From    uint64 // the first seed
	Options registry.Options
}

// FailOverFigures is how long the actor was without an owner.
type FailOverFigures struct {
	TTL   time.Duration
	Took  Distribution  // from the kill to the new owner's first accepted write
	Bound time.Duration // of the claim, by Registry.Bounds; the write comes after it
}

func (c *FailOverConfig) check() error {
	return errors.Join(between("Nodes", c.Nodes, 2, 1000), between("Seeds", c.Seeds, 1, MaxSeeds))
}

// MeasureFailOver runs a world for each seed. The owner dies at a time, and the
// clocks of all nodes run at rates within MaxDrift, that the seed draws. The error
// wraps [ErrConfig] or that of ctx, or is a [*sim.Failure] when something that must
// hold did not.
func MeasureFailOver(ctx context.Context, c FailOverConfig) (FailOverFigures, error) {
	if err := c.check(); err != nil {
		return FailOverFigures{}, err
	}
	var f FailOverFigures
	took := make([]time.Duration, 0, c.Seeds)
	for i := range c.Seeds {
		d, err := f.measure(ctx, &c, c.From+uint64(i))
		if err != nil {
			return f, fmt.Errorf("seed %d: %w", c.From+uint64(i), err)
		}
		took = append(took, d)
	}
	f.Took = distribution(took)
	return f, nil
}

// The resource that owners write to. It checks fencing tokens.
const (
	sinkName  = "sink"
	sinkWrite = "write"
	sinkActor = registry.ActorID("actor")
)

// failOver is one run of MeasureFailOver.
type failOver struct {
	*cluster
	highest  uint64        // token at the sink
	killed   time.Duration // 0: not yet
	accepted time.Duration // 0: no write of a new owner yet
}

func (f *FailOverFigures) measure(ctx context.Context, c *FailOverConfig, seed uint64) (time.Duration, error) {
	w := &failOver{cluster: newCluster(ctx, seed, c.Nodes, c.Options)}
	defer w.world.Close()
	w.world.Process(sinkName, sim.ProcessOptions{}).Start(w.sink)
	for i := range c.Nodes {
		w.start(i, w.clock(i), w.node)
	}
	if err := w.until(time.Second); err != nil {
		return 0, err
	}
	o := w.nodes[0].options()
	f.TTL, f.Bound = o.TTL, w.nodes[0].reg.Bounds(storeTime, c.Nodes).FailOver
	// The owner dies after its first renewals, at any phase of them.
	at := 2*o.TTL + time.Duration(w.world.Draw("kill")%uint64(o.TTL))
	if err := w.until(at); err != nil {
		return 0, err
	}
	w.killed = w.world.Now()
	w.nodes[0].proc.Crash()
	limit := w.killed + 10*o.TTL
	for w.accepted == 0 && w.world.Now() < limit {
		if err := w.advance(o.TTL / 10); err != nil {
			return 0, err
		}
	}
	if w.accepted == 0 {
		return 0, errors.New("scale: the actor of the dead node had no owner after ten TTLs")
	}
	return w.accepted - w.killed, nil
}

// clock draws the rate of a node's clock; a third of them run at an extreme.
func (w *failOver) clock(i int) sim.ProcessOptions {
	drift := w.options.MaxDrift
	if drift == 0 {
		drift = registry.DefaultMaxDrift
	}
	bound := int64(drift * 1e9)
	rnd := w.world.Rand("clock/" + strconv.Itoa(i))
	switch rnd.IntN(6) {
	case 0:
		return sim.ProcessOptions{RatePPB: bound}
	case 1:
		return sim.ProcessOptions{RatePPB: -bound}
	}
	return sim.ProcessOptions{RatePPB: rnd.Int64N(2*bound+1) - bound}
}

// sink is the resource's program.
func (w *failOver) sink(_ context.Context, h *sim.Host) {
	h.Network().Handle(sinkWrite, func(_ context.Context, req []byte) ([]byte, error) {
		if len(req) != 8 {
			return nil, fmt.Errorf("scale: write of %d bytes", len(req))
		}
		token := binary.BigEndian.Uint64(req)
		ok := token >= w.highest
		if ok && w.killed != 0 && token > w.highest && w.accepted == 0 {
			w.accepted = w.world.Now()
		}
		w.highest = max(w.highest, token)
		w.monitor.FencedWrite(w.world.Now(), string(sinkActor), token, ok)
		return nil, nil
	})
}

// node is a node's program: the first owns the actor, the others wait for it, and
// the owner writes.
func (w *failOver) node(ctx context.Context, n *node) error {
	if n.index > 0 {
		if err := n.h.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	if err := n.join(ctx); err != nil {
		return err
	}
	c, err := n.session.ClaimWait(ctx, sinkActor)
	if err != nil {
		return err
	}
	n.granted(c)
	token := binary.BigEndian.AppendUint64(nil, uint64(c.Token()))
	for c.Valid() {
		if _, err := n.h.Network().Call(ctx, sinkName, sinkWrite, token); err != nil {
			return err
		}
		if err := n.h.Sleep(ctx, n.options().TTL/20); err != nil {
			return err
		}
	}
	return nil
}
