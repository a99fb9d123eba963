package registry

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// MaxPageRows is the upper limit of ListOptions.PageRows.
const MaxPageRows = 10_000

// defaultPageRows keeps the transaction of a page well inside the window of every
// store.
const defaultPageRows = 500

// ListOptions say what [Registry.List] lists. The zero value lists every actor.
type ListOptions struct {
	// Node keeps to the actors of that node's live session. Empty: of all nodes.
	Node NodeID
	// Prefix keeps to the actors whose id begins with it, byte by byte; at most
	// [MaxActorIDBytes] bytes.
	Prefix string
	// After starts behind that id, which need not exist: the place to go on from.
	After ActorID
	// PageRows is how many records one transaction reads; 1 to [MaxPageRows].
	// Default: 500.
	PageRows int
}

// Listed is an actor with its owner.
type Listed struct {
	Actor ActorID
	Owner Owner
}

func (o ListOptions) withDefaults() (ListOptions, error) {
	if o.PageRows == 0 {
		o.PageRows = defaultPageRows
	}
	if o.PageRows < 1 || o.PageRows > MaxPageRows {
		return o, invalid("ListOptions.PageRows is %d, must be from 1 to %d", o.PageRows, MaxPageRows)
	}
	if len(o.Prefix) > MaxActorIDBytes {
		return o, invalid("ListOptions.Prefix has %d bytes, at most %d are allowed", len(o.Prefix), MaxActorIDBytes)
	}
	if o.After != "" {
		if err := o.After.Validate(); err != nil {
			return o, fmt.Errorf("ListOptions.After: %w", err)
		}
	}
	if o.Node != "" {
		if err := o.Node.Validate(); err != nil {
			return o, fmt.Errorf("ListOptions.Node: %w", err)
		}
	}
	return o, nil
}

// List returns the actors that have a live owner, in the order of their ids. It
// reads page by page, each page at one instant, so a listing may last longer than
// a transaction can: what it says of an actor was true when its page was read, an
// actor that had one owner from the first page to the last is listed once, and
// none is listed twice.
//
// After an error, which is the last element, the listing can be taken up again
// with After. Errors: [ErrInvalid]; [ErrCorrupt]; errors of the store and of ctx.
func (r *Registry) List(ctx context.Context, o ListOptions) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		at, err := o.withDefaults()
		if err != nil {
			yield(Listed{}, err)
			return
		}
		read := r.pageOfActors
		if at.Node != "" {
			read = r.pageOfNode
		}
		for more := true; more; {
			var page []Listed
			var last ActorID
			err := r.db.Read(ctx, func(tx store.Reader) (err error) {
				page, last, more, err = read(tx, at)
				return err
			})
			if err != nil {
				yield(Listed{}, fmt.Errorf("registry: list after %q: %w", at.After, err))
				return
			}
			for _, row := range page {
				if !yield(row, nil) {
					return
				}
			}
			at.After = last
		}
	}
}

// pageOfActors reads the next records and leaves out those of ended sessions.
// last is the last actor that was looked at.
func (r *Registry) pageOfActors(tx store.Reader, o ListOptions) (page []Listed, last ActorID, more bool, err error) {
	space := r.keys.tagged(tagActor, 0)
	rows, more, err := r.pageOfKeys(tx, space, o)
	if err != nil || len(rows) == 0 {
		return nil, o.After, false, err
	}
	records := make([]*actorRecord, len(rows))
	actors := make([]ActorID, len(rows))
	for i, kv := range rows {
		if actors[i], err = actorOf(kv.Key, space); err != nil {
			return nil, "", false, err
		}
		if records[i], err = decodeActor(kv.Value); err != nil {
			return nil, "", false, fmt.Errorf("%w (actor %q)", err, actors[i])
		}
	}
	sessions, err := r.sessionsOf(tx, records)
	if err != nil {
		return nil, "", false, err
	}
	for i, rec := range records {
		if s := sessions[rec.node]; s.lives(rec.incarnation) {
			page = append(page, Listed{actors[i], rec.owner(s)})
		}
	}
	return page, actors[len(actors)-1], more, nil
}

