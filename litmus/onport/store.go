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

// Options of a store of engines.
type Options struct {
	// Open opens an empty engine.
	Open func() (store.Engine, error)
	// Keep says that one engine serves all programs and is emptied after each,
	// because to open one takes long. Otherwise each program has a fresh one.
	Keep bool
	// Age makes every read version taken so far too old, such as [AgeByCommits]
	// and [AgeByTime]; nil: nothing does, and slow programs fail.
	Age func(store.Engine) error
	// Clock measures Patience and Quiet. Default: clock.System.
	Clock clock.Clock
	// Patience and Quiet are those of [Session]. Default: 10 s and 0.
	Patience, Quiet time.Duration
}

// New returns a store of engines.
func New(o Options) litmus.Store {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Patience == 0 {
		o.Patience = 10 * time.Second
	}
	return &engines{o: o}
}

type engines struct {
	o    Options
	kept store.Engine
}

// Close implements litmus.Store.
func (e *engines) Close() error {
	if e.kept == nil {
		return nil
	}
	kept := e.kept
	e.kept = nil
	return kept.Close()
}

// Run implements litmus.Store.
func (e *engines) Run(p *litmus.Program, out []byte) (_ []byte, err error) {
	engine := e.kept
	if engine == nil {
		if engine, err = e.o.Open(); err != nil {
			return out, err
		}
	}
	s := &Session{
		Connect:  func(int) store.Engine { return engine },
		Clock:    e.o.Clock,
		Patience: e.o.Patience, Quiet: e.o.Quiet,
		Old: func() error { return e.age(engine) },
	}
	out, err = litmus.Run(p, s, out)
	if !e.o.Keep {
		return out, errors.Join(err, engine.Close())
	}
	e.kept = engine
	return out, errors.Join(err, empty(engine))
}

// end is behind every key of a program.
var end = []byte{0xff}

// empty removes everything from the engine.
func empty(engine store.Engine) error {
	tx := engine.Begin(context.Background())
	defer tx.Cancel()
	tx.ClearRange(nil, end)
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("onport: emptying the engine: %w", marked(err))
	}
	return nil
}

func (e *engines) age(engine store.Engine) error {
	if e.o.Age == nil {
		return errors.New("onport: this store's transactions do not grow too old")
	}
	return e.o.Age(engine)
}
