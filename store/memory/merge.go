package memory

import (
	"github.com/kelpie-registry/kelpie/store"
)

// merger reads a range: the committed rows at the transaction's read version
// with the transaction's own writes over them, in the direction of the read,
// up to a limit. It holds the core's lock for at most mergeStretch committed
// keys at a time.
type merger struct {
	t       *Txn
	span    span
	limit   int
	reverse bool

	rows []store.KeyValue
	heap arena // keys and values of rows
	own  int   // position of the next own write, in the direction of the read
	err  error
}

// mergeStretch is the number of keys that are visited under one lock.
const mergeStretch = 512

func (m *merger) run() error {
	m.own, _ = m.t.writes.search(m.span.begin)
	if m.reverse {
		m.own, _ = m.t.writes.search(m.span.end)
		m.own--
	}
	rest := m.span
	for m.wantsMore() && !rest.empty() {
		next, err := m.stretch(rest)
		if err != nil {
			return err
		}
		rest = next
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

// stretch merges the first mergeStretch committed keys of rest, or fewer, and
// returns what is left of rest.
func (m *merger) stretch(rest span) (span, error) {
	if m.t.readVersion == 0 {
		m.t.readVersion = m.t.engine.core.current()
	}
	if err := m.t.ctx.Err(); err != nil {
		return rest, m.t.usable()
	}
	c := &m.t.engine.core
	c.mu.RLock()
	defer c.mu.RUnlock()
	if err := c.readable(m.t.readVersion); err != nil {
		return rest, err
	}
	left := mergeStretch
	next := span{}
	visit := func(e *entry) bool {
		if jump, skip := m.hop(e.key, rest); skip {
			next = jump
			return false
		}
		m.take(e)
		if left--; left == 0 || !m.wantsMore() {
			next = m.behind(e.key, rest)
			return false
		}
		return true
	}
	if m.reverse {
		c.data.descend(rest.begin, rest.end, visit)
	} else {
		c.data.ascend(rest.begin, rest.end, visit)
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

// take merges a committed key that is not in a cleared range.
func (m *merger) take(e *entry) {
	value := e.at(m.t.readVersion)
	for m.wantsMore() {
		w := m.nextOwn()
		if w == nil || m.isBefore(e.key, w.key) {
			break
		}
		if view(w.key) == e.key {
			m.takeOwn(w, value)
			return
		}
		m.takeOwn(w, nil)
	}
	if value != nil && m.wantsMore() {
		m.emit([]byte(e.key), value)
	}
}

// isBefore reports whether the read meets key a before key b.
func (m *merger) isBefore(a string, b []byte) bool {
	if m.reverse {
		return a > view(b)
	}
	return a < view(b)
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
