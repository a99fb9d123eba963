package simfdb

import (
	"slices"

	"github.com/kelpie-registry/kelpie/sim"
)

// reorderMax bounds the messages that a server holds because one before them is
// missing; more are dropped, and sent again by their sender.
const reorderMax = 1024

// resolver is one life of the resolver process: it says which transactions of
// a batch conflict with what was written since they read.
//
// Invariants: batches are resolved in the order of their versions, each once;
// window.oldest is the higher of first and last - windowVersions.
type resolver struct {
	c    *Cluster
	h    *sim.Host
	port *sim.Port

	generation generation // 0: not initialized
	first      Version
	last       Version // of the last batch resolved
	window     conflictWindow
	locked     bool                        // the database is, at last
	early      map[Version]*resolveRequest // by the version before them
	answers    []*resolveReply             // that the proxy may not have got, by version
}

func (c *Cluster) startResolver(h *sim.Host) {
	r := &resolver{c: c, h: h}
	c.resolver = r
	r.port = h.Bind(portName, r.deliver)
	h.SendTo(r.port, c.proxyName, portName, &hello{h.Process().Life()})
}

func (r *resolver) deliver(m sim.Message) {
	switch b := m.Body.(type) {
	case *resolverInit:
		r.init(m.From, b)
	case *resolveRequest:
		r.request(m.From, b)
	default:
		panic(unexpected("the resolver", m))
	}
}

func (r *resolver) init(from *sim.Port, m *resolverInit) {
	if m.generation < r.generation {
		return
	}
	if m.generation > r.generation {
		*r = resolver{c: r.c, h: r.h, port: r.port, generation: m.generation, first: m.version, last: m.version, locked: m.locked}
		r.window.forget(m.version)
		r.early = map[Version]*resolveRequest{}
	}
	r.port.Send(from, &resolverReady{r.generation, r.h.Process().Life()})
}

func (r *resolver) request(from *sim.Port, m *resolveRequest) {
	switch {
	case m.generation != r.generation || m.life != r.h.Process().Life():
		r.port.Send(from, &notServing{m.generation})
	case m.version <= r.last:
		for _, a := range r.answers {
			if a.version == m.version {
				r.port.Send(from, a)
			}
		}
	case m.prev != r.last:
		if len(r.early) < reorderMax {
			r.early[m.prev] = m
		}
	default:
		r.resolve(from, m)
		for next := r.early[r.last]; next != nil; next = r.early[r.last] {
			delete(r.early, r.last)
			r.resolve(from, next)
		}
	}
}

// resolve judges the transactions of a batch in their order: each also against
// the writes of those before it.
func (r *resolver) resolve(from *sim.Port, m *resolveRequest) {
	r.last = m.version
	r.window.forget(m.version - windowVersions)
	reply := &resolveReply{generation: r.generation, version: m.version}
	reply.verdicts = reply.room[:0]
	for i, t := range m.commits {
		v := r.judge(t)
		reply.verdicts = append(reply.verdicts, v)
		switch {
		case v == verdictCommit:
			r.record(t, m.version, uint16(i))
		case v == verdictConflict && t.report:
			if reply.conflicting == nil {
				reply.conflicting = map[*commitRequest][]KeyRange{}
			}
			reply.conflicting[t] = r.conflicting(t)
		}
	}
	done := 0
	for done < len(r.answers) && r.answers[done].version < m.unanswered {
		done++
	}
	r.answers = append(slices.Delete(r.answers, 0, done), reply)
	r.port.Send(from, reply)
}

// record notes what a transaction writes that may commit.
func (r *resolver) record(t *commitRequest, v Version, order uint16) {
	for _, w := range t.writes {
		r.window.write(w, v)
	}
	if t.stampedKeys {
		for _, c := range t.mutations {
			if c.kind == SetVersionstampedKey {
				r.window.write(singleKey(c.stamped(v, order).key), v)
			}
		}
	}
	if t.lock != lockUnchanged {
		r.locked = t.lock == lockTaken
	}
}

// conflicting returns the reads of a transaction that conflict.
func (r *resolver) conflicting(t *commitRequest) []KeyRange {
	var found []KeyRange
	for _, q := range t.reads {
		if r.window.conflicts(q, t.readVersion) {
			found = append(found, q)
		}
	}
	return found
}

func (r *resolver) judge(t *commitRequest) verdict {
	if t.readVersion < r.window.oldest && len(t.reads) > 0 {
		return verdictTooOld
	}
	for _, q := range t.reads {
		if r.window.conflicts(q, t.readVersion) {
			return verdictConflict
		}
	}
	if r.locked && !t.lockAware {
		return verdictLocked
	}
	return verdictCommit
}
