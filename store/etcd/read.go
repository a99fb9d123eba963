package etcd

import (
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/kelpie-registry/kelpie/store"
)

// Get implements [store.Reader].
func (t *Txn) Get(key []byte) ([]byte, error) { return t.getOne(key, true) }

// GetAll implements [store.Reader].
func (t *Txn) GetAll(keys ...[]byte) ([][]byte, error) { return t.getMany(keys, true) }

// GetRange implements [store.Reader].
func (t *Txn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return t.getRange(begin, end, o, true)
}

// snapshot reads without read conflicts.
type snapshot struct{ t *Txn }

func (s snapshot) Get(key []byte) ([]byte, error) { return s.t.getOne(key, false) }

func (s snapshot) GetAll(keys ...[]byte) ([][]byte, error) { return s.t.getMany(keys, false) }

func (s snapshot) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return s.t.getRange(begin, end, o, false)
}

func (t *Txn) getOne(key []byte, conflict bool) ([]byte, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.busy.Unlock()
	return t.get(string(key), conflict)
}

func (t *Txn) getMany(keys [][]byte, conflict bool) ([][]byte, error) {
	if err := t.enter(); err != nil {
		return nil, err
	}
	defer t.busy.Unlock()
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = string(key)
	}
	return t.getAll(names, conflict)
}

