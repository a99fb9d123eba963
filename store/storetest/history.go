package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kelpie-registry/kelpie/store"
)

// outcome is how a transaction ended, as its client knows.
type outcome uint8

const (
	refused   outcome = iota // it was not applied and never will be
	committed                // with a version when it wrote
	doubtful                 // the commit's result is unknown
)

// record is what a client saw of one transaction.
type record struct {
	client, n int
	begin     int // position in the history's real-time order
	end       int
	rv        store.Version // zero: none taken
	calls     []op
	answers   []answer
	outcome   outcome
	version   store.Version
	err       error // of the refusal or the doubt

	place place // set by the judge for those that wrote and were applied
}

// marker is the key that the transaction stamps, beyond the universe. It tells
// afterwards whether the transaction was applied, and where.
func (r *record) marker() string { return fmt.Sprintf("marker/%d/%03d", r.client, r.n) }

func (r *record) wrote() bool { return mutates(r.calls) }

func (r *record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "transaction %d of client %d, real time %d to %d, read version %d", r.n, r.client, r.begin, r.end, r.rv)
	switch {
	case r.outcome == refused:
		fmt.Fprintf(&b, ", refused (%v)", r.err)
	case r.outcome == doubtful:
		fmt.Fprintf(&b, ", in doubt, placed at %v", r.place)
	default:
		fmt.Fprintf(&b, ", committed at %d, placed at %v", r.version, r.place)
	}
	for i, o := range r.calls {
		fmt.Fprintf(&b, "\n    %v", o)
		if o.reads() {
			fmt.Fprintf(&b, " = %v", r.answers[i])
		}
	}
	return b.String()
}

// history collects what all clients saw. Its real-time order is the order of
// its own lock: if one transaction ended before another began, it says so.
type history struct {
	mu      sync.Mutex
	ticks   int
	records []*record

	// What the store held in the end, at one version.
	final        state
	finalVersion store.Version
	markers      map[string]place
}

func (h *history) tick() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ticks++
	return h.ticks
}

func (h *history) add(r *record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.records = append(h.records, r)
}

// take runs one random transaction and records it.
func (h *history) take(c *client, g *generator, n int) error {
	return h.attempt(c, n, func(tx store.Txn, r *record) error {
		if err := h.fill(tx, g, r); err != nil {
			return err
		}
		if g.rand.IntN(16) == 0 {
			return errGivenUp
		}
		return nil
	})
}

// attempt runs a transaction with the calls of fill and records it.
func (h *history) attempt(c *client, n int, fill func(tx store.Txn, r *record) error) error {
	r := &record{client: c.n, n: n}
	r.begin = h.tick()
	tx := c.begin()
	defer tx.Cancel()
	if r.err = fill(tx, r); r.err == nil {
		if err := tx.Commit(); err != nil {
			r.err = err
		} else {
			r.outcome, r.version = committed, tx.Committed()
		}
	}
	if errors.Is(r.err, store.ErrCommitUnknown) {
		r.outcome = doubtful
	}
	r.end = h.tick()
	h.add(r)
	return c.explain(r)
}

var errGivenUp = errors.New("given up by its client")

// explain returns an error when a transaction ended in a way that the harness
// does not announce.
func (c *client) explain(r *record) error {
	switch {
	case r.err == nil, errors.Is(r.err, store.ErrConflict), errors.Is(r.err, errGivenUp), errors.Is(r.err, store.ErrTooOld):
		return nil
	case errors.Is(r.err, store.ErrUnreadable), c.h.interfered(r.err):
		return nil
	default:
		return fmt.Errorf("%v: %w", r, r.err)
	}
}

// fill makes the calls of a random transaction.
func (h *history) fill(tx store.Txn, g *generator, r *record) error {
	if g.rand.IntN(8) > 0 {
		rv, err := tx.ReadVersion()
		if err != nil {
			return err
		}
		r.rv = rv
	}
	readOnly := r.rv != 0 && g.rand.IntN(4) == 0
	for range 1 + g.rand.IntN(6) {
		o := g.op()
		if (r.rv == 0 && o.needsVersion()) || (readOnly && !o.reads()) {
			continue // a transaction without a read version is a blind one
		}
		if err := r.call(tx, o); err != nil {
			return err
		}
	}
	r.stamp(tx)
	return nil
}

// call makes a call and records it.
func (r *record) call(tx store.Txn, o op) error {
	a := o.do(tx)
	r.calls, r.answers = append(r.calls, o), append(r.answers, a)
	return a.err
}

// stamp has the commit leave the transaction's marker, if it writes anything.
func (r *record) stamp(tx store.Txn) {
	if r.wrote() {
		tx.SetStamped([]byte(r.marker()), make([]byte, store.StampBytes), 0)
	}
}

// readFinal reads the whole store at one version.
func (h *history) readFinal(c *client) error {
	tx := c.begin()
	defer tx.Cancel()
	rows, err := all(tx, store.RangeOptions{})
	if err != nil {
		return err
	}
	if h.finalVersion, err = tx.ReadVersion(); err != nil {
		return fmt.Errorf("ReadVersion: %w", err)
	}
	h.final, h.markers = state{}, map[string]place{}
	for _, kv := range rows {
		key := string(kv.Key)
		if !strings.HasPrefix(key, "marker/") {
			h.final[key] = string(kv.Value)
			continue
		}
		v, err := store.StampVersion(kv.Value, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		h.markers[key] = place{version: v, order: uint16(kv.Value[8])<<8 | uint16(kv.Value[9])}
	}
	return nil
}

// sorted returns the records in the order of their beginnings.
func (h *history) sorted() []*record {
	rs := slices.Clone(h.records)
	slices.SortFunc(rs, func(a, b *record) int { return a.begin - b.begin })
	return rs
}
