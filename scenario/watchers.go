package scenario

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
)

// In a scenario that watches, each process follows the nodes and folds what it is
// told, as an application does that routes by it. Two promises: whoever has been
// told up to one point knows the same, and once faults have stopped everybody
// comes to know what the store has.

// watcher is what one process was told. It outlives the process: half of the lives
// go on where the one before has stopped.
type watcher struct {
	resume registry.ResumePoint
	nodes  map[registry.NodeID]registry.Node
}

// told is what somebody knew of all nodes at some point.
type told struct {
	digest   string
	snapshot bool // it was read, and not folded from changes
}

// watch follows the nodes for as long as the process lives.
func (l *life) watch(ctx context.Context) {
	r, w := l.n.r, &l.n.watcher
	if r.world.Draw("forget", l.n.key, l.number)%2 == 0 {
		*w = watcher{}
	}
	if w.resume != (registry.ResumePoint{}) {
		r.happened(evResumed)
	}
	for u, err := range l.reg.WatchNodes(ctx, w.resume) {
		if err == nil {
			err = r.told(w, u)
		}
		if err != nil {
			r.world.Fail("nodes-disagree", fmt.Errorf("%s: %w", l.n.proc.Name(), err))
			return
		}
	}
}

// told folds an update and compares the result with that of others.
func (r *run) told(w *watcher, u registry.NodesUpdate) error {
	if resumed := w.resume != (registry.ResumePoint{}); u.Compacted != (u.Snapshot && resumed) {
		return fmt.Errorf("told snapshot: %v, compacted: %v, after %v", u.Snapshot, u.Compacted, w.resume)
	}
	if u.Compacted {
		r.happened(evCompacted)
	}
	if u.Snapshot {
		w.nodes = make(map[registry.NodeID]registry.Node, len(u.Nodes))
		for _, n := range u.Nodes {
			w.nodes[n.ID] = n
		}
	}
	for i, c := range u.Changes {
		number := w.resume.Changes() + uint64(i) + 1
		if err := r.fold(w, c); err != nil {
			return fmt.Errorf("change %d: %w", number, err)
		}
		if err := agree(r.changes, number, fmt.Sprintf("%q, incarnation %v, %v", c.Node.ID, c.Node.Incarnation, c.Node.State)); err != nil {
			return fmt.Errorf("change %d: %w", number, err)
		}
	}
	if !u.Snapshot && w.resume.Changes()+uint64(len(u.Changes)) != u.Resume.Changes() {
		return fmt.Errorf("told %d changes between %v and %v", len(u.Changes), w.resume, u.Resume)
	}
	w.resume = u.Resume
	now := told{digest(w.all()), u.Snapshot}
	other, ok := r.known[u.Resume.Changes()]
	if !ok {
		r.known[u.Resume.Changes()] = now
		return nil
	}
	r.happened(evAgreed)
	if other.snapshot != now.snapshot {
		r.happened(evSnapshotAgreed)
	}
	if other.digest != now.digest {
		return fmt.Errorf("after %d changes one knows %s, another %s", u.Resume.Changes(), other.digest, now.digest)
	}
	return nil
}

// agree notes what somebody was told, or compares it with what others were.
func agree(told map[uint64]string, number uint64, what string) error {
	if other, ok := told[number]; ok && other != what {
		return fmt.Errorf("one was told of %s, another of %s", what, other)
	}
	told[number] = what
	return nil
}

// fold takes up one change.
func (r *run) fold(w *watcher, c registry.NodeChange) error {
	was, ok := w.nodes[c.Node.ID]
	if c.Forgotten {
		if !ok || was.State.Live() {
			return fmt.Errorf("%q is forgotten, and was %v", c.Node.ID, was.State)
		}
		delete(w.nodes, c.Node.ID)
		r.happened(evToldForgotten)
		return nil
	}
	fresh := !ok || c.Node.Incarnation > was.Incarnation
	switch {
	case ok && c.Node.Incarnation < was.Incarnation:
		return fmt.Errorf("%q goes back from incarnation %v to %v", c.Node.ID, was.Incarnation, c.Node.Incarnation)
	case fresh && !c.Node.State.Live():
		return fmt.Errorf("incarnation %v of %q begins as %v", c.Node.Incarnation, c.Node.ID, c.Node.State)
	case !fresh && !was.State.Live():
		return fmt.Errorf("incarnation %v of %q is %v after it was %v", c.Node.Incarnation, c.Node.ID, c.Node.State, was.State)
	case !fresh && was.State == c.Node.State:
		return fmt.Errorf("incarnation %v of %q becomes %v a second time", c.Node.Incarnation, c.Node.ID, c.Node.State)
	}
	switch {
	case c.Node.State == registry.NodeJoining:
		r.happened(evToldJoining)
	case c.Node.State == registry.NodeDegraded:
		r.happened(evToldDegraded)
	case was.State == registry.NodeDegraded && c.Node.State == registry.NodeActive && !fresh:
		r.happened(evToldRecovered)
	case c.Node.State == registry.NodeLeft:
		r.happened(evToldLeft)
	case c.Node.State == registry.NodeFailed:
		r.happened(evToldFailed)
	case was.State == registry.NodeJoining && !fresh:
		r.happened(evToldReady)
	}
	w.nodes[c.Node.ID] = c.Node
	return nil
}

// all returns what the watcher knows, in the order of ids.
func (w *watcher) all() []registry.Node {
	return slices.SortedFunc(maps.Values(w.nodes), func(a, b registry.Node) int {
		return strings.Compare(string(a.ID), string(b.ID))
	})
}

// digest puts what is known of the nodes, in the order of ids, into a short text.
func digest(nodes []registry.Node) string {
	h := fnv.New64a()
	for _, n := range nodes {
		fmt.Fprintf(h, "%q %v %v %q %v\n", n.ID, n.Incarnation, n.State, n.Address, n.Labels) // maps print in the order of keys
	}
	return fmt.Sprintf("%d nodes, %016x", len(nodes), h.Sum64())
}

// toldWithin bounds how long a change may take to be told in a world without
// faults: a poll, in case the watch was lost, and reads.
const toldWithin = 3 * time.Second

// demandTold checks that every process that lives comes to know what the store has.
func (l *life) demandTold(ctx context.Context) {
	deadline := l.now() + toldWithin
	for _, n := range l.n.r.nodes {
		l.demandKnown(ctx, n.proc.Name(), deadline, func() ([]registry.Node, bool) { return n.watcher.all(), n.proc.Alive() })
	}
}

// demandSessionKnows checks that the auditor's own session does.
func (l *life) demandSessionKnows(ctx context.Context) {
	l.demandKnown(ctx, "the auditor's session", l.now()+toldWithin, func() ([]registry.Node, bool) { return l.session.Nodes(), true })
}

// demandKnown checks that somebody comes to know by the deadline what the store has,
// if it stays alive.
func (l *life) demandKnown(ctx context.Context, who string, deadline time.Duration, known func() (nodes []registry.Node, alive bool)) {
	for {
		nodes, err := l.reg.Nodes(ctx)
		knows, alive := known()
		if !alive || err == nil && digest(nodes) == digest(knows) {
			return
		}
		if l.now() > deadline {
			l.n.r.world.Fail("nodes-not-told", errors.Join(err, fmt.Errorf("%v after the last change %s knows %v, the store has %v", toldWithin, who, knows, nodes)))
			return
		}
		l.sleep(ctx, toldWithin/20)
	}
}
