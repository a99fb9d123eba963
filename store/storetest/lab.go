package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// lab is a world with the means to experiment in it.
type lab struct {
	World
	h    *Harness
	tb   testing.TB
	seed uint64
}

// client is the place of a task in a lab.
type client struct {
	*lab
	n      int
	ctx    context.Context
	engine store.Engine
	clock  clock.Clock
}

// errUnfinished is the error of a task that its world cut off.
var errUnfinished = errors.New("a task did not finish")

// solo runs f in a task of client 0 and returns its error.
func (l *lab) solo(f func(c *client) error) error { return l.together(f) }

// together runs each function in a task of a client of its own, at the same
// time. It returns one of their errors: one that an injected fault does not
// explain, if there is one.
func (l *lab) together(fs ...func(c *client) error) error {
	var mu sync.Mutex
	errs := make([]error, len(fs))
	for i, f := range fs {
		errs[i] = errUnfinished
		l.spawn(i%Clients, func(c *client) {
			err := f(c)
			mu.Lock()
			defer mu.Unlock()
			errs[i] = err
		})
	}
	if err := l.Wait(); err != nil {
		return err
	}
	mu.Lock()
	defer mu.Unlock()
	for _, err := range errs {
		if err != nil && !l.h.interfered(err) {
			return err
		}
	}
	return firstError(errs...)
}

// maxInsist bounds the attempts at one row of a table under faults.
const maxInsist = 100

// insist runs one self-contained row of a table, again while injected faults
// interfere, so that long tables come through.
func (l *lab) insist(row func() error) error {
	var err error
	for range maxInsist {
		if err = row(); err == nil || !l.h.interfered(err) {
			return err
		}
	}
	return err
}

// row is solo for one row of a table.
func (l *lab) row(f func(c *client) error) error {
	return l.insist(func() error { return l.solo(f) })
}

// spawn runs f in a task of client n.
func (l *lab) spawn(n int, f func(c *client)) {
	l.Go(n, fmt.Sprintf("client-%d", n), func(ctx context.Context) {
		f(&client{lab: l, n: n, ctx: ctx, engine: l.Engine(n), clock: l.Clock(n)})
	})
}

// background runs f in another task of c's and hands its error to the returned
// function, which waits for the task.
func (c *client) background(f func(c *client) error) (wait func() error) {
	var mu sync.Mutex
	err := errUnfinished
	done := c.clock.NewEvent()
	c.spawn(c.n, func(other *client) {
		e := f(other)
		mu.Lock()
		err = e
		mu.Unlock()
		done.Set()
	})
	return func() error {
		if e := done.Wait(c.ctx); e != nil {
			return e
		}
		mu.Lock()
		defer mu.Unlock()
		return err
	}
}

// rand returns a random source of the client's own.
func (c *client) rand() *rand.Rand { return rand.New(rand.NewPCG(c.seed, uint64(c.n))) }

// db opens the retry loop on the client's engine.
func (c *client) db() (*store.DB, error) {
	return store.Open(c.engine, c.clock, c.rand(), store.Options{})
}

func (c *client) begin() store.Txn { return c.engine.Begin(c.ctx) }

// beginAt begins a transaction and has it take its read version.
func (c *client) beginAt() (store.Txn, error) {
	tx := c.begin()
	if _, err := tx.ReadVersion(); err != nil {
		tx.Cancel()
		return nil, fmt.Errorf("ReadVersion: %w", err)
	}
	return tx, nil
}

// commit runs f in one attempt at a transaction.
func (c *client) commit(f func(tx store.Txn)) (store.Version, error) {
	tx := c.begin()
	defer tx.Cancel()
	f(tx)
	if err := tx.Commit(); err != nil {
		return 0, fmt.Errorf("Commit: %w", err)
	}
	return tx.Committed(), nil
}

// put commits key-value pairs, given by turns.
func (c *client) put(pairs ...string) error {
	_, err := c.commit(func(tx store.Txn) {
		for i := 0; i < len(pairs); i += 2 {
			tx.Set([]byte(pairs[i]), []byte(pairs[i+1]))
		}
	})
	return err
}