// pageOfNode reads the next entries of a session's index, and their records.
func (r *Registry) pageOfNode(tx store.Reader, o ListOptions) (page []Listed, last ActorID, more bool, err error) {
	s, err := r.readSession(tx, o.Node)
	if err != nil || s == nil || !s.status.lives() {
		return nil, o.After, false, err
	}
	space := r.keys.session(tagOwned, o.Node, s.incarnation(), 0)
	rows, more, err := r.pageOfKeys(tx, space, o)
	if err != nil || len(rows) == 0 {
		return nil, o.After, false, err
	}
	actors := make([]ActorID, len(rows))
	keys := make([][]byte, len(rows))
	for i, kv := range rows {
		if actors[i], err = actorOf(kv.Key, space); err != nil {
			return nil, "", false, err
		}
		keys[i] = r.keys.actor(actors[i])
	}
	values, err := tx.GetAll(keys...)
	if err != nil {
		return nil, "", false, err
	}
	for i, v := range values {
		rec, err := decodeActor(v)
		if err != nil {
			return nil, "", false, fmt.Errorf("%w (actor %q)", err, actors[i])
		}
		if rec == nil || rec.node != o.Node || rec.incarnation != s.incarnation() {
			return nil, "", false, fmt.Errorf("%w: node %q has an index entry of %q without its record", ErrCorrupt, o.Node, actors[i])
		}
		page = append(page, Listed{actors[i], rec.owner(s)})
	}
	return page, actors[len(actors)-1], more, nil
}

// pageOfKeys reads the next rows of the keys that are space followed by an
// actor's id.
func (r *Registry) pageOfKeys(tx store.Reader, space []byte, o ListOptions) ([]store.KeyValue, bool, error) {
	begin := append(slices.Clone(space), escaped(o.Prefix)...)
	end := append(slices.Clone(begin), 0xff) // above: no UTF-8, so no id, has this byte
	if o.After != "" {
		after := append(appendTuple(slices.Clone(space), string(o.After)), 0)
		if bytes.Compare(after, begin) > 0 {
			begin = after
		}
	}
	if bytes.Compare(begin, end) >= 0 {
		return nil, false, nil
	}
	return tx.GetRange(begin, end, store.RangeOptions{Limit: o.PageRows})
}

// escaped is s as it begins a tuple's string.
func escaped(s string) []byte {
	b := appendTuple(nil, s)
	return b[:len(b)-1]
}

func actorOf(key, space []byte) (ActorID, error) {
	name, rest, ok := cutTuple(key[len(space):])
	if !ok || len(rest) > 0 {
		return "", fmt.Errorf("%w: actor key %q", ErrCorrupt, key)
	}
	return ActorID(name), nil
}

// sessionsOf reads the sessions that the records name, each node's once.
func (r *Registry) sessionsOf(tx store.Reader, records []*actorRecord) (map[NodeID]*sessionRecord, error) {
	found := make(map[NodeID]*sessionRecord)
	var nodes []NodeID
	var keys [][]byte
	for _, rec := range records {
		if rec == nil {
			continue
		}
		if _, ok := found[rec.node]; !ok {
			found[rec.node] = nil
			nodes = append(nodes, rec.node)
			keys = append(keys, r.keys.state(rec.node))
		}
	}
	if len(keys) == 0 {
		return found, nil
	}
	values, err := tx.GetAll(keys...)
	if err != nil {
		return nil, err
	}
	for i, v := range values {
		if found[nodes[i]], err = decodeSession(v); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// MaxBatch is the upper limit of the actors of one call that takes several.
const MaxBatch = 1000

// LookupAll returns the owners of actors, all at one instant between call and
// return: that of actors[i] is element i, and zero when no live session owns it.
//
// Errors: [ErrInvalid], also for more than [MaxBatch] actors; [ErrCorrupt]; errors
// of the store and of ctx.
func (r *Registry) LookupAll(ctx context.Context, actors ...ActorID) ([]Owner, error) {
	if len(actors) > MaxBatch {
		return nil, invalid("%d actors, at most %d are allowed in one call", len(actors), MaxBatch)
	}
	keys := make([][]byte, len(actors))
	for i, a := range actors {
		if err := a.Validate(); err != nil {
			return nil, fmt.Errorf("actors[%d]: %w", i, err)
		}
		keys[i] = r.keys.actor(a)
	}
	if len(actors) == 0 {
		return nil, nil
	}
	owners := make([]Owner, len(actors))
	err := r.db.Read(ctx, func(tx store.Reader) error {
		clear(owners)
		values, err := tx.GetAll(keys...)
		if err != nil {
			return err
		}
		records := make([]*actorRecord, len(values))
		for i, v := range values {
			if records[i], err = decodeActor(v); err != nil {
				return fmt.Errorf("%w (actor %q)", err, actors[i])
			}
		}
		sessions, err := r.sessionsOf(tx, records)
		if err != nil {
			return err
		}
		for i, rec := range records {
			if rec == nil {
				continue
			}
			if s := sessions[rec.node]; s.lives(rec.incarnation) {
				owners[i] = rec.owner(s)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("registry: look up %d actors: %w", len(actors), err)
	}
	return owners, nil
}
