package faults

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Defaults of a [Swarm] and its [Choice] fields.
const (
	DefaultMaxFaults = 12
	DefaultForMin    = 50 * time.Millisecond
	DefaultForMax    = 10 * time.Second

	MaxWeight = 100 // limit of Choice.Weight
)

// Choice is one kind that a [Swarm] may draw, and within which ranges.
type Choice struct {
	Kind Kind
	// Weight is the kind's share of the faults, relative to the other kinds that
	// a seed keeps; above 0, at most [MaxWeight]. Default: 1.
	Weight float64
	// Targets and Peers replace those of the Swarm.
	Targets, Peers []string
	// ForMin and ForMax bound how long a fault lasts; 1 ms to [MaxTime]. Short
	// times are as likely as long ones: each doubling has equal probability.
	// Default: 50 ms to 10 s. Kinds that are over at once have none.
	ForMin, ForMax time.Duration
	// AmountMin and AmountMax bound the amount. One fault in four has one of the
	// two. Default, when both are 0: the usual range of the kind, see [Spec].
	AmountMin, AmountMax float64
}

// Swarm describes the plans that [Generate] draws (A. Groce and others, "Swarm
// Testing", ISSTA 2012).
type Swarm struct {
	// Kinds are the kinds to choose from; at least one, each once.
	Kinds []Choice
	// Targets are the processes that faults strike. Kinds of the store that have
	// no Targets of their own strike all, with an empty target.
	Targets []string
	// Peers are the far ends of faults between two processes. Default: Targets.
	Peers []string
	// Horizon is the time before which faults begin; 1 ms to [MaxTime].
	Horizon time.Duration
	// HealAt is the time at which every fault is over, see [Plan.Heal].
	// Default: Horizon.
	HealAt time.Duration
	// MaxFaults bounds the faults of a plan. Default: [DefaultMaxFaults].
	MaxFaults int
}

// Resolved returns the swarm with its defaults filled in, or an error that wraps
// [ErrInvalid] and names the field and the limit that it breaks.
func (s Swarm) Resolved() (Swarm, error) {
	bad := func(format string, args ...any) (Swarm, error) {
		return Swarm{}, fmt.Errorf("%w: Swarm."+format, append([]any{ErrInvalid}, args...)...)
	}
	if s.HealAt == 0 {
		s.HealAt = s.Horizon
	}
	if s.MaxFaults == 0 {
		s.MaxFaults = DefaultMaxFaults
	}
	if len(s.Peers) == 0 {
		s.Peers = s.Targets
	}
	switch {
	case s.Horizon < time.Millisecond || s.Horizon > MaxTime:
		return bad("Horizon is %v, must be 1ms to %v", s.Horizon, MaxTime)
	case s.HealAt < time.Millisecond || s.HealAt > MaxTime:
		return bad("HealAt is %v, must be 1ms to %v", s.HealAt, MaxTime)
	case s.MaxFaults < 0 || s.MaxFaults > MaxFaults:
		return bad("MaxFaults is %d, must be 1 to %d", s.MaxFaults, MaxFaults)
	case len(s.Kinds) == 0:
		return bad("Kinds is empty, there must be one at least")
	}
	s.Kinds = slices.Clone(s.Kinds)
	for i := range s.Kinds {
		c := &s.Kinds[i]
		if err := s.resolve(c); err != nil {
			return bad("Kinds[%d]: %w", i, err)
		}
		if slices.ContainsFunc(s.Kinds[:i], func(d Choice) bool { return d.Kind == c.Kind }) {
			return bad("Kinds[%d]: kind %s is there twice", i, c.Kind)
		}
	}
	return s, nil
}

