package fdb

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// standIn plays the client library, over an engine in memory. Where the client
// differs from the port it does as the real client was seen to do: errors are
// numbers; a watch counts as a read; an inverted range is empty; a cancel ends
// what waits with 1025, and a commit on its way is applied all the same; a
// timeout does so with 1031; after a commit there is 2017.
type standIn struct {
	inner *memory.Engine

	mu      sync.Mutex
	got     func()        // called behind each get that succeeds; nil: nothing is
	gate    chan struct{} // calls are answered once it is closed; nil: at once
	held    int           // calls so far that met a gate
	fail    map[string][]int
	options []transactionOptions // of each begin
	status  []byte
}

func newStandIn() *standIn {
	return &standIn{inner: memory.New(memory.Options{Window: window}), fail: map[string][]int{}}
}

// engine returns an engine over the stand-in.
func (s *standIn) engine(o Options) *Engine {
	o, err := o.withDefaults()
	if err != nil {
		panic(err)
	}
	return newEngine(s, o)
}

// block holds back the answers to all calls that are made from now on, until
// the returned function is called.
func (s *standIn) block() (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := make(chan struct{})
	s.gate = gate
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.gate = nil
		close(gate)
	})
}

// failNext makes the next calls of that name end with the numbers, 0 for none.
// What a commit that fails so was to do is not done.
func (s *standIn) failNext(call string, codes ...int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail[call] = append(s.fail[call], codes...)
}

// next returns the number that a call of that name is to end with. The caller
// holds mu.
func (s *standIn) next(call string) (code int) {
	if next := s.fail[call]; len(next) > 0 {
		code, s.fail[call] = next[0], next[1:]
	}
	return code
}

func (s *standIn) take(call string) (gate chan struct{}, code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	code = s.next(call)
	if s.gate != nil {
		s.held++
	}
	return s.gate, code
}

// waitHeld returns once a call has been held back.
func (s *standIn) waitHeld() {
	for {
		s.mu.Lock()
		held := s.held
		s.mu.Unlock()
		if held > 0 {
			return
		}
		time.Sleep(time.Microsecond)
	}
}

func (s *standIn) begin(o transactionOptions) (transaction, error) {
	s.mu.Lock()
	code := s.next("begin")
	s.options = append(s.options, o)
	s.mu.Unlock()
	if code != 0 {
		return nil, Error{code}
	}
	t := &standInTxn{db: s}
	t.renew()
	if o.timeout > 0 {
		// A finalizer destroys a client's transaction; this one's timer runs out.
		time.AfterFunc(o.timeout, func() { t.end(1031) })
	}
	return t, nil
}

type standInTxn struct {
	db *standIn

	inner sync.Mutex // for tx, which is for one task
	tx    store.Txn

	mu        sync.Mutex
	ended     chan struct{}
	code      int // once ended
	committed bool
}

func (t *standInTxn) renew() {
	t.inner.Lock()
	t.tx = t.db.inner.Begin(context.Background())
	t.inner.Unlock()
	t.mu.Lock()
	t.ended, t.committed = make(chan struct{}), false
	t.mu.Unlock()
}

func (t *standInTxn) end(code int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.ended:
		return
	default:
	}
	t.code = code
	close(t.ended)
	if !t.committed {
		t.inner.Lock()
		defer t.inner.Unlock()
		t.tx.Cancel() // its watches end
	}
}

func (t *standInTxn) cancel() { t.end(1025) }

// send makes a call and returns the wait for its answer.
func (t *standInTxn) send(call string, f func(tx store.Txn) error) func() error {
	gate, code := t.db.take(call)
	t.mu.Lock()
	defer t.mu.Unlock()
	ended := t.ended
	select {
	case <-ended:
		return func() error { return Error{t.code} }
	default:
	}
	if call == "commit" {
		t.committed = true
	}
	done := make(chan error, 1)
	go func() {
		if gate != nil {
			<-gate
		}
		if code != 0 {
			done <- Error{code}
			return
		}
		t.inner.Lock()
		defer t.inner.Unlock()
		done <- number(f(t.tx))
	}()
	return func() error {
		select {
		case err := <-done:
			return err
		case <-ended:
			return Error{t.code}
		}
	}
}

// number turns an error of the engine in memory into the client's.
func number(err error) error {
	if err == nil {
		return nil
	}
	for _, c := range []struct {
		sentinel error
		code     int
	}{
		{store.ErrConflict, 1020},
		{store.ErrTooOld, 1007},
		{store.ErrUnreadable, 1036},
		{store.ErrTooLarge, 2101},
		{store.ErrUsed, 2017},
		{store.ErrInvalid, 2000},
	} {
		if errors.Is(err, c.sentinel) {
			return Error{c.code}
		}
	}
	return err
}

