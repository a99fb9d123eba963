package scenario

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
)

// What a seed's plan is drawn from. Faults last for around a TTL, because that
// is where a lease and its revocation meet.

// menu is the kinds of faults that a scenario may draw.
type menu func(s *shape, st servers) []faults.Choice

// storeOnly are the kinds that one store alone can show: the simulated
// FoundationDB is slow and late by its network, and the memory store has no
// proxy that throttles.
var storeOnly = map[faults.Kind]string{
	faults.StoreLate:        StoreMemory,
	faults.StoreSlow:        StoreMemory,
	faults.StoreUnavailable: StoreMemory,
	faults.Throttle:         StoreSimFDB,
}

// choices returns what the scenario may draw on a kind of store.
func (s Scenario) choices(kind string) []faults.Choice {
	return slices.DeleteFunc(s.shape.menu(&s.shape, s.shape.serversOf(kind)), func(c faults.Choice) bool {
		only, ok := storeOnly[c.Kind]
		return ok && only != kind
	})
}

// plan returns the run's plan: the given one, or the one that the seed draws.
func (s Scenario) plan(c Config, kind string) (faults.Plan, error) {
	if c.Plan != nil {
		return *c.Plan, nil
	}
	st := s.shape.serversOf(kind)
	swarm, err := faults.Swarm{
		Kinds:     s.choices(kind),
		Targets:   nodeNames(s.shape.nodes),
		Peers:     append(st.front[:len(st.front):len(st.front)], sinkName),
		Horizon:   chaosEnds - time.Second,
		HealAt:    chaosEnds,
		MaxFaults: s.shape.faults,
	}.Resolved()
	if err != nil {
		return faults.Plan{}, fmt.Errorf("scenario %s: its own faults: %w", s.Name, err)
	}
	p := faults.Generate(c.Seed, swarm)
	if s.shape.also != nil {
		r := rand.New(rand.NewPCG(c.Seed, alsoStream))
		p.Faults = append(p.Faults, s.shape.also(&s.shape, st, r)...)
	}
	return p, nil
}

// alsoStream keeps the draws of shape.also apart from all others of the seed.
const alsoStream = 0x616c736f

// aroundTTL is a choice that lasts from a share of the TTL to a multiple of it.
func aroundTTL(k faults.Kind, s *shape, least, most float64) faults.Choice {
	return faults.Choice{
		Kind:   k,
		ForMin: time.Duration(least * float64(s.ttl)),
		ForMax: time.Duration(most * float64(s.ttl)),
	}
}

// cutOff makes the store unreachable, in one or both directions.
func cutOff(s *shape, st servers) []faults.Choice {
	both := aroundTTL(faults.Partition, s, 0.3, 3)
	both.Peers = st.front
	both.Weight = 2
	there := aroundTTL(faults.Cut, s, 0.3, 3)
	there.Peers = st.front
	return []faults.Choice{both, there}
}

// slow makes the way to the store slow enough for renewals to be late.
func slow(s *shape, st servers) faults.Choice {
	c := aroundTTL(faults.SlowLink, s, 0.5, 3)
	c.Peers = st.front
	c.AmountMin, c.AmountMax = 20, float64(s.ttl.Milliseconds())/3
	return c
}

func expiryFaults(s *shape, st servers) []faults.Choice {
	pause := aroundTTL(faults.Pause, s, 0.5, 2.5)
	pause.Weight = 3
	return append(cutOff(s, st),
		pause,
		slow(s, st),
		aroundTTL(faults.Crash, s, 0.1, 2),
		faults.Choice{Kind: faults.WallJump},
		faults.Choice{Kind: faults.Reset, Peers: st.front},
	)
}

func contentionFaults(s *shape, st servers) []faults.Choice {
	return []faults.Choice{
		slow(s, st),
		{Kind: faults.StoreConflict},
		{Kind: faults.StoreSlow, AmountMax: 300, AmountMin: 2},
		{Kind: faults.Reorder, Peers: st.front},
		{Kind: faults.Duplicate, Peers: st.front},
	}
}

