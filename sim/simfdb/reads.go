package simfdb

import (
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// answerBytes bounds the rows of one answer to a range read, each counted with
// its overhead.
const answerBytes = 80_000

// snapshot is a transaction whose reads add no conflict ranges.
type snapshot Transaction

// Snapshot implements store.Tx.
func (t *Transaction) Snapshot() store.Reader { return (*snapshot)(t) }

// Get implements store.Reader.
func (s *snapshot) Get(key []byte) ([]byte, error) { return (*Transaction)(s).get(key, true) }

// GetAll implements store.Reader.
func (s *snapshot) GetAll(keys ...[]byte) ([][]byte, error) {
	return (*Transaction)(s).getAll(keys, true)
}

// GetRange implements store.Reader.
func (s *snapshot) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return (*Transaction)(s).getRange(begin, end, o, true)
}

// Get implements store.Reader.
func (t *Transaction) Get(key []byte) ([]byte, error) { return t.get(key, false) }

// GetAll implements store.Reader.
func (t *Transaction) GetAll(keys ...[]byte) ([][]byte, error) { return t.getAll(keys, false) }

// GetRange implements store.Reader. An answer is bounded to about 80,000 bytes.
func (t *Transaction) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return t.getRange(begin, end, o, false)
}

// bytesOf returns a value as the port has it: nil for none.
func bytesOf(value string, present bool) []byte {
	if !present {
		return nil
	}
	b := make([]byte, len(value))
	copy(b, value)
	return b
}

// lookup is the read of one key.
type lookup struct {
	KeyRange // the key alone
	value    string
	present  bool
	known    bool // value and present are what the transaction sees
}

func (t *Transaction) get(key []byte, snapshot bool) ([]byte, error) {
	if err := t.usable("get"); err != nil {
		return nil, err
	}
	l := lookup{KeyRange: pointOf(key)}
	if err := t.look(&l, snapshot); err != nil {
		return nil, err
	}
	if !l.known {
		if err := t.fetch(&l); err != nil {
			return nil, err
		}
	}
	return bytesOf(l.value, l.present), nil
}

func (t *Transaction) getAll(keys [][]byte, snapshot bool) ([][]byte, error) {
	if err := t.usable("get"); err != nil {
		return nil, err
	}
	lookups := make([]lookup, len(keys))
	var unknown []*lookup
	for i, key := range keys {
		l := &lookups[i]
		l.KeyRange = pointOf(key)
		if err := t.look(l, snapshot); err != nil {
			return nil, err
		}
		if !l.known {
			unknown = append(unknown, l)
		}
	}
	if len(unknown) > 0 {
		if err := t.fetch(unknown...); err != nil {
			return nil, err
		}
	}
	values := make([][]byte, len(keys))
	for i := range lookups {
		values[i] = bytesOf(lookups[i].value, lookups[i].present)
	}
	return values, nil
}

// look reads a key as far as that needs no server, and adds its conflict range.
func (t *Transaction) look(l *lookup, snapshot bool) error {
	key := l.Begin
	if key >= firstSystemKey {
		return Error{CodeKeyOutsideLegalRange}
	}
	if !t.writes.empty() {
		if t.writes.unreadable.contains(key) {
			return t.unreadable()
		}
		e := t.writes.entry(key)
		switch {
		case e != nil && e.unreadable:
			return t.unreadable()
		case e != nil && !e.dependent():
			l.value, l.present = e.value("", false)
			l.known = true
			return nil
		case e == nil && t.writes.clears.contains(key):
			l.known = true
			return nil
		}
	}
	if !snapshot {
		t.approximate += l.size()
		t.reads.add(l.KeyRange)
	}
	if value, present, ok := t.cache.get(key); ok {
		t.see(l, value, present)
	}
	return nil
}

// unreadable makes the transaction fail for having read what only the commit
// can tell.
func (t *Transaction) unreadable() error {
	t.refuse(CodeAccessedUnreadable)
	return t.deferred
}

// see gives a lookup its stored value, with the transaction's own changes to it.
func (t *Transaction) see(l *lookup, value string, present bool) {
	l.value, l.present, l.known = value, present, true
	if e := t.writes.entry(l.Begin); e != nil {
		l.value, l.present = e.value(value, present)
	}
}

// fetch reads keys from the storage server.
func (t *Transaction) fetch(lookups ...*lookup) error {
	r := &readRequest{}
	r.keys = r.roomForKeys[:0]
	for _, l := range lookups {
		r.keys = append(r.keys, l.Begin)
	}
	reply, err := t.send(r, "get")
	if err != nil {
		return err
	}
	for i, l := range lookups {
		n := 0
		if reply.found[i] {
			n = 1
		}
		t.cache.learn(l.KeyRange, reply.values[i:i+n:i+n])
		t.see(l, reply.values[i].value, reply.found[i])
	}
	return nil
}

