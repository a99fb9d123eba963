package simfdb

import (
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// How a busy cluster holds transactions back: before it gives them a read version.

// SetThrottledTags makes read version requests of transactions with one of the
// tags fail with error 1213, from now on, and those of others not.
func (c *Cluster) SetThrottledTags(tags ...string) { c.throttled = slices.Clone(tags) }

func (c *Cluster) throttles(tags []string) bool {
	return len(c.throttled) > 0 && slices.ContainsFunc(tags, func(t string) bool { return slices.Contains(c.throttled, t) })
}

// readGate lets read version requests through at a rate.
//
// Invariant: a timer runs for the first that waits.
type readGate struct {
	open    time.Duration // on the process's clock: when the next may pass
	waiting []gatedRead
}

// gatedRead is a request that waits at the gate.
type gatedRead struct {
	from    *sim.Port
	request *grvRequest
}

// admit answers a request when the rate allows.
func (p *proxy) admit(from *sim.Port, r *grvRequest) {
	g := &p.gate
	busy := g.open > p.h.Monotonic() || len(g.waiting) > 0
	switch {
	case !busy:
		p.pass(from, r)
	case r.priority == priorityBatch:
		p.refuseVersion(from, r, CodeBatchRateLimit)
	case slices.ContainsFunc(g.waiting, func(w gatedRead) bool { return w.request == r }):
		// The client has repeated it.
	case len(g.waiting) >= p.c.o.MaxQueue:
		p.refuseVersion(from, r, CodeGRVProxyMemoryLimit)
	default:
		if g.waiting = append(g.waiting, gatedRead{from, r}); len(g.waiting) == 1 {
			p.openLater()
		}
	}
}

func (p *proxy) pass(from *sim.Port, r *grvRequest) {
	p.gate.open = p.h.Monotonic() + time.Second/time.Duration(p.c.o.ReadVersionRate)
	p.giveVersion(from, r)
}

// openLater lets the first request that waits pass when the gate opens.
func (p *proxy) openLater() {
	p.h.After(p.gate.open-p.h.Monotonic(), func() {
		if p.recovery.phase != serving {
			p.gate.waiting = nil // the clients repeat them
			return
		}
		first := p.gate.waiting[0]
		p.gate.waiting = slices.Delete(p.gate.waiting, 0, 1)
		p.pass(first.from, first.request)
		if len(p.gate.waiting) > 0 {
			p.openLater()
		}
	})
}
