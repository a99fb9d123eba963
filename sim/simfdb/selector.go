package simfdb

// KeySelector names a key by its place: of the keys in order, the one that is
// Offset keys behind the last key that is before Key (or at it, if OrEqual).
type KeySelector struct {
	Key     []byte
	OrEqual bool
	Offset  int
}

// FirstGreaterOrEqual selects the first key at or behind key.
func FirstGreaterOrEqual(key []byte) KeySelector { return KeySelector{key, false, 1} }

// FirstGreaterThan selects the first key behind key.
func FirstGreaterThan(key []byte) KeySelector { return KeySelector{key, true, 1} }

// LastLessThan selects the last key before key.
func LastLessThan(key []byte) KeySelector { return KeySelector{key, false, 0} }

// LastLessOrEqual selects the last key at or before key.
func LastLessOrEqual(key []byte) KeySelector { return KeySelector{key, true, 0} }

// Plus returns the selector of the key n keys further on, or back.
func (s KeySelector) Plus(n int) KeySelector {
	s.Offset += n
	return s
}

// selector is a KeySelector without OrEqual: it selects the key that is offset
// keys behind the last key before origin.
type selector struct {
	origin string
	offset int
}

func (s KeySelector) plain() selector {
	if s.OrEqual {
		return selector{pointOf(s.Key).End, s.Offset}
	}
	return selector{string(s.Key), s.Offset}
}

// GetKey returns the key that s selects, as the transaction sees the store; the
// empty key when there are too few keys before, "\xff" when there are too few
// behind.
func (t *Transaction) GetKey(s KeySelector) *FutureKey { return t.life.getKeyLater(s, false) }

// GetKey is [Transaction.GetKey].
func (s Snapshot) GetKey(sel KeySelector) *FutureKey { return s.t.life.getKeyLater(sel, true) }

func (l *life) getKeyLater(s KeySelector, snapshot bool) *FutureKey {
	f := newFuture[[]byte](l)
	f.read = true
	if err := l.usable("get key"); err != nil {
		return f.fail(err)
	}
	if string(s.Key) > l.maxRead() {
		return f.fail(Error{CodeKeyOutsideLegalRange})
	}
	v := l.reader(snapshot, true)
	later(f, func() ([]byte, error) {
		key, _, err := v.resolve(s.plain())
		if err != nil {
			return nil, err
		}
		if !snapshot {
			l.readConflict(v.writes, s.plain().seen(key))
		}
		return []byte(key), nil
	})
	return f
}

// seen returns the keys that decide what s selects, given that it is key.
func (s selector) seen(key string) KeyRange {
	if s.offset < 1 {
		return KeyRange{key, s.origin}
	}
	return KeyRange{s.origin, keyAfter(key)}
}

// edge says that a selector ran out of keys.
type edge uint8

const (
	inside edge = iota
	atBegin
	atEnd
)

// resolve finds the key that s selects.
func (v *rangeReader) resolve(s selector) (string, edge, error) {
	most := v.l.maxRead()
	if s.offset < 1 {
		o := rangeBounds{limit: 1 - s.offset, reverse: true}
		rows, _, err := v.rows(KeyRange{"", min(s.origin, most)}, o)
		if err != nil || len(rows) < o.limit {
			return "", atBegin, err
		}
		return rows[o.limit-1].key, inside, nil
	}
	o := rangeBounds{limit: s.offset}
	rows, _, err := v.rows(KeyRange{s.origin, most}, o)
	if err != nil || len(rows) < o.limit {
		return most, atEnd, err
	}
	return rows[o.limit-1].key, inside, nil
}
