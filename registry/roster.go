package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// roster is what a session knows of all nodes, itself among them, as of some
// moment. It is never changed: a newer one takes its place.
type roster struct {
	version uint64 // grows with each change; 0 before the first snapshot
	nodes   []*Node
}

// live returns the nodes whose session may own actors, in the order of ids.
func (r *roster) live() []*Node {
	var live []*Node
	for _, n := range r.nodes {
		if n.State.Live() {
			live = append(live, n)
		}
	}
	return live
}

// roster returns what the session knows of all nodes, which lags behind by about
// rosterPace and a read. It is empty before the first read, and always when the
// session keeps none; see Options.Monitors.
func (s *Session) roster() *roster {
	if r := s.nodes.Load(); r != nil {
		return r
	}
	return &roster{}
}

// rosterPace divides the TTL: changes that come within so long are learnt with one
// read.
const rosterPace = 100

// keepRoster follows the nodes until the session ends. A watch that ends before
// that, because of a record that cannot be read for instance, is begun anew.
func (s *Session) keepRoster(context.Context) {
	for {
		s.followNodes()
		if s.r.host.Sleep(s.ctx, s.r.o.PollEvery) != nil {
			return
		}
	}
}

// followNodes returns when the watch has ended.
func (s *Session) followNodes() {
	nodes := make(map[NodeID]*Node)
	for u, err := range s.r.WatchNodes(s.ctx, ResumePoint{}) {
		if err != nil {
			return
		}
		if u.Snapshot {
			clear(nodes)
			for i := range u.Nodes {
				nodes[u.Nodes[i].ID] = &u.Nodes[i]
			}
		}
		for i := range u.Changes {
			if c := &u.Changes[i]; c.Forgotten {
				delete(nodes, c.Node.ID)
			} else {
				nodes[c.Node.ID] = &c.Node
			}
		}
		s.nodes.Store(&roster{version: u.Resume.head + 1, nodes: slices.SortedFunc(maps.Values(nodes), byID)})
		if s.r.host.Sleep(s.ctx, s.ttl/rosterPace) != nil {
			return
		}
	}
}

func byID(a, b *Node) int { return strings.Compare(string(a.ID), string(b.ID)) }