// resolve fills a choice's defaults and validates it.
func (s Swarm) resolve(c *Choice) error {
	spec, ok := c.Kind.Spec()
	if !ok {
		return unknownKind(c.Kind)
	}
	if c.Weight == 0 {
		c.Weight = 1
	}
	if !(c.Weight > 0 && c.Weight <= MaxWeight) {
		return fmt.Errorf("its Weight is %v, must be above 0 and at most %d", c.Weight, MaxWeight)
	}
	switch {
	case !spec.Store && len(c.Targets) == 0:
		c.Targets = s.Targets
	case len(c.Targets) == 0:
		c.Targets = []string{""}
	}
	if len(c.Targets) == 0 {
		return fmt.Errorf("its Targets is empty, and so is Swarm.Targets: %s needs processes", c.Kind)
	}
	if !spec.Peer {
		c.Peers = nil
	} else if len(c.Peers) == 0 {
		c.Peers = s.Peers
	}
	if spec.Lasts {
		if c.ForMin == 0 {
			c.ForMin = DefaultForMin
		}
		if c.ForMax == 0 {
			c.ForMax = max(DefaultForMax, c.ForMin)
		}
		if c.ForMin < time.Millisecond || c.ForMax < c.ForMin || c.ForMax > MaxTime {
			return fmt.Errorf("its ForMin and ForMax are %v and %v, must be 1ms to %v in that order", c.ForMin, c.ForMax, MaxTime)
		}
	} else if c.ForMin != 0 || c.ForMax != 0 {
		return fmt.Errorf("its ForMin and ForMax are %v and %v, %s is over at once", c.ForMin, c.ForMax, c.Kind)
	}
	if c.AmountMin == 0 && c.AmountMax == 0 {
		c.AmountMin, c.AmountMax = spec.UsualMin, spec.UsualMax
	}
	if c.AmountMin > c.AmountMax {
		return fmt.Errorf("its AmountMin is %v, must be at most AmountMax (%v)", c.AmountMin, c.AmountMax)
	}
	return c.probe(spec)
}

// probe checks the names and the ends of the amounts as faults.
func (c *Choice) probe(spec Spec) error {
	for _, target := range c.Targets {
		for _, amount := range []float64{c.AmountMin, c.AmountMax} {
			if amount == 0 && spec.Unit != "" { // an open end; other amounts are drawn
				continue
			}
			f := Fault{Kind: c.Kind, Target: target, Amount: amount}
			if err := f.check(); err != nil {
				return err
			}
		}
	}
	for _, peer := range c.Peers {
		if err := checkName("peer", peer); err != nil {
			return err
		}
	}
	return nil
}

// Generate draws a plan. Each kind is left out with probability 1/2, one kind at
// least stays. How many faults there are is drawn from 1 to MaxFaults, and they
// are spread over the kinds that stay by weight. All are over at HealAt. They
// are in the order of their times.
//
// A fault is a function of the seed, of its kind and of its ordinal among the
// faults of that kind: a swarm with one kind less draws the same faults of the
// other kinds, and some more for which there was no room.
//
// Generate panics with the error of [Swarm.Resolved] when the swarm is invalid.
func Generate(seed uint64, swarm Swarm) Plan {
	s, err := swarm.Resolved()
	if err != nil {
		panic(err)
	}
	var drawn []ticket
	for _, c := range s.included(seed) {
		id := identity(seed, string(c.Kind))
		most := max(1, int(math.Round(c.Weight*float64(s.MaxFaults))))
		for i := range 1 + below(id.at(0), most) {
			drawn = append(drawn, ticket{c, id.child(uint64(i) + 1)})
		}
	}
	if room := 1 + below(identity(seed, "room").at(0), s.MaxFaults); len(drawn) > room {
		slices.SortFunc(drawn, func(a, b ticket) int { return cmp.Compare(a.id.at(0), b.id.at(0)) })
		drawn = drawn[:room]
	}
	p := Plan{Version: Version, Seed: seed, Faults: make([]Fault, len(drawn))}
	for i, d := range drawn {
		p.Faults[i] = s.fault(*d.choice, d.id)
	}
	slices.SortFunc(p.Faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Kind.index(), b.Kind.index()),
			cmp.Compare(a.Target, b.Target), cmp.Compare(a.Peer, b.Peer),
			cmp.Compare(a.For, b.For), cmp.Compare(a.Amount, b.Amount))
	})
	return p.Heal(s.HealAt)
}

// ticket stands for a fault; the draw at place 0 of its identity decides whether
// there is room for it.
type ticket struct {
	choice *Choice
	id     ident
}

