// Package storetest is the one conformance suite for the engines of package
// store.
//
// [Run] holds an engine to each sentence of the port: what reads see, which
// commits are refused, what watches do, what is refused and with which error.
// On top of the single cases it runs randomized ones: concurrent histories,
// judged for strict serializability by an oracle that replays them in the order
// of their commit versions; the same with transactions that rapid draws, so that
// what fails is shrunk to the few calls that it takes; and interleaved programs
// driven step by step against an exact model of FoundationDB's semantics.
//
// The same cases run on real goroutines and in the simulator. A case sees a
// [World] only: some clients, each with an engine, a clock and tasks of its
// own. [Goroutines] makes a World for the real thing, [Hosts] one of any
// host.Hosts.
//
// What an engine leaves out by design is named in [Harness.Lacks]; what is done
// to it while the suite runs, in [Harness.Faults]. A case that needs what the
// engine lacks is skipped with that reason. Under faults a case that an injected
// error cut short is run again in a fresh world; it has to come through in the
// end, and a wrong answer fails at once.
//
// The suite does not measure, and it does not test durability: an engine is
// opened once per world.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// Clients is the number of clients that a [World] has.
const Clients = 4

// World is a fresh, empty store with [Clients] clients. The methods may be
// called from the world's tasks and, while none runs, from the test.
type World interface {
	// Engine returns a client's connection to the store.
	// 0 <= client < Clients. The connections may be one and the same.
	Engine(client int) store.Engine

	// Clock returns the clock of a client.
	Clock(client int) clock.Clock

	// Go runs f in a task of a client. The engine and the clock of a client are
	// used by its own tasks only.
	Go(client int, name string, f func(ctx context.Context))

	// Wait blocks until every task has ended, or returns why they never will.
	// Only the test calls it.
	Wait() error

	// Close ends the world and returns an error when the engine's own
	// consistency check finds one. Engines may be closed already.
	Close() error
}

// Feature is something that the port promises and that an engine may leave out.
type Feature string

// The features.
const (
	// Watches: Watch works.
	Watches Feature = "watches"
	// Stamps: SetStamped works.
	Stamps Feature = "stamps"
	// ExplicitConflicts: AddReadConflict and AddWriteConflict work.
	ExplicitConflicts Feature = "explicit conflicts"
	// PreciseConflicts: a commit conflicts only with writes to keys that its
	// transaction read; writes, additions and snapshot reads never conflict, and
	// neither do reads of the transaction's own writes.
	PreciseConflicts Feature = "precise conflicts"
	// WriteConflicts: a write that changes nothing conflicts as any other does.
	WriteConflicts Feature = "conflicts of writes that change nothing"
	// Window: transactions grow too old; see Harness.Age.
	Window Feature = "window"
	// Limits: transactions of just under store.MaxTxnBytes work.
	Limits Feature = "limits"
)

// Fault is something that the harness does to the engine.
type Fault string

// The faults.
const (
	// TransientErrors: any call may fail with a retryable error or
	// store.ErrTimedOut although nothing is wrong with it.
	TransientErrors Fault = "transient errors"
	// UnknownCommits: a commit may answer store.ErrCommitUnknown, and may then be
	// applied, before or after the answer, or not.
	UnknownCommits Fault = "unknown commits"
	// LostWatches: a watch may end with store.ErrUnavailable.
	LostWatches Fault = "lost watches"
)

// Harness tells the suite about an engine.
type Harness struct {
	// New makes a world. The seed is for worlds that draw random numbers.
	New func(tb testing.TB, seed uint64) World

	Lacks  []Feature
	Faults []Fault

	// Age makes every read version taken so far too old, within one call.
	// Required unless Lacks names Window.
	Age func(ctx context.Context, w World, client int) error

	// MaxKeyBytes is the longest key that the engine takes, for one that puts
	// something in front of each. Default: store.MaxKeyBytes.
	MaxKeyBytes int

	// Disconnect cuts a client off from the store, as a network does, calls during,
	// and lets the client come back. Nil: the case that needs it is skipped.
	Disconnect func(w World, client int, during func() error) error

	// Quiet is how long a watch that must not fire is watched. Default: 20 ms.
	Quiet time.Duration
	// Patience is how long a case waits for a thing that must happen, on its
	// client's clock. Default: 30 s.
	Patience time.Duration
	// Histories is the number of random histories, of random programs, and of
	// histories that rapid draws, of which there are at most as many as the flag
	// -rapid.checks says. Default: 100, or 20 with -short.
	Histories int
}

