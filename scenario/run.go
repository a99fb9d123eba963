package scenario

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// run is one world while it runs.
type run struct {
	scenario Scenario
	shape    *shape
	store    string
	plan     faults.Plan
	program  Program
	drains   bool // some step of it is a drain
	accepts  bool // some step of it gives actors to sessions: all take up what they are given
	world    *sim.World
	injector *faults.Injector
	engine   func(h *sim.Host) store.Engine // a client of the run's store

	actors     []registry.ActorID
	actorIndex map[registry.ActorID]int
	nodes      []*node
	lastOwner  []owner // by actor

	history    *linearizability.Recorder
	monitor    *linearizability.Monitor
	operations int
	events     [eventCount]uint64

	remotes []remoteLife // of all of them
	clients []*remote.Engine
	watches keyWatches

	herd    herded
	members []member // every session that was joined

	changes map[uint64]string // what watchers were told of each change, by its number
	known   map[uint64]told   // what they knew after so many

	hand    handOvers
	give    giving
	tenures map[holding]*tenure
	guards  []guarded                 // that committed
	tokens  [][]registry.Token        // granted, by actor
	ended   map[session]store.Version // sessions that were revoked or left
}

// owner is who was last seen to get an actor.
type owner struct {
	node  registry.NodeID
	token registry.Token
	kept  bool // it has not released the actor
	valid func() bool
}

// Run runs the scenario once. The error wraps [ErrConfig]; a violation is in
// the result.
func (s Scenario) Run(c Config) (Result, error) {
	r, err := s.newRun(c)
	if err != nil {
		return Result{}, err
	}
	defer r.world.Close()
	return r.toEnd(c.KeepHistory), nil
}

// newRun makes a world in which all is ready. The caller closes it.
func (s Scenario) newRun(c Config) (*run, error) {
	kind, err := storeFor(c)
	if err != nil {
		return nil, err
	}
	plan, err := s.plan(c, kind)
	if err != nil {
		return nil, err
	}
	program, err := s.program(c)
	if err != nil {
		return nil, err
	}
	r := &run{
		scenario: s,
		shape:    &s.shape,
		store:    kind,
		plan:     plan,
		program:  program,
		drains:   program.has(Drain),
		accepts:  program.has(Transfer, Place, Drain, Rebalance),
		world:    sim.NewWorld(c.Seed, sim.Options{Trace: c.Trace, OnEvent: c.OnEvent, Arena: c.Arena}),
		history:  linearizability.NewRecorder(linearizability.Header{Scenario: s.Name, Seed: c.Seed}, 128),
		monitor:  linearizability.NewMonitor(),
		give:     newGiving(),
		tenures:  make(map[holding]*tenure),
	}
	r.monitor.SkipExclusion = !s.shape.exclusive
	if err := r.build(); err != nil {
		r.world.Close()
		return nil, err
	}
	return r, nil
}

// toEnd runs the world and judges it.
func (r *run) toEnd(keepHistory bool) Result {
	w := r.world
	runErr := w.Run(horizon)
	if runErr == nil && r.events[evAudited] == 0 {
		w.Fail("not-live", fmt.Errorf("the audit had not ended at %v", horizon))
		runErr = w.Failure()
	}
	r.countRemotes()
	stats := w.Stats()
	res := Result{
		Scenario: r.scenario.Name, Store: r.store, Seed: w.Seed(), Plan: r.plan,
		Hash: w.Hash(), Events: stats.Events, Messages: stats.Messages, Virtual: w.Now(),
		Operations: r.operations, Sometimes: r.counts(r.scenario.Sometimes), Faults: struck(r.injector),
	}
	r.judge(&res, runErr)
	if keepHistory || res.Failure != nil || res.Unknown != "" {
		res.History = *r.history.History()
	}
	return res
}

func storeFor(c Config) (string, error) {
	switch c.Store {
	case StoreSimFDB, StoreMemory:
		return c.Store, nil
	case StoreBoth, "":
		if c.Seed%2 == 0 {
			return StoreSimFDB, nil
		}
		return StoreMemory, nil
	}
	return "", fmt.Errorf("%w: Store is %q, must be %q, %q or %q", ErrConfig, c.Store, StoreSimFDB, StoreMemory, StoreBoth)
}

