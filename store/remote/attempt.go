package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store"
)

// attempt implements store.Txn. It is for one task.
type attempt struct {
	engine *Engine
	ctx    context.Context

	link *link  // nil until the first call that needs one
	txn  uint64 // its number on the link
	step uint32 // the last that was sent

	data      []byte // mutations that were not sent yet, encoded
	ends      []int  // where each of them ends
	size      int    // bytes of all mutations, towards store.MaxTxnBytes
	wrote     bool   // a commit has something to send
	broken    error  // of an invalid mutation
	lost      error  // the server's part of the transaction cannot be used
	used      bool   // committed or cancelled
	committed store.Version
	watches   []*watch
}

// usable returns why the transaction cannot be used, if it cannot.
func (t *attempt) usable(doing string) error {
	switch {
	case t.used:
		return fmt.Errorf("remote: %s: %w", doing, store.ErrUsed)
	case t.engine.isClosed():
		return errClosed
	case t.ctx.Err() != nil:
		return fmt.Errorf("remote: %s: %w", doing, t.ctx.Err())
	case t.lost != nil:
		return t.lost
	default:
		return t.broken
	}
}

// ready makes sure that the transaction has a link.
func (t *attempt) ready() error {
	if t.link != nil {
		return nil
	}
	l, err := t.engine.connect(t.ctx)
	if err != nil {
		return err
	}
	t.link = l
	t.engine.mu.Lock()
	defer t.engine.mu.Unlock()
	l.txns++
	t.txn = l.txns
	return nil
}

// requestRoom is how many bytes of a request are for what is not mutations.
const requestRoom = 2*maxKey + 2*2*8*maxOver

// part returns as many of the mutations that were not sent as one request takes,
// beside so many bytes of a read.
func (t *attempt) part(beside int) writes {
	room := t.link.limits.message - requestRoom - beside
	n := 0
	for n < len(t.ends) && n < maxWrites && (n == 0 || t.ends[n] <= room) {
		n++
	}
	if n == len(t.ends) {
		w := writes{n, t.data}
		t.data, t.ends = nil, nil
		return w
	}
	end := t.ends[n-1]
	w := writes{n, t.data[:end:end]}
	t.data, t.ends = t.data[end:], t.ends[n:]
	for i := range t.ends {
		t.ends[i] -= end
	}
	return w
}

// fits reports whether all that was not sent fits into one request.
func (t *attempt) fits(beside int) bool {
	return len(t.data) <= t.link.limits.message-requestRoom-beside && len(t.ends) <= maxWrites
}

// read has the server read. The mutations made so far go with it.
func (t *attempt) read(doing string, r read) (result, error) {
	if err := t.usable(doing); err != nil {
		return result{}, err
	}
	if err := t.ready(); err != nil {
		return result{}, err
	}
	beside := len(r.append(nil))
	for !t.fits(beside) {
		if _, err := t.send(doing, t.part(beside), read{}); err != nil {
			return result{}, err
		}
	}
	return t.send(doing, t.part(beside), r)
}

// send sends one step.
func (t *attempt) send(doing string, w writes, r read) (result, error) {
	t.step++
	req := encodeRead(t.engine.header(t.link), t.txn, t.step, w, r)
	reply, err := t.engine.ask(t.ctx, t.link, partRead, r.small(), req)
	if err != nil {
		return result{}, t.lose(t.unread(doing, err))
	}
	res, f, err := decodeResult(reply, r.kind)
	switch {
	case err != nil:
		return result{}, t.lose(fmt.Errorf("remote: %s: %w: %w", doing, store.ErrUnavailable, err))
	case f == nil:
		return res, nil
	}
	t.blame(f)
	if f.status != statusFailed {
		return result{}, t.lose(f.read(doing))
	}
	return result{}, f.read(doing)
}

// blame draws the consequences of a fault for the link and its server.
func (t *attempt) blame(f *fault) {
	switch {
	case f.status == statusGone:
		t.engine.forget(t.link)
	case f.code == codeUnavailable, f.code == codeClosed:
		t.engine.failed(t.link.server, nil)
	}
}

