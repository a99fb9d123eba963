package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// Check reads the whole namespace and returns an error for each place where
// records, index, load counters and inboxes disagree, or sessions and their change
// log, joined, or nil. The reads take
// several transactions, so the answer is about a registry at rest: run it in
// tests and after incidents, with no other operation under way.
func (r *Registry) Check(ctx context.Context) error {
	owned := make(map[string]ActorID)       // index key -> actor
	loads := make(map[string]int64)         // load key -> actors
	given := make(map[string]store.Version) // key that an inbox row would have -> version of the record
	var errs []error
	err := r.scan(ctx, tagActor, func(kv store.KeyValue) error {
		rec, err := decodeActor(kv.Value)
		if err != nil {
			return fmt.Errorf("%w (key %q)", err, kv.Key)
		}
		actor, err := actorOf(kv.Key, r.keys.tagged(tagActor, 0))
		if err != nil {
			return err
		}
		owned[string(r.keys.owned(rec.node, rec.incarnation, actor))] = actor
		loads[string(r.keys.load(rec.node, rec.incarnation))]++
		given[string(r.keys.given(rec.node, rec.incarnation, actor))] = rec.version
		return nil
	})
	if err != nil {
		return err
	}
	err = r.scan(ctx, tagOwned, func(kv store.KeyValue) error {
		if _, ok := owned[string(kv.Key)]; !ok {
			errs = append(errs, fmt.Errorf("%w: index entry %q without its record", ErrCorrupt, kv.Key))
		}
		delete(owned, string(kv.Key))
		return nil
	})
	if err != nil {
		return err
	}
	err = r.scan(ctx, tagLoad, func(kv store.KeyValue) error {
		var n int64
		if len(kv.Value) == 8 {
			n = int64(binary.LittleEndian.Uint64(kv.Value))
		}
		if want := loads[string(kv.Key)]; n != want {
			errs = append(errs, fmt.Errorf("%w: load %q is %d, its records are %d", ErrCorrupt, kv.Key, n, want))
		}
		delete(loads, string(kv.Key))
		return nil
	})
	if err != nil {
		return err
	}
	err = r.scan(ctx, tagInbox, func(kv store.KeyValue) error {
		if r.isSignal(kv.Key) {
			return nil
		}
		row, err := decodeInbox(kv.Value)
		if err != nil {
			return fmt.Errorf("%w (key %q)", err, kv.Key)
		}
		if row.version != given[string(kv.Key)] {
			errs = append(errs, fmt.Errorf("%w: inbox row %q of version %d without its record", ErrCorrupt, kv.Key, row.version))
		}
		return nil
	})
	if err != nil {
		return err
	}
	sessions, err := r.checkSessions(ctx)
	if err != nil {
		return err
	}
	errs = append(errs, sessions...)
	errs = append(errs, missing("index entry of actor", owned)...)
	errs = append(errs, missing("load counter for records", loads)...)
	return errors.Join(errs...)
}

// isSignal reports whether a key of an inbox is the one that is watched.
func (r *Registry) isSignal(key []byte) bool {
	_, rest, ok := cutTuple(key[len(r.keys.tagged(tagInbox, 0)):])
	return ok && len(rest) == 8
}

func missing[V any](what string, m map[string]V) []error {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	errs := make([]error, 0, len(keys))
	for _, k := range keys {
		errs = append(errs, fmt.Errorf("%w: no %s %v (key %q)", ErrCorrupt, what, m[k], k))
	}
	return errs
}

// scanRows bounds the rows of one transaction of a scan.
const scanRows = 1000

// scan calls f with every row of a tag, in key order.
func (r *Registry) scan(ctx context.Context, tag byte, f func(store.KeyValue) error) error {
	begin, end := r.keys.all(tag)
	for more := true; more; {
		var rows []store.KeyValue
		err := r.db.Read(ctx, func(tx store.Reader) (err error) {
			rows, more, err = tx.GetRange(begin, end, store.RangeOptions{Limit: scanRows})
			return err
		})
		if err != nil {
			return fmt.Errorf("registry: scan: %w", err)
		}
		for _, kv := range rows {
			if err := f(kv); err != nil {
				return err
			}
			begin = append(slices.Clone(kv.Key), 0)
		}
	}
	return nil
}
