package store_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// manualClock is a clock that stands still but for Sleep, which moves it at
// once, and pass.
type manualClock struct {
	clock.Clock // nil: what the tests do not expect panics
	now         time.Duration
	slept       []time.Duration
	onSleep     func() // before the time moves; may be nil
}

func (c *manualClock) pass(d time.Duration) { c.now += d }

func (c *manualClock) Sleep(ctx context.Context, d time.Duration) error {
	c.slept = append(c.slept, d)
	if c.onSleep != nil {
		c.onSleep()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.now += d
	return ctx.Err()
}

func (c *manualClock) WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx := &manualContext{Context: parent, clock: c, deadline: c.now + d}
	return ctx, func() { ctx.cancelled = true }
}

// manualContext ends at a time of its clock.
type manualContext struct {
	context.Context
	clock     *manualClock
	deadline  time.Duration
	cancelled bool
}

func (c *manualContext) Err() error {
	switch {
	case c.Context.Err() != nil:
		return c.Context.Err()
	case c.clock.now >= c.deadline:
		return context.DeadlineExceeded
	case c.cancelled:
		return context.Canceled
	default:
		return nil
	}
}

// fakeEngine answers each attempt with the next of its outcomes, and the last
// one for ever.
type fakeEngine struct {
	outcomes []outcome
	attempts []*fakeTxn
}

// outcome is what one attempt comes to.
type outcome struct {
	get     error // of Get
	commit  error // of Commit
	version store.Version
	during  func(ctx context.Context) error // replaces get when set
}

func (e *fakeEngine) Begin(ctx context.Context) store.Txn {
	tx := &fakeTxn{ctx: ctx, o: e.outcomes[min(len(e.attempts), len(e.outcomes)-1)]}
	e.attempts = append(e.attempts, tx)
	return tx
}

func (e *fakeEngine) Close() error { return nil }

type fakeTxn struct {
	store.Txn // nil: what the tests do not expect panics
	ctx       context.Context
	o         outcome
	commits   int
	cancels   int
}

func (t *fakeTxn) Get([]byte) ([]byte, error) {
	if t.o.during != nil {
		return nil, t.o.during(t.ctx)
	}
	return []byte("value"), t.o.get
}

func (t *fakeTxn) Commit() error {
	t.commits++
	return t.o.commit
}

func (t *fakeTxn) Committed() store.Version { return t.o.version }

func (t *fakeTxn) Cancel() { t.cancels++ }

// open returns a DB on fakes.
func open(t *testing.T, e store.Engine, o store.Options) (*store.DB, *manualClock) {
	t.Helper()
	c := &manualClock{}
	db, err := store.Open(e, c, rand.New(rand.NewPCG(1, 2)), o)
	if err != nil {
		t.Fatal(err)
	}
	return db, c
}

// readOnce is a body of one read.
func readOnce(tx store.Tx) error {
	_, err := tx.Get([]byte("key"))
	return err
}