// has returns an error unless the store holds exactly these key-value pairs, in
// order of their keys.
func (c *client) has(pairs ...string) error {
	tx := c.begin()
	defer tx.Cancel()
	return wantAll(tx, pairs...)
}

// all returns every row of the keys that the suite uses.
func all(r store.Reader, o store.RangeOptions) ([]store.KeyValue, error) {
	return whole(r, first, last, o)
}

// The suite's keys lie in [first, last).
var (
	first = []byte{0x00}
	last  = []byte{0xfe}
)

// whole reads a range to its end, however the engine cuts it, up to o.Limit
// rows.
func whole(r store.Reader, begin, end []byte, o store.RangeOptions) ([]store.KeyValue, error) {
	var rows []store.KeyValue
	limit := o.Limit
	for {
		if limit > 0 {
			o.Limit = limit - len(rows)
		}
		part, more, err := r.GetRange(begin, end, o)
		if err != nil {
			return nil, fmt.Errorf("GetRange(%q, %q): %w", begin, end, err)
		}
		rows = append(rows, part...)
		if !more || (limit > 0 && len(rows) >= limit) {
			return rows, nil
		}
		if len(part) == 0 {
			return nil, fmt.Errorf("GetRange(%q, %q, limit %d): no row, and yet more", begin, end, o.Limit)
		}
		tail := part[len(part)-1].Key
		if o.Reverse {
			end = tail
		} else {
			begin = after(tail)
		}
	}
}

// after returns the first key behind key.
func after(key []byte) []byte { return append(slices.Clone(key), 0) }

// wantGet returns an error unless key has the value want; the want "-" stands
// for none.
func wantGet(r store.Reader, key, want string) error {
	got, err := r.Get([]byte(key))
	if err != nil {
		return fmt.Errorf("Get(%q): %w", key, err)
	}
	if show(got) != want {
		return fmt.Errorf("Get(%q) is %q, want %q", key, show(got), want)
	}
	return nil
}

func show(value []byte) string {
	if value == nil {
		return "-"
	}
	return string(value)
}

func wantAll(r store.Reader, pairs ...string) error {
	rows, err := all(r, store.RangeOptions{})
	if err != nil {
		return err
	}
	return wantRows(rows, pairs...)
}

// wantRows returns an error unless rows are these key-value pairs.
func wantRows(rows []store.KeyValue, pairs ...string) error {
	var want []store.KeyValue
	for i := 0; i < len(pairs); i += 2 {
		want = append(want, store.KeyValue{Key: []byte(pairs[i]), Value: []byte(pairs[i+1])})
	}
	if !sameRows(rows, want) {
		return fmt.Errorf("rows are %v, want %v", showRows(rows), showRows(want))
	}
	return nil
}

func sameRows(a, b []store.KeyValue) bool {
	return slices.EqualFunc(a, b, func(x, y store.KeyValue) bool {
		return bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Value, y.Value) && (x.Value == nil) == (y.Value == nil)
	})
}

func showRows(rows []store.KeyValue) string {
	var b bytes.Buffer
	for i, kv := range rows {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%q=%q", kv.Key, kv.Value)
	}
	return "[" + b.String() + "]"
}

// wantError returns an error unless err is one of wants. An error of the engine
// stays in the chain, so that an injected one is recognised.
func wantError(call string, err error, wants ...error) error {
	for _, w := range wants {
		if errors.Is(err, w) {
			return nil
		}
	}
	if err == nil {
		return fmt.Errorf("%s succeeded, want error %v", call, wants)
	}
	return fmt.Errorf("%s: %w; want %v", call, err, wants)
}

// pause sleeps on the client's clock.
func (c *client) pause(d time.Duration) error { return c.clock.Sleep(c.ctx, d) }

// steps runs functions until one fails.
func steps(fs ...func() error) error {
	for i, f := range fs {
		if err := f(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

// firstError returns the first of errs that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
