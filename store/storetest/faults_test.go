package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

// faultRates are probabilities in a thousand.
type faultRates struct {
	read     int // a read fails with ErrUnavailable
	conflict int // a commit conflicts with nothing
	applied  int // a commit is applied, and its result unknown
	dropped  int // a commit is not applied, and its result unknown
	late     int // a commit is applied some commits after its result was unknown
}

// faulty is an engine under injected faults.
func faulty(seed uint64, rates faultRates) *broken {
	r := rand.New(rand.NewPCG(seed, 1))
	chance := func(permille int) bool { return r.IntN(1000) < permille }
	var late []store.Txn
	return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
		return hooks{
			get: func(key []byte) ([]byte, error) {
				v, err := tx.Get(key)
				if err == nil && chance(rates.read) {
					return nil, fmt.Errorf("injected: %w", store.ErrUnavailable)
				}
				return v, err
			},
			getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
				rows, more, err := tx.GetRange(begin, end, o)
				if err == nil && chance(rates.read) {
					return nil, false, fmt.Errorf("injected: %w", store.ErrTimedOut)
				}
				return rows, more, err
			},
			commit: func() error {
				for len(late) > 0 && chance(300) {
					_ = late[0].Commit()
					late = late[1:]
				}
				switch {
				case chance(rates.conflict):
					tx.Cancel()
					return fmt.Errorf("injected: %w", store.ErrConflict)
				case chance(rates.applied):
					_ = tx.Commit()
					return fmt.Errorf("injected: %w", store.ErrCommitUnknown)
				case chance(rates.dropped):
					tx.Cancel()
					return fmt.Errorf("injected: %w", store.ErrCommitUnknown)
				case chance(rates.late):
					late = append(late, tx)
					return fmt.Errorf("injected: %w", store.ErrCommitUnknown)
				}
				return tx.Commit()
			},
			cancel: func() {
				if !slices.Contains(late, tx) {
					tx.Cancel()
				}
			},
		}
	}}
}

func faultyHarness(rates faultRates) Harness {
	h := simulatedHarness(nil)
	seed := uint64(0)
	h.New = func(tb testing.TB, s uint64) World {
		seed++
		return simulated(tb, s, func() *broken { return faulty(seed, rates) })
	}
	h.Faults = []Fault{TransientErrors, UnknownCommits}
	h.Histories = 30
	h.Age = func(ctx context.Context, w World, client int) error {
		for range 2 * testWindow { // enough, although some are refused
			tx := w.Engine(client).Begin(ctx)
			tx.Set([]byte("age"), nil)
			_ = tx.Commit()
		}
		return nil
	}
	return h
}

// TestFaultsAreEndured runs the whole suite on a correct engine under faults
// that the harness announces.
func TestFaultsAreEndured(t *testing.T) {
	h := faultyHarness(faultRates{read: 20, conflict: 20, applied: 10, dropped: 10, late: 10})
	for _, c := range suite() {
		t.Run(c.name, func(t *testing.T) {
			if err := h.judge(t, c); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFaultsDoNotHideBugs demands that bugs are found under faults as well.
func TestFaultsDoNotHideBugs(t *testing.T) {
	find := map[string]string{
		"get adds no conflict":             "isolation/lost update refused",
		"ranges add no conflict":           histories,
		"the limit is ignored":             "range/limit, reverse and more",
		"conflicts are ignored":            "isolation/write skew refused",
		"a removal of nothing is no write": "conflict/table",
	}
	for _, b := range slices.Concat(conflictBugs, viewBugs, commitBugs) {
		want, ok := find[b.name]
		if !ok {
			continue
		}
		delete(find, b.name)
		t.Run(b.name, func(t *testing.T) {
			h := faultyHarness(faultRates{read: 20, conflict: 20, applied: 10, dropped: 10, late: 10})
			seed := uint64(0)
			h.New = func(tb testing.TB, s uint64) World {
				seed++
				return simulated(tb, s, func() *broken {
					buggy, bad := b.make(), faulty(seed, faultRates{read: 20, conflict: 20, applied: 10, dropped: 10, late: 10})
					return &broken{begin: func(e store.Engine, ctx context.Context) store.Txn {
						buggy.Engine = e
						bad.Engine = buggy
						return bad.Begin(ctx)
					}}
				})
			}
			for _, c := range suite() {
				if c.name != want {
					continue
				}
				if err := h.judge(t, c); err == nil || strings.Contains(err.Error(), "never came through") {
					t.Errorf("not found: %v", err)
				}
			}
		})
	}
	if len(find) > 0 {
		t.Errorf("there are no such bugs: %v", find)
	}
}

// TestUnannouncedFaultsAreErrors runs cases under faults that the harness keeps
// to itself.
func TestUnannouncedFaultsAreErrors(t *testing.T) {
	for _, tc := range []struct {
		name  string
		rates faultRates
	}{
		{"transient errors of reads", faultRates{read: 100}},
		{"transient errors of commits", faultRates{conflict: 100}},
		{"unknown commits", faultRates{applied: 100}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := faultyHarness(tc.rates)
			h.Faults = nil
			h.Histories = 2
			found := 0
			for _, c := range suite() {
				if h.judge(t, c) != nil {
					found++
				}
			}
			if found < 10 {
				t.Errorf("%d cases noticed", found)
			}
		})
	}
}

// TestDamageFailsTheCase shows that what a world finds when it closes counts,
// and is never blamed on faults.
func TestDamageFailsTheCase(t *testing.T) {
	h := faultyHarness(faultRates{})
	whole := h.New
	h.New = func(tb testing.TB, seed uint64) World {
		w := whole(tb, seed).(*Hosts)
		w.Check = func() error { return fmt.Errorf("a lost page: %w", store.ErrUnavailable) }
		return w
	}
	err := h.judge(t, suite()[0])
	if err == nil || !strings.Contains(err.Error(), "a lost page") || strings.Contains(err.Error(), "came through") {
		t.Errorf("judge = %v, want the damage at once", err)
	}
}