// get is Get inside a call.
func (t *Txn) get(key string, conflict bool) ([]byte, error) {
	values, err := t.getAll([]string{key}, conflict)
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

// getAll is GetAll inside a call. The results belong to the caller.
func (t *Txn) getAll(keys []string, conflict bool) ([][]byte, error) {
	values := make([][]byte, len(keys))
	var ask []string
	for i, key := range keys {
		w := t.writes.find(key)
		switch {
		case w != nil && w.unreadable:
			return nil, t.fail(errUnreadable)
		case w != nil && w.independent():
			values[i] = w.over(nil)
		case w == nil && t.writes.cleared.contains(key):
		default:
			ask = append(ask, key)
		}
	}
	if len(ask) == 0 {
		return values, nil
	}
	found, err := t.find(ask, conflict)
	if err != nil {
		return nil, err
	}
	for i, key := range keys {
		if base, ok := found[key]; ok {
			values[i] = copyOf(base)
			if w := t.writes.find(key); w != nil {
				values[i] = w.over(base)
			}
		}
	}
	return values, nil
}

// find returns what the store holds in keys, at the read version or, where
// that is allowed, as guessed. The results are shared.
func (t *Txn) find(keys []string, conflict bool) (map[string][]byte, error) {
	found := make(map[string][]byte, len(keys))
	var ask []string
	for _, key := range keys {
		// What was read once stays as it was; a snapshot read is never judged by
		// the commit and so must not rest on a guess.
		if p := t.points[key]; p != nil && (conflict || !p.guessed) {
			found[key] = p.value
		} else {
			ask = append(ask, key)
		}
	}
	if len(ask) == 0 || (conflict && t.guessAll(ask, found)) {
		return found, nil
	}
	values, err := t.fetch(ask)
	if err != nil {
		return nil, err
	}
	for i, key := range ask {
		found[key] = values[i]
		if conflict {
			t.note(key, &pointRead{value: values[i], rows: t.revision, since: t.revision})
		}
	}
	return found, nil
}

// guessAll answers for all keys from what is remembered, or for none: where
// one must be asked for, the others come along at no cost.
func (t *Txn) guessAll(keys []string, found map[string][]byte) bool {
	if !t.guessing {
		return false
	}
	guesses := make([]*pointRead, len(keys))
	for i, key := range keys {
		if guesses[i] = t.engine.recall.guess(key, t.engine.latest()); guesses[i] == nil {
			return false
		}
	}
	if t.guessedAt == 0 {
		t.guessedAt = t.engine.latest()
	}
	for i, key := range keys {
		t.note(key, guesses[i])
		found[key] = guesses[i].value
	}
	return true
}

func (t *Txn) note(key string, p *pointRead) {
	if t.points == nil {
		t.points = make(map[string]*pointRead)
	}
	if t.points[key] == nil {
		t.readSize += 2 * len(key)
	}
	t.points[key] = p
}

// fetch reads keys at the read version, which it takes when there is none. The
// results are shared.
func (t *Txn) fetch(keys []string) ([][]byte, error) {
	e := t.engine
	values := make([][]byte, 0, len(keys))
	for len(keys) > 0 {
		n := min(len(keys), e.o.MaxTxnOps)
		found, err := t.fetchRows(keys[:n])
		if err != nil {
			return nil, err
		}
		for i, r := range found {
			v, err := e.keys.decodeOne(r)
			if err != nil {
				return nil, err
			}
			values = append(values, v)
			if e.recall != nil {
				e.recall.learn(keys[i], v, t.revision)
			}
		}
		keys = keys[n:]
	}
	return values, nil
}

// fetchRows is one request for the rows of at most MaxTxnOps keys.
func (t *Txn) fetchRows(keys []string) ([][]*mvccpb.KeyValue, error) {
	e := t.engine
	ops := make([]op, len(keys))
	for i, key := range keys {
		begin, end := e.keys.rows(key)
		ops[i] = look(begin, end, atRevision(t.revision))
	}
	if len(ops) == 1 {
		r, err := t.ask(ops[0])
		if err != nil {
			return nil, err
		}
		return [][]*mvccpb.KeyValue{r.Kvs}, nil
	}
	r, err := e.txn(t.ctx, e.kv, &etcdserverpb.TxnRequest{Success: ops})
	if err != nil {
		return nil, e.readError(t.ctx, err)
	}
	t.sawRevision(r.Header.Revision)
	found := make([][]*mvccpb.KeyValue, len(keys))
	for i := range keys {
		found[i] = rows(r.Responses[i])
	}
	return found, nil
}

// sawRevision notes the revision of an answer, which is the read version when
// there was none.
func (t *Txn) sawRevision(revision int64) {
	if t.revision == 0 {
		t.revision = revision
	}
}

// takeRevision takes the read version without reading anything else.
func (t *Txn) takeRevision() error {
	_, err := t.ask(look(t.engine.keys.horizon(), "", keysOnly))
	return err
}

// ask reads a range; its revision is the read version if there was none.
func (t *Txn) ask(o op) (*etcdserverpb.RangeResponse, error) {
	r, err := t.engine.get(t.ctx, o)
	if err != nil {
		return nil, t.engine.readError(t.ctx, err)
	}
	t.sawRevision(r.Header.Revision)
	return r, nil
}

// copyOf is clone that keeps nil.
func copyOf(b []byte) []byte {
	if b == nil {
		return nil
	}
	return clone(b)
}

func (t *Txn) getRange(begin, end []byte, o store.RangeOptions, conflict bool) ([]store.KeyValue, bool, error) {
	if err := t.enter(); err != nil {
		return nil, false, err
	}
	defer t.busy.Unlock()
	if o.Limit < 0 {
		return nil, false, fmt.Errorf("etcd: GetRange: %w: RangeOptions.Limit is %d, must be 0 or more", store.ErrInvalid, o.Limit)
	}
	s, err := newSpan("GetRange", begin, end)
	if err != nil || s.empty() {
		return nil, false, err
	}
	limit := t.engine.o.RangeRows
	if o.Limit > 0 {
		limit = min(limit, o.Limit)
	}
	m := merger{t: t, rest: s, limit: limit, reverse: o.Reverse}
	if err := m.run(); err != nil {
		return nil, false, err
	}
	more := len(m.out) == limit
	if more {
		last := string(m.out[limit-1].Key)
		if o.Reverse {
			s.begin = last
		} else {
			s.end = last + "\x00"
		}
	}
	if conflict {
		t.noteRange(s)
	}
	return m.out, more, nil
}