func (t *standInTxn) get(key []byte, snapshot bool) func() ([]byte, error) {
	var value []byte
	wait := t.send("get", func(tx store.Txn) (err error) {
		if string(key) == statusKey {
			value = t.db.status
			return nil
		}
		value, err = reader(tx, snapshot).Get(key)
		return err
	})
	return func() ([]byte, error) {
		if err := wait(); err != nil {
			return nil, err
		}
		if t.db.got != nil {
			t.db.got()
		}
		return value, nil
	}
}

func reader(tx store.Txn, snapshot bool) store.Reader {
	if snapshot {
		return tx.Snapshot()
	}
	return tx
}

func (t *standInTxn) getRange(begin, end []byte, limit int, reverse, snapshot bool) ([]store.KeyValue, error) {
	if string(begin) > string(end) {
		return nil, nil
	}
	var rows []store.KeyValue
	err := t.send("getRange", func(tx store.Txn) (err error) {
		rows, _, err = reader(tx, snapshot).GetRange(begin, end, store.RangeOptions{Limit: limit, Reverse: reverse})
		return err
	})()
	return rows, err
}

func (t *standInTxn) readVersion() func() (int64, error) {
	var v store.Version
	wait := t.send("readVersion", func(tx store.Txn) (err error) {
		v, err = tx.ReadVersion()
		return err
	})
	return func() (int64, error) { return int64(v), wait() }
}

// mutate makes a mutation at once.
func (t *standInTxn) mutate(f func(tx store.Txn)) {
	t.inner.Lock()
	defer t.inner.Unlock()
	f(t.tx)
}

func (t *standInTxn) set(key, value []byte) { t.mutate(func(tx store.Txn) { tx.Set(key, value) }) }
func (t *standInTxn) clear(key []byte)      { t.mutate(func(tx store.Txn) { tx.Clear(key) }) }

func (t *standInTxn) clearRange(begin, end []byte) {
	t.mutate(func(tx store.Txn) { tx.ClearRange(begin, end) })
}

func (t *standInTxn) add(key, operand []byte) {
	t.mutate(func(tx store.Txn) { tx.Add(key, int64(binary.LittleEndian.Uint64(operand))) })
}

func (t *standInTxn) setStamped(key, operand []byte) {
	n := len(operand) - 4
	t.mutate(func(tx store.Txn) {
		tx.SetStamped(key, slices.Clone(operand[:n]), int(binary.LittleEndian.Uint32(operand[n:])))
	})
}

func (t *standInTxn) addReadConflict(begin, end []byte) error {
	if string(begin) > string(end) {
		return Error{2005}
	}
	t.mutate(func(tx store.Txn) { tx.AddReadConflict(begin, end) })
	return nil
}

func (t *standInTxn) addWriteConflict(begin, end []byte) error {
	if string(begin) > string(end) {
		return Error{2005}
	}
	t.mutate(func(tx store.Txn) { tx.AddWriteConflict(begin, end) })
	return nil
}

func (t *standInTxn) watch(key []byte) (wait func() error, cancel func()) {
	_, code := t.db.take("watch")
	ctx, stop := context.WithCancel(context.Background())
	var w store.Watch
	var err error
	t.mutate(func(tx store.Txn) {
		tx.AddReadConflict(key, append(slices.Clone(key), 0)) // it counts as a read
		w, err = tx.Watch(key)
	})
	return func() error {
		switch {
		case code != 0:
			return Error{code}
		case err != nil:
			return number(err)
		}
		defer w.Cancel()
		if err := w.Wait(ctx); ctx.Err() != nil {
			return Error{1101}
		} else if err != nil {
			return Error{1025}
		}
		return nil
	}, stop
}

func (t *standInTxn) commit() func() error {
	return t.send("commit", func(tx store.Txn) error { return tx.Commit() })
}

func (t *standInTxn) committedVersion() (int64, error) {
	if _, code := t.db.take("committedVersion"); code != 0 {
		return 0, Error{code}
	}
	t.inner.Lock()
	defer t.inner.Unlock()
	if v := t.tx.Committed(); v != 0 {
		return int64(v), nil
	}
	return -1, nil
}

// retried are the numbers after which the client tries again.
var retried = []int{1007, 1009, 1020, 1021, 1037, 1038, 1039, 1042, 1051, 1078, 1213, 1223}

func (t *standInTxn) onError(code int) error {
	t.mu.Lock()
	select {
	case <-t.ended:
		t.mu.Unlock()
		return Error{t.code}
	default:
	}
	t.mu.Unlock()
	if !slices.Contains(retried, code) {
		return Error{code}
	}
	t.renew()
	return nil
}
