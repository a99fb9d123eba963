package registry

import (
	"fmt"
	"maps"
	"slices"
	"time"
	"unicode/utf8"
)

// NodeState is what the registry knows of a node's newest session.
type NodeState uint8

// States of a node. A session that is Joining, Active, Degraded or Draining is
// live: it may own actors.
const (
	// NodeJoining: the session is live, and not ready yet: actors are neither
	// placed on it nor transferred to it.
	NodeJoining NodeState = iota + 1
	// NodeActive: ready.
	NodeActive
	// NodeDegraded: Active, but its renewals have been missed; it is given no
	// actors until it renews.
	NodeDegraded
	// NodeDraining: it gives its actors away, takes none, and is about to leave.
	NodeDraining
	// NodeLeft: it ended its session by itself.
	NodeLeft
	// NodeFailed: its session was revoked.
	NodeFailed
)

var nodeStateNames = [...]string{"", "joining", "active", "degraded", "draining", "left", "failed"}

func (s NodeState) String() string {
	if s > 0 && int(s) < len(nodeStateNames) {
		return nodeStateNames[s]
	}
	return fmt.Sprintf("NodeState(%d)", uint8(s))
}

// Live reports whether a session in this state may own actors.
func (s NodeState) Live() bool { return s >= NodeJoining && s <= NodeDraining }

// Limits of what a node says of itself.
const (
	MaxLabels          = 16
	MaxLabelKeyBytes   = 63
	MaxLabelValueBytes = 255
	MaxCapacity        = 1 << 40 // upper limit of JoinOptions.Capacity
)

// Node is a node's newest session.
type Node struct {
	ID          NodeID
	Incarnation Incarnation
	State       NodeState
	Address     string
	Labels      map[string]string // as given to Join; not to be changed
	Capacity    int64             // how many actors it takes; 0: no limit
	TTL         time.Duration     // of its lease
	Owned       int64             // how many actors it owned when that was read
}

// Takes reports whether the node may be given an actor: it is Active, and not
// full.
func (n *Node) Takes() bool {
	return n.State == NodeActive && (n.Capacity == 0 || n.Owned < n.Capacity)
}

func validateLabels(labels map[string]string) error {
	if len(labels) > MaxLabels {
		return invalid("JoinOptions.Labels has %d labels, at most %d are allowed", len(labels), MaxLabels)
	}
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		v := labels[k]
		switch {
		case k == "":
			return invalid("JoinOptions.Labels has an empty key")
		case len(k) > MaxLabelKeyBytes:
			return invalid("JoinOptions.Labels key %q has %d bytes, at most %d are allowed", k, len(k), MaxLabelKeyBytes)
		case len(v) > MaxLabelValueBytes:
			return invalid("JoinOptions.Labels[%q] has %d bytes, at most %d are allowed", k, len(v), MaxLabelValueBytes)
		case !utf8.ValidString(k) || !utf8.ValidString(v):
			return invalid("JoinOptions.Labels[%q] = %q is not valid UTF-8", k, v)
		}
	}
	return nil
}
