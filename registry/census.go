package registry

import (
	"context"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// census is what this process last read of all nodes, for choices that are
// checked again when they are acted upon. One task reads at a time; the others
// wait for what it finds.
type census struct {
	mu      sync.Mutex
	nodes   []Node        // sorted by id; never changed in place but for Owned
	at      time.Duration // Uptime before the read
	number  uint64        // of that read; 0: there was none
	begun   uint64        // reads so far
	reading clock.Event   // set when the read under way has ended; nil when none is
}

// freshness says how old what is known of the nodes may be.
type freshness struct {
	notBefore time.Duration // on the host's Uptime
	after     uint64        // a later read than that
}

// fromNow asks for a read that begins after this call.
func (c *census) fromNow() freshness {
	c.mu.Lock()
	defer c.mu.Unlock()
	return freshness{after: c.begun}
}

// nodesTaking returns the nodes that takes accepts, with what this process has
// placed on them since they were read counted in. The result is the caller's.
func (r *Registry) nodesTaking(ctx context.Context, f freshness, takes func(*Node) bool) ([]Node, error) {
	c := &r.census
	for {
		mine := r.host.NewEvent()
		c.mu.Lock()
		if c.number > f.after && c.at >= f.notBefore {
			found := make([]Node, 0, len(c.nodes))
			for i := range c.nodes {
				if takes(&c.nodes[i]) {
					found = append(found, c.nodes[i])
				}
			}
			c.mu.Unlock()
			return found, nil
		}
		theirs := c.reading
		if theirs == nil {
			c.reading = mine
			c.begun++
		}
		c.mu.Unlock()
		if theirs != nil {
			if err := theirs.Wait(ctx); err != nil {
				return nil, err
			}
			continue
		}
		if err := r.takeCensus(ctx); err != nil {
			return nil, err
		}
	}
}

// takeCensus reads all nodes. Its caller has announced it.
func (r *Registry) takeCensus(ctx context.Context) error {
	c := &r.census
	at := r.host.Uptime()
	var nodes []Node
	err := r.db.Read(ctx, func(tx store.Reader) (err error) {
		nodes, err = r.readNodes(tx)
		return err
	})
	c.mu.Lock()
	if err == nil {
		c.nodes, c.at, c.number = nodes, at, c.begun
	}
	ended := c.reading
	c.reading = nil
	c.mu.Unlock()
	ended.Set()
	return err
}

// countIn notes that a node owns delta more actors than the census says.
func (r *Registry) countIn(id sessionID, delta int64) {
	c := &r.census
	c.mu.Lock()
	defer c.mu.Unlock()
	if i, found := findNode(c.nodes, id.node); found && c.nodes[i].Incarnation == id.incarnation {
		c.nodes[i].Owned += delta
	}
}
