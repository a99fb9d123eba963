package simfdb

import "github.com/kelpie-registry/kelpie/store"

// Selector names a key by its place: of the keys in order, the one that is
// Offset keys behind the last key that is before Key (or at it, if OrEqual).
type Selector struct {
	Key     []byte
	OrEqual bool
	Offset  int
}

// FirstAtOrAfter selects the first key at or behind key.
func FirstAtOrAfter(key []byte) Selector { return Selector{key, false, 1} }

// FirstAfter selects the first key behind key.
func FirstAfter(key []byte) Selector { return Selector{key, true, 1} }

// LastBefore selects the last key before key.
func LastBefore(key []byte) Selector { return Selector{key, false, 0} }

// LastAtOrBefore selects the last key at or before key.
func LastAtOrBefore(key []byte) Selector { return Selector{key, true, 0} }

// Plus returns the selector of the key n keys further on, or back.
func (s Selector) Plus(n int) Selector {
	s.Offset += n
	return s
}

// origin returns the key from which the selector counts: up, from it; down,
// from the key before it.
func (s Selector) origin() string {
	if s.OrEqual {
		return pointOf(s.Key).End
	}
	return string(s.Key)
}

// GetKey returns the key that s selects, as the transaction sees the store; the
// empty key when there are too few keys before, "\xff" when there are too few
// behind.
func (t *Transaction) GetKey(s Selector) ([]byte, error) {
	if err := t.usable("get key"); err != nil {
		return nil, err
	}
	if string(s.Key) > firstSystemKey {
		return nil, Error{CodeKeyOutsideLegalRange}
	}
	key, err := t.resolve(s)
	if err != nil {
		return nil, err
	}
	t.conflictOn(s.seen(key))
	return []byte(key), nil
}

// seen returns the keys that decide what s selects, given that it is key.
func (s Selector) seen(key string) KeyRange {
	from := s.origin()
	switch {
	case s.Offset < 1:
		return KeyRange{key, min(from, firstSystemKey)}
	case key == firstSystemKey:
		return KeyRange{from, key}
	default:
		return KeyRange{from, keyAfter(key)}
	}
}

// resolve finds the key that s selects.
func (t *Transaction) resolve(s Selector) (string, error) {
	r, o, none := KeyRange{s.origin(), firstSystemKey}, rangeBounds{limit: s.Offset}, firstSystemKey
	if s.Offset < 1 {
		r, none = KeyRange{"", min(s.origin(), firstSystemKey)}, ""
		o = rangeBounds{limit: 1 - s.Offset, reverse: true}
	}
	rows, _, err := t.readRange(r, o)
	if err != nil {
		return "", err
	}
	if len(rows) < o.limit {
		return none, nil
	}
	return rows[o.limit-1].key, nil
}

// GetRangeSelected is GetRange between the keys that two selectors name. An
// inverted range is empty.
func (t *Transaction) GetRangeSelected(begin, end Selector, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	if err := t.usable("get range"); err != nil {
		return nil, false, err
	}
	r := KeyRange{begin.origin(), min(end.origin(), firstSystemKey)}
	seen := r              // the keys that decide the result, those that the selectors pass over included
	if begin.Offset != 1 { // with 1, the origin bounds the range as well as the key behind it
		key, err := t.resolve(begin)
		if err != nil {
			return nil, false, err
		}
		r.Begin, seen.Begin = key, min(seen.Begin, key)
	}
	if end.Offset != 1 {
		key, err := t.resolve(end)
		if err != nil {
			return nil, false, err
		}
		r.End, seen.End = key, max(seen.End, key)
	}
	if r.empty() {
		return nil, false, nil
	}
	rows, more, err := t.getRange([]byte(r.Begin), []byte(r.End), o, true)
	if err != nil {
		return nil, false, err
	}
	switch {
	case more && o.Reverse:
		seen.Begin = string(rows[len(rows)-1].Key)
	case more:
		seen.End = keyAfter(string(rows[len(rows)-1].Key))
	}
	t.conflictOn(seen)
	return rows, more, nil
}
