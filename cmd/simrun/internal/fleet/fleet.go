// Package fleet runs a soak in many processes: some that have the nodes, one that
// serves the store, one that is a sink. It kills them as they stand, freezes them for
// longer than a lease lasts, cuts the connections between nodes and server, and
// restarts what it has killed.
//
// Each process writes its history as it happens. At the end the histories are merged
// on the machine's boot clock, in which all agree, and there is one for package
// linearizability to judge; operations that were under way at a kill stay open. What
// the package judges by itself is in [Result.Violation]: that the store has what it
// acknowledged, that no handle outlived a freeze, what the sink was told, that gifts
// came with their payloads, that every actor can be claimed in the end, and that what
// was to be tested happened.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/jsonl"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/process"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/sink"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// Limits and defaults of [Options].
const (
	MaxProcesses = 64
	MinTTL       = 200 * time.Millisecond // a process needs a part of it to start
	DefaultTTL   = 2 * time.Second
	// MinSpan is the least workload, in TTLs: below, nothing that was killed is back
	// when it ends.
	MinSpan = 8
)

// maxOperations bounds a merged history, as that of one process is bounded.
const maxOperations = 1_800_000

// meanThink is the mean pause of a worker: processes, server and disk share a
// machine, and leases are to be lost by faults, not because all cores are busy.
const meanThink = 15 * time.Millisecond

// linger: one write in so many takes long to reach the sink, so that some arrive when
// their claim is over.
const linger = 4

// Options of a soak in many processes.
type Options struct {
	Store     soak.Store
	Processes int           // that have nodes; 1 to MaxProcesses
	Nodes     int           // in all processes, each of which has one at least; default one each
	Actors    int           // default twice the nodes
	For       time.Duration // of the workload; at least MinSpan TTLs
	TTL       time.Duration // at least MinTTL; default DefaultTTL
	Seed      uint64        // of workload and faults
	Kill      bool          // processes and server
	Pause     bool          // processes and server
	Program   string        // that plays the processes, see [Play]
	Dir       string        // an empty folder for what the processes write
	Tick      func()        // called every now and then, from one goroutine; may be nil

	// tamper is for tests: it is called while all nodes rest.
	tamper func(ctx context.Context, engine store.Engine) error
}

// ErrOptions: a field of [Options] is out of its range.
var ErrOptions = errors.New("soak: bad options")

func (o *Options) fill() error {
	if o.Nodes == 0 {
		o.Nodes = o.Processes
	}
	if o.Actors == 0 {
		o.Actors = 2 * o.Nodes
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	switch {
	case o.Processes < 1 || o.Processes > MaxProcesses:
		return fmt.Errorf("%w: Processes is %d, must be from 1 to %d", ErrOptions, o.Processes, MaxProcesses)
	case o.Nodes < o.Processes || o.Nodes > soak.MaxNodes:
		return fmt.Errorf("%w: Nodes is %d, must be from %d, one for each process, to %d", ErrOptions, o.Nodes, o.Processes, soak.MaxNodes)
	case o.Actors < 1 || o.Actors > soak.MaxActors:
		return fmt.Errorf("%w: Actors is %d, must be from 1 to %d", ErrOptions, o.Actors, soak.MaxActors)
	case o.TTL < MinTTL || o.TTL > registry.MaxTTL:
		return fmt.Errorf("%w: TTL is %v, must be from %v to %v", ErrOptions, o.TTL, MinTTL, registry.MaxTTL)
	case o.For < MinSpan*o.TTL:
		return fmt.Errorf("%w: For is %v, must be at least %d TTLs, %v", ErrOptions, o.For, MinSpan, MinSpan*o.TTL)
	case o.Store.Data == nil && o.Store.Connect == nil:
		return fmt.Errorf("%w: Store is %s, which is in the memory of one process and cannot be shared by several", ErrOptions, o.Store.Name)
	}
	return process.Supported()
}

// Files of a soak's folder. Each process has a history and notes in each life of it.
const (
	sinkFile    = "sink.jsonl"
	faultsFile  = "faults.jsonl"
	historyFile = "%s.history.jsonl"
	notesFile   = "%s.notes.jsonl"
)

// fleet is one soak under way.
type fleet struct {
	o       Options
	clock   clock.Clock
	began   time.Duration
	backend backend
	sink    *process.Process
	sinkAt  string
	slots   []*slot // of processes with nodes
	server  *slot   // nil when the store is not served by a process of ours

	standing *soak.Standing  // nil: interrupted before
	audited  *soak.Violation // what the auditor found, or nil

	mu     sync.Mutex
	faults []Fault
	cuts   map[string]uint64 // connections of a process to all members cut, by how
	partly map[string]uint64 // those to one member of several, by how
	usage  []usage           // of the server
	errs   []error
	giveUp context.CancelFunc // ends the workload when the harness has failed
}

// Run runs a soak. It ends early when ctx does; what was done until then is in the
// result. The error is about options or the harness, never about the registry.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	f := newFleet(o)
	res, err := f.all(ctx)
	return res, errors.Join(err, f.end())
}

