// Package registrytest runs the registry on a real store: goroutines, the
// machine's clock and short leases, on whatever engine it is given.
//
// The simulator is where the registry's promises are tested in depth. This suite
// is for what the simulator has not: an engine whose calls really run side by
// side, over a network perhaps. [Run] goes through each operation once and
// through the races that matter, and demands at the end of each case that the
// records in the store agree.
//
// A machine that is busy with other things may keep a node from renewing its
// lease in time. That is no fault of the registry or the engine: such a case is
// run again in a fresh store. Nothing is judged by how long it took.
//
// [Claims] and [Herd] are benchmarks, to be called from the engine's own.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// Harness tells the suite about an engine.
type Harness struct {
	// New returns a connection to a fresh, empty store. The suite closes it.
	New func(tb testing.TB) store.Engine
	// TTL of the leases that a case lets run out. Default: 1 s.
	TTL time.Duration
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.New == nil {
		t.Fatal("registrytest: Harness.New is missing")
	}
	if h.TTL == 0 {
		h.TTL = time.Second
	}
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			if err := h.judge(t, c); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// check is one case. It returns what is wrong, and does not know of testing.T,
// so that the suite's own tests can show that it rejects what it must.
type check struct {
	name string
	run  func(w *world) error
}

// maxReruns bounds the worlds in which one case is tried.
const maxReruns = 20

// judge runs a case until no lease ran out that should not, and returns what is
// wrong.
func (h *Harness) judge(tb testing.TB, c check) error {
	tb.Helper()
	var err error
	for range maxReruns {
		var lost bool
		if lost, err = h.once(tb, c); err == nil || !lost {
			return err
		}
		tb.Logf("a lease ran out, once more: %v", err)
	}
	return fmt.Errorf("a lease ran out in each of %d stores, at last: %w", maxReruns, err)
}

// once runs a case in a fresh store. lost says that its error may come from a
// lease that ran out by itself.
func (h *Harness) once(tb testing.TB, c check) (lost bool, err error) {
	tb.Helper()
	w := &world{ctx: tb.Context(), ttl: h.TTL, engine: h.New(tb)}
	err = c.run(w)
	if err == nil {
		err = w.check()
	}
	lost = w.lost.Load()
	return lost, errors.Join(err, w.close())
}

// world is a store with nodes.
type world struct {
	ctx    context.Context
	ttl    time.Duration
	engine store.Engine
	nodes  []*node
	lost   atomic.Bool // a node lost its lease that was neither killed nor cut off
}

// node is a process with a session.
type node struct {
	*registry.Session
	w    *world
	host *host.System
	db   *store.DB
	reg  *registry.Registry

	cut      atomic.Bool // it does not reach the store
	expected atomic.Bool // its session may end
}

// process starts a process that has not joined.
func (w *world) process(name string, ttl time.Duration) (*node, error) {
	n := &node{w: w}
	var err error
	if n.host, err = host.NewSystem(host.SystemOptions{Name: name}); err != nil {
		return nil, err
	}
	w.nodes = append(w.nodes, n)
	if n.db, err = store.Open(&cuttable{w.engine, &n.cut}, n.host, n.host.Rand(), store.Options{}); err != nil {
		return nil, err
	}
	n.reg, err = registry.Open(n.host, n.db, registry.Options{TTL: ttl})
	return n, err
}

// join starts a process and joins it as a node of that name.
func (w *world) join(name string) (*node, error) { return w.joinFor(name, w.ttl) }

func (w *world) joinFor(name string, ttl time.Duration) (*node, error) {
	n, err := w.process(name, ttl)
	if err != nil {
		return nil, err
	}
	n.Session, err = n.reg.Join(w.ctx, registry.NodeID(name), registry.JoinOptions{
		Address: name + ":1",
		OnHealth: func(h registry.Health) {
			if h != registry.Healthy && !n.expected.Load() {
				w.lost.Store(true)
			}
		},
	})
	return n, err
}

// joinAll joins so many nodes.
func (w *world) joinAll(count int) ([]*node, error) {
	nodes := make([]*node, count)
	for i := range nodes {
		var err error
		if nodes[i], err = w.join(fmt.Sprintf("node-%d", i+1)); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

// owned joins two nodes, the first of which claims the actor.
func (w *world) owned() (a, b *node, c *registry.Claim, err error) {
	nodes, err := w.joinAll(2)
	if err != nil {
		return nil, nil, nil, err
	}
	c, err = nodes[0].Claim(w.ctx, actor)
	return nodes[0], nodes[1], c, err
}

// killPatience is how long the tasks of a node that is killed have to end.
const killPatience = time.Minute

// kill ends the process without a word to the store.
func (n *node) kill() error {
	n.expected.Store(true)
	ctx, cancel := clock.System().WithTimeout(context.Background(), killPatience)
	defer cancel()
	return n.host.Close(ctx)
}

// leave ends the session in order.
func (n *node) leave() error {
	n.expected.Store(true)
	return n.Leave(n.w.ctx)
}

// cutOff keeps the node from the store, or no longer.
func (n *node) cutOff(cut bool) {
	n.expected.Store(true)
	n.cut.Store(cut)
}

// check demands that the records agree.
func (w *world) check() error {
	n, err := w.process("auditor", w.ttl)
	if err != nil {
		return err
	}
	if err := n.reg.Check(w.ctx); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}

func (w *world) close() error {
	var errs []error
	for _, n := range w.nodes {
		errs = append(errs, n.kill())
	}
	return errors.Join(append(errs, w.engine.Close())...)
}

// together runs f for each node at the same time and returns their errors.
func together(nodes []*node, f func(i int, n *node) error) error {
	done := make(chan error, len(nodes))
	for i, n := range nodes {
		go func() { done <- f(i, n) }()
	}
	errs := make([]error, 0, len(nodes))
	for range nodes {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// cuttable is an engine that can be cut off.
type cuttable struct {
	store.Engine
	cut *atomic.Bool
}

func (e *cuttable) Begin(ctx context.Context) store.Txn {
	tx := &cuttableTxn{e.Engine.Begin(ctx), e.cut}
	if g, ok := tx.Txn.(store.Guesser); ok {
		return &cuttableGuesser{tx, g}
	}
	return tx
}

type cuttableTxn struct {
	store.Txn
	cut *atomic.Bool
}

var errCut = fmt.Errorf("registrytest: %w: cut off", store.ErrUnavailable)

func (t *cuttableTxn) Get(key []byte) ([]byte, error) {
	if t.cut.Load() {
		return nil, errCut
	}
	return t.Txn.Get(key)
}

func (t *cuttableTxn) GetAll(keys ...[]byte) ([][]byte, error) {
	if t.cut.Load() {
		return nil, errCut
	}
	return t.Txn.GetAll(keys...)
}

func (t *cuttableTxn) Commit() error {
	if t.cut.Load() {
		return errCut
	}
	return t.Txn.Commit()
}

// cuttableGuesser is cuttableTxn of an engine that guesses.
type cuttableGuesser struct {
	*cuttableTxn
	guesser store.Guesser
}

func (t *cuttableGuesser) Guess() { t.guesser.Guess() }

func (t *cuttableGuesser) Confirm() error {
	if t.cut.Load() {
		return errCut
	}
	return t.guesser.Confirm()
}
