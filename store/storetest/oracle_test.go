package storetest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

// hist builds a history by hand. The store starts empty at version 1.
type hist struct {
	h history
}

func (b *hist) add(r record) *hist {
	r.n = len(b.h.records)
	for i := len(r.answers); i < len(r.calls); i++ {
		r.answers = append(r.answers, answer{})
	}
	b.h.records = append(b.h.records, &r)
	return b
}

// mark says where the last transaction was applied.
func (b *hist) mark(version store.Version, order uint16) *hist {
	if b.h.markers == nil {
		b.h.markers = map[string]place{}
	}
	b.h.markers[b.h.records[len(b.h.records)-1].marker()] = place{version, order}
	return b
}

// end says what the store held in the end.
func (b *hist) end(version store.Version, pairs ...string) *history {
	b.h.final, b.h.finalVersion = state{}, version
	for i := 0; i < len(pairs); i += 2 {
		b.h.final[pairs[i]] = pairs[i+1]
	}
	return &b.h
}

// writes is a committed blind write of key=value.
func writes(begin, end int, key, value string, v store.Version) record {
	return record{begin: begin, end: end, calls: []op{{kind: opSet, key: key, value: value}}, outcome: committed, version: v}
}

// reads is a committed read of key, with what it saw ("-" for nothing).
func reads(begin, end int, rv store.Version, key, saw string) record {
	a := answer{value: []byte(saw)}
	if saw == "-" {
		a.value = nil
	}
	return record{begin: begin, end: end, rv: rv, calls: []op{{kind: opGet, key: key}}, answers: []answer{a}, outcome: committed}
}

// copies reads a key and writes another.
func copies(begin, end int, rv store.Version, from, saw, to string, v store.Version) record {
	r := reads(begin, end, rv, from, saw)
	r.calls = append(r.calls, op{kind: opSet, key: to, value: saw})
	r.version = v
	return r
}

func with(r record, change func(r *record)) record {
	change(&r)
	return r
}