func pauseFaults(s *shape, _ servers) []faults.Choice {
	return []faults.Choice{aroundTTL(faults.Pause, s, 1, 4)}
}

func doubtFaults(s *shape, st servers) []faults.Choice {
	unknown := aroundTTL(faults.StoreUnknown, s, 0.5, 4)
	unknown.Weight = 3
	return []faults.Choice{
		unknown,
		aroundTTL(faults.StoreLate, s, 0.5, 4),
		serverCrash(s, st),
		{Kind: faults.Loss, Peers: st.front, ForMax: 3 * time.Second, AmountMin: 0.05, AmountMax: 0.4},
		{Kind: faults.Cut, Peers: st.front, ForMax: 2 * time.Second},
	}
}

func serverCrash(s *shape, st servers) faults.Choice {
	c := aroundTTL(faults.ServerCrash, s, 0.05, 0.7)
	c.Targets = st.all
	return c
}

func skewFaults(s *shape, st servers) []faults.Choice {
	return append(cutOff(s, st),
		aroundTTL(faults.Pause, s, 0.5, 2.5),
		faults.Choice{Kind: faults.WallJump, Weight: 2},
		faults.Choice{Kind: faults.ClockRate, AmountMin: -float64(s.rate), AmountMax: float64(s.rate), ForMax: 30 * time.Second},
	)
}

func joinFaults(s *shape, st servers) []faults.Choice {
	crash := aroundTTL(faults.Crash, s, 0.05, 1.5)
	crash.Weight = 3
	return append(cutOff(s, st), crash, aroundTTL(faults.Pause, s, 0.5, 2.5), aroundTTL(faults.StoreUnknown, s, 0.3, 2))
}

// placementFaults are those of handOffFaults and of nodes that cannot be reached.
func placementFaults(s *shape, st servers) []faults.Choice {
	return append(handOffFaults(s, st), cutOff(s, st)[0])
}

// handOffFaults puts commits in doubt and ends giver or taker half way.
func handOffFaults(s *shape, st servers) []faults.Choice {
	crash := aroundTTL(faults.Crash, s, 0.1, 2)
	return append(doubtFaults(s, st), crash, slow(s, st), aroundTTL(faults.Pause, s, 0.5, 2.5), faults.Choice{Kind: faults.Reset, Peers: st.front})
}

func membershipFaults(s *shape, st servers) []faults.Choice {
	late := aroundTTL(faults.StoreLate, s, 0.5, 4)
	late.Weight = 2
	return append(joinFaults(s, st), slow(s, st), late, faults.Choice{Kind: faults.Reset, Peers: st.front})
}

func everything(s *shape, st servers) []faults.Choice {
	all := append(expiryFaults(s, st),
		faults.Choice{Kind: faults.Duplicate},
		faults.Choice{Kind: faults.Reorder},
		faults.Choice{Kind: faults.StoreConflict},
		faults.Choice{Kind: faults.StoreUnavailable, ForMax: 4 * time.Second},
		faults.Choice{Kind: faults.StoreSlow, AmountMin: 2, AmountMax: 500},
		faults.Choice{Kind: faults.Throttle, ForMax: 4 * time.Second},
		faults.Choice{Kind: faults.ClockRate, AmountMin: -float64(s.rate), AmountMax: float64(s.rate), ForMax: 30 * time.Second},
		faults.Choice{Kind: faults.Loss, AmountMin: 0.02, AmountMax: 0.4},
	)
	return append(all, doubtFaults(s, st)[:3]...)
}

// remoteFaults are those of everything, more often at the servers between nodes and
// store, whose requests come twice, and which end in order too.
func remoteFaults(s *shape, st servers) []faults.Choice {
	all := everything(s, st)
	for i := range all {
		switch c := &all[i]; c.Kind { //nolint:exhaustive // the others stay as they are
		case faults.ServerCrash:
			c.Weight = 4
		case faults.Duplicate, faults.Loss:
			c.Peers, c.Weight = st.front, 2
		}
	}
	drain := aroundTTL(faults.ServerDrain, s, 0.1, 1.5)
	drain.Targets, drain.Weight = st.front, 4
	return append(all, drain)
}
