package simfdb

import (
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

const (
	// catchUpInterval is how often a storage server that waits for a version
	// asks the log for what it misses.
	catchUpInterval = 50 * time.Millisecond

	// futureVersionAfter is how long a read waits for its version.
	futureVersionAfter = time.Second

	// popEvery is after how many entries the storage server lets the log forget.
	popEvery = 64
)

// storageDisk is a storage server's data. What lies behind durable is only in
// memory: a crash loses it, and the log gives it back.
//
// Invariants: durable.version <= applied.version; data.oldest ==
// durable.version; the log has every entry behind durable.
type storageDisk struct {
	data    versionedMap
	applied point // of the last entry applied
	durable point
	recent  []point // of the entries applied behind durable, oldest first
	skips   []skip  // of recoveries, oldest first
}

// point is an entry's version and the true time at which it was assigned.
type point struct {
	version Version
	at      time.Duration
}

// skip says that a recovery jumped over by versions just before version.
type skip struct {
	version, by Version
}

// crash loses what is not durable.
func (d *storageDisk) crash() {
	d.data.rollback(d.durable.version)
	d.applied = d.durable
	d.recent = nil
	for n := len(d.skips); n > 0 && d.skips[n-1].version > d.durable.version; n-- {
		d.skips = d.skips[:n-1]
	}
}

// oldest returns the oldest version that may be read at true time now: five
// seconds of versions back, not counting those that a recovery skipped.
func (d *storageDisk) oldest(now time.Duration) Version {
	v := idleVersion(d.applied.version, d.applied.at, now) - windowVersions
	for i := len(d.skips) - 1; i >= 0 && d.skips[i].version > v; i-- {
		v -= d.skips[i].by
	}
	return max(v, 0)
}

// apply makes the changes of the next entry.
func (d *storageDisk) apply(e *logEntry) {
	for _, m := range e.mutations {
		d.data.apply(m, e.version)
	}
	d.applied = point{e.version, e.at}
	d.recent = append(d.recent, d.applied)
	if e.skipped > 0 {
		d.skips = append(d.skips, skip{e.version, e.skipped})
	}
	d.makeDurable()
}

// makeDurable moves durable to the last entry that nobody may read behind.
func (d *storageDisk) makeDurable() {
	oldest := min(d.oldest(d.applied.at), d.applied.version)
	n := 0
	for n < len(d.recent) && d.recent[n].version <= oldest {
		n++
	}
	if n == 0 {
		return
	}
	d.durable = d.recent[n-1]
	d.recent = d.recent[n:]
	d.data.forget(d.durable.version)
	for len(d.skips) > 0 && d.skips[0].version <= d.durable.version {
		d.skips = d.skips[1:]
	}
}

// storageServer is one life of the storage process.
type storageServer struct {
	c    *Cluster
	h    *sim.Host
	port *sim.Port
	disk *storageDisk

	early   map[Version]*logEntry // by the version before them
	waiting []waitingRead
	behind  bool // the catch-up timer runs
	unpoped int  // entries since the log was last told to forget
	watches watchTable
}

// waitingRead is a read of a version that has not been applied yet.
type waitingRead struct {
	request *readRequest
	from    *sim.Port
	until   time.Duration // on the process's clock
}

func (c *Cluster) startStorage(h *sim.Host) {
	s := &storageServer{c: c, h: h, disk: &c.storageDisk, early: map[Version]*logEntry{}}
	s.disk.crash()
	s.port = h.Bind(portName, s.deliver)
	if h.Process().Life() > 1 {
		s.peek()
	}
}

func (s *storageServer) deliver(m sim.Message) {
	switch b := m.Body.(type) {
	case *readRequest:
		s.read(m.From, b)
	case *logEntry:
		s.entry(b)
	case *peekReply:
		for _, e := range b.entries {
			s.entry(e)
		}
		if len(b.entries) == peekMax {
			s.peek()
		}
	case *watchRequest:
		s.watches.renew(m.From, b, s.h.Monotonic(), s.c.o.Keepalive)
		s.fire()
	default:
		panic(unexpected("the storage server", m))
	}
}

// peek asks the log for what is behind the last entry applied.
func (s *storageServer) peek() {
	s.h.SendTo(s.port, s.c.logName, portName, &peekRequest{s.disk.applied.version})
}

// entry applies the next entry of the chain, and those that came early.
func (s *storageServer) entry(e *logEntry) {
	d := s.disk
	switch {
	case e.prev > d.applied.version && len(s.early) < reorderMax:
		s.early[e.prev] = e
		s.catchUp()
		return
	case e.prev != d.applied.version:
		return
	}
	for ; e != nil; e = s.early[d.applied.version] {
		delete(s.early, e.prev)
		d.apply(e)
		s.watches.changed(e)
		s.unpoped++
	}
	if s.unpoped >= popEvery {
		s.unpoped = 0
		s.h.SendTo(s.port, s.c.logName, portName, &popRequest{d.durable.version})
	}
	s.fire()
	waiting := s.waiting
	s.waiting = s.waiting[:0]
	for _, w := range waiting {
		if w.request.base <= d.applied.version {
			s.serve(w.from, w.request)
		} else {
			s.waiting = append(s.waiting, w)
		}
	}
	clear(waiting[len(s.waiting):])
}

// catchUp starts the timer that asks the log for missing entries and gives up
// reads that have waited too long, unless it runs.
func (s *storageServer) catchUp() {
	if s.behind {
		return
	}
	s.behind = true
	s.h.After(catchUpInterval, func() {
		s.behind = false
		now := s.h.Monotonic()
		kept := s.waiting[:0]
		for _, w := range s.waiting {
			if now >= w.until {
				s.port.Send(w.from, &readReply{request: w.request, code: CodeFutureVersion})
			} else {
				kept = append(kept, w)
			}
		}
		clear(s.waiting[len(kept):])
		s.waiting = kept
		for prev := range s.early {
			if prev < s.disk.applied.version {
				delete(s.early, prev)
			}
		}
		if len(s.waiting) > 0 || len(s.early) > 0 || s.watches.ahead(s.disk.applied.version) {
			s.peek()
			s.catchUp()
		}
	})
}

// read serves a read, at once if its version has been applied.
func (s *storageServer) read(from *sim.Port, r *readRequest) {
	f, counts := &s.c.o.Faults, &s.c.counts.Faults
	switch {
	case s.c.fires(f.ProcessBehind, "ProcessBehind", from, r.id, &counts.ProcessBehind):
		s.port.Send(from, &readReply{request: r, code: CodeProcessBehind})
	case s.c.fires(f.FutureVersion, "FutureVersion", from, r.id, &counts.FutureVersion):
		s.port.Send(from, &readReply{request: r, code: CodeFutureVersion})
	case s.c.fires(f.TimedOut, "TimedOut", from, r.id, &counts.TimedOut):
		s.port.Send(from, &readReply{request: r, code: CodeTimedOut})
	case r.base > s.disk.applied.version:
		s.waiting = append(s.waiting, waitingRead{r, from, s.h.Monotonic() + futureVersionAfter})
		s.catchUp()
	default:
		s.serve(from, r)
	}
}

// serve answers a read of a version that has been applied.
func (s *storageServer) serve(from *sim.Port, r *readRequest) {
	d := s.disk
	reply := &readReply{request: r}
	switch {
	case r.version < d.oldest(s.c.world.Now()):
		reply.code = CodeTransactionTooOld
	case r.measured > 0:
		reply.bytes, reply.points = d.data.measure(r.span, r.version, r.measured)
	case r.keys == nil:
		reply.rows, reply.more = d.data.scan(r.span, r.version, r.limit, r.bytes, r.reverse)
	default:
		reply.values, reply.found = reply.roomForValues[:0], reply.roomForFound[:0]
		for _, key := range r.keys {
			value, found := d.data.get(key, r.version)
			reply.values = append(reply.values, row{key, value})
			reply.found = append(reply.found, found)
		}
	}
	s.port.Send(from, reply)
}

// fire tells clients of the watches whose key has another value now.
func (s *storageServer) fire() {
	if len(s.watches.watchers) == 0 {
		return
	}
	for _, f := range s.watches.due(&s.disk.data, s.disk.applied.version) {
		s.port.Send(f.from, &watchFired{f.watch})
	}
	if s.watches.ahead(s.disk.applied.version) {
		s.catchUp()
	}
}