// TestOracle pairs histories that the oracle must accept with near ones that it
// must reject. The wrong ones name a part of the verdict.
func TestOracle(t *testing.T) {
	for _, tc := range []struct {
		name string
		h    *history
		want string // "": legal
	}{
		{"nothing", new(hist).end(1), ""},
		{"write and read", new(hist).add(writes(1, 2, "a", "x", 5)).mark(5, 0).add(reads(3, 4, 5, "a", "x")).end(5, "a", "x"), ""},
		{"a value from nowhere", new(hist).add(writes(1, 2, "a", "x", 5)).mark(5, 0).add(reads(3, 4, 5, "a", "y")).end(5, "a", "x"), "at read version 5"},
		{"a stale read", new(hist).add(writes(1, 2, "a", "x", 5)).mark(5, 0).add(reads(3, 4, 4, "a", "-")).end(5, "a", "x"), "stale read"},
		{"an old read at the same time", new(hist).add(writes(1, 3, "a", "x", 5)).mark(5, 0).add(reads(2, 4, 4, "a", "-")).end(5, "a", "x"), ""},
		{"a dirty read", new(hist).add(with(writes(1, 9, "a", "x", 0), func(r *record) { r.outcome, r.err = refused, errGivenUp })).add(reads(2, 3, 4, "a", "x")).end(5), "at read version 4"},
		{"a lost write", new(hist).add(writes(1, 2, "a", "x", 5)).mark(5, 0).end(5), "in the end"},
		{"an acknowledged commit without a trace", new(hist).add(writes(1, 2, "a", "x", 5)).end(5), "was not applied"},
		{"a refused one with a trace", new(hist).add(with(writes(1, 2, "a", "x", 0), func(r *record) { r.outcome, r.err = refused, store.ErrConflict })).mark(5, 0).end(5, "a", "x"), "was applied"},
		{"a doubtful one applied", new(hist).add(with(writes(1, 2, "a", "x", 0), func(r *record) { r.outcome = doubtful })).mark(5, 0).end(5, "a", "x"), ""},
		{"a doubtful one applied late", new(hist).add(with(writes(1, 2, "a", "x", 0), func(r *record) { r.outcome = doubtful })).mark(9, 0).add(reads(3, 4, 5, "a", "-")).end(9, "a", "x"), ""},
		{"a doubtful one not applied", new(hist).add(with(writes(1, 2, "a", "x", 0), func(r *record) { r.outcome = doubtful })).end(5), ""},
		{"a doubtful one seen and not applied", new(hist).add(with(writes(1, 2, "a", "x", 0), func(r *record) { r.outcome = doubtful })).add(reads(3, 4, 5, "a", "x")).end(5), "at read version 5"},
		{"stamp and version differ", new(hist).add(writes(1, 2, "a", "x", 5)).mark(6, 0).end(6, "a", "x"), "the stamp says"},
		{"one stamp for two", new(hist).add(writes(1, 2, "a", "x", 5)).mark(5, 0).add(writes(1, 2, "b", "x", 5)).mark(5, 0).end(5, "a", "x", "b", "x"), "one stamp"},
		{"one version for two", new(hist).add(writes(1, 2, "a", "x", 5)).mark(5, 0).add(writes(1, 2, "a", "y", 5)).mark(5, 1).end(5, "a", "y"), ""},
		{"one version for two, the wrong one last", new(hist).add(writes(1, 2, "a", "x", 5)).mark(5, 0).add(writes(1, 2, "a", "y", 5)).mark(5, 1).end(5, "a", "x"), "in the end"},
		{"a lost update", new(hist).
			add(copies(1, 4, 2, "a", "-", "a", 5)).mark(5, 0).
			add(copies(2, 5, 2, "a", "-", "a", 6)).mark(6, 0).end(6, "a", "-"), "had changed"},
		{"write skew", new(hist).
			add(copies(1, 4, 2, "a", "-", "b", 5)).mark(5, 0).
			add(copies(2, 5, 2, "b", "-", "a", 6)).mark(6, 0).end(6, "a", "-", "b", "-"), "had changed"},
		{"write skew within one version", new(hist).
			add(copies(1, 4, 2, "a", "-", "b", 5)).mark(5, 0).
			add(copies(2, 5, 2, "b", "-", "a", 5)).mark(5, 1).end(5, "a", "-", "b", "-"), "had changed"},
		{"no skew one after the other", new(hist).
			add(copies(1, 2, 2, "a", "-", "b", 5)).mark(5, 0).
			add(copies(3, 4, 5, "b", "-", "a", 6)).mark(6, 0).end(6, "a", "-", "b", "-"), "at read version 5"},
		{"a snapshot read may change", new(hist).
			add(writes(1, 4, "a", "x", 5)).mark(5, 0).
			add(with(copies(2, 5, 2, "a", "-", "b", 6), func(r *record) { r.calls[0].snapshot = true })).mark(6, 0).end(6, "a", "x", "b", "-"), ""},
		{"a phantom", new(hist).
			add(writes(1, 4, "b", "x", 5)).mark(5, 0).
			add(record{
				begin: 2, end: 5, rv: 2, outcome: committed, version: 6,
				calls:   []op{{kind: opRange, key: "a", end: "c"}, {kind: opSet, key: "d", value: "n"}},
				answers: []answer{{rows: []store.KeyValue{}}},
			}).mark(6, 0).end(6, "b", "x", "d", "n"), "had changed"},
		{"the order of commits against real time", new(hist).
			add(writes(1, 2, "a", "x", 6)).mark(6, 0).
			add(writes(3, 4, "b", "y", 5)).mark(5, 0).end(6, "a", "x", "b", "y"), "applied before"},
		{"the order of commits, overlapping", new(hist).
			add(writes(1, 3, "a", "x", 6)).mark(6, 0).
			add(writes(2, 4, "b", "y", 5)).mark(5, 0).end(6, "a", "x", "b", "y"), ""},
		{"the read version goes back", new(hist).add(reads(1, 2, 6, "a", "-")).add(reads(3, 4, 5, "a", "-")).end(6), "went back"},
		{"a commit below what was read before", new(hist).add(reads(1, 2, 6, "a", "-")).add(writes(3, 4, "b", "x", 6)).mark(6, 0).end(6, "b", "x"), "at or below a version"},
		{"a commit at its own read version", new(hist).add(copies(1, 2, 5, "a", "-", "b", 5)).mark(5, 0).end(5, "b", "-"), "not above its own read version"},
		{"a version for nothing", new(hist).add(with(reads(1, 2, 5, "a", "-"), func(r *record) { r.version = 6 })).end(6), "wrote nothing"},
		{"a refusal for nothing", new(hist).add(with(copies(1, 2, 5, "a", "-", "b", 0), func(r *record) { r.outcome, r.err = refused, store.ErrConflict })).end(6), "nobody else wrote"},
		{"a refusal with a cause", new(hist).
			add(writes(2, 3, "a", "x", 6)).mark(6, 0).
			add(with(copies(1, 4, 5, "a", "-", "b", 0), func(r *record) { r.outcome, r.err = refused, store.ErrConflict })).end(6, "a", "x"), ""},
		{"a wrong read of a refused one", new(hist).
			add(writes(2, 3, "a", "x", 6)).mark(6, 0).
			add(with(copies(1, 4, 5, "a", "x", "b", 0), func(r *record) { r.outcome, r.err = refused, store.ErrConflict })).end(6, "a", "x"), "at read version 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.h.judge(true)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("a legal history was rejected: %v", err)
			case tc.want != "" && err == nil:
				t.Error("an illegal history was accepted")
			case tc.want != "" && !strings.Contains(err.Error(), tc.want):
				t.Errorf("rejected for another reason: %v\nwant %q", err, tc.want)
			}
		})
	}
}

