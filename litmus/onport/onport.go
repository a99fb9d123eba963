// Package onport takes litmus programs of the level Port through a store.Engine.
package onport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/store"
)

// Session is an empty engine as a program meets it. It implements
// litmus.Session.
type Session struct {
	// Connect returns the engine of a client. All may be one.
	Connect func(client int) store.Engine
	// Clock measures Patience and Quiet.
	Clock clock.Clock
	// Patience is how long a watch that must have fired is waited for.
	Patience time.Duration
	// Quiet is how long a watch that must not fire is looked at; 0: only whether
	// it has.
	Quiet time.Duration
	// Old makes every read version taken so far too old.
	Old func() error
}

var _ litmus.Session = (*Session)(nil)

// Begin implements litmus.Session.
func (s *Session) Begin(client int) litmus.Transaction {
	return &transaction{s.Connect(client).Begin(context.Background())}
}

// Age implements litmus.Session.
func (s *Session) Age() error { return s.Old() }

// sentinels are the errors of the port with their names.
var sentinels = []struct {
	err  error
	name string
}{
	{store.ErrConflict, "conflict"},
	{store.ErrTooOld, "too old"},
	{store.ErrTooLarge, "too large"},
	{store.ErrInvalid, "invalid"},
	{store.ErrUsed, "used"},
	{store.ErrUnreadable, "unreadable"},
	{context.Canceled, "canceled"},
}

// ErrorName implements litmus.Session.
func (s *Session) ErrorName(err error) string {
	for _, e := range sentinels {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	return "unknown: " + err.Error()
}

// Await implements litmus.Session.
func (s *Session) Await(w store.Watch, must bool) error {
	return Await(s.Clock, w, must, s.Patience, s.Quiet)
}

// Await waits for a watch for as long as patience, if it must fire, or for as
// long as quiet. See litmus.Session.
func Await(c clock.Clock, w store.Watch, must bool, patience, quiet time.Duration) error {
	limit := quiet
	if must {
		limit = patience
	}
	ctx, cancel := c.WithCancel(context.Background())
	if limit > 0 {
		timed, stop := c.WithTimeout(context.Background(), limit)
		defer stop()
		ctx = timed
	} else {
		cancel(context.DeadlineExceeded)
	}
	defer cancel(nil)
	err := w.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		return litmus.ErrQuiet
	}
	return marked(err)
}

// transaction takes the steps of one transaction.
type transaction struct{ store.Txn }

// Close implements litmus.Transaction.
func (t *transaction) Close() { t.Cancel() }

// Do implements litmus.Transaction.
func (t *transaction) Do(s *litmus.Step, _ int64) litmus.Answer {
	a := t.do(s)
	a.Err = marked(a.Err)
	return a
}

// marked marks an error that no program brings about.
func marked(err error) error {
	for _, e := range interference {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", litmus.ErrInterfered, err)
		}
	}
	return err
}

// interference are the errors that no program brings about.
var interference = []error{store.ErrCommitUnknown, store.ErrUnavailable, store.ErrTimedOut, store.ErrClosed}

func (t *transaction) do(s *litmus.Step) litmus.Answer {
	key, end := []byte(s.Key), []byte(s.End)
	switch s.Kind {
	case litmus.ReadVersion, litmus.Get, litmus.GetAll, litmus.GetRange, litmus.WatchKey:
		return t.read(s)
	case litmus.Set:
		t.Set(key, []byte(s.Value))
	case litmus.Clear:
		t.Clear(key)
	case litmus.ClearRange:
		t.ClearRange(key, end)
	case litmus.Add:
		t.Add(key, s.N)
	case litmus.SetStamped:
		t.SetStamped(key, []byte(s.Value), int(s.N))
	case litmus.ReadConflict:
		t.AddReadConflict(key, end)
	case litmus.WriteConflict:
		t.AddWriteConflict(key, end)
	case litmus.Fill:
		litmus.FillWith(s, t.Set)
	case litmus.Commit:
		err := t.Commit()
		return litmus.Answer{Err: err, Version: int64(t.Committed())}
	case litmus.Committed:
		return litmus.Answer{Version: int64(t.Committed())}
	case litmus.Cancel:
		t.Cancel()
	default:
		return litmus.Answer{Err: fmt.Errorf("onport: the port has no %s", s.Kind.Name())}
	}
	return litmus.Answer{}
}

func (t *transaction) read(s *litmus.Step) litmus.Answer {
	var a litmus.Answer
	reader := store.Reader(t.Txn)
	if s.Snapshot {
		reader = t.Snapshot()
	}
	key := []byte(s.Key)
	switch s.Kind {
	case litmus.Get:
		a.Value, a.Err = reader.Get(key)
	case litmus.GetAll:
		a.Values, a.Err = reader.GetAll(litmus.Bytes(s.Keys)...)
	case litmus.GetRange:
		a.Rows, a.More, a.Err = reader.GetRange(key, []byte(s.End), store.RangeOptions{Limit: s.Limit, Reverse: s.Reverse})
	case litmus.WatchKey:
		// What the watch compares with, read so that nothing is added.
		if a.Value, a.Err = t.Snapshot().Get(key); a.Err == nil {
			a.Watch, a.Err = t.Watch(key)
		}
	default:
		var v store.Version
		v, a.Err = t.ReadVersion()
		a.Version = int64(v)
	}
	return a
}
