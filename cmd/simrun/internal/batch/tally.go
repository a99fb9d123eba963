package batch

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"github.com/kelpie-registry/kelpie/scenario"
)

// Counts are the sums over a number of runs.
type Counts struct {
	Seeds      uint64
	Passed     uint64
	Failed     uint64
	Unknown    uint64
	Operations uint64
	Events     uint64
	Messages   uint64
	Virtual    time.Duration     // simulated time
	Busy       time.Duration     // real time, summed over workers
	Sometimes  map[string]uint64 // by event
	Faults     map[string]uint64 // with an effect, by kind
}

func newCounts() Counts {
	return Counts{Sometimes: make(map[string]uint64), Faults: make(map[string]uint64)}
}

// FaultsFired returns the sum over all kinds.
func (c *Counts) FaultsFired() uint64 {
	var sum uint64
	for _, n := range c.Faults {
		sum += n
	}
	return sum
}

func (c *Counts) add(r *scenario.Result, took time.Duration) {
	c.Seeds++
	switch {
	case r.Failure != nil:
		c.Failed++
	case r.Unknown != "":
		c.Unknown++
	default:
		c.Passed++
	}
	c.Operations += uint64(r.Operations)
	c.Events += r.Events
	c.Messages += r.Messages
	c.Virtual += r.Virtual
	c.Busy += took
	for _, n := range r.Sometimes {
		c.Sometimes[n.Name] += n.N
	}
	for _, n := range r.Faults {
		c.Faults[n.Name] += n.N
	}
}

// Row is the sums of one subject.
type Row struct {
	Counts
	Subject *Subject
	// Stores splits the sums by kind of store; it has no entry for a store that
	// no run used.
	Stores map[string]*StoreCounts
	hash   hash.Hash
}

// StoreCounts is the part of a row that says whether everything declared has
// happened on a kind of store.
type StoreCounts struct {
	Seeds     uint64
	Sometimes map[string]uint64
}

// TraceHash folds the subject's runs in the order of the jobs.
func (r *Row) TraceHash() string { return digest(r.hash) }

// Tally is the sums of a batch.
type Tally struct {
	Counts
	Rows    []*Row // one for each subject, in order
	Wall    time.Duration
	Stopped bool // ended early, by MaxFailures
	hash    hash.Hash
}

func newTally(subjects []Subject) *Tally {
	t := &Tally{Counts: newCounts(), hash: sha256.New()}
	for i := range subjects {
		t.Rows = append(t.Rows, &Row{
			Counts: newCounts(), Subject: &subjects[i],
			Stores: make(map[string]*StoreCounts), hash: sha256.New(),
		})
	}
	return t
}

// TraceHash folds all runs in the order of the jobs: their input, their trace
// hash and how they ended.
func (t *Tally) TraceHash() string { return digest(t.hash) }

func digest(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)[:16]) }

func (t *Tally) add(subject int, r *scenario.Result, took time.Duration) {
	row := t.Rows[subject]
	t.Counts.add(r, took)
	row.Counts.add(r, took)
	s := row.Stores[r.Store]
	if s == nil {
		s = &StoreCounts{Sometimes: make(map[string]uint64)}
		row.Stores[r.Store] = s
	}
	s.Seeds++
	for _, n := range r.Sometimes {
		s.Sometimes[n.Name] += n.N
	}
	line := fmt.Appendf(nil, "%q %q %d %v %q\n", r.Scenario, r.Store, r.Seed, r.Hash, verdict(r))
	line = binary.BigEndian.AppendUint64(line, r.Events)
	for _, h := range []hash.Hash{t.hash, row.hash} {
		h.Write(line) // a hash never fails
	}
}

// Missing is a declared event that never happened in enough seeds.
type Missing struct {
	Scenario string `json:"scenario"`
	Store    string `json:"store"`
	Event    string `json:"event"`
	Seeds    uint64 `json:"seeds"` // in which it did not happen
}

func (m Missing) String() string {
	return fmt.Sprintf("%s on %s: %q never happened in %d seeds", m.Scenario, m.Store, m.Event, m.Seeds)
}

// RuleSometimes is broken by a batch with a [Missing] event: it was not testing
// what it says.
const RuleSometimes = "sometimes"

// Missing returns the events that a batch of this size must have seen on each
// kind of store and has not.
func (t *Tally) Missing() []Missing {
	var ms []Missing
	for _, row := range t.Rows {
		for _, store := range []string{scenario.StoreSimFDB, scenario.StoreMemory} {
			s := row.Stores[store]
			if s == nil || s.Seeds < uint64(max(row.Subject.MinSeeds, 1)) {
				continue
			}
			for _, e := range row.Subject.Sometimes {
				if s.Sometimes[e] == 0 {
					ms = append(ms, Missing{Scenario: row.Subject.Name, Store: store, Event: e, Seeds: s.Seeds})
				}
			}
		}
	}
	return ms
}
