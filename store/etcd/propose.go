package etcd

import (
	"context"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/kelpie-registry/kelpie/store"
)

// proposal is one transaction of etcd, or a part of one: conditions, and the
// operations when they hold.
type proposal struct {
	cmps []compare
	puts func(order uint16) []op
	ops  int  // operations of puts
	why  []op // reads that tell, after a refusal, what it was for
	size int  // upper bound of the request, in bytes

	reads  []string // keys
	writes []string // keys, but those of adds
	lanes  []laneUse
	tombs  []string // keys for which it leaves tombstones
	alone  bool     // reads or writes ranges: shares no request

	// Of the batcher.
	ctx    context.Context
	done   chan struct{}
	stop   func() bool // ends the watch over ctx
	answer answer
	err    error
	taken  bool // is part of a request; guarded by batcher.mu
}

// laneUse is an addition under way.
type laneUse struct {
	key   string
	lane  lane
	delta uint64
}

// answer is what came back for a proposal.
type answer struct {
	succeeded bool
	revision  int64
	order     uint16 // of the proposal among those of its request
}

// propose makes the proposal of a transaction. It takes the lanes that it
// needs, to be given back when the fate of the proposal is known.
func (t *Txn) propose(c *conditions) (*proposal, error) {
	e := t.engine
	p := &proposal{cmps: c.compares(e), why: c.why(e), reads: c.keys, alone: len(c.ranges) > 0}
	p.size = c.size(e)
	var fixed []op
	var stamped []*write
	for _, w := range t.writes.list {
		p.size += rowOverhead(e, w.key) + len(w.value)
		switch w.kind {
		case opSet:
			fixed = append(fixed, put(e.keys.base(w.key), plainValue(w.value)))
		case opStamped:
			stamped = append(stamped, w)
		case opClear:
			if t.writes.cleared.contains(w.key) {
				continue // nothing is left there, and the record says so
			}
			fixed = append(fixed, put(e.keys.base(w.key), tombstone()))
			p.tombs = append(p.tombs, w.key)
			p.size += rowOverhead(e, w.key) // in the trail
		case opAdd:
			fixed = append(fixed, p.addTo(e, w))
			continue
		}
		p.writes = append(p.writes, w.key)
	}
	if len(t.writes.cleared) > 0 || len(t.writes.conflicts) > 0 {
		p.alone = true
		fixed = append(fixed, t.clearings()...)
		for _, s := range append(t.writes.cleared[:len(t.writes.cleared):len(t.writes.cleared)], t.writes.conflicts...) {
			p.size += 2 * (rowOverhead(e, s.begin) + rowOverhead(e, s.end))
		}
	}
	p.ops = len(fixed) + len(stamped)
	p.puts = func(order uint16) []op {
		ops := fixed[:len(fixed):len(fixed)]
		for _, w := range stamped {
			ops = append(ops, put(e.keys.base(w.key), stampedValue(w, order)))
		}
		return ops
	}
	ops := p.ops
	if len(p.tombs) > 0 {
		ops++ // the trail
	}
	err := c.fit(e, 2*len(p.lanes), ops)
	if err == nil && p.size > e.o.MaxRequestBytes {
		err = fmt.Errorf("etcd: commit: %w: the request has about %d bytes, Options.MaxRequestBytes allows %d", store.ErrTooLarge, p.size, e.o.MaxRequestBytes)
	}
	if err != nil {
		p.giveBack(e, true)
		return nil, err
	}
	return p, nil
}

// addTo takes a lane for an addition, and returns the operation. A lane that is
// there already must be as this engine left it, and younger than its base:
// else its sum does not count any more.
func (p *proposal) addTo(e *Engine, w *write) op {
	u := laneUse{key: w.key, lane: e.lanes.take(w.key), delta: w.delta}
	p.lanes = append(p.lanes, u)
	row := e.keys.lane(w.key, u.lane.id)
	if at := u.lane.revision; at != 0 {
		base := e.keys.base(w.key)
		p.cmps = append(p.cmps, modIs(row, at), modBelow(base, "", at))
		begin, end := e.keys.rows(w.key)
		p.why = append(p.why, look(begin, end, keysOnly))
		p.size += 4 * rowOverhead(e, w.key)
	}
	return put(row, laneValue(u.lane.sum+w.delta))
}

// clearings returns the operations that clear the transaction's ranges, around
// the rows that it writes, and record them.
func (t *Txn) clearings() []op {
	e, ws := t.engine, &t.writes
	var ops []op
	var record spanSet
	for _, s := range ws.cleared {
		record.add(s)
		begin, end := e.keys.rowsOf(s)
		for _, w := range ws.in(s) {
			if w.kind == opClear {
				continue
			}
			// etcd takes no request that removes a row and writes it.
			row := e.keys.base(w.key)
			ops = append(ops, remove(begin, row))
			begin = row + "\x00"
		}
		ops = append(ops, remove(begin, end))
	}
	for _, s := range ws.conflicts {
		record.add(s)
	}
	return append(ops, put(e.keys.record(randomID()), encodeRecord(record)))
}

// succeeded gives the lanes back with what they hold by then.
func (p *proposal) succeeded(e *Engine, revision int64) {
	for _, u := range p.lanes {
		e.lanes.give(u.key, lane{id: u.lane.id, sum: u.lane.sum + u.delta, revision: revision})
	}
}

// refused gives back the lanes that are still good, going by what why found,
// and forgets the others.
func (p *proposal) refused(e *Engine, found []*etcdserverpb.ResponseOp) {
	at := len(p.why) - p.oldLanes()
	for _, u := range p.lanes {
		if u.lane.revision == 0 {
			continue
		}
		if u.lane.stands(e, u.key, found[at]) {
			e.lanes.give(u.key, u.lane)
		}
		at++
	}
}

func (p *proposal) oldLanes() int {
	n := 0
	for _, u := range p.lanes {
		if u.lane.revision != 0 {
			n++
		}
	}
	return n
}

// stands reports whether the lane is as its engine left it and counts, going by
// the rows of its key.
func (l lane) stands(e *Engine, key string, found *etcdserverpb.ResponseOp) bool {
	own, base := e.keys.lane(key, l.id), e.keys.base(key)
	there := false
	for _, row := range rows(found) {
		switch string(row.Key) {
		case own:
			there = row.ModRevision == l.revision
		case base:
			if row.ModRevision >= l.revision {
				return false
			}
		}
	}
	return there
}

// giveBack gives the lanes of a proposal back that was not applied for sure, and
// else leaves them where they are.
func (p *proposal) giveBack(e *Engine, sure bool) {
	if !sure {
		return
	}
	for _, u := range p.lanes {
		if u.lane.revision != 0 {
			e.lanes.give(u.key, u.lane)
		}
	}
}