// maxReruns bounds the worlds in which one case is tried under faults.
const maxReruns = 500

// check is one case of the suite. It returns what is wrong, and does not know
// of testing.T, so that the suite's own tests can show that it rejects what it
// must.
type check struct {
	name  string
	needs []Feature
	run   func(l *lab) error
	// repeat: the case is randomized, and runs Harness.Histories times.
	repeat bool
	// drawn: the case is a script that rapid draws, so many times; run is nil.
	drawn bool
	// cuts: the case needs Harness.Disconnect.
	cuts bool
}

// suite returns the cases.
func suite() []check {
	return slices.Concat(
		readChecks(), rangeChecks(), writeChecks(), stampChecks(), isolationChecks(),
		conflictChecks(), watchChecks(), lifeChecks(), contextChecks(), limitChecks(), retryChecks(),
		crowdChecks(), randomChecks(),
	)
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	h.setDefaults()
	if h.New == nil || (h.Age == nil && h.has(Window)) {
		t.Fatal("storetest: Harness.New or Harness.Age is missing")
	}
	for _, c := range suite() {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range c.needs {
				if !h.has(f) {
					t.Skipf("the engine lacks %s", f)
				}
			}
			if c.cuts && h.Disconnect == nil {
				t.Skip("the harness has no Disconnect")
			}
			if err := h.judge(t, c); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func (h *Harness) setDefaults() {
	if h.MaxKeyBytes == 0 {
		h.MaxKeyBytes = store.MaxKeyBytes
	}
	if h.Quiet == 0 {
		h.Quiet = 20 * time.Millisecond
	}
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	if h.Histories == 0 {
		h.Histories = 100
		if testing.Short() {
			h.Histories = 20
		}
	}
}

func (h *Harness) has(f Feature) bool     { return !slices.Contains(h.Lacks, f) }
func (h *Harness) suffers(f Fault) bool   { return slices.Contains(h.Faults, f) }
func (h *Harness) transient(e error) bool { return h.suffers(TransientErrors) && isTransient(e) }
func (h *Harness) uncertain(e error) bool {
	return h.suffers(UnknownCommits) && errors.Is(e, store.ErrCommitUnknown)
}
func (h *Harness) interfered(e error) bool { return h.transient(e) || h.uncertain(e) }

func isTransient(err error) bool {
	return store.Retryable(err) || errors.Is(err, store.ErrTimedOut)
}

// judge runs a case until it comes through without interference, and returns
// what is wrong.
func (h *Harness) judge(tb testing.TB, c check) error {
	tb.Helper()
	switch {
	case c.drawn:
		return h.judgeDrawn(tb)
	case !c.repeat:
		return h.through(tb, c, 0)
	}
	for seed := range uint64(h.Histories) {
		if err := h.through(tb, c, seed); err != nil {
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return nil
}

// through is judge with worlds of seeds from the given one on.
func (h *Harness) through(tb testing.TB, c check, seed uint64) error {
	tb.Helper()
	var err error
	for i := range uint64(maxReruns) {
		var damage error
		err, damage = h.once(tb, c, seed+i<<32)
		if damage != nil {
			return errors.Join(err, fmt.Errorf("the world's own check: %w", damage))
		}
		if err == nil || !h.interfered(err) {
			return err
		}
	}
	return fmt.Errorf("never came through in %d worlds, at last: %w", maxReruns, err)
}

// once runs a case in a world of its own. damage is what the world found when
// it was closed.
func (h *Harness) once(tb testing.TB, c check, seed uint64) (err, damage error) {
	tb.Helper()
	w := h.New(tb, seed)
	err = c.run(&lab{World: w, h: h, tb: tb, seed: seed})
	return err, w.Close()
}