// TestHistoriesAreInteresting demands that the random histories reach what they
// are there to reach.
func TestHistoriesAreInteresting(t *testing.T) {
	seen := map[string]int{}
	h := faultyHarness(faultRates{conflict: 10, applied: 20, dropped: 20, late: 20})
	h.Histories = 30
	for seed := range uint64(h.Histories) {
		w := h.New(t, seed)
		l := &lab{World: w, h: &h, tb: t, seed: seed}
		hist := &history{}
		work := func(c *client) error {
			g := newGenerator(rand.New(rand.NewPCG(seed, uint64(c.n))), &h)
			for n := range historyTxns {
				if err := hist.take(c, g, n); err != nil {
					return err
				}
			}
			return nil
		}
		if err := l.together(work, work, work, work); err != nil {
			t.Fatal(err)
		}
		if err := l.solo(func(c *client) error { return l.insist(func() error { return hist.readFinal(c) }) }); err != nil {
			t.Fatal(err)
		}
		for _, r := range hist.records {
			_, applied := hist.markers[r.marker()]
			seen[fmt.Sprintf("outcome %d, applied %v, error %v", r.outcome, applied, r.err)]++
			if r.outcome == committed && !r.wrote() {
				seen["read-only"]++
			}
			if r.rv == 0 && applied {
				seen["blind and applied"]++
			}
			if r.rv != 0 && applied && r.version > r.rv+1 {
				seen["committed across others"]++
			}
			for i, o := range r.calls {
				if r.answers[i].more {
					seen["more"]++
				}
				if o.kind == opRange && len(r.answers[i].rows) > 2 {
					seen["a range of some rows"]++
				}
			}
		}
	}
	for what, least := range map[string]int{
		"outcome 0, applied false, error injected: store: conflict":              5,
		"outcome 0, applied false, error " + errGivenUp.Error():                  50,
		"outcome 1, applied true, error <nil>":                                   500,
		"outcome 2, applied true, error injected: store: commit result unknown":  20,
		"outcome 2, applied false, error injected: store: commit result unknown": 20,
		"read-only":               50,
		"blind and applied":       50,
		"committed across others": 100,
		"more":                    50,
		"a range of some rows":    50,
	} {
		if seen[what] < least {
			t.Errorf("%q happened %d times, want at least %d", what, seen[what], least)
		}
	}
	conflicts := 0
	for what, n := range seen {
		if strings.Contains(what, "a key that was read has changed") {
			conflicts += n
		}
	}
	if conflicts < 100 {
		t.Errorf("%d conflicts; in all: %v", conflicts, seen)
	}
}
