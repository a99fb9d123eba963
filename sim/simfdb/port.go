package simfdb

import (
	"context"

	"github.com/kelpie-registry/kelpie/store"
)

// portTransaction is a Transaction as the port has it: calls block and end with a
// context, and it has one life.
type portTransaction struct{ Transaction }

// Begin implements store.Engine.
func (cl *Client) Begin(ctx context.Context) store.Txn { return cl.beginPort(ctx) }

func (cl *Client) beginPort(ctx context.Context) *portTransaction {
	t := &portTransaction{}
	t.begin(ctx, cl)
	// A call made by another task during the commit must not make the commit fail
	// with an error that promises that nothing was applied.
	t.options.unprotected = true
	t.inline = true
	return t
}

// portSnapshot is a portTransaction whose reads add no conflict ranges.
type portSnapshot portTransaction

// Snapshot implements store.Tx.
func (t *portTransaction) Snapshot() store.Reader { return (*portSnapshot)(t) }

// Get implements store.Reader.
func (s *portSnapshot) Get(key []byte) ([]byte, error) { return s.life.get(key, true) }

// GetAll implements store.Reader.
func (s *portSnapshot) GetAll(keys ...[]byte) ([][]byte, error) { return s.life.getAll(keys, true) }

// GetRange implements store.Reader.
func (s *portSnapshot) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return s.life.getRange(begin, end, o, true)
}

// Get implements store.Reader.
func (t *portTransaction) Get(key []byte) ([]byte, error) { return t.life.get(key, false) }

// GetAll implements store.Reader.
func (t *portTransaction) GetAll(keys ...[]byte) ([][]byte, error) { return t.life.getAll(keys, false) }

// GetRange implements store.Reader. An answer is bounded to about 80,000 bytes.
func (t *portTransaction) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return t.life.getRange(begin, end, o, false)
}

func (l *life) get(key []byte, snapshot bool) ([]byte, error) {
	k := lookup{KeyRange: pointOf(key)}
	if err := l.readKey(&k, snapshot); err != nil {
		return nil, err
	}
	return bytesOf(k.value, k.present), nil
}

// readKey reads a key and waits for it.
func (l *life) readKey(k *lookup, snapshot bool) error {
	if err := l.usable("get"); err != nil {
		return err
	}
	if err := l.look(k, snapshot); err != nil || k.known {
		return err
	}
	err := l.fetch(k)
	l.noteFailure(err)
	return err
}

func (l *life) getAll(keys [][]byte, snapshot bool) ([][]byte, error) {
	if err := l.usable("get"); err != nil {
		return nil, err
	}
	lookups := make([]lookup, len(keys))
	var unknown []*lookup
	for i, key := range keys {
		k := &lookups[i]
		k.KeyRange = pointOf(key)
		if err := l.look(k, snapshot); err != nil {
			return nil, err
		}
		if !k.known {
			unknown = append(unknown, k)
		}
	}
	if len(unknown) > 0 {
		if err := l.fetch(unknown...); err != nil {
			l.noteFailure(err)
			return nil, err
		}
	}
	values := make([][]byte, len(keys))
	for i := range lookups {
		values[i] = bytesOf(lookups[i].value, lookups[i].present)
	}
	return values, nil
}

func (l *life) getRange(begin, end []byte, o store.RangeOptions, snapshot bool) ([]store.KeyValue, bool, error) {
	if err := l.usable("get range"); err != nil {
		return nil, false, err
	}
	r := KeyRange{string(begin), string(end)}
	switch {
	case o.Limit < 0:
		return nil, false, Error{CodeInvalidOperation}
	case r.Begin > r.End:
		return nil, false, Error{CodeInvertedRange} // the client takes it for empty
	case r.End > firstSystemKey:
		return nil, false, Error{CodeKeyOutsideLegalRange}
	}
	v := l.reader(snapshot, false)
	bounds := rangeBounds{limit: o.Limit, bytes: answerBytes, reverse: o.Reverse, whole: true}
	rows, more, err := v.between(selector{r.Begin, 1}, selector{r.End, 1}, bounds, snapshot)
	if err != nil {
		l.noteFailure(err)
		return nil, false, err
	}
	return keyValues(rows), more, nil
}

// ReadVersion implements store.Tx.
func (t *portTransaction) ReadVersion() (store.Version, error) {
	if err := t.usable("read version"); err != nil {
		return 0, err
	}
	if err := t.ensureReadVersion(); err != nil {
		return 0, err
	}
	return store.Version(t.readVersion), nil
}

// Add implements store.Tx.
func (t *portTransaction) Add(key []byte, delta int64) {
	var operand [8]byte
	for i := range operand {
		operand[i] = byte(delta >> (8 * i))
	}
	t.Atomic(Add, key, operand[:])
}

// SetStamped implements store.Tx.
func (t *portTransaction) SetStamped(key, value []byte, offset int) {
	hidden, ok := t.checkWrite(key)
	if !ok || !t.checkSizes(key, value) {
		return
	}
	if offset < 0 || offset > len(value)-store.StampBytes {
		t.refuse(CodeInvalidOperation)
		return
	}
	t.setStampedValue(key, value, offset, hidden)
}

// AddReadConflict implements store.Tx.
func (t *portTransaction) AddReadConflict(begin, end []byte) {
	if t.AddReadConflictRange(begin, end) != nil {
		t.refuse(CodeInvertedRange)
	}
}

// AddWriteConflict implements store.Tx.
func (t *portTransaction) AddWriteConflict(begin, end []byte) {
	if t.AddWriteConflictRange(begin, end) != nil {
		t.refuse(CodeInvertedRange)
	}
}

// Watch implements store.Tx. Unlike the client's, it adds no read conflict range,
// and does not fire before the commit.
func (t *portTransaction) Watch(key []byte) (store.Watch, error) {
	l := t.life
	k := lookup{KeyRange: pointOf(key)}
	if err := l.readKey(&k, true); err != nil {
		return nil, err
	}
	w := l.newWatch(key)
	w.port = true
	l.watches = append(l.watches, w)
	w.saw(&k)
	return w, nil
}

// Commit implements store.Txn. Other than the client's, it waits for the commit
// as long as its context lasts and the transaction is not canceled; then the
// error is store.ErrCommitUnknown, since the commit may be applied, or already is.
// Reads that failed do not matter when there is nothing to commit.
func (t *portTransaction) Commit() error {
	l := t.life
	if err := l.usable("commit"); err != nil {
		if !l.started {
			l.started, l.deferred = true, nil
			l.endWatches(err)
		}
		return l.notSent(err)
	}
	l.started = true
	if l.writes.empty() && len(l.written.ranges) == 0 {
		l.failed = nil
	}
	err := l.commit()
	l.finishCommit(err)
	return err
}

// Committed implements store.Txn.
func (t *portTransaction) Committed() store.Version {
	if t.life.committed == invalidVersion {
		return 0
	}
	return store.Version(t.life.committed)
}

// Cancel implements store.Txn. During a commit it ends the wait for the commit,
// not the commit.
func (t *portTransaction) Cancel() {
	if l := t.life; !l.started || !l.done {
		l.deferred = nil // a canceled transaction has no other error
		t.Transaction.Cancel()
	}
}
