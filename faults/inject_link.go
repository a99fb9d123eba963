package faults

import (
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// pair is a link: the way from one process to another.
type pair struct{ from, to string }

// linkState is what the faults did to a link, so as to undo that and nothing
// else.
type linkState struct {
	cut bool // a fault cut it

	degraded bool     // a fault set it last
	base     sim.Link // the link without faults
	own      bool     // base is the link's own, not the network's default
	set      sim.Link // what a fault set
}

func (in *Injector) link(p pair) *linkState {
	s := in.links[p]
	if s == nil {
		s = &linkState{}
		in.links[p] = s
	}
	return s
}

// oneWay returns the links from a fault's target to its peer, or to every other
// process.
func (in *Injector) oneWay(f Fault) []pair {
	if f.Peer != "" {
		return []pair{{f.Target, f.Peer}}
	}
	var pairs []pair
	for _, p := range in.world.Processes() {
		if p.Name() != f.Target {
			pairs = append(pairs, pair{f.Target, p.Name()})
		}
	}
	return pairs
}

// both returns the links of oneWay and the ways back.
func (in *Injector) both(f Fault) []pair {
	var pairs []pair
	for _, p := range in.oneWay(f) {
		pairs = append(pairs, p, pair{p.to, p.from})
	}
	return pairs
}

// isOn reports whether the fault with index i is on a link.
func (in *Injector) isOn(i int, p pair) bool { return slices.Contains(in.state[i].pairs, p) }

// reset breaks the connections on the links, which come in pairs there and
// back, and reports whether anything waited for an answer.
func (in *Injector) reset(pairs []pair) bool {
	broken := 0
	for i := 0; i < len(pairs); i += 2 {
		broken += in.world.Net().Reset(pairs[i].from, pairs[i].to)
	}
	return broken > 0
}

// effectsOf returns how often a link did what a kind of fault does.
func effectsOf(k Kind, c sim.LinkCounts) uint64 {
	switch k {
	case Cut, Partition:
		return c.Cut
	case SlowLink:
		return c.Sent
	case Loss:
		return c.Lost
	case Duplicate:
		return c.Duplicated
	case Reorder:
		return c.Reordered
	default:
		return 0
	}
}

// cut cuts the links that a cut or a partition is on, and heals those that
// none does any more, unless the scenario had cut them.
func (in *Injector) cut(pairs []pair) bool {
	changed := false
	net := in.world.Net()
	for _, p := range pairs {
		s := in.link(p)
		wanted := slices.ContainsFunc(in.lasting, func(i int) bool {
			k := in.plan.Faults[i].Kind
			return (k == Cut || k == Partition) && in.isOn(i, p)
		})
		switch {
		case wanted && !net.IsCut(p.from, p.to):
			net.Cut(p.from, p.to)
			s.cut, changed = true, true
		case !wanted && s.cut:
			net.Heal(p.from, p.to)
			s.cut = false
		}
	}
	return changed
}

// degrade sets the links to what they are without faults, made worse by each
// fault that lasts. A link that the scenario sets in the meantime becomes the
// one without faults.
func (in *Injector) degrade(pairs []pair) bool {
	changed := false
	net := in.world.Net()
	for _, p := range pairs {
		s := in.link(p)
		now, own := net.Link(p.from, p.to)
		if !s.degraded || now != s.set {
			s.base, s.own = now, own
		}
		want := s.base
		s.degraded = false
		for _, i := range in.lasting {
			if f := in.plan.Faults[i]; in.isOn(i, p) && worsen(&want, f) {
				s.degraded = true
			}
		}
		switch {
		case s.degraded:
			s.set = want
			net.SetLink(p.from, p.to, want)
		case s.own:
			net.SetLink(p.from, p.to, want)
		default:
			net.ClearLink(p.from, p.to)
		}
		changed = changed || want != now
	}
	return changed
}

// worsen applies a fault to a link; it reports whether the fault is of a kind
// that does so.
func worsen(l *sim.Link, f Fault) bool {
	switch f.Kind {
	case SlowLink:
		extra := duration(f.Amount, time.Millisecond)
		l.LatencyMin += extra / 2
		l.LatencyMax += extra
	case Loss:
		l.Loss = either(l.Loss, f.Amount)
	case Duplicate:
		l.Duplicate = either(l.Duplicate, f.Amount)
	case Reorder:
		l.Reorder = either(l.Reorder, f.Amount)
		l.ReorderMax = max(l.ReorderMax, ReorderMax)
	default:
		return false
	}
	return true
}

// either returns the probability that one of two independent things happens.
// The conversion keeps the compiler from fusing operations, which would make
// the result depend on the machine.
func either(p, q float64) float64 { return min(1, p+float64(q*(1-p))) }
