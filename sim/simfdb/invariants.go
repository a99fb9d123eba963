package simfdb

import (
	"fmt"
	"slices"
)

// witness remembers what the cluster has promised its clients.
type witness struct {
	acked    Version     // the highest version acknowledged
	given    Version     // the highest read version given
	promised []*logEntry // acknowledged, and not known to be on the storage server's disk
	verified int         // of promised, those that have been seen in the log
	crashes  uint64      // of the log, at the last check
	chained  Version     // the log's chain has been checked up to here
	err      error       // a promise that was broken already
}

// gaveReadVersion notes a read version on its way to a client.
func (w *witness) gaveReadVersion(v Version) {
	switch {
	case w.err != nil:
	case v < w.acked:
		w.err = fmt.Errorf("simfdb: read version %d given after %d was acknowledged", v, w.acked)
	case v < w.given:
		w.err = fmt.Errorf("simfdb: read version %d given after %d", v, w.given)
	}
	w.given = max(w.given, v)
}

// beganGeneration notes the first version of a new generation.
func (w *witness) beganGeneration(v Version) {
	if v-recoveryJump < max(w.given, w.acked) && w.err == nil {
		w.err = fmt.Errorf("simfdb: a generation begins at %d, the one before reached %d", v, max(w.given, w.acked))
	}
}

// acknowledged notes a commit on its way to its client.
func (w *witness) acknowledged(e *logEntry) {
	w.acked = max(w.acked, e.version)
	if n := len(w.promised); n == 0 || w.promised[n-1] != e {
		w.promised = append(w.promised, e)
	}
}

// Invariants returns an error when the cluster has broken a promise or its
// servers disagree:
//
//   - every read version is at or behind all commits acknowledged and all read
//     versions given before, and before all commits that are in flight;
//   - a recovery leaves no version of the generation before to be used again;
//   - every acknowledged commit is in the log, also after crashes, until the
//     storage server has it on disk;
//   - the log is a chain: each entry names the version before it;
//   - the storage server is at a version of the log, and none behind its end;
//   - the proxy's batches are in order, above what is committed;
//   - the resolver remembers exactly its window.
//
// It looks only at what changed since the last call: cheap enough to be run
// after every event.
func (c *Cluster) Invariants() error {
	w := &c.witness
	if w.err != nil {
		return w.err
	}
	if err := c.checkLog(); err != nil {
		return err
	}
	s := &c.storageDisk
	if s.applied.version > c.logDisk.end || s.durable.version > s.applied.version {
		return fmt.Errorf("simfdb: storage is at version %d, durable to %d, the log ends at %d",
			s.applied.version, s.durable.version, c.logDisk.end)
	}
	if c.logDisk.popped > s.durable.version {
		return fmt.Errorf("simfdb: the log forgot versions to %d, the storage disk has only those to %d",
			c.logDisk.popped, s.durable.version)
	}
	if err := c.checkProxy(); err != nil {
		return err
	}
	if r := c.resolver; r != nil && r.generation > 0 && r.last > r.first {
		if want := max(r.first, r.last-windowVersions); r.window.oldest != want {
			return fmt.Errorf("simfdb: the resolver's window begins at %d, not at %d", r.window.oldest, want)
		}
	}
	return nil
}

func (c *Cluster) checkLog() error {
	w, d := &c.witness, &c.logDisk
	if d.end < w.acked {
		return fmt.Errorf("simfdb: version %d was acknowledged, the log ends at %d", w.acked, d.end)
	}
	for i := len(d.entries) - 1; i >= 0 && d.entries[i].version > w.chained; i-- {
		prev := d.popped
		if i > 0 {
			prev = d.entries[i-1].version
		}
		if e := d.entries[i]; e.prev != prev || e.version <= prev {
			return fmt.Errorf("simfdb: log entry %d follows %d, but says %d", e.version, prev, e.prev)
		}
	}
	w.chained = d.end
	if w.crashes != d.crashes {
		w.crashes, w.verified = d.crashes, 0
	}
	for ; w.verified < len(w.promised); w.verified++ {
		if e := w.promised[w.verified]; !d.has(e) {
			return fmt.Errorf("simfdb: version %d was acknowledged and is not in the log", e.version)
		}
	}
	n := 0
	for n < len(w.promised) && w.promised[n].version <= d.popped {
		n++
	}
	if n > 0 {
		w.promised = slices.Delete(w.promised, 0, n)
		w.verified -= n
	}
	return nil
}

// has reports whether the log has an entry, or has been told to forget it.
func (d *logDisk) has(e *logEntry) bool {
	if e.version <= d.popped {
		return true
	}
	found := d.behind(e.version-1, 1)
	return len(found) == 1 && found[0] == e
}

func (c *Cluster) checkProxy() error {
	p := c.proxy
	if p == nil || p.recovery.phase != serving {
		return nil
	}
	if p.committed > c.logDisk.end {
		return fmt.Errorf("simfdb: the proxy takes %d for durable, the log ends at %d", p.committed, c.logDisk.end)
	}
	if given := c.witness.given; len(p.batches) > 0 && p.batches[0].resolve.version <= given {
		return fmt.Errorf("simfdb: read version %d given, batch %d is in flight", given, p.batches[0].resolve.version)
	}
	prev := p.committed
	for _, b := range p.batches {
		if b.resolve.prev != prev || b.resolve.version <= prev {
			return fmt.Errorf("simfdb: batch %d follows %d, but says %d", b.resolve.version, prev, b.resolve.prev)
		}
		prev = b.resolve.version
	}
	if prev > p.assigned {
		return fmt.Errorf("simfdb: batch %d is above the versions assigned (%d)", prev, p.assigned)
	}
	return nil
}
