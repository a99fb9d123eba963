// Package stall makes a store's engine misbehave in a real run: it wraps one
// node's engine and delays its calls, freezes them, refuses them, or hides how
// commits ended.
//
// What it does is within the contract of package store: an error other than
// store.ErrCommitUnknown still promises that nothing was applied, and a commit
// whose end is hidden may have been applied, may never be, or may be applied
// after the caller was told.
//
// Watches are passed through untouched.
package stall

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// Kind is a way to misbehave.
type Kind string

// Kinds.
const (
	None   Kind = ""
	Delay  Kind = "delay"  // each call takes a random time longer
	Freeze Kind = "freeze" // calls stand still until the stall ends: before or after their effect
	Refuse Kind = "refuse" // calls fail with store.ErrUnavailable
	Unsure Kind = "unsure" // every other commit ends with store.ErrCommitUnknown
)

// Kinds returns all kinds but None.
func Kinds() []Kind { return []Kind{Delay, Freeze, Refuse, Unsure} }

// maxLate bounds how long after its caller was told a commit is applied.
const maxLate = 50 * time.Millisecond

// Stats counts calls that a stall has met.
type Stats struct {
	Delayed, Frozen, Refused         uint64
	HiddenApplied, Dropped, LateSent uint64 // commits that ended unknown
}

// Engine wraps an engine. It is safe for use from several goroutines.
type Engine struct {
	inner store.Engine
	clock clock.Clock

	mu   sync.Mutex
	rand *rand.Rand
	now  *stall

	late                             sync.WaitGroup // commits on their way
	delayed, frozen, refused         atomic.Uint64
	hiddenApplied, dropped, lateSent atomic.Uint64
}

// stall is one period of misbehaviour.
type stall struct {
	kind Kind
	size time.Duration // of a delay
	over clock.Event
}

var _ store.Engine = (*Engine)(nil)

// New returns inner, misbehaving as [Engine.Begin] is told to. The seed decides
// the length of delays and the fate of commits, as far as goroutines let it.
func New(inner store.Engine, c clock.Clock, seed uint64) *Engine {
	return &Engine{inner: inner, clock: c, rand: rand.New(rand.NewPCG(seed, 0x57a11)), now: &stall{over: c.NewEvent()}}
}

// Stall starts to misbehave in that way, in place of what was before; None
// ends it. size is the upper bound of a delay, and of no use to other kinds.
func (e *Engine) Stall(k Kind, size time.Duration) {
	next := &stall{kind: k, size: size, over: e.clock.NewEvent()}
	e.mu.Lock()
	last := e.now
	e.now = next
	e.mu.Unlock()
	last.over.Set()
}

// Stats returns the counts so far.
func (e *Engine) Stats() Stats {
	return Stats{
		Delayed: e.delayed.Load(), Frozen: e.frozen.Load(), Refused: e.refused.Load(),
		HiddenApplied: e.hiddenApplied.Load(), Dropped: e.dropped.Load(), LateSent: e.lateSent.Load(),
	}
}

// Drain waits for the commits that are still on their way. Call it after the
// last transaction.
func (e *Engine) Drain() { e.late.Wait() }

// Begin implements [store.Engine].
func (e *Engine) Begin(ctx context.Context) store.Txn {
	// The inner transaction outlives ctx when its commit is late.
	inside, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t := &txn{engine: e, ctx: ctx, cancel: cancel, inner: e.inner.Begin(inside)}
	t.detach = context.AfterFunc(ctx, cancel)
	return t
}

// Close implements [store.Engine]: it drains and closes the inner engine.
func (e *Engine) Close() error {
	e.Drain()
	return e.inner.Close()
}

func (e *Engine) current() *stall {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

func (e *Engine) draw(n int64) int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rand.Int64N(max(n, 1))
}

// pass is what a call goes through on its way to the inner engine.
func (e *Engine) pass(ctx context.Context, s *stall) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("stall: not begun: %w", err)
	}
	switch s.kind {
	case Delay:
		e.delayed.Add(1)
		if err := e.clock.Sleep(ctx, time.Duration(e.draw(int64(s.size)))); err != nil {
			return fmt.Errorf("stall: delayed: %w", err)
		}
	case Freeze:
		e.frozen.Add(1)
		if err := s.over.Wait(ctx); err != nil {
			return fmt.Errorf("stall: frozen: %w", err)
		}
	case Refuse:
		e.refused.Add(1)
		return fmt.Errorf("stall: %w", store.ErrUnavailable)
	case None, Unsure:
	}
	return nil
}

var errHidden = errors.New("stall: the end of the commit was hidden")
