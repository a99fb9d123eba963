package etcd

import (
	"slices"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/kelpie-registry/kelpie/store"
)

// merger reads a range: the keys of the store at the transaction's read version
// with the transaction's own writes over them, in the direction of the read, up
// to a limit. It reads a page of rows at a time.
type merger struct {
	t       *Txn
	rest    span // not read yet
	limit   int
	reverse bool
	out     []store.KeyValue
}

func (m *merger) run() error {
	for len(m.out) < m.limit && !m.rest.empty() {
		kvs, read, err := m.page()
		if err != nil {
			return err
		}
		if err := m.merge(kvs, read); err != nil {
			return err
		}
	}
	return nil
}

// page reads the next keys of rest. read is the part of rest that it covers.
func (m *merger) page() (kvs []keyValue, read span, err error) {
	e := m.t.engine
	begin, end := e.keys.rowsOf(m.rest)
	size := max(pageRows, min(m.limit-len(m.out)+1, maxPageRows))
	request := look(begin, end, atRevision(m.t.revision), atMost(size))
	if m.reverse {
		downwards(request.GetRequestRange())
	}
	r, err := m.t.ask(request)
	if err != nil {
		return nil, span{}, err
	}
	if m.reverse {
		slices.Reverse(r.Kvs)
	}
	read = m.rest
	if r.More {
		return m.cutPage(r.Kvs)
	}
	m.rest.begin = m.rest.end
	kvs, err = e.keys.decodeRows(r.Kvs)
	return kvs, read, err
}

// Rows of one page. Small answers cost little more than none; large ones block
// the member.
const (
	pageRows    = 64
	maxPageRows = 4096
)

// cutPage decodes a page that was cut short. Rows of its last key, in the
// direction of the read, may be missing: that key is read on its own.
func (m *merger) cutPage(rows []*mvccpb.KeyValue) (kvs []keyValue, read span, err error) {
	e := m.t.engine
	at := len(rows) - 1
	if m.reverse {
		at = 0
	}
	edge, _, ok := e.keys.parse(string(rows[at].Key))
	if !ok {
		_, err = e.keys.decodeRows(rows[at : at+1])
		return nil, span{}, err
	}
	whole := slices.DeleteFunc(rows, func(row *mvccpb.KeyValue) bool {
		key, _, _ := e.keys.parse(string(row.Key))
		return key == edge
	})
	if kvs, err = e.keys.decodeRows(whole); err != nil {
		return nil, span{}, err
	}
	values, err := m.t.fetch([]string{edge})
	if err != nil {
		return nil, span{}, err
	}
	last := keyValue{edge, copyOf(values[0])} // what fetch returns is remembered, too
	read = m.rest
	if m.reverse {
		kvs = slices.Insert(kvs, 0, last)
		read.begin, m.rest.end = edge, edge
	} else {
		kvs = append(kvs, last)
		read.end, m.rest.begin = edge+"\x00", edge+"\x00"
	}
	return kvs, read, nil
}

// merge appends the keys of read, which the store holds as kvs says.
func (m *merger) merge(kvs []keyValue, read span) error {
	seen := m.overlay(kvs, m.t.writes.in(read))
	if m.reverse {
		slices.Reverse(seen)
	}
	for _, kv := range seen {
		if len(m.out) == m.limit {
			return nil
		}
		if w := m.t.writes.find(kv.key); w != nil && w.unreadable {
			return m.t.fail(errUnreadable)
		}
		if kv.value != nil {
			m.out = append(m.out, store.KeyValue{Key: []byte(kv.key), Value: kv.value})
		}
	}
	return nil
}

// overlay returns what the transaction sees in the keys of the store and of its
// own writes, in their order.
func (m *merger) overlay(kvs []keyValue, own []*write) []keyValue {
	seen := make([]keyValue, 0, len(kvs)+len(own))
	for len(kvs) > 0 || len(own) > 0 {
		if len(own) == 0 || (len(kvs) > 0 && kvs[0].key < own[0].key) {
			kv := kvs[0]
			if m.t.writes.cleared.contains(kv.key) {
				kv.value = nil
			}
			seen, kvs = append(seen, kv), kvs[1:]
			continue
		}
		var base []byte
		w := own[0]
		if len(kvs) > 0 && kvs[0].key == w.key {
			base, kvs = kvs[0].value, kvs[1:]
		}
		seen, own = append(seen, keyValue{w.key, w.over(base)}), own[1:]
	}
	return seen
}