func (t *attempt) lose(err error) error {
	t.lost = err
	return err
}

// unread returns the error of a read that has no reply.
func (t *attempt) unread(doing string, err error) error {
	switch {
	case t.ctx.Err() != nil:
		return fmt.Errorf("remote: %s: %w", doing, t.ctx.Err())
	case errors.Is(err, store.ErrClosed), t.engine.isClosed():
		return errClosed
	case errors.Is(err, network.ErrTooLarge):
		return fmt.Errorf("remote: %s: %w: %w", doing, store.ErrTooLarge, err)
	default:
		return fmt.Errorf("remote: %s: %w: %w", doing, store.ErrUnavailable, err)
	}
}

// ReadVersion implements store.Tx.
func (t *attempt) ReadVersion() (store.Version, error) {
	res, err := t.read("read version", read{kind: readVersion})
	return res.version, err
}

// Snapshot implements store.Tx.
func (t *attempt) Snapshot() store.Reader { return reader{t, true} }

// Get implements store.Reader.
func (t *attempt) Get(key []byte) ([]byte, error) { return reader{t, false}.Get(key) }

// GetAll implements store.Reader.
func (t *attempt) GetAll(keys ...[]byte) ([][]byte, error) { return reader{t, false}.GetAll(keys...) }

// GetRange implements store.Reader.
func (t *attempt) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return reader{t, false}.GetRange(begin, end, o)
}

// reader is the reads of a transaction, or of its snapshot.
type reader struct {
	t        *attempt
	snapshot bool
}

// Get implements store.Reader.
func (r reader) Get(key []byte) ([]byte, error) {
	values, err := r.GetAll(key)
	if err != nil {
		return nil, err
	}
	return values[0], nil
}

// GetAll implements store.Reader. Keys or values that one message has no room for
// cost further round trips.
func (r reader) GetAll(keys ...[]byte) ([][]byte, error) {
	values := make([][]byte, 0, len(keys))
	if len(keys) == 0 {
		return values, r.t.usable("get")
	}
	for len(values) < len(keys) {
		q := read{kind: readKeys, snapshot: r.snapshot}
		size := 0
		for _, k := range keys[len(values):] {
			if size += len(k); len(q.keys) > 0 && (size > MinMessage/2 || len(q.keys) == maxKeys) {
				break
			}
			q.keys = append(q.keys, shortened(k))
		}
		res, err := r.t.read("get", q)
		if err != nil {
			return nil, err
		}
		if len(res.values) == 0 || len(res.values) > len(q.keys) {
			return nil, r.t.lose(fmt.Errorf("remote: get: %w: %w: %d values of %d keys", store.ErrUnavailable, errMalformed, len(res.values), len(q.keys)))
		}
		values = append(values, res.values...)
	}
	return values, nil
}

// GetRange implements store.Reader.
func (r reader) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	if err := r.t.usable("get range"); err != nil {
		return nil, false, err
	}
	if o.Limit < 0 {
		return nil, false, fmt.Errorf("remote: get range: %w: RangeOptions.Limit is %d, must be 0 or more", store.ErrInvalid, o.Limit)
	}
	if err := upright("get range", begin, end); err != nil {
		return nil, false, err
	}
	res, err := r.t.read("get range", read{
		kind: readRange, snapshot: r.snapshot, begin: shortened(begin), end: shortened(end),
		limit: min(o.Limit, maxLimit), reverse: o.Reverse,
	})
	return res.rows, res.more, err
}

// shortened returns a bound below which, and from which on, there are the same
// keys: none is between it and the given one, because it would be over the limit.
func shortened(key []byte) []byte { return key[:min(len(key), maxKey)] }

func upright(call string, begin, end []byte) error {
	if bytes.Compare(begin, end) <= 0 {
		return nil
	}
	return fmt.Errorf("remote: %s: %w: the range is inverted", call, store.ErrInvalid)
}