// build fills the world.
func (r *run) build() (err error) {
	r.actorIndex = make(map[registry.ActorID]int, r.shape.actors)
	for i := range r.shape.actors {
		id := registry.ActorID(actorName(i))
		r.actors = append(r.actors, id)
		r.actorIndex[id] = i
	}
	r.lastOwner = make([]owner, r.shape.actors)
	r.tokens = make([][]registry.Token, r.shape.actors)
	r.ended = make(map[session]store.Version)
	r.changes, r.known = make(map[uint64]string), make(map[uint64]told)
	r.world.Net().SetDefault(officeLink)
	handlers := r.startStore()
	r.startSink()
	if r.shape.herd {
		r.prepareHerd()
	}
	for i := range r.shape.nodes {
		n := r.newNode(nodeName(i), r.nodeID(i), r.clockOf(i))
		r.nodes = append(r.nodes, n)
		n.odd = i%2 == 0
		if i < len(r.shape.capacities) {
			n.capacity = r.shape.capacities[i]
		}
		n.scripts = make([][]Step, r.shape.workers)
		for _, script := range r.program.Scripts {
			if script.Node == i {
				n.scripts[script.Worker] = script.Steps
			}
		}
		n.proc.Start(n.main)
	}
	if r.injector, err = faults.Inject(r.world, r.plan, handlers); err != nil {
		return fmt.Errorf("%w: Plan: %w", ErrConfig, err)
	}
	victim := r.nodes[r.world.Draw("victim")%uint64(len(r.nodes))]
	r.world.After(chaosEnds, "victim", victim.proc.Crash)
	r.world.After(auditBegins, "audit", r.startAudit)
	if r.shape.remotes > 0 {
		r.watches.changes = make([]keyChanged, r.shape.nodes)
		r.world.After(auditBegins, "watches", r.checkWatches)
	}
	r.world.Invariant("registry", func() error { return r.monitor.Check(r.world.Now()) })
	return nil
}

func nodeName(i int) string { return "node-" + strconv.Itoa(i+1) }

func nodeNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = nodeName(i)
	}
	return names
}

func (r *run) nodeID(i int) registry.NodeID {
	if r.shape.sharedID {
		return "shared"
	}
	return registry.NodeID(nodeName(i))
}

func (r *run) newNode(name string, id registry.NodeID, clock sim.ProcessOptions) *node {
	return &node{r: r, id: id, proc: r.world.Process(name, clock), key: uint64(len(r.world.Processes()))}
}

// quiet reports whether the workload must stop.
func (r *run) quiet() bool { return r.world.Now() >= chaosEnds }

// judge decides what the run has shown.
func (r *run) judge(res *Result, runErr error) {
	var f *sim.Failure
	switch {
	case errors.As(runErr, &f):
		res.Failure = failureOf(f)
		return
	case runErr != nil:
		res.Failure = &Failure{Rule: "harness", Signature: "harness", Message: runErr.Error()}
		return
	}
	if err := r.judgeGuards(); err != nil {
		const rule = "guarded-stale-write"
		res.Failure = &Failure{Rule: rule, Signature: rule, Message: err.Error(), At: res.Virtual, Event: res.Events}
		return
	}
	var o linearizability.Options
	if !r.shape.exclusive {
		o.Skip = []linearizability.Rule{linearizability.RuleStaleUse}
	}
	report := linearizability.Check(r.history.History(), o)
	err := report.Err()
	switch {
	case err == nil:
	case errors.Is(err, linearizability.ErrUndecided):
		res.Unknown = err.Error()
	default:
		rule := string(linearizability.RuleNoOrder)
		if len(report.Violations) > 0 {
			rule = string(report.Violations[0].Rule)
		}
		res.Failure = &Failure{Rule: rule, Signature: rule, Message: err.Error(), At: res.Virtual, Event: res.Events}
	}
}

// struck returns how many faults of each kind did something to somebody.
func struck(in *faults.Injector) []Count {
	var cs []Count
	for _, c := range in.Counts() {
		if c.Struck > 0 {
			cs = append(cs, Count{Name: string(c.Kind), N: c.Struck})
		}
	}
	return cs
}

func failureOf(f *sim.Failure) *Failure {
	out := &Failure{
		Rule: f.Rule, Signature: f.Signature(), Message: f.Error(), Process: f.Process, Task: f.Task,
		Stack: f.Stack, At: f.At, Event: f.Event,
	}
	var broken *linearizability.MonitorError
	if errors.As(f.Err, &broken) {
		out.Rule, out.Signature = string(broken.Rule), string(broken.Rule)
	}
	return out
}
