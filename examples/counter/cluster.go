package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// cluster is all nodes and the store that they share.
type cluster struct {
	engine *memory.Engine
	ttl    time.Duration

	mu    sync.Mutex
	nodes []*node
}

func startCluster(ctx context.Context, ttl time.Duration) (*cluster, error) {
	c := &cluster{engine: memory.New(memory.Options{}), ttl: ttl}
	for i := range nodes {
		n, err := startNode(ctx, registry.NodeID(fmt.Sprintf("node-%d", i+1)), c.engine, ttl)
		if err != nil {
			c.close()
			return nil, err
		}
		c.nodes = append(c.nodes, n)
	}
	return c, nil
}

// node returns a node by its place.
func (c *cluster) node(i int) *node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

// restart has a node give all its counters away, leave, and start anew.
func (c *cluster) restart(ctx context.Context, i int) (registry.Drained, error) {
	n := c.node(i)
	moved, err := n.drain(ctx)
	n.stop()
	if err != nil {
		return moved, err
	}
	n, err = startNode(ctx, n.id, c.engine, c.ttl)
	if err != nil {
		return moved, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i] = n
	return moved, nil
}

// owners returns the node that owns each counter. A counter that nobody owns just
// now, or whose lookup fails, is left out.
func (c *cluster) owners(ctx context.Context) map[string]registry.NodeID {
	found := make(map[string]registry.NodeID)
	for i := range counters {
		name := counterName(i)
		if o, err := c.node(0).registry.Lookup(ctx, registry.ActorID(name)); err == nil {
			found[name] = o.Node
		}
	}
	return found
}

func (c *cluster) close() {
	for _, n := range c.nodes {
		n.stop()
	}
	_ = c.engine.Close() // an engine in memory has nothing to lose
}
