package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/store"
)

// Goroutines returns a world of real goroutines and the real clock around one
// engine. The check, which may be nil, runs when the world closes.
func Goroutines(e store.Engine, check func() error) World {
	return &goroutines{engine: e, clock: clock.System(), check: check}
}

type goroutines struct {
	engine store.Engine
	clock  clock.Clock
	check  func() error
	tasks  sync.WaitGroup //determinism:allow this world is the real one
}

func (w *goroutines) Engine(int) store.Engine { return w.engine }
func (w *goroutines) Clock(int) clock.Clock   { return w.clock }

func (w *goroutines) Go(_ int, _ string, f func(ctx context.Context)) {
	//determinism:allow this world is the real one
	w.tasks.Go(func() { f(context.Background()) })
}

func (w *goroutines) Wait() error {
	w.tasks.Wait() //determinism:allow this world is the real one
	return nil
}

func (w *goroutines) Close() error {
	var err error
	if w.check != nil {
		err = w.check()
	}
	return errors.Join(err, w.engine.Close())
}

// Hosts is a world in which each client is a host, such as the processes of a
// simulation.
type Hosts struct {
	// Host and Connect belong to a client.
	Host    func(client int) host.Host
	Connect func(client int) store.Engine
	// Step lets the world run on for a while, or returns why it cannot.
	Step func() error
	// Check, which may be nil, runs when the world closes.
	Check func() error

	mu      sync.Mutex
	engines [Clients]store.Engine
	running int
}

var _ World = (*Hosts)(nil)

// maxSteps bounds the calls of Step for one Wait.
const maxSteps = 1_000_000

// Engine implements [World].
func (w *Hosts) Engine(client int) store.Engine {
	w.mu.Lock()
	e := w.engines[client]
	w.mu.Unlock()
	if e == nil {
		e = w.Connect(client)
		w.mu.Lock()
		w.engines[client] = e
		w.mu.Unlock()
	}
	return e
}

// Clock implements [World].
func (w *Hosts) Clock(client int) clock.Clock { return w.Host(client) }

// Go implements [World].
func (w *Hosts) Go(client int, name string, f func(ctx context.Context)) {
	w.count(1)
	w.Host(client).Go(name, func(ctx context.Context) {
		defer w.count(-1)
		f(ctx)
	})
}

func (w *Hosts) count(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running += n
	return w.running
}

// Wait implements [World].
func (w *Hosts) Wait() error {
	for range maxSteps {
		if w.count(0) == 0 {
			return nil
		}
		if err := w.Step(); err != nil {
			return err
		}
	}
	return fmt.Errorf("storetest: %d tasks still run after %d steps", w.count(0), maxSteps)
}

// Close implements [World].
func (w *Hosts) Close() error {
	if w.Check == nil {
		return nil
	}
	return w.Check()
}
