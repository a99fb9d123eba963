package simfdb

import "slices"

// answerBytes bounds the rows of one answer of the storage server to a range
// read, each counted with its overhead.
const answerBytes = 80_000

// rowOverhead is what the client adds to each row when it counts bytes.
const rowOverhead = 8

// rangeBounds say where a range read stops.
type rangeBounds struct {
	limit   int // rows; 0: none
	bytes   int // of the rows, each counted with rowOverhead; 0: none
	reverse bool
	whole   bool // it asks the server until an answer was bounded by bytes
}

// take counts rows off the bounds and returns how many of them are within, and
// whether the bounds are reached.
func (b *rangeBounds) take(rows []row) (n int, full bool) {
	for n < len(rows) {
		if b.bytes > 0 {
			b.bytes -= rowOverhead + len(rows[n].key) + len(rows[n].value)
			full = b.bytes <= 0
		}
		n++
		if b.limit > 0 {
			b.limit--
			full = full || b.limit == 0
		}
		if full {
			return n, true
		}
	}
	return n, false
}

// rangeReader reads ranges as a transaction saw its writes when the read began.
type rangeReader struct {
	l        *life
	writes   *writeMap
	bypass   bool // unreadable keys are read as they are stored
	requests int  // sent
	cut      bool // the last answer was bounded by bytes
}

// reader returns a reader of ranges. If it lasts, it goes on seeing the writes as
// they are.
func (l *life) reader(snapshot, lasts bool) *rangeReader {
	v := &rangeReader{l: l, writes: &l.writes, bypass: l.options.bypassUnreadable}
	switch {
	case !l.readsOwn(snapshot):
		v.writes = &writeMap{}
	case lasts && !l.writes.empty():
		v.writes = l.writes.clone()
	}
	return v
}

// read returns the rows of r that the transaction sees. It stops at the bounds,
// and, when there is a bound on bytes, before it would ask a server with rows at
// hand, unless it is to be whole; more is true then.
func (v *rangeReader) read(r KeyRange, o rangeBounds) (rows []row, more bool, err error) {
	bytes := o.bytes
	for rest := r; !rest.empty(); {
		part := rest
		if !v.bypass && !v.writes.empty() {
			var ok bool
			if part, ok = v.writes.readableStretch(rest, o.reverse); !ok {
				return nil, false, v.l.unreadable()
			}
		}
		stretch, stored, known := v.known(part, o.reverse)
		if !known {
			if bytes > 0 && len(rows) > 0 && (!o.whole || v.cut) {
				return rows, true, nil
			}
			if err := v.ask(v.unknown(stretch, part, o.reverse), o); err != nil {
				return nil, false, err
			}
			continue
		}
		merged := v.writes.merge(stretch, stored)
		if o.reverse {
			merged = slices.Clone(merged)
			slices.Reverse(merged)
		}
		n, full := o.take(merged)
		rows = append(rows, merged[:n]...)
		switch {
		case full:
			return rows, true, nil
		case o.reverse:
			rest.End = stretch.Begin
		default:
			rest.Begin = stretch.End
		}
	}
	return rows, false, nil
}

// known returns the stored rows of the first stretch of r (the last, in reverse)
// if no server need be asked for them, or the stretch that is not known.
func (v *rangeReader) known(r KeyRange, reverse bool) (stretch KeyRange, stored []row, known bool) {
	if cleared, ok := v.writes.clearedStretch(r, reverse); ok {
		return cleared, nil, true
	}
	if reverse {
		return v.l.cache.upTo(r)
	}
	return v.l.cache.from(r)
}

// unknown returns how much of r to ask the server for, when stretch is unknown:
// keys that are known one by one are read again, longer known stretches are not.
func (v *rangeReader) unknown(stretch, r KeyRange, reverse bool) KeyRange {
	if reverse {
		return v.writes.behindLastClear(v.l.cache.reachBack(stretch, r))
	}
	return v.writes.beforeFirstClear(v.l.cache.reach(stretch, r))
}

// maxDoublings bounds how often a request's bound on bytes is doubled.
const maxDoublings = 20

// ask reads stored rows of r, at least one if there is any, into the cache.
func (v *rangeReader) ask(r KeyRange, o rangeBounds) error {
	q := &readRequest{span: r, limit: o.limit, reverse: o.reverse}
	if o.bytes > 0 {
		q.bytes = min(o.bytes<<min(v.requests, maxDoublings), answerBytes)
	}
	v.requests++
	reply, err := v.l.send(q, "get range")
	if err != nil {
		return err
	}
	v.cut = reply.more && (o.limit == 0 || len(reply.rows) < o.limit)
	stored := reply.rows
	if o.reverse {
		stored = slices.Clone(stored)
		slices.Reverse(stored)
	}
	v.l.cache.learn(covered(r, reply.rows, reply.more, o.reverse), stored)
	return nil
}

// covered returns the part of r that a range read has seen: up to its last row,
// when it stopped there.
func covered(r KeyRange, rows []row, more, reverse bool) KeyRange {
	switch {
	case !more:
	case reverse:
		r.Begin = rows[len(rows)-1].key
	default:
		r.End = keyAfter(rows[len(rows)-1].key)
	}
	return r
}