// send makes a read at the transaction's read version.
func (t *Transaction) send(r *readRequest, doing string) (*readReply, error) {
	if err := t.ensureReadVersion(); err != nil {
		return nil, err
	}
	r.id, r.version, r.base = t.client.nextID(), t.readVersion, t.base
	if err := endOf(&r.call, t.client.do(t.ctx, &r.call, t.client.c.storageName, r), doing); err != nil {
		return nil, err
	}
	return r.call.reply.(*readReply), nil
}

func (t *Transaction) getRange(begin, end []byte, o store.RangeOptions, snapshot bool) ([]store.KeyValue, bool, error) {
	if err := t.usable("get range"); err != nil {
		return nil, false, err
	}
	r := KeyRange{string(begin), string(end)}
	switch {
	case o.Limit < 0:
		return nil, false, Error{CodeInvalidOperation}
	case r.Begin > r.End:
		return nil, false, Error{CodeInvertedRange}
	case r.End > firstSystemKey:
		return nil, false, Error{CodeKeyOutsideLegalRange}
	}
	rows, more, err := t.readRange(r, rangeBounds{o.Limit, answerBytes, o.Reverse})
	if err != nil {
		return nil, false, err
	}
	if !snapshot {
		t.approximate += r.size()
		t.conflictOn(covered(r, rows, more, o.Reverse))
	}
	kvs := make([]store.KeyValue, len(rows))
	for i, row := range rows {
		kvs[i] = store.KeyValue{Key: []byte(row.key), Value: bytesOf(row.value, true)}
	}
	return kvs, more, nil
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

// rangeBounds say where a range read stops.
type rangeBounds struct {
	limit   int // rows; 0: none
	bytes   int // of one answer of the storage server; 0: none
	reverse bool
}

// readRange returns the rows of r that the transaction sees. It goes on until
// the limit or the end of r, or until what the storage server returned at once
// gave at least one row and was cut short by bytes: then more is true, as it is
// at the limit.
func (t *Transaction) readRange(r KeyRange, o rangeBounds) (rows []row, more bool, err error) {
	for rest := r; !rest.empty(); {
		stretch, stored, cut, err := t.nextStretch(rest, o, len(rows))
		if err != nil {
			return nil, false, err
		}
		merged := t.writes.merge(stretch, stored)
		if o.reverse {
			merged = slices.Clone(merged)
			slices.Reverse(merged)
		}
		if full := o.limit > 0 && len(rows)+len(merged) >= o.limit; full {
			merged = merged[:o.limit-len(rows)]
			stretch = covered(stretch, merged, true, o.reverse)
			more = true
		}
		if !t.writes.empty() && !t.writes.readable(stretch) {
			return nil, false, t.unreadable()
		}
		rows = append(rows, merged...)
		if more || cut && len(rows) > 0 {
			return rows, true, nil
		}
		if o.reverse {
			rest.End = stretch.Begin
		} else {
			rest.Begin = stretch.End
		}
	}
	return rows, false, nil
}

// nextStretch returns the stored rows of the first stretch of r (the last, in
// reverse) and how far it goes. cut reports that bytes ended it.
func (t *Transaction) nextStretch(r KeyRange, o rangeBounds, have int) (stretch KeyRange, stored []row, cut bool, err error) {
	if own, ok := t.clearedStretch(r, o.reverse); ok {
		return own, nil, false, nil
	}
	var known bool
	if o.reverse {
		stretch, stored, known = t.cache.upTo(r)
	} else {
		stretch, stored, known = t.cache.from(r)
	}
	if known {
		return stretch, stored, false, nil
	}
	q := &readRequest{span: r, bytes: o.bytes, reverse: o.reverse}
	if o.limit > 0 {
		q.limit = o.limit - have
	}
	reply, err := t.send(q, "get range")
	if err != nil {
		return KeyRange{}, nil, false, err
	}
	stretch = covered(r, reply.rows, reply.more, o.reverse)
	stored = reply.rows
	if o.reverse {
		stored = slices.Clone(stored)
		slices.Reverse(stored)
	}
	t.cache.learn(stretch, stored)
	return stretch, stored, reply.more && (q.limit == 0 || len(stored) < q.limit), nil
}

// clearedStretch returns the first stretch of r (the last, in reverse) if the
// transaction has cleared it: no server need be asked.
func (t *Transaction) clearedStretch(r KeyRange, reverse bool) (KeyRange, bool) {
	clears := t.writes.clears.ranges
	if len(clears) == 0 {
		return KeyRange{}, false
	}
	if !reverse {
		c, ok := t.writes.clears.find(r.Begin)
		return KeyRange{r.Begin, min(r.End, c.End)}, ok
	}
	i, _ := slices.BinarySearchFunc(clears, r.End, func(c KeyRange, key string) int {
		if c.Begin < key {
			return -1
		}
		return 1
	})
	if i == 0 || clears[i-1].End < r.End {
		return KeyRange{}, false
	}
	return KeyRange{max(r.Begin, clears[i-1].Begin), r.End}, true
}
