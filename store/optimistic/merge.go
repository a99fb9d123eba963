package optimistic

import (
	"github.com/kelpie-registry/kelpie/store"
)

// merger reads a range: the committed rows at the transaction's read version
// with the transaction's own writes over them, in the direction of the read,
// up to a limit. It holds the core's lock for at most mergeStretch committed
// keys at a time, and not while it reads the base.
type merger struct {
	t       *Txn
	span    span
	limit   int
	reverse bool

	rows []store.KeyValue
	heap arena // keys and values of rows
	own  int   // position of the next own write, in the direction of the read
	err  error

	base    []store.KeyValue // rows of the base in fetched, in the direction of the read
	fetched span             // the first part of what is left to read; the base was read there
}

// mergeStretch is the number of keys that are visited under one lock.
const mergeStretch = 512

func (m *merger) run() error {
	m.own, _ = m.t.writes.search(m.span.begin)
	if m.reverse {
		m.own, _ = m.t.writes.search(m.span.end)
		m.own--
	}
	if m.t.readVersion == 0 {
		m.t.readVersion = m.t.engine.core.current()
	}
	rest := m.span
	for m.wantsMore() && !rest.empty() {
		if err := m.t.ctx.Err(); err != nil {
			return m.t.usable()
		}
		part, err := m.fetch(rest)
		if err != nil {
			return err
		}
		if rest, err = m.stretch(part, rest); err != nil {
			return err
		}
	}
	for m.wantsMore() {
		w := m.nextOwn()
		if w == nil {
			break
		}
		m.takeOwn(w, nil)
	}
	if m.err != nil {
		return m.t.fail(m.err)
	}
	return nil
}

func (m *merger) wantsMore() bool { return len(m.rows) < m.limit && m.err == nil }

// fetch returns the first part of rest in which the rows of the base are known,
// and reads them when none are. Without a base that is all of rest.
func (m *merger) fetch(rest span) (span, error) {
	c := &m.t.engine.core
	if c.base == nil {
		return rest, nil
	}
	if m.fetched.end != nil { // What is left of the part that was read before.
		if m.reverse {
			m.fetched.end = rest.end
		} else {
			m.fetched.begin = rest.begin
		}
		for len(m.base) > 0 && !rest.contains(m.base[0].Key) {
			m.base = m.base[1:]
		}
		if !m.fetched.empty() {
			return m.fetched, nil
		}
	}
	// Some rows more than are asked for, since own and newer removals may hide
	// some.
	rows, more, err := c.base.Rows(rest.begin, rest.end, m.reverse, min(mergeStretch, m.limit-len(m.rows)+8))
	if err != nil {
		return span{}, c.baseError(err)
	}
	m.base, m.fetched = rows, rest
	if more && len(rows) > 0 {
		last := m.t.arena.key(rows[len(rows)-1].Key)
		if m.reverse {
			m.fetched.begin = last.begin
		} else {
			m.fetched.end = last.end
		}
	}
	return m.fetched, nil
}

// stretch merges the first mergeStretch committed keys of part, or fewer, and
// returns what is left of rest, which begins with part.
func (m *merger) stretch(part, rest span) (span, error) {
	c := &m.t.engine.core
	c.mu.RLock()
	defer c.mu.RUnlock()
	if err := c.readable(m.t.readVersion); err != nil {
		return rest, err
	}
	left := mergeStretch
	next := span{part.end, rest.end}
	if m.reverse {
		next = span{rest.begin, part.begin}
	}
	step := func(key string, value []byte) bool {
		if jump, skip := m.hop(key, rest); skip {
			next = jump
			return false
		}
		m.take(key, value)
		if left--; left == 0 || !m.wantsMore() {
			next = m.behind(key, rest)
			return false
		}
		return true
	}
	stopped := false
	visit := func(e *entry) bool {
		for len(m.base) > 0 && m.isBefore(view(m.base[0].Key), e.key) && !stopped {
			stopped = !step(view(m.base[0].Key), m.base[0].Value)
			m.base = m.base[1:]
		}
		if stopped {
			return false
		}
		stopped = !step(e.key, e.at(m.t.readVersion))
		if len(m.base) > 0 && view(m.base[0].Key) == e.key {
			m.base = m.base[1:] // the map knows better
		}
		return !stopped
	}
	if m.reverse {
		c.data.descend(part.begin, part.end, visit)
	} else {
		c.data.ascend(part.begin, part.end, visit)
	}
	for len(m.base) > 0 && !stopped {
		stopped = !step(view(m.base[0].Key), m.base[0].Value)
		m.base = m.base[1:]
	}
	return next, nil
}

// hop reports whether key lies in a range that the transaction has cleared, and
// returns the part of rest beyond that range. Own writes in the range come
// later, from writes alone.
func (m *merger) hop(key string, rest span) (span, bool) {
	ws := &m.t.writes
	if len(ws.cleared) == 0 {
		return rest, false
	}
	cut := ws.clears([]byte(key))
	if cut == nil || key < view(cut.begin) {
		return rest, false
	}
	if m.reverse {
		return span{rest.begin, cut.begin}, true
	}
	return span{cut.end, rest.end}, true
}

// behind returns the part of rest beyond key.
func (m *merger) behind(key string, rest span) span {
	s := m.t.arena.key([]byte(key))
	if m.reverse {
		return span{rest.begin, s.begin}
	}
	return span{s.end, rest.end}
}

// take merges a committed key that is not in a cleared range. The value is nil
// when the transaction sees none.
func (m *merger) take(key string, value []byte) {
	for m.wantsMore() {
		w := m.nextOwn()
		if w == nil || m.isBefore(key, view(w.key)) {
			break
		}
		if view(w.key) == key {
			m.takeOwn(w, value)
			return
		}
		m.takeOwn(w, nil)
	}
	if value != nil && m.wantsMore() {
		m.emit([]byte(key), value)
	}
}

// isBefore reports whether the read meets key a before key b.
func (m *merger) isBefore(a, b string) bool {
	if m.reverse {
		return a > b
	}
	return a < b
}

// nextOwn returns the next own write in the range, or nil.
func (m *merger) nextOwn() *write {
	ws := &m.t.writes
	if m.own < 0 || m.own >= len(ws.order) {
		return nil
	}
	w := ws.at(m.own)
	if !m.span.contains(w.key) {
		return nil
	}
	return w
}

// takeOwn merges an own write over the committed value base, nil for none.
func (m *merger) takeOwn(w *write, base []byte) {
	if m.reverse {
		m.own--
	} else {
		m.own++
	}
	if w.unreadable {
		m.err = errUnreadable
		return
	}
	if value := w.apply(base, 0, 0); value != nil {
		m.emit(w.key, value)
	}
}

func (m *merger) emit(key, value []byte) {
	m.rows = append(m.rows, store.KeyValue{Key: m.heap.copy(key, 0), Value: m.heap.copy(value, 0)})
}
