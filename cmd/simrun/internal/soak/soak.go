// Package soak runs the production registry for real: goroutines, the machine's
// clock, a real store, and several nodes in one process that claim, use, guard,
// release, place, give away and look up actors, drain, leave, die without a word and
// come back.
//
// Meanwhile each node's connection to the store is stalled by turns (package
// stall): calls are delayed, frozen or refused, often for longer than the TTL,
// and commits end unknown. A sink checks fencing tokens as a resource outside
// the store would.
//
// When the time is up the stalls end, half of the nodes die as they stand and
// the others drain and leave. Then an auditor must be able to claim every actor within a
// stated bound, and the store's records must agree.
//
// All operations go into a history, with times of the machine's clock, which is
// for package linearizability to judge. The nodes share one clock, so its rate
// error plays no part, and a real run is no function of its seed: the seed
// steers the workload and the stalls only.
//
// The nodes may also be in several processes ([Member]), which package fleet starts
// and kills. The workload is the same; history, sink and notes are then elsewhere.
package soak

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/sink"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/stall"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
)

// Limits and defaults of [Options].
const (
	MaxNodes      = 100
	MaxActors     = 10_000
	MinTTL        = 50 * time.Millisecond // below, a scheduler's hiccup is a lost lease
	DefaultTTL    = 500 * time.Millisecond
	Workers       = 3 // for each node
	actorsPerNode = 2 // of the default of Actors
)

// maxOperations bounds a history: a file of it has two lines an operation, and
// the decoder of package linearizability takes four million lines.
const maxOperations = 1_800_000

// meanThink is the mean pause of a worker between two operations; longer runs
// have longer ones, so as to stay under maxOperations.
const meanThink = 8 * time.Millisecond

// Options of a soak.
type Options struct {
	Store  Store
	Nodes  int           // 1 to MaxNodes
	Actors int           // 1 to MaxActors; default twice the nodes
	For    time.Duration // of the workload; the audit comes on top
	TTL    time.Duration // MinTTL to registry.MaxTTL; default DefaultTTL
	Seed   uint64        // of the workload and the stalls
	// Tick, when not nil, is called every now and then, from one goroutine.
	Tick func()
}

// ErrOptions: a field of [Options] is out of its range.
var ErrOptions = errors.New("soak: bad options")

func (o *Options) fill() error {
	if o.Actors == 0 {
		o.Actors = actorsPerNode * o.Nodes
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	switch {
	case o.Nodes < 1 || o.Nodes > MaxNodes:
		return fmt.Errorf("%w: Nodes is %d, must be from 1 to %d", ErrOptions, o.Nodes, MaxNodes)
	case o.Actors < 1 || o.Actors > MaxActors:
		return fmt.Errorf("%w: Actors is %d, must be from 1 to %d", ErrOptions, o.Actors, MaxActors)
	case o.TTL < MinTTL || o.TTL > registry.MaxTTL:
		return fmt.Errorf("%w: TTL is %v, must be from %v to %v", ErrOptions, o.TTL, MinTTL, registry.MaxTTL)
	case o.For <= 0:
		return fmt.Errorf("%w: For is %v, must be above 0", ErrOptions, o.For)
	}
	return nil
}

// A Recorder takes the history: [linearizability.Recorder] in memory,
// [linearizability.Journal] in a file.
type Recorder interface {
	Invoke(now time.Duration, op linearizability.Op) int
	Return(now time.Duration, id int, res linearizability.Result)
	Note(now time.Duration, op linearizability.Op, res linearizability.Result)
	Len() int
}

// A Resource takes fenced writes and says what became of them.
type Resource interface {
	Write(ctx context.Context, w sink.Write) linearizability.Outcome
}

// run is what the nodes of one process share.
type run struct {
	o       Options
	name    string // of the process
	clock   clock.Clock
	began   time.Duration // on clock
	actors  []registry.ActorID
	think   time.Duration // mean
	most    int           // operations
	linger  int           // one write in so many takes longer than the holder's lease may last
	history Recorder
	sink    Resource
	book    Book
	gifts   atomic.Uint64 // sent

	mu   sync.Mutex
	errs []error // of the harness
}

// newRun returns a run without its outlets.
func newRun(o Options, name string, c clock.Clock, began time.Duration) *run {
	r := &run{o: o, name: name, clock: c, began: began, most: maxOperations, linger: 50}
	for i := range o.Actors {
		r.actors = append(r.actors, registry.ActorID(fmt.Sprintf("actor-%d", i+1)))
	}
	fair := float64(o.For) * float64(o.Nodes*Workers) / maxOperations
	r.think = max(meanThink, time.Duration(math.Ceil(fair)))
	return r
}

// Run runs a soak. It ends early when ctx does; what was done until then is in
// the result. The error is about options or the harness, never about the
// registry: that is in Result.Violation and in the history.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	c := clock.System()
	cluster, err := o.Store.Open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("soak: open the %s store: %w", o.Store.Name, err)
	}
	history := linearizability.NewRecorder(linearizability.Header{Scenario: "soak/" + o.Store.Name, Seed: o.Seed}, 1<<16)
	ledger := NewLedger()
	r := newRun(o, "here", c, c.Monotonic())
	r.history, r.sink, r.book = history, sink.NewTable(), ledger
	res, err := r.all(ctx, cluster)
	if res != nil {
		if s, ok := cluster.(fmt.Stringer); ok {
			res.Described = s.String()
		}
		res.History = history.History()
		res.Counts.addHistory(res.History)
		ledger.fill(&res.Counts)
		if v := ledger.Defect(); v != nil {
			res.Violation = v
		}
	}
	return res, errors.Join(err, cluster.Close())
}