// included returns the kinds that the seed keeps. When it keeps none by their
// own draws, the kind with the smallest stays.
func (s Swarm) included(seed uint64) []*Choice {
	const half = 1 << 63
	var kept []*Choice
	var least *Choice
	leastCoin := uint64(math.MaxUint64)
	for i := range s.Kinds {
		c := &s.Kinds[i]
		coin := identity(seed, "swarm").name(string(c.Kind)).at(0)
		if coin < half {
			kept = append(kept, c)
		}
		if coin <= leastCoin {
			least, leastCoin = c, coin
		}
	}
	if len(kept) == 0 {
		kept = append(kept, least)
	}
	return kept
}

// The draws of a fault, by their place in its identity. Place 0 is its rank.
const (
	placeTarget = iota + 1
	placePeer
	placeAt
	placeFor
	placeForLength
	placeExtreme
	placeAmount
)

// fault draws the fault with an identity.
func (s Swarm) fault(c Choice, id ident) Fault {
	spec, _ := c.Kind.Spec()
	f := Fault{
		Kind:   c.Kind,
		Target: c.Targets[below(id.at(placeTarget), len(c.Targets))],
		At:     below(id.at(placeAt), s.Horizon/time.Millisecond) * time.Millisecond,
	}
	if spec.Peer {
		f.Peer = peer(c.Peers, f.Target, id.at(placePeer))
	}
	if spec.Lasts {
		f.For = lasting(c.ForMin, c.ForMax, id.at(placeFor), id.at(placeForLength))
	}
	if spec.Unit != "" {
		f.Amount = amount(c.AmountMin, c.AmountMax, id.at(placeExtreme), id.at(placeAmount))
	}
	return f
}

// peer draws the other end: everybody in one case of three.
func peer(peers []string, target string, draw uint64) string {
	others := slices.DeleteFunc(slices.Clone(peers), func(p string) bool { return p == target })
	i := below(draw, max(3, len(others)+(len(others)+1)/2))
	if i >= len(others) {
		return ""
	}
	return others[i]
}

// lasting draws a time from least to most, in whole milliseconds: a doubling of
// least first, then a time within it.
func lasting(least, most time.Duration, doubling, length uint64) time.Duration {
	doublings := 1
	for d := least; d < most/2; d *= 2 {
		doublings++
	}
	from := least << below(doubling, doublings)
	to := min(most, 2*from)
	d := from + below(length, to-from+1)
	return max(least, d.Truncate(time.Millisecond))
}

// amount draws from least to most, with three significant digits, and never 0:
// one of the ends in one case of four.
func amount(least, most float64, extreme, draw uint64) float64 {
	x := least
	switch e := below(extreme, 8); {
	case e == 0 && least != 0:
		return least
	case e <= 1 && most != 0:
		return most
	default:
		// The conversion keeps the compiler from fusing the two operations, which
		// would make the amount depend on the machine.
		x += float64(fraction(draw) * (most - least))
	}
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 3, 64), 64)
	rounded = max(least, min(most, rounded))
	switch {
	case rounded != 0:
		return rounded
	case most != 0:
		return most
	default:
		return least
	}
}

// ident identifies something that draws: all its draws are functions of it.
type ident uint64

func identity(seed uint64, name string) ident { return ident(mix(seed + golden)).name(name) }

// name returns the identity of a named part.
func (id ident) name(name string) ident {
	for i := range len(name) {
		id = ident(mix(uint64(id) + uint64(name[i]) + golden))
	}
	return ident(mix(uint64(id) ^ uint64(len(name))*golden))
}

// child returns the identity of the part with an ordinal.
func (id ident) child(i uint64) ident { return ident(mix(uint64(id) ^ mix(i+golden))) }

// at returns the draw at a place.
func (id ident) at(place uint64) uint64 { return mix(uint64(id) + (place+1)*golden) }

// golden is 2^64 divided by the golden ratio, the increment of SplitMix64.
const golden = 0x9e3779b97f4a7c15

// mix is the finalizer of SplitMix64 (G. Steele and others, "Fast Splittable
// Pseudorandom Number Generators", OOPSLA 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// below maps a draw to [0, n); n > 0.
func below[N int | time.Duration](draw uint64, n N) N { return N(draw % uint64(n)) }

// fraction maps a draw to [0, 1).
func fraction(draw uint64) float64 { return float64(draw>>11) / (1 << 53) }
