package simfdb

import (
	"fmt"

	"github.com/kelpie-registry/kelpie/sim"
)

// recoveryPhase is where the proxy is in the start of a generation.
type recoveryPhase uint8

const (
	locking      recoveryPhase = iota // ending the old generation at the log
	electing                          // the time that a real cluster takes to recruit
	initializing                      // giving the resolver an empty window
	opening                           // logging the first version
	serving
)

// attempt names one try of a recovery; later ones are higher.
type attempt struct {
	life uint64 // of the proxy process
	try  uint64
}

func (a attempt) before(b attempt) bool {
	return a.life < b.life || a.life == b.life && a.try < b.try
}

// recovery is the proxy's state about its generation.
type recovery struct {
	phase        recoveryPhase
	attempt      attempt
	generation   generation
	first        *logEntry // the generation's first entry, without changes
	logLife      uint64    // the life of the log that was locked
	resolverLife uint64    // the life of the resolver that was initialized
}

// recover starts a new generation. Commits in flight have lost their server:
// each may turn out to be in the log, or not.
func (p *proxy) recover() {
	for _, b := range p.batches {
		for _, r := range b.resolve.commits {
			p.answer(r, connectionLost, 0, 0)
		}
	}
	for _, r := range p.waiting {
		p.answer(r, connectionLost, 0, 0)
	}
	p.batches, p.waiting, p.inFlight = nil, nil, 0
	p.recovery.phase = locking
	p.recovery.attempt = attempt{life: p.h.Process().Life(), try: p.recovery.attempt.try + 1}
	p.resendRecovery()
	p.tick()
}

// resendRecovery sends, again, the request of the present phase.
func (p *proxy) resendRecovery() {
	r := &p.recovery
	switch r.phase {
	case locking:
		p.h.SendTo(p.port, p.c.logName, portName, &lockRequest{r.attempt})
	case initializing:
		p.h.SendTo(p.port, p.c.resolverName, portName, &resolverInit{r.generation, r.first.version, p.databaseLocked})
	case opening:
		p.h.SendTo(p.port, p.c.logName, portName, r.first)
	case electing, serving:
	}
}

// locked goes on once the old generation can log nothing more.
func (p *proxy) locked(l *lockReply) {
	r := &p.recovery
	if r.phase != locking || l.attempt != r.attempt {
		return
	}
	r.phase = electing
	r.generation = l.generation
	r.logLife = l.life
	p.databaseLocked = l.locked
	// The old generation gave out no version above the one that it would be at by
	// now: those above the log's end to readers, when it was idle.
	reached := l.end.version + versionsIn(p.c.world.Now()-l.end.at)
	r.first = &logEntry{
		generation: l.generation,
		prev:       l.end.version,
		version:    reached + recoveryJump,
		skipped:    recoveryJump,
	}
	p.c.witness.beganGeneration(r.first.version)
	if l.generation == 1 {
		p.elected() // the cluster is being created
		return
	}
	p.c.counts.Recoveries++
	p.c.world.Note(p.c.proxyName, fmt.Sprintf("recovery to generation %d behind version %d", l.generation, l.end.version))
	try := r.attempt
	wait := p.c.between(p.c.o.RecoveryMin, p.c.o.RecoveryMax, "fdb recovery", uint64(l.generation))
	p.h.After(wait, func() {
		if r.phase == electing && r.attempt == try {
			p.elected()
		}
	})
}

func (p *proxy) elected() {
	p.recovery.phase = initializing
	p.recovery.first.at = p.c.world.Now()
	p.resendRecovery()
}

func (p *proxy) resolverReady(m *resolverReady) {
	r := &p.recovery
	if r.phase != initializing || m.generation != r.generation {
		return
	}
	r.phase = opening
	r.resolverLife = m.life
	p.resendRecovery()
}

// opened starts to serve: the generation's first entry is durable.
func (p *proxy) opened(a *logAck) {
	r := &p.recovery
	if a.version < r.first.version {
		return
	}
	r.phase = serving
	p.committed, p.committedAt = r.first.version, r.first.at
	p.assigned = p.committed
	p.clock, p.clockAt = p.committed, p.committedAt
	for _, client := range p.c.clients {
		for n := range client.n {
			p.h.SendTo(p.port, client.name, clientPort(p.c.o.Name, n+1), &generationNotice{r.generation})
		}
	}
	reads, readers := p.reads, p.readers
	p.reads, p.readers = nil, nil
	for i, q := range reads {
		p.readVersion(readers[i], q)
	}
}

// refused starts over when a server does not know the generation any more.
func (p *proxy) refused(m *notServing) {
	if m.generation == p.recovery.generation && p.recovery.phase >= initializing {
		p.recover()
	}
}

// serverRestarted starts over when the resolver or the log has lost its memory.
func (p *proxy) serverRestarted(from *sim.Port, m *hello) {
	r := &p.recovery
	switch name := from.Addr().Process; {
	case name == p.c.logName && r.phase > locking && m.life > r.logLife,
		name == p.c.resolverName && r.phase > initializing && m.life > r.resolverLife:
		p.recover()
	default:
		p.resendRecovery() // it may have missed the request
	}
}
