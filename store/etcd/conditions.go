package etcd

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/kelpie-registry/kelpie/store"
)

// conditions are what must hold for a transaction to commit: that nothing it
// read has changed since.
//
//   - No row of a key or range that was read is younger than the read. Removed
//     keys leave a tombstone, so this sees removals too.
//   - No record is younger, or none that has to do with what was read.
//   - The horizon is not above any read: tombstones and records up to the
//     horizon may be gone.
//
// A transaction that has no read version has none. One that has a version and
// reads nothing that could conflict depends on the horizon alone, as it does in
// FoundationDB.
type conditions struct {
	keys     []string // of points, sorted
	points   map[string]*pointRead
	ranges   spanSet
	since    int64 // of the ranges
	oldest   int64 // the lowest since of all
	harmless int64 // records up to this revision have nothing to do with the reads
}

func (t *Txn) conditions() *conditions {
	c := &conditions{points: t.points, keys: slices.Sorted(maps.Keys(t.points)), since: t.revision}
	if c.since == 0 {
		c.since = t.guessedAt
	}
	if c.since != 0 {
		c.ranges = t.ranges // without any read there is nothing to compare with
		c.oldest = c.since
	}
	for _, p := range c.points {
		c.oldest = min(c.oldest, p.since)
	}
	c.harmless = c.oldest
	return c
}

func (c *conditions) empty() bool { return c.oldest == 0 }

// compares returns the conditions as etcd takes them.
func (c *conditions) compares(e *Engine) []compare {
	if c.empty() {
		return nil
	}
	begin, end := e.keys.records()
	cmps := make([]compare, 0, 4+len(c.keys)+len(c.ranges))
	cmps = append(cmps, valueBelow(e.keys.horizon(), revisionText(c.oldest+1)), modBelow(begin, end, c.harmless+1))
	for _, key := range c.keys {
		begin, end := e.keys.rows(key)
		cmps = append(cmps, modBelow(begin, end, c.points[key].rows+1))
	}
	for _, s := range c.ranges {
		begin, end := e.keys.rowsOf(s)
		cmps = append(cmps, modBelow(begin, end, c.since+1))
	}
	return cmps
}

// probe is a read that costs little. A transaction of etcd that reads nothing is
// not held to be in need of agreement.
func (c *conditions) probe(e *Engine) op { return look(e.keys.horizon(), "", keysOnly) }

// why returns the reads that tell, after a refusal, which condition did not
// hold, or which does not hold by then.
func (c *conditions) why(e *Engine) []op {
	if c.empty() {
		return nil
	}
	begin, end := e.keys.records()
	ops := make([]op, 0, 4+len(c.keys)+len(c.ranges))
	ops = append(ops, look(e.keys.horizon(), ""), look(begin, end, youngerThan(c.harmless)))
	for _, key := range c.keys {
		begin, end := e.keys.rows(key)
		ops = append(ops, look(begin, end))
	}
	for _, s := range c.ranges {
		begin, end := e.keys.rowsOf(s)
		ops = append(ops, look(begin, end, youngerThan(c.since), keysOnly, atMost(1)))
	}
	return ops
}

// size is an upper bound of what the conditions add to a request, in bytes.
func (c *conditions) size(e *Engine) int {
	n := 4 * rowOverhead(e, "")
	for _, key := range c.keys {
		n += 2 * rowOverhead(e, key)
	}
	for _, s := range c.ranges {
		n += rowOverhead(e, s.begin) + rowOverhead(e, s.end)
	}
	return n
}

// rowOverhead is an upper bound of the bytes of a row's name in a request, and
// of what stands around it.
func rowOverhead(e *Engine, key string) int {
	const around = 48
	return around + len(e.keys.prefix) + len(key) + zeros(key)
}

func zeros(key string) int {
	n := 0
	for i := range len(key) {
		if key[i] == 0 {
			n++
		}
	}
	return n
}

// fit returns an error when the conditions and so many more of them, and ops
// operations, are too many for one transaction of etcd.
func (c *conditions) fit(e *Engine, more, ops int) error {
	n := more
	if !c.empty() {
		n += 2 + len(c.keys) + len(c.ranges)
	}
	if limit := e.o.MaxTxnOps; n > limit || ops > limit {
		return fmt.Errorf("etcd: commit: %w: the transaction takes %d conditions and %d operations, Options.MaxTxnOps allows %d of each", store.ErrTooLarge, n, ops, limit)
	}
	return nil
}

var (
	errConflict = fmt.Errorf("etcd: commit: %w: a key that was read has changed", store.ErrConflict)
	errTooOld   = fmt.Errorf("etcd: commit: %w: the read version fell out of the window", store.ErrTooOld)
)

// refusedFor finds out why a commit was refused, from what why found at a
// revision. It returns nil when the reads had nothing to do with it, as far as
// one can tell: then the conditions have been moved on.
func (t *Txn) refusedFor(c *conditions, found []*etcdserverpb.ResponseOp, revision int64) error {
	if c.empty() {
		return nil
	}
	e := t.engine
	horizon, records, rest := rows(found[0]), rows(found[1]), found[2:]
	changed, err := t.changedPoints(c, rest, revision)
	if err != nil {
		return err
	}
	if len(horizon) == 0 {
		// Somebody wiped the namespace: nothing is known about what there was.
		return errors.Join(errTooOld, e.restoreHorizon(t.ctx))
	}
	at, ok := parseRevision(horizon[0].Value)
	switch {
	case !ok:
		return fmt.Errorf("%w: the horizon has %d bytes", ErrCorrupt, len(horizon[0].Value))
	case at > c.oldest:
		return errTooOld
	case changed:
		return errConflict
	}
	for i := range c.ranges {
		if len(rows(rest[len(c.keys)+i])) > 0 {
			return errConflict
		}
	}
	for _, r := range records {
		touched, err := c.touchedBy(r)
		if err != nil {
			return err
		}
		if touched {
			return errConflict
		}
	}
	c.harmless = revision
	return nil
}

// changedPoints reports whether a key that was read has a younger row, and
// learns what the keys hold.
func (t *Txn) changedPoints(c *conditions, found []*etcdserverpb.ResponseOp, revision int64) (bool, error) {
	e, some := t.engine, false
	for i, key := range c.keys {
		p, kvs := c.points[key], rows(found[i])
		value, err := e.keys.decodeOne(kvs)
		if err != nil {
			return false, err
		}
		changed := slices.ContainsFunc(kvs, func(kv *mvccpb.KeyValue) bool { return kv.ModRevision > p.rows })
		some = some || changed
		switch {
		case e.recall == nil:
		case changed:
			e.recall.refuted(key, p, value, revision)
		default:
			e.recall.learn(key, value, revision)
		}
	}
	return some, nil
}

// touchedBy reports whether a record is about something that was read before
// it.
func (c *conditions) touchedBy(record *mvccpb.KeyValue) (bool, error) {
	spans, err := decodeRecord(record.Value)
	if err != nil {
		return false, err
	}
	for _, key := range c.keys {
		if c.points[key].since < record.ModRevision && spans.contains(key) {
			return true, nil
		}
	}
	for _, s := range c.ranges {
		if c.since < record.ModRevision && spans.overlaps(s) {
			return true, nil
		}
	}
	return false, nil
}
