package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// NodesUpdate is one element of [Registry.WatchNodes].
type NodesUpdate struct {
	// Snapshot: Nodes is every node, in the order of ids, their loads left out.
	Snapshot bool
	// Compacted: the changes since the last element, or since the point at which
	// to resume, are not kept any more, and a snapshot stands for them.
	Compacted bool
	Nodes     []Node
	// Changes are all changes since the last element, in the order in which they
	// took effect; empty in a snapshot.
	Changes []NodeChange
	// Resume is the point behind this element.
	Resume ResumePoint
}

// NodeChange is one change of one node.
type NodeChange struct {
	Node      Node // as it was since; only its ID when it was forgotten
	Forgotten bool // its session, which had ended, was removed
}

// WatchNodes returns the nodes and then their changes as they come: a snapshot
// first, or the changes since from, where that is not the zero ResumePoint. Every
// change is told once, in order; those that come close upon each other are told
// together.
//
// Failures of the store are waited out. The last element is an error: that of ctx
// when it ends; [ErrInvalid] when from was not made by this namespace's registry
// or lies in the future; [ErrCorrupt]; or the store's when it was closed.
func (r *Registry) WatchNodes(ctx context.Context, from ResumePoint) iter.Seq2[NodesUpdate, error] {
	return func(yield func(NodesUpdate, error) bool) {
		if err := from.check(r.o.Namespace); err != nil {
			yield(NodesUpdate{}, err)
			return
		}
		at := from
		for {
			u, watches, err := r.nodesSince(ctx, at)
			if err == nil && (u.Snapshot || len(u.Changes) > 0) {
				if !yield(u, nil) {
					cancelAll(watches)
					return
				}
			}
			switch {
			case err == nil:
				at = u.Resume
				err = r.waitForAny(ctx, watches)
			case !errors.Is(err, ErrInvalid):
				if err = r.patientAbout(ctx, err); err == nil {
					err = r.host.Sleep(ctx, r.o.PollEvery)
				}
			}
			cancelAll(watches)
			if err != nil {
				yield(NodesUpdate{}, fmt.Errorf("registry: watch nodes: %w", err))
				return
			}
		}
	}
}

// nodesSince returns what has come since a point, and a watch that fires when more
// has.
func (r *Registry) nodesSince(ctx context.Context, at ResumePoint) (u NodesUpdate, watches []store.Watch, err error) {
	_, err = r.db.Transact(ctx, func(tx store.Tx) error {
		cancelAll(watches)
		u, watches = NodesUpdate{}, nil
		vs, err := tx.GetAll(r.keys.head(), r.keys.epoch())
		if err != nil {
			return err
		}
		if u.Resume, err = r.resumePoint(tx, vs[0], vs[1]); err != nil {
			return err
		}
		switch {
		case at == (ResumePoint{}):
			u.Snapshot = true
		case at.epoch < u.Resume.epoch:
			u.Snapshot, u.Compacted = true, true
		case at.epoch > u.Resume.epoch || at.head > u.Resume.head || at.version > u.Resume.version:
			return invalid("the point at which to resume, %v, lies in the future: the registry is at %v", at, u.Resume)
		default:
			var all bool
			if u.Changes, all, err = r.changesSince(tx, at, u.Resume); err != nil {
				return err
			}
			if !all {
				u.Snapshot, u.Compacted, u.Changes = true, true, nil
			}
		}
		if u.Snapshot {
			if u.Nodes, err = r.readSessions(tx); err != nil {
				return err
			}
		}
		w, err := tx.Watch(r.keys.head())
		if err == nil {
			watches = append(watches, w)
		}
		return err
	})
	return u, watches, err
}

func (r *Registry) resumePoint(tx store.Tx, head, epoch []byte) (p ResumePoint, err error) {
	p.namespace = namespaceSum(r.o.Namespace)
	if p.head, err = decodeHead(head); err != nil {
		return p, err
	}
	if p.epoch, err = decodeEpoch(epoch); err != nil {
		return p, err
	}
	p.version, err = tx.ReadVersion()
	return p, err
}

// A reader looks for rows that came late logTrail behind the last position that it
// has read. That is most often enough, and costs each reader of each change but two
// rows; if rows are still missing it looks trailGrowth times as far behind.
const (
	logTrail    = 2
	trailGrowth = 8
)

// changesSince returns the changes between two points; all is false when some of
// them are not kept any more. A change since then was committed at a version above
// that of the earlier point, whatever its position.
func (r *Registry) changesSince(tx store.Reader, at, now ResumePoint) (changes []NodeChange, all bool, err error) {
	missing := now.head - at.head
	if missing == 0 {
		return nil, true, nil
	}
	if missing > uint64(r.o.LogKeep) {
		return nil, false, nil
	}
	space := r.keys.tagged(tagLog, 0)
	for trail := uint64(logTrail); ; trail *= trailGrowth {
		from := at.head - min(trail, at.head)
		if trail >= uint64(r.o.LogKeep) {
			from = 0 // a late row may stand before all that are kept, until it is cleared
		}
		rows, err := readAll(tx, r.keys.log(from, ""), r.keys.tagged(tagLog+1, 0))
		if err != nil {
			return nil, false, err
		}
		var fresh []*logRow
		for _, kv := range rows {
			row, err := decodeLogRow(space, kv)
			if err != nil {
				return nil, false, err
			}
			if row.version > at.version {
				fresh = append(fresh, row)
			}
		}
		if uint64(len(fresh)) == missing {
			return inOrder(fresh), true, nil
		}
		if from == 0 {
			return nil, false, nil
		}
	}
}

// inOrder puts changes into the order in which they took effect.
func inOrder(rows []*logRow) []NodeChange {
	slices.SortFunc(rows, func(a, b *logRow) int {
		return compareStamps(a.version, a.order, b.version, b.order)
	})
	changes := make([]NodeChange, len(rows))
	for i, row := range rows {
		if row.session == nil {
			changes[i] = NodeChange{Node: Node{ID: row.node}, Forgotten: true}
			continue
		}
		changes[i] = NodeChange{Node: row.session.node(row.node)}
	}
	return changes
}
