package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// ttl of every registry in these tests; renewals every third of it.
const ttl = 3 * time.Second

// bench is a simulated world with one memory store and any number of processes.
type bench struct {
	t      testing.TB
	world  *sim.World
	engine store.Engine

	options registry.Options // of run
}

func newBench(t testing.TB) *bench {
	t.Helper()
	w := sim.NewWorld(1, sim.Options{})
	t.Cleanup(w.Close)
	b := &bench{t: t, world: w}
	p := w.Process("store", sim.ProcessOptions{})
	p.Start(func(_ context.Context, h *sim.Host) { b.engine = memory.New(memory.Options{Clock: h}) })
	b.until(time.Millisecond)
	return b
}

// until runs the world up to a true time.
func (b *bench) until(at time.Duration) {
	b.t.Helper()
	if err := b.world.Run(at); err != nil {
		b.t.Fatal(err)
	}
}

// client is one process with a registry.
type client struct {
	*registry.Registry
	b      *bench
	h      *sim.Host
	db     *store.DB
	faulty *faulty
	events []registry.Event

	watchEvents func(registry.Event) // told of events too, when not nil
}

// process runs f in a process of its own, to the end, within a minute of true
// time from now.
func (b *bench) process(name string, o registry.Options, f func(ctx context.Context, c *client)) *sim.Process {
	b.t.Helper()
	p := b.world.Process(name, sim.ProcessOptions{})
	p.Start(func(ctx context.Context, h *sim.Host) { f(ctx, b.client(h, o)) })
	return p
}

// run is process for tests that need one process only.
func (b *bench) run(f func(ctx context.Context, c *client)) {
	b.t.Helper()
	done := false
	b.process("client", b.options, func(ctx context.Context, c *client) {
		f(ctx, c)
		done = true
		b.world.Stop()
	})
	b.until(b.world.Now() + time.Minute)
	if !done {
		b.t.Fatal("the process did not come to its end within a minute")
	}
}

func (b *bench) client(h *sim.Host, o registry.Options) *client {
	c := &client{b: b, h: h, faulty: &faulty{Engine: b.engine}}
	if o.TTL == 0 {
		o.TTL = ttl
	}
	o.Events = func(e registry.Event) {
		c.events = append(c.events, e)
		if c.watchEvents != nil {
			c.watchEvents(e)
		}
	}
	var err error
	if c.db, err = store.Open(c.faulty, h, h.Rand(), store.Options{}); err != nil {
		b.t.Error(err)
	}
	if c.Registry, err = registry.Open(h, c.db, o); err != nil {
		b.t.Error(err)
	}
	return c
}

func (c *client) join(ctx context.Context, id registry.NodeID) *registry.Session {
	c.b.t.Helper()
	s, err := c.Join(ctx, id, registry.JoinOptions{Address: c.h.Name()})
	if err != nil {
		c.b.t.Errorf("join as %q: %v", id, err)
	}
	return s
}

func (c *client) claim(ctx context.Context, s *registry.Session, a registry.ActorID) *registry.Claim {
	c.b.t.Helper()
	cl, err := s.Claim(ctx, a)
	if err != nil {
		c.b.t.Errorf("claim %q: %v", a, err)
	}
	return cl
}

func (c *client) sleep(ctx context.Context, d time.Duration) {
	c.b.t.Helper()
	if err := c.h.Sleep(ctx, d); err != nil {
		c.b.t.Errorf("sleep: %v", err)
	}
}

// rows returns everything in the store.
func (c *client) rows(ctx context.Context) []store.KeyValue {
	var rows []store.KeyValue
	err := c.db.Read(ctx, func(tx store.Reader) (err error) {
		rows, _, err = tx.GetRange(nil, []byte{0xff}, store.RangeOptions{})
		return err
	})
	if err != nil {
		c.b.t.Errorf("read everything: %v", err)
	}
	return rows
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: err = %v, want %v", what, err, want)
	}
}

// faulty lets a test decide what becomes of transactions.
type faulty struct {
	store.Engine
	// commit, when not nil, stands in for each Commit of a transaction that wrote.
	commit func(commit func() error) error
	// late has transactions that begin now outlive their contexts and what stood in for
	// their Commit, so that this can take effect later.
	late bool
	// down makes every read and commit fail as unavailable.
	down bool
	// begin, when not nil, is called before each transaction begins.
	begin func(ctx context.Context)
	// ranges, when not nil, is called at each range read.
	ranges func()
	// asked, when not nil, is called before each read and commit.
	asked func()
}

func (f *faulty) ask() {
	if f.asked != nil {
		f.asked()
	}
}

func (f *faulty) Begin(ctx context.Context) store.Txn {
	if f.begin != nil {
		f.begin(ctx)
	}
	if f.late {
		ctx = context.WithoutCancel(ctx)
	}
	return &faultyTxn{Txn: f.Engine.Begin(ctx), f: f, late: f.late}
}

type faultyTxn struct {
	store.Txn
	f     *faulty
	wrote bool
	late  bool
}

func (t *faultyTxn) Set(key, value []byte) {
	t.wrote = true
	t.Txn.Set(key, value)
}

func (t *faultyTxn) SetStamped(key, value []byte, offset int) {
	t.wrote = true
	t.Txn.SetStamped(key, value, offset)
}

func (t *faultyTxn) Clear(key []byte) {
	t.wrote = true
	t.Txn.Clear(key)
}

func (t *faultyTxn) AddWriteConflict(begin, end []byte) {
	t.wrote = true
	t.Txn.AddWriteConflict(begin, end)
}

func (t *faultyTxn) Get(key []byte) ([]byte, error) {
	t.f.ask()
	if t.f.down {
		return nil, store.ErrUnavailable
	}
	return t.Txn.Get(key)
}

func (t *faultyTxn) GetAll(keys ...[]byte) ([][]byte, error) {
	t.f.ask()
	if t.f.down {
		return nil, store.ErrUnavailable
	}
	return t.Txn.GetAll(keys...)
}

func (t *faultyTxn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	t.f.ask()
	if t.f.ranges != nil {
		t.f.ranges()
	}
	return t.Txn.GetRange(begin, end, o)
}

func (t *faultyTxn) Commit() error {
	t.f.ask()
	if t.f.down {
		return store.ErrUnavailable
	}
	if t.f.commit != nil && t.wrote {
		return t.f.commit(t.Txn.Commit)
	}
	t.late = false
	return t.Txn.Commit()
}

func (t *faultyTxn) Cancel() {
	if !t.late {
		t.Txn.Cancel()
	}
}

// once makes the next commit that writes end unknown, applied or not.
func (f *faulty) unknownOnce(applied bool) {
	f.commit = func(commit func() error) error {
		f.commit = nil
		if applied {
			if err := commit(); err != nil {
				return err
			}
		}
		return store.ErrCommitUnknown
	}
}
