// Package scenario holds the seeded races: for each, a workload on the
// production registry, the faults that a seed may draw, what must hold, and what
// must happen sometimes.
//
// A run is a pure function of the scenario, its seed, store and plan, and of the
// build. It goes through two phases. In the first, nodes join, claim, use,
// release, look up and leave while faults strike: only safety is demanded. In
// the second every fault is healed, the workload stops, one node dies for good,
// and an auditor must be able to claim every actor within a stated bound, after
// which index, load counters and records must agree.
//
// What is checked, at each event: no two claims of one actor are Valid at one
// instant, tokens increase, the fenced resource accepts no stale write, a node
// that was told Lost does not act. At the end: the history is linearizable, by
// porcupine and by the linear-time checker that takes tokens for witnesses.
package scenario

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/sim"
)

// Errors of a bad call.
var (
	// ErrUnknown: no scenario has that name.
	ErrUnknown = errors.New("scenario: unknown scenario")
	// ErrConfig: a field of [Config] is out of its range, or its plan or its
	// program does not fit the world.
	ErrConfig = errors.New("scenario: bad configuration")
)

// The stores that a run may use.
const (
	StoreSimFDB = "simfdb" // a simulated FoundationDB cluster over the simulated network
	StoreMemory = "memory" // store/memory behind a simulated wire
	StoreBoth   = "both"   // even seeds simfdb, odd seeds memory
)

// Scenario is one seeded race.
type Scenario struct {
	// Name is what the command line calls it.
	Name string
	// About says in a line what is raced.
	About string
	// Sometimes names the events of which a batch must have seen each at least
	// once: otherwise it was not testing.
	Sometimes []string
	// MinSeeds is the size from which on a batch must have seen them, on each
	// kind of store.
	MinSeeds int

	shape shape
}

// All returns every scenario, in a fixed order.
func All() []Scenario { return slices.Clone(catalogue) }

// Find returns the scenario with the name, or [ErrUnknown] with the names that
// exist.
func Find(name string) (Scenario, error) {
	var names []string
	for _, s := range catalogue {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Scenario{}, fmt.Errorf("%w %q; there are: %s", ErrUnknown, name, strings.Join(names, ", "))
}

// Config is one run's input.
type Config struct {
	Seed uint64
	// Store is one of the Store constants; empty means [StoreBoth].
	Store string
	// Plan is the faults to inject; nil means those that the seed draws.
	Plan *faults.Plan
	// Program is the workload; nil means that which the seed draws, see
	// [Scenario.Program].
	Program *Program
	// Trace, when not nil, receives the readable trace, a line an event.
	Trace io.Writer
	// OnEvent, when not nil, is called after each event with the running hash.
	OnEvent func(index, hash uint64)
	// Arena is memory reused between the runs of one goroutine; may be nil.
	Arena *sim.Arena
	// KeepHistory keeps Result.History of a run that passed.
	KeepHistory bool
}

// Result is one run's outcome.
type Result struct {
	Scenario, Store  string
	Seed             uint64
	Plan             faults.Plan
	Hash             sim.Hash
	Events, Messages uint64
	Operations       int
	Virtual          time.Duration
	Sometimes        []Count // each declared event, in order
	Faults           []Count // that did something to somebody, by kind, in order of kind
	Failure          *Failure
	Unknown          string // why the checker could not decide; empty when it did
	History          linearizability.History
}

// Count is how often something happened.
type Count struct {
	Name string
	N    uint64
}

// Failure is a violation.
type Failure struct {
	Rule      string // the name of what was violated
	Signature string // rule and place: equal for seeds with one cause
	Message   string
	Process   string
	Task      string
	Stack     string
	At        time.Duration // true time
	Event     uint64        // index of the event
}