func newFleet(o Options) *fleet {
	c := clock.System()
	return &fleet{o: o, clock: c, began: c.Monotonic(), cuts: make(map[string]uint64), partly: make(map[string]uint64)}
}

// now is the time of the history.
func (f *fleet) now() time.Duration { return f.clock.Monotonic() - f.began }

// broken notes that the harness does not work, and ends the workload.
func (f *fleet) broken(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.errs) < 10 {
		f.errs = append(f.errs, err)
	}
	if f.giveUp != nil {
		f.giveUp()
	}
}

func (f *fleet) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}

// path is a file of the soak's folder.
func (f *fleet) path(format string, args ...any) string {
	return filepath.Join(f.o.Dir, fmt.Sprintf(format, args...))
}

// all goes through the phases.
func (f *fleet) all(ctx context.Context) (*Result, error) {
	if err := f.start(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("soak: interrupted before all processes had started: %w", err)
		}
		return nil, err
	}
	chaos, cancel := context.WithTimeout(ctx, f.o.For)
	defer cancel()
	f.mu.Lock()
	f.giveUp = cancel
	f.mu.Unlock()
	f.chaos(chaos)
	if err := f.failure(); err != nil {
		return nil, err
	}
	res := &Result{Elapsed: f.now(), Interrupted: ctx.Err() != nil}
	res.Processes, res.Nodes, res.Actors, res.TTL, res.Seed = f.o.Processes, f.o.Nodes, f.o.Actors, f.o.TTL, f.o.Seed
	if !res.Interrupted {
		if err := f.settle(ctx); err != nil {
			return nil, err
		}
		var err error
		if res.Audited, f.audited, err = f.audit(ctx); err != nil {
			return nil, err
		}
		res.Interrupted = ctx.Err() != nil
	}
	for _, s := range f.slots {
		if err := s.kill(); err != nil {
			return nil, err
		}
	}
	if err := f.sink.Kill(); err != nil {
		return nil, err
	}
	if err := f.failure(); err != nil {
		return nil, err
	}
	return res, f.judge(res)
}

