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
	peers   *peers // those that are live; nil before the first snapshot
}

func newRoster(version uint64, nodes []*Node) *roster {
	r := &roster{version: version, nodes: nodes}
	live := r.live()
	ids := make([]NodeID, len(live))
	for i, n := range live {
		ids[i] = n.ID
	}
	r.peers = newPeers(ids)
	return r
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

// Nodes returns what the session knows of all nodes, in the order of ids, those
// included whose session has ended and is not forgotten yet; their loads are left
// out. It reads nothing: it is what the last change that the session learnt of left,
// some hundredth of the TTL and a read ago, or longer ago while the store cannot be
// read. It is empty before the first read, and always with a negative
// Options.Monitors.
func (s *Session) Nodes() []Node {
	known := s.roster().nodes
	nodes := make([]Node, len(known))
	for i, n := range known {
		nodes[i] = *n
	}
	return nodes
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
	nodes := make(known)
	for u, err := range s.r.WatchNodes(s.ctx, ResumePoint{}) {
		if err != nil {
			return
		}
		nodes.fold(&u)
		s.nodes.Store(newRoster(u.Resume.head+1, slices.SortedFunc(maps.Values(nodes), byID)))
		s.met.Set()
		if s.r.host.Sleep(s.ctx, s.ttl/rosterPace) != nil {
			return
		}
	}
}

// known is what has been told of nodes.
type known map[NodeID]*Node

// fold takes up an update, and keeps pointers into it.
func (k known) fold(u *NodesUpdate) {
	if u.Snapshot {
		clear(k)
		for i := range u.Nodes {
			k[u.Nodes[i].ID] = &u.Nodes[i]
		}
	}
	for i := range u.Changes {
		if c := &u.Changes[i]; c.Forgotten {
			delete(k, c.Node.ID)
		} else {
			k[c.Node.ID] = &c.Node
		}
	}
}

func byID(a, b *Node) int { return strings.Compare(string(a.ID), string(b.ID)) }
