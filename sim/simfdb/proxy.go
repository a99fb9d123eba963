package simfdb

import (
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

const (
	// resendInterval is how often the proxy repeats what was not answered.
	resendInterval = 250 * time.Millisecond

	// queuedReads bounds the read version requests that wait for a recovery;
	// clients repeat what is dropped.
	queuedReads = 10_000
)

// proxy is one life of the proxy process. It is also the cluster's sequencer
// and runs its recoveries (recovery.go).
//
// Invariants, while serving:
//
//	committed <= version of batches[0] < … < version of batches[n-1] <= assigned
//	no version above committed has been acknowledged, none above max(committed, idle)
//	given to a reader
type proxy struct {
	c    *Cluster
	h    *sim.Host
	port *sim.Port

	recovery recovery

	committed   Version       // the last version known to be durable
	committedAt time.Duration // true time at which it was assigned
	idle        Version       // the highest given to a reader while nothing was in flight; below batches[0]
	assigned    Version       // the highest version given to a batch or a reader
	clock       Version       // versions count on from here …
	clockAt     time.Duration // … since this true time

	databaseLocked bool     // at committed
	gate           readGate // of read versions

	waiting  []*commitRequest // for the next batch
	flushing bool             // a timer for it runs
	batches  []*batch         // in flight, by version
	inFlight int              // transactions in batches
	reads    []*grvRequest    // waiting for the end of a recovery
	readers  []*sim.Port      // who sent them

	seen    map[*sim.Port]*sequenceWindow // commits by client
	ticking bool

	flushEnds, tickEnds func() // of the timers
}

// batch is a set of transactions that share a commit version.
type batch struct {
	resolve  resolveRequest
	at       time.Duration
	verdicts []verdict // nil until the resolver has answered

	conflicting map[*commitRequest][]KeyRange // of those that ask for it

	entry *logEntry // nil until then
}

func (c *Cluster) startProxy(h *sim.Host) {
	p := &proxy{c: c, h: h, seen: map[*sim.Port]*sequenceWindow{}}
	p.flushEnds, p.tickEnds = p.endFlush, p.endTick
	c.proxy = p
	p.port = h.Bind(portName, p.deliver)
	p.recover()
}

func (p *proxy) deliver(m sim.Message) {
	switch b := m.Body.(type) {
	case *grvRequest:
		p.readVersion(m.From, b)
	case *commitRequest:
		p.commit(b)
	case *pingRequest:
		p.ping(m.From, b)
	case *resolveReply:
		p.resolved(b)
	case *logAck:
		p.logged(b)
	case *lockReply:
		p.locked(b)
	case *resolverReady:
		p.resolverReady(b)
	case *notServing:
		p.refused(b)
	case *hello:
		p.serverRestarted(m.From, b)
	default:
		panic(unexpected("the proxy", m))
	}
}

// commit queues a transaction for the next batch.
func (p *proxy) commit(r *commitRequest) {
	if p.recovery.phase != serving || r.generation != p.recovery.generation {
		// The server that the client meant is gone.
		p.answer(r, connectionLost, 0, 0)
		return
	}
	if !p.firstSight(r) {
		return
	}
	f, counts := &p.c.o.Faults, &p.c.counts.Faults
	switch {
	case p.c.fires(f.ProxyMemory, "ProxyMemory", r.from, r.id, &counts.ProxyMemory),
		len(p.waiting)+p.inFlight >= p.c.o.MaxQueue:
		p.answer(r, CodeProxyMemoryLimit, 0, 0)
		return
	case p.c.fires(f.Conflict, "Conflict", r.from, r.id, &counts.Conflict):
		p.answer(r, CodeNotCommitted, 0, 0)
		return
	case p.c.fires(f.RequestLost, "RequestLost", r.from, r.id, &counts.RequestLost):
		p.answer(r, connectionLost, 0, 0)
		return
	case p.c.fires(f.UpgradeBefore, "UpgradeBefore", r.from, r.id, &counts.UpgradeBefore):
		p.answer(r, CodeClusterVersionChanged, 0, 0)
		return
	}
	p.waiting = append(p.waiting, r)
	switch {
	case len(p.waiting) >= p.c.o.MaxBatch:
		p.flush()
	case !p.flushing:
		p.flushing = true
		p.h.After(p.c.o.BatchInterval, p.flushEnds)
	}
}

func (p *proxy) endFlush() {
	p.flushing = false
	p.flush()
}

// firstSight reports whether a commit request is no duplicate. Connections do
// not repeat a request; the simulated network may.
func (p *proxy) firstSight(r *commitRequest) bool {
	w := p.seen[r.from]
	if w == nil {
		w = &sequenceWindow{}
		p.seen[r.from] = w
	}
	return w.add(uint64(r.id))
}

// flush sends the waiting commits to the resolver as one batch.
func (p *proxy) flush() {
	if len(p.waiting) == 0 || p.recovery.phase != serving {
		return
	}
	b := &batch{at: p.c.world.Now()}
	prev := p.committed
	if n := len(p.batches); n > 0 {
		prev = p.batches[n-1].resolve.version
	}
	p.assigned = max(p.assigned+1, p.clock+versionsIn(b.at-p.clockAt))
	b.resolve = resolveRequest{
		generation: p.recovery.generation,
		life:       p.recovery.resolverLife,
		prev:       prev,
		version:    p.assigned,
		unanswered: p.assigned,
		commits:    p.waiting,
	}
	for _, earlier := range p.batches {
		if earlier.verdicts == nil {
			b.resolve.unanswered = earlier.resolve.version
			break
		}
	}
	p.waiting = nil
	p.inFlight += len(b.resolve.commits)
	p.batches = append(p.batches, b)
	p.h.SendTo(p.port, p.c.resolverName, portName, &b.resolve)
	p.tick()
}

// resolved sends what may commit of a batch to the log.
func (p *proxy) resolved(r *resolveReply) {
	if p.recovery.phase != serving || r.generation != p.recovery.generation {
		return
	}
	for _, b := range p.batches {
		if b.resolve.version != r.version {
			continue
		}
		if b.verdicts == nil {
			b.verdicts, b.conflicting = r.verdicts, r.conflicting
			b.entry = b.logEntry()
			p.h.SendTo(p.port, p.c.logName, portName, b.entry)
		}
		return
	}
}

// logEntry gathers the changes of the transactions that may commit, with their
// stamps filled in.
func (b *batch) logEntry() *logEntry {
	e := &logEntry{generation: b.resolve.generation, prev: b.resolve.prev, version: b.resolve.version, at: b.at}
	n := 0
	for i, r := range b.resolve.commits {
		if b.verdicts[i] == verdictCommit {
			n += len(r.mutations)
			if r.idempotency != "" {
				n++
			}
		}
	}
	if n == 0 {
		return e
	}
	e.mutations = make([]mutation, 0, n)
	for i, r := range b.resolve.commits {
		if b.verdicts[i] != verdictCommit {
			continue
		}
		for _, m := range r.mutations {
			e.mutations = append(e.mutations, m.stamped(e.version, uint16(i)))
		}
		if r.lock != lockUnchanged {
			e.lock = r.lock
		}
		if r.idempotency != "" {
			e.addIdentity(r.idempotency, uint16(i))
		}
	}
	return e
}

// logged answers the transactions of all batches that are durable now.
func (p *proxy) logged(a *logAck) {
	if a.generation != p.recovery.generation {
		return
	}
	if p.recovery.phase == opening {
		p.opened(a)
		return
	}
	for len(p.batches) > 0 && p.batches[0].resolve.version <= a.version {
		b := p.batches[0]
		p.batches = slices.Delete(p.batches, 0, 1)
		p.inFlight -= len(b.resolve.commits)
		p.committed, p.committedAt = b.resolve.version, b.at
		if b.entry.lock != lockUnchanged {
			p.databaseLocked = b.entry.lock == lockTaken
		}
		for i, r := range b.resolve.commits {
			p.finish(b, i, r)
		}
	}
}

func (p *proxy) finish(b *batch, order int, r *commitRequest) {
	counts := &p.c.counts
	switch b.verdicts[order] {
	case verdictConflict:
		counts.Conflicts++
		p.port.Send(r.from, &commitReply{
			request: r, code: CodeNotCommitted, generation: p.recovery.generation, conflicting: b.conflicting[r],
		})
	case verdictTooOld:
		counts.TooOld++
		p.answer(r, CodeTransactionTooOld, 0, 0)
	case verdictLocked:
		p.answer(r, CodeDatabaseLocked, 0, 0)
	default:
		f := &p.c.o.Faults
		if p.c.fires(f.ReplyLost, "ReplyLost", r.from, r.id, &counts.Faults.ReplyLost) {
			p.answer(r, connectionLost, 0, 0)
			return
		}
		if p.c.fires(f.UpgradeAfter, "UpgradeAfter", r.from, r.id, &counts.Faults.UpgradeAfter) {
			p.answer(r, CodeClusterVersionChanged, 0, 0)
			return
		}
		counts.Committed++
		p.c.witness.acknowledged(b.entry)
		p.answer(r, 0, b.resolve.version, uint16(order))
	}
}

func (p *proxy) answer(r *commitRequest, code int, v Version, order uint16) {
	if code == connectionLost {
		p.c.counts.ConnectionLost++
	}
	p.port.Send(r.from, &commitReply{request: r, code: code, version: v, order: order, generation: p.recovery.generation})
}

// ping tells a client which of its commits the proxy does not know: their
// request or their answer was lost.
func (p *proxy) ping(from *sim.Port, r *pingRequest) {
	reply := &pingReply{generation: p.recovery.generation}
	for _, commit := range r.commits {
		if !p.working(commit) {
			reply.unknown = append(reply.unknown, commit)
		}
	}
	p.port.Send(from, reply)
}

func (p *proxy) working(r *commitRequest) bool {
	for _, w := range p.waiting {
		if w == r {
			return true
		}
	}
	for _, b := range p.batches {
		for _, w := range b.resolve.commits {
			if w == r {
				return true
			}
		}
	}
	return false
}

// tick starts the timer that repeats unanswered requests, unless it runs.
func (p *proxy) tick() {
	if p.ticking {
		return
	}
	p.ticking = true
	p.h.After(resendInterval, p.tickEnds)
}

func (p *proxy) endTick() {
	p.ticking = false
	if p.resend() {
		p.tick()
	}
}

// resend repeats what has been unanswered since the last tick and reports
// whether anything is outstanding.
func (p *proxy) resend() bool {
	if p.recovery.phase != serving {
		p.resendRecovery()
		return true
	}
	now := p.c.world.Now()
	for _, b := range p.batches {
		switch {
		case now-b.at < resendInterval/2:
			// Too fresh to be missed.
		case b.entry != nil:
			p.h.SendTo(p.port, p.c.logName, portName, b.entry)
		default:
			p.h.SendTo(p.port, p.c.resolverName, portName, &b.resolve)
		}
	}
	return len(p.batches) > 0
}