// start starts the server, the sink and the processes with nodes.
func (f *fleet) start(ctx context.Context) (err error) {
	if f.backend, err = openBackend(ctx, f); err != nil {
		return err
	}
	if f.sink, f.sinkAt, err = f.greeted(ctx, "sink", roleSink, f.path(sinkFile)); err != nil {
		return err
	}
	for i := range f.o.Processes {
		s, err := f.newNodeSlot(i)
		if err != nil {
			return err
		}
		f.slots = append(f.slots, s)
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// end ends all that still runs.
func (f *fleet) end() error {
	var errs []error
	for _, s := range f.slots {
		errs = append(errs, s.kill(), s.close())
	}
	if f.sink != nil {
		errs = append(errs, f.sink.Kill())
	}
	if f.backend != nil {
		errs = append(errs, f.backend.close())
	}
	return errors.Join(errs...)
}

// settle lets the nodes heal after the last fault, brings them to rest, and reads
// what stands in the store between two questions to all handles.
func (f *fleet) settle(ctx context.Context) error {
	if f.clock.Sleep(ctx, settleTTLs*f.o.TTL) != nil {
		return nil // interrupted
	}
	if err := f.tellAll(ctx, sayRest); err != nil {
		return err
	}
	m, closed, err := f.member(ctx, "accountant")
	if err != nil {
		return err
	}
	defer closed()
	if f.o.tamper != nil {
		if err := f.o.tamper(ctx, m.Engine()); err != nil {
			return err
		}
	}
	if f.standing, err = m.ReadStanding(ctx); err != nil {
		return err
	}
	return f.tellAll(ctx, sayAsk)
}

// settleTTLs is how long the nodes work without faults, in TTLs.
const settleTTLs = 3

// wordPatience bounds how long a process may take to do as it is told: workers end
// their operations first.
func (f *fleet) wordPatience() time.Duration { return 10*f.o.TTL + 30*time.Second }

// tellAll tells all processes with nodes a word and waits until each has done it.
func (f *fleet) tellAll(ctx context.Context, word string) error {
	ctx, cancel := context.WithTimeout(ctx, f.wordPatience())
	defer cancel()
	errs := make([]error, len(f.slots))
	var telling sync.WaitGroup
	for i, s := range f.slots {
		telling.Go(func() { errs[i] = s.tell(ctx, word) })
	}
	telling.Wait()
	return errors.Join(errs...)
}

// audit lets half of the processes die as they stand and the others give up what they
// hold. Then a new node must be able to claim every actor.
func (f *fleet) audit(ctx context.Context) (took time.Duration, v *soak.Violation, err error) {
	if ctx.Err() != nil {
		return 0, nil, nil
	}
	bounded, cancel := context.WithTimeout(ctx, f.wordPatience())
	defer cancel()
	for i, s := range f.slots {
		if i%2 == 1 {
			if err := s.kill(); err != nil {
				return 0, nil, err
			}
			continue
		}
		if err := s.tell(bounded, sayRetire); err != nil {
			return 0, nil, err
		}
	}
	m, closed, err := f.member(ctx, "auditor")
	if err != nil {
		return 0, nil, err
	}
	defer closed()
	return m.Audit(ctx)
}

// member returns a member without nodes, in this process, and what ends it.
func (f *fleet) member(ctx context.Context, name string) (*soak.Member, func(), error) {
	out := soak.Outlets{Sink: sink.NewTable()}
	files := make([]*record, 0, 2)
	shut := func() {
		for _, file := range files {
			_ = file.file.Close() // each write has succeeded
		}
	}
	for _, path := range []string{f.path(historyFile, name), f.path(notesFile, name)} {
		file, err := appending(path)
		if err != nil {
			shut()
			return nil, nil, err
		}
		files = append(files, file)
	}
	journal, err := linearizability.NewJournal(files[0], linearizability.Header{Scenario: f.scenario(), Seed: f.o.Seed})
	if err != nil {
		shut()
		return nil, nil, err
	}
	out.History = journal
	out.Book = soak.NoteFile{Writer: jsonl.NewWriter(files[1], fatal)}
	way, err := f.backend.route(straight)
	if err != nil {
		shut()
		return nil, nil, err
	}
	c, err := connect(ctx, name, f.o.TTL, way, []soak.Store{f.o.Store})
	if err != nil {
		shut()
		return nil, nil, err
	}
	return soak.NewMember(f.share(name), c.engine, out), func() { c.close(); shut() }, nil
}
