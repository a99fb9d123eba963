package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// This file is a second, slow implementation of the port's semantics, made to
// be seen to be right: a state is a plain map, a transaction is the list of its
// calls, and each answer is worked out from the beginning.

// state is what a store holds. States are never changed, only copied.
type state map[string]string

// place is where a commit stands: stamps put commits in this order.
type place struct {
	version store.Version
	order   uint16
}

func (p place) less(q place) bool {
	return p.version < q.version || (p.version == q.version && p.order < q.order)
}

func (p place) stamp() []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(nil, uint64(p.version)), p.order)
}

// cell is what a transaction sees in a key.
type cell struct {
	value      []byte // nil: none
	own        bool   // decided by the transaction's own writes alone
	unreadable bool   // stamped, and not removed since
}

// see works out what a transaction that has made these calls on base sees in
// key. at is its place, for the stamps; while it has none they are nonsense,
// and unreadable says so.
func see(base state, calls []op, key string, at place) cell {
	var c cell
	if v, ok := base[key]; ok {
		c.value = []byte(v)
	}
	for _, o := range calls {
		switch {
		case o.kind == opSet && o.key == key:
			c.value, c.own = []byte(o.value), true
		case o.kind == opClear && o.key == key, o.kind == opClearRange && o.key <= key && key < o.end:
			c = cell{own: true}
		case o.kind == opAdd && o.key == key:
			sum := make([]byte, 8)
			copy(sum, c.value)
			binary.LittleEndian.PutUint64(sum, binary.LittleEndian.Uint64(sum)+uint64(o.delta))
			c.value = sum
		case o.kind == opStamp && o.key == key:
			v := []byte(o.value)
			copy(v[o.offset:], at.stamp())
			c = cell{value: v, own: true, unreadable: true}
		}
	}
	return c
}

// keysOf returns the keys that a transaction may see, in order.
func keysOf(base state, calls []op) []string {
	var keys []string
	for k := range base { //determinism:allow sorted below
		keys = append(keys, k)
	}
	for _, o := range calls {
		switch o.kind {
		case opSet, opAdd, opStamp:
			keys = append(keys, o.key)
		default:
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// expect works out the answer to call o by a transaction that has made calls on
// base, by an engine that never cuts a range short of its limit.
func expect(base state, calls []op, o op) answer {
	if o.kind == opGet {
		c := see(base, calls, o.key, place{})
		if c.unreadable {
			return answer{err: store.ErrUnreadable}
		}
		return answer{value: c.value}
	}
	a := answer{rows: []store.KeyValue{}}
	keys := keysOf(base, calls)
	if o.reverse {
		slices.Reverse(keys)
	}
	for _, k := range keys {
		if k < o.key || k >= o.end {
			continue
		}
		if o.limit > 0 && len(a.rows) == o.limit {
			a.more = true
			break
		}
		c := see(base, calls, k, place{})
		if c.unreadable {
			return answer{err: store.ErrUnreadable}
		}
		if c.value != nil {
			a.rows = append(a.rows, store.KeyValue{Key: []byte(k), Value: c.value})
		}
	}
	return a
}

// agrees reports whether an engine may answer got to call o after calls, where
// the model says want. An engine may cut a range short with more, may say more
// at the limit, and may stumble over any unreadable key of a range.
func agrees(calls []op, o op, got, want answer) bool {
	switch {
	case errors.Is(got.err, store.ErrUnreadable):
		return want.err != nil || (o.kind == opRange && hasUnreadable(calls, o))
	case got.err != nil:
		return false
	case o.kind == opGet:
		return want.err == nil && bytes.Equal(got.value, want.value) && (got.value == nil) == (want.value == nil)
	case got.more && len(got.rows) == 0:
		return false
	case want.err != nil:
		return got.more // cut short in front of the unreadable key
	case len(got.rows) < len(want.rows):
		return got.more && sameRows(got.rows, want.rows[:len(got.rows)])
	default:
		return sameRows(got.rows, want.rows) && (got.more || !want.more)
	}
}

func hasUnreadable(calls []op, o op) bool {
	return slices.ContainsFunc(universe, func(k string) bool {
		return o.key <= k && k < o.end && see(nil, calls, k, place{}).unreadable
	})
}

// after returns the state that a transaction of these calls leaves when it
// commits at a place.
func (s state) after(calls []op, at place) state {
	next := state{}
	for _, k := range keysOf(s, calls) {
		if c := see(s, calls, k, at); c.value != nil {
			next[k] = string(c.value)
		}
	}
	return next
}

// A slot is a point of the key space at which conflicts are decided: slot 2i is
// the universe's key i, slot 2i+1 all that lies between it and the next. That
// is exact, because all bounds are keys of the universe, or the first key
// behind one of them.
const slots = 16

// slotSet is a set of slots.
type slotSet [slots]bool

func slotOf(key string) int {
	i, ok := slices.BinarySearch(universe, key)
	switch {
	case ok:
		return 2 * i
	case i > 0 && key > universe[i-1]:
		return 2*i - 1
	default:
		return 0
	}
}

// addRange adds the slots of [begin, end).
func (s *slotSet) addRange(begin, end string) {
	if begin >= end {
		return
	}
	to := slots
	if end <= universe[len(universe)-1]+"\x00" {
		to = slotOf(end)
	}
	for i := slotOf(begin); i < to; i++ {
		s[i] = true
	}
}

// meets reports whether two sets have a slot in common.
func (s *slotSet) meets(t *slotSet) bool {
	for i := range s {
		if s[i] && t[i] {
			return true
		}
	}
	return false
}

// readsOf returns the read conflicts that call o adds after calls, given what
// the engine answered.
func readsOf(calls []op, o op, got answer) slotSet {
	var s slotSet
	if o.snapshot {
		return s
	}
	switch o.kind {
	case opGet:
		s[slotOf(o.key)] = true
	case opReadConflict:
		s.addRange(o.key, o.end)
	case opRange:
		begin, end := o.key, o.end
		if n := len(got.rows); got.more && n > 0 {
			edge := string(got.rows[n-1].Key)
			if o.reverse {
				begin = edge
			} else {
				end = edge + "\x00"
			}
		}
		s.addRange(begin, end)
	default:
		return s
	}
	// What the transaction's own writes decide is not read.
	for i := range s {
		key := universe[i/2]
		if i%2 == 1 {
			key += "\x00"
		}
		if see(nil, calls, key, place{}).own {
			s[i] = false
		}
	}
	return s
}

// writesOf returns the write conflicts of a transaction.
func writesOf(calls []op) slotSet {
	var s slotSet
	for _, o := range calls {
		switch o.kind {
		case opSet, opClear, opAdd, opStamp:
			s[slotOf(o.key)] = true
		case opClearRange, opWriteConflict:
			s.addRange(o.key, o.end)
		default:
		}
	}
	return s
}

// mutates reports whether calls make a transaction that commits with a version.
func mutates(calls []op) bool {
	s := writesOf(calls)
	return s != slotSet{}
}