// all goes through the phases.
func (r *run) all(ctx context.Context, cluster Cluster) (*Result, error) {
	chaos, cancel := context.WithTimeout(ctx, r.o.For)
	defer cancel()
	engines := make([]*stall.Engine, r.o.Nodes)
	for i := range engines {
		inner, err := cluster.Engine(i)
		if err != nil {
			return nil, fmt.Errorf("soak: connect node %d to the %s store: %w", i+1, r.o.Store.Name, err)
		}
		engines[i] = stall.New(inner, r.clock, r.o.Seed+uint64(i))
	}
	var running sync.WaitGroup
	for i, e := range engines {
		n := newNode(r, i, e)
		running.Go(func() { r.storm(chaos, e, r.rand("storm", i)) })
		running.Go(func() {
			last := n.live(chaos)
			if last == nil {
				return
			}
			if n.index%2 == 0 {
				last.retire()
			}
			last.kill()
		})
	}
	running.Go(func() { r.tick(chaos) })
	running.Wait()
	for _, e := range engines {
		e.Drain()
	}
	res := &Result{Options: r.o, Elapsed: r.now(), Interrupted: ctx.Err() != nil}
	if !res.Interrupted {
		auditor, err := cluster.Engine(r.o.Nodes)
		if err != nil {
			return nil, fmt.Errorf("soak: connect the auditor: %w", err)
		}
		res.Audited, res.Violation = r.audit(ctx, auditor)
	}
	for _, e := range engines {
		res.addStalls(e.Stats())
	}
	return res, r.failure()
}

// failure returns what went wrong with the harness.
func (r *run) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(r.errs...)
}

// tick tells how far the run is.
func (r *run) tick(ctx context.Context) {
	if r.o.Tick == nil {
		return
	}
	for r.clock.Sleep(ctx, 100*time.Millisecond) == nil {
		r.o.Tick()
	}
}

// now is the time of the history.
func (r *run) now() time.Duration { return r.clock.Monotonic() - r.began }

// rand returns a source of its own for a part of the run.
func (r *run) rand(part string, i int) *rand.Rand {
	h := uint64(14695981039346656037)
	for j := range len(part) {
		h = (h ^ uint64(part[j])) * 1099511628211
	}
	return rand.New(rand.NewPCG(r.o.Seed, h+uint64(i)))
}

// broken notes that the harness itself does not work.
func (r *run) broken(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.errs) < 10 {
		r.errs = append(r.errs, err)
	}
}
