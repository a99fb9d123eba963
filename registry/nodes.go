package registry

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// Nodes returns every node that the registry knows of, in the order of ids, at one
// instant between call and return: those with a live session, and those whose
// session has ended and is not forgotten yet. It reads all of them and their
// loads.
//
// Errors: [ErrCorrupt]; errors of the store and of ctx.
func (r *Registry) Nodes(ctx context.Context) ([]Node, error) {
	var nodes []Node
	err := r.db.Read(ctx, func(tx store.Reader) (err error) {
		nodes, err = r.readNodes(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("registry: nodes: %w", err)
	}
	return nodes, nil
}

// readNodes reads the nodes and their loads.
func (r *Registry) readNodes(tx store.Reader) ([]Node, error) {
	nodes, err := r.readSessions(tx)
	if err != nil {
		return nil, err
	}
	space := r.keys.tagged(tagLoad, 0)
	rows, err := readAll(tx, space, r.keys.tagged(tagLoad+1, 0))
	if err != nil {
		return nil, err
	}
	for _, kv := range rows {
		id, inc, ok := cutLoadKey(kv.Key[len(space):])
		if !ok || len(kv.Value) != 8 {
			return nil, fmt.Errorf("%w: load %q of %d bytes", ErrCorrupt, kv.Key, len(kv.Value))
		}
		if i, found := findNode(nodes, id); found && nodes[i].Incarnation == inc {
			nodes[i].Owned = int64(binary.LittleEndian.Uint64(kv.Value))
		}
	}
	return nodes, nil
}

// readSessions reads the nodes without their loads.
func (r *Registry) readSessions(tx store.Reader) ([]Node, error) {
	space := r.keys.tagged(tagState, 0)
	rows, err := readAll(tx, space, r.keys.tagged(tagState+1, 0))
	if err != nil {
		return nil, err
	}
	nodes := make([]Node, len(rows))
	for i, kv := range rows {
		id, err := nodeOf(kv.Key, space)
		if err != nil {
			return nil, err
		}
		s, err := decodeSession(kv.Value)
		if err != nil {
			return nil, fmt.Errorf("%w (node %q)", err, id)
		}
		nodes[i] = s.node(id)
	}
	return nodes, nil
}

// readAll reads a range whole, in one transaction.
func readAll(tx store.Reader, begin, end []byte) ([]store.KeyValue, error) {
	var all []store.KeyValue
	for more := true; more; {
		rows, again, err := tx.GetRange(begin, end, store.RangeOptions{})
		if err != nil {
			return nil, err
		}
		all = append(all, rows...)
		if more = again && len(rows) > 0; more {
			begin = append(slices.Clone(rows[len(rows)-1].Key), 0)
		}
	}
	return all, nil
}

// cutLoadKey is the inverse of keys.load behind the tag.
func cutLoadKey(b []byte) (NodeID, Incarnation, bool) {
	name, rest, ok := cutTuple(b)
	if !ok || len(rest) != 8 {
		return "", 0, false
	}
	return NodeID(name), Incarnation(binary.BigEndian.Uint64(rest)), true
}
