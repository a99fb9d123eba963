package scenario

import (
	"cmp"
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/registry"
)

// The time line of every run, in true time.
const (
	horizon     = 60 * time.Second // the end of the run
	chaosEnds   = 38 * time.Second // every fault is healed, the workload stops
	auditBegins = 44 * time.Second // when the operations of the workload have ended
)

// opTimeout bounds one operation of the workload, on the node's clock.
const opTimeout = 4 * time.Second

// shape is what makes one scenario different from another.
type shape struct {
	nodes   int // processes that join; named node-1, node-2, …
	remotes int // servers of store/remote between nodes and store; 0: none
	workers int // tasks that operate, for each process
	actors  int

	ttl   time.Duration
	drift float64       // Options.MaxDrift
	think time.Duration // mean pause of a worker between operations
	mix   mix

	// together makes all workers begin their operations at the same instants,
	// on the same actor.
	together bool
	// crossing draws the steps of a beat so that they cross each other; with together.
	crossing bool
	// cutShort draws the steps of rounds of beats, in each of which a drain is cut short;
	// with together.
	cutShort bool
	// batches makes a quarter of the claims one of all actors at once, and nodes give
	// back all that they have in one call.
	batches bool
	// crowds has each node do the same with all actors at once, now and then, each in a
	// call of its own.
	crowds bool
	// hasty makes workers give up a third of their claims and releases within
	// milliseconds.
	hasty bool
	// sharedID makes all processes join as one node id.
	sharedID bool
	// replace makes a quarter of the joins end a live session, whoever has it.
	replace bool
	// monitors watch over each session; none unless set: then a session's end is
	// noticed by those who want its actors.
	monitors int
	// tune, when not nil, changes the options of all registries.
	tune func(o *registry.Options)
	// herd has the promises about many nodes checked; with herdOptions.
	herd bool
	// watch has every process follow the nodes, and a third of the joins not be ready
	// at once.
	watch bool
	// lateReady has a third of the sessions get ready some time after their join.
	lateReady bool
	// capacities are those of the first nodes; 0, and that of the others: no limit.
	capacities []int64
	// exclusive: clocks keep their bound, so exclusion in time must hold.
	exclusive bool
	// rate bounds the rate error of each node's clock, in parts per billion; the
	// seed draws one from −rate to +rate, the ends more often than the middle.
	rate int64

	faults int  // at most so many in a plan
	menu   menu // what they are drawn from
	// also, when not nil, adds faults at times that chance would hit too rarely.
	also func(s *shape, st servers, r *rand.Rand) []faults.Fault
}

// waitTTLs bounds a wait for an actor, in TTLs: long enough to see a silent owner
// revoked.
const waitTTLs = 4

// effectTimeout bounds an effect of an owner. It is long, so that an effect
// outlives a pause that its lease does not.
const effectTimeout = 15 * time.Second

// mix is the relative frequency of each operation of a worker.
type mix struct {
	claim, wait, use, write, guard, release, transfer, place, drain, rebalance, lookup, leave int
}

func (m mix) total() int {
	return m.claim + m.wait + m.use + m.write + m.guard + m.release + m.transfer + m.place + m.drain + m.rebalance + m.lookup + m.leave
}

// pick returns the action at a place among those that the weights stand for;
// below total.
func (m mix) pick(n int) Action {
	for _, c := range [...]struct {
		weight int
		do     Action
	}{
		{m.claim, Claim},
		{m.wait, Wait},
		{m.use, Use},
		{m.write, Write},
		{m.guard, Guard},
		{m.release, Release},
		{m.transfer, Transfer},
		{m.place, Place},
		{m.drain, Drain},
		{m.rebalance, Rebalance},
		{m.lookup, Lookup},
		{m.leave, Leave},
	} {
		if n < c.weight {
			return c.do
		}
		n -= c.weight
	}
	panic("scenario: mix.pick was given a place beyond its total")
}

func (s *shape) options(events func(registry.Event)) registry.Options {
	o := registry.Options{TTL: s.ttl, MaxDrift: s.drift, Monitors: cmp.Or(s.monitors, -1), Events: events}
	if s.tune != nil {
		s.tune(&o)
	}
	return o
}
