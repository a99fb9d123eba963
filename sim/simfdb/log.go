package simfdb

import (
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// logDisk is what the log has made durable.
//
// Invariants: entries are chained (entries[i].prev is the version of
// entries[i-1]); the last one's version is end; those at or below popped are
// gone.
type logDisk struct {
	generation generation // the highest that locked the log
	attempt    attempt    // the one that did
	entries    []*logEntry
	end        Version
	endAt      time.Duration // the last entry's at
	popped     Version
	locked     bool // the database is, at end

	// unsynced are entries on their way to the disk, chained behind end. When
	// the process crashes, some of the first of them have made it.
	unsynced []*logEntry
	crashes  uint64
}

// append makes an entry durable.
func (d *logDisk) append(e *logEntry) {
	d.entries = append(d.entries, e)
	d.end, d.endAt = e.version, e.at
	if e.lock != lockUnchanged {
		d.locked = e.lock == lockTaken
	}
}

// settle decides, after a crash, how many unsynced entries are on the disk.
func (d *logDisk) settle(draw uint64) {
	if len(d.unsynced) == 0 {
		return
	}
	for _, e := range d.unsynced[:draw%uint64(len(d.unsynced)+1)] {
		d.append(e)
	}
	d.unsynced = nil
}

// behind returns the durable entries behind version v, at most limit.
func (d *logDisk) behind(v Version, limit int) []*logEntry {
	i, _ := slices.BinarySearchFunc(d.entries, v+1, func(e *logEntry, v Version) int {
		return int(e.version - v)
	})
	return d.entries[i:min(len(d.entries), i+limit)]
}

// peekMax bounds the entries of one answer.
const peekMax = 512

// logServer is one life of the log process.
type logServer struct {
	c    *Cluster
	h    *sim.Host
	port *sim.Port
	disk *logDisk

	serving generation            // 0 until this life has been locked
	early   map[Version]*logEntry // by the version before them
	proxy   *sim.Port             // whom to tell what is durable
}

func (c *Cluster) startLog(h *sim.Host) {
	l := &logServer{c: c, h: h, disk: &c.logDisk, early: map[Version]*logEntry{}}
	l.disk.crashes++
	l.disk.settle(c.world.Draw("fdb unsynced", l.disk.crashes))
	l.port = h.Bind(portName, l.deliver)
	h.SendTo(l.port, c.proxyName, portName, &hello{h.Process().Life()})
}

func (l *logServer) deliver(m sim.Message) {
	switch b := m.Body.(type) {
	case *lockRequest:
		l.lock(m.From, b)
	case *logEntry:
		l.push(m.From, b)
	case *peekRequest:
		if entries := l.disk.behind(b.after, peekMax); len(entries) > 0 {
			l.port.Send(m.From, &peekReply{slices.Clone(entries)})
		}
	case *popRequest:
		l.pop(b.version)
	default:
		panic(unexpected("the log", m))
	}
}

// lock ends the generations before: what they have not pushed by now will not
// be committed.
func (l *logServer) lock(from *sim.Port, m *lockRequest) {
	d := l.disk
	if m.attempt.before(d.attempt) {
		return
	}
	if d.attempt.before(m.attempt) {
		for _, e := range d.unsynced {
			l.store(e)
		}
		d.unsynced = nil
		clear(l.early)
		d.attempt = m.attempt
		d.generation++
	}
	l.serving = d.generation
	l.port.Send(from, &lockReply{m.attempt, d.generation, point{d.end, d.endAt}, l.h.Process().Life(), d.locked})
}

// push accepts the next entry of the chain.
func (l *logServer) push(from *sim.Port, e *logEntry) {
	l.proxy = from
	last := l.disk.end
	if n := len(l.disk.unsynced); n > 0 {
		last = l.disk.unsynced[n-1].version
	}
	switch {
	case e.generation != l.serving:
		l.port.Send(from, &notServing{e.generation})
		return
	case e.version <= l.disk.end:
		l.ack()
		return
	case e.prev > last && len(l.early) < reorderMax:
		l.early[e.prev] = e
		return
	case e.prev != last:
		return
	}
	for ; e != nil; e = l.early[last] {
		delete(l.early, last)
		last = e.version
		l.sync(e)
	}
	if l.c.o.SyncMax == 0 {
		l.ack()
	}
}

// sync makes an entry durable, at once or after a while.
func (l *logServer) sync(e *logEntry) {
	if l.c.o.SyncMax == 0 {
		l.store(e)
		return
	}
	l.disk.unsynced = append(l.disk.unsynced, e)
	d := l.c.between(l.c.o.SyncMin, l.c.o.SyncMax, "fdb sync", uint64(e.version))
	l.h.After(d, func() {
		done := 0
		for _, u := range l.disk.unsynced {
			if u.version > e.version {
				break
			}
			l.store(u)
			done++
		}
		l.disk.unsynced = l.disk.unsynced[done:]
		if done > 0 {
			l.ack()
		}
	})
}

// store makes an entry durable and passes it on to the storage server.
func (l *logServer) store(e *logEntry) {
	l.disk.append(e)
	l.h.SendTo(l.port, l.c.storageName, portName, e)
}

func (l *logServer) ack() {
	l.port.Send(l.proxy, &logAck{l.serving, l.disk.end})
}

// pop forgets entries that the storage server has on its own disk.
func (l *logServer) pop(v Version) {
	d := l.disk
	n := 0
	for n < len(d.entries)-1 && d.entries[n].version <= v {
		n++
	}
	if n > 0 {
		d.popped = d.entries[n-1].version
		d.entries = slices.Delete(d.entries, 0, n)
	}
}
