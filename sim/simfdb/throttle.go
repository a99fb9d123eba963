package simfdb

import (
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// How the proxy gives out read versions, and how a busy cluster holds transactions
// back: before it gives them one.

// readVersion answers with a version at or behind every commit that was
// acknowledged before the request was sent.
func (p *proxy) readVersion(from *sim.Port, r *grvRequest) {
	if p.recovery.phase != serving {
		if len(p.reads) < queuedReads {
			p.reads = append(p.reads, r)
			p.readers = append(p.readers, from)
		}
		return
	}
	f, counts := &p.c.o.Faults, &p.c.counts.Faults
	switch {
	case p.c.throttles(r.tags),
		p.c.fires(f.TagThrottled, "TagThrottled", from, r.id, &counts.TagThrottled):
		p.refuseVersion(from, r, CodeTagThrottled)
	case p.c.fires(f.BatchRateLimit, "BatchRateLimit", from, r.id, &counts.BatchRateLimit):
		p.refuseVersion(from, r, CodeBatchRateLimit)
	case p.c.o.ReadVersionRate > 0 && r.priority != prioritySystemImmediate:
		p.admit(from, r)
	default:
		p.giveVersion(from, r)
	}
}

func (p *proxy) refuseVersion(from *sim.Port, r *grvRequest, code int) {
	p.port.Send(from, &grvReply{request: r, generation: p.recovery.generation, code: code})
}

func (p *proxy) giveVersion(from *sim.Port, r *grvRequest) {
	reply := &grvReply{
		request: r, generation: p.recovery.generation, locked: p.databaseLocked,
		base: p.committed, version: max(p.committed, p.idle),
	}
	if len(p.batches) == 0 {
		// Idle: the empty batches that were due since have been committed.
		reply.version = max(reply.version, idleVersion(p.committed, p.committedAt, p.c.world.Now()))
		p.idle = reply.version
		p.assigned = max(p.assigned, reply.version)
	}
	p.c.witness.gaveReadVersion(reply.version)
	p.port.Send(from, reply)
}

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
