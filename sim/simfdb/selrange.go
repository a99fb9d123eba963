package simfdb

import "slices"

// between returns the rows between the keys that two selectors name, and adds the
// read conflict ranges of the read. An inverted range is empty.
func (v *rangeReader) between(begin, end selector, o rangeBounds, snapshot bool) (rows []row, more bool, err error) {
	if begin.offset >= end.offset && begin.origin >= end.origin {
		return nil, false, nil
	}
	from, fromEdge, err := v.bound(begin)
	if err != nil {
		return nil, false, err
	}
	to, toEdge, err := v.bound(end)
	if err != nil {
		return nil, false, err
	}
	if from < to {
		if rows, more, err = v.rows(KeyRange{from, to}, o); err != nil {
			return nil, false, err
		}
	}
	if !snapshot {
		s := seenRange{begin: begin, end: end, rows: rows, more: more, most: v.l.maxRead()}
		s.readToBegin = fromEdge == atBegin || toEdge == atBegin
		s.readThroughEnd = (fromEdge == atEnd || toEdge == atEnd) && !more
		switch {
		case v.l.options.unreadWrites:
			v.l.readConflict(v.writes, s.stored(o.reverse))
		case o.reverse:
			v.l.readConflict(v.writes, s.backward())
		default:
			v.l.readConflict(v.writes, s.forward())
		}
	}
	return rows, more, nil
}

// bound resolves a selector that bounds a range. With offset 1 the origin bounds
// it as well as the key behind it.
func (v *rangeReader) bound(s selector) (string, edge, error) {
	if s.offset == 1 {
		return min(s.origin, v.l.maxRead()), inside, nil
	}
	return v.resolve(s)
}

// rows reads what the transaction sees of r.
func (v *rangeReader) rows(r KeyRange, o rangeBounds) ([]row, bool, error) {
	if !v.l.options.unreadWrites {
		return v.read(r, o)
	}
	// What is read is not remembered: each answer of the server is one of the
	// client's, unless no bytes bound it.
	q := &readRequest{span: r, limit: o.limit, reverse: o.reverse, bytes: min(o.bytes, answerBytes)}
	if r.empty() {
		return nil, false, nil
	}
	reply, err := v.l.send(q, "get range")
	if err != nil {
		return nil, false, err
	}
	return slices.Clone(reply.rows), reply.more, nil
}

// seenRange is a range read and its answer: it tells which keys decided it. The
// rules are those of fdbclient's ReadYourWrites (addConflictRange), and, when
// writes cannot be read, of its NativeAPI (getRangeFinished).
type seenRange struct {
	begin, end     selector
	rows           []row
	more           bool
	readToBegin    bool // a selector ran out of keys before the first
	readThroughEnd bool // a selector ran out of keys behind the last
	most           string
}

func (s *seenRange) forward() KeyRange {
	r := KeyRange{min(s.begin.origin, s.end.origin), max(s.begin.origin, s.end.origin)}
	if s.begin.origin < s.end.origin && s.more && s.end.offset > 0 {
		r.End = s.begin.origin // what lies behind the last row decided nothing
	}
	s.widen(&r)
	if n := len(s.rows); n > 0 {
		if s.begin.offset <= 0 {
			r.Begin = min(r.Begin, s.rows[0].key)
		}
		if last := s.rows[n-1].key; r.End <= last {
			r.End = keyAfter(last)
		}
	}
	return r
}

func (s *seenRange) backward() KeyRange {
	r := KeyRange{min(s.begin.origin, s.end.origin), max(s.begin.origin, s.end.origin)}
	if s.begin.origin < s.end.origin && s.more && s.begin.offset <= 1 {
		r.Begin = s.end.origin // what lies before the last row decided nothing
	}
	s.widen(&r)
	if n := len(s.rows); n > 0 {
		r.Begin = min(r.Begin, s.rows[n-1].key)
		if first := s.rows[0].key; s.end.offset > 0 && r.End <= first {
			r.End = keyAfter(first)
		}
	}
	return r
}

// widen adds what a selector passed over that ran out of keys.
func (s *seenRange) widen(r *KeyRange) {
	if s.readToBegin && s.begin.offset <= 0 {
		r.Begin = ""
	}
	if s.readThroughEnd && s.end.offset > 0 {
		r.End = s.most
	}
}

// stored is for reads that see no writes.
func (s *seenRange) stored(reverse bool) KeyRange {
	r := KeyRange{s.begin.origin, s.end.origin}
	if n := len(s.rows); n > 0 {
		first, last := s.rows[0].key, s.rows[n-1].key
		if reverse {
			first, last = last, first
		}
		if s.begin.offset <= 0 || reverse && s.more && s.begin.offset <= 1 {
			r.Begin = first
		}
		if s.end.offset > 1 || !reverse && s.more && s.end.offset > 0 {
			r.End = keyAfter(last)
		}
	}
	if s.end.offset > s.begin.offset {
		r.Begin = min(r.Begin, s.end.origin)
		r.End = max(r.End, s.begin.origin)
	}
	if s.readToBegin {
		r.Begin = ""
	}
	if s.readThroughEnd {
		r.End = s.most
	}
	return r
}
