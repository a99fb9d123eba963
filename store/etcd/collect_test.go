package etcd_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
)

// commit runs f in one transaction.
func commit(t *testing.T, e store.Engine, f func(tx store.Txn)) store.Version {
	t.Helper()
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	f(tx)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return tx.Committed()
}

func rowsOf(t *testing.T, e *etcd.Engine) []string {
	t.Helper()
	rows, err := e.Rows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestASweepLeavesNothingOfWhatIsGone(t *testing.T) {
	e := open(t, fresh(t))
	for i := range 300 {
		set(t, e, fmt.Sprintf("k%d", i), "v")
	}
	commit(t, e, func(tx store.Txn) { tx.Add([]byte("n"), 1) })
	var last store.Version
	for i := range 200 {
		last = commit(t, e, func(tx store.Txn) { tx.Clear(fmt.Appendf(nil, "k%d", i)) })
	}
	commit(t, e, func(tx store.Txn) { tx.Clear([]byte("n")) })
	last = max(last, commit(t, e, func(tx store.Txn) { tx.ClearRange([]byte("k"), []byte("l")) }))
	if n := len(rowsOf(t, e)); n < 201 {
		t.Fatalf("%d rows before the sweep: the test is not looking", n)
	}
	if err := e.Sweep(t.Context(), int64(last)); err != nil {
		t.Fatal(err)
	}
	if rows := rowsOf(t, e); len(rows) > 0 {
		t.Errorf("left after the sweep: %q", rows)
	}
}

func TestASweepSparesWhatIsYounger(t *testing.T) {
	e := open(t, fresh(t))
	commit(t, e, func(tx store.Txn) { tx.Add([]byte("n"), 5) })
	commit(t, e, func(tx store.Txn) { tx.Set([]byte("again"), nil); tx.Set([]byte("late"), nil) })
	old := commit(t, e, func(tx store.Txn) { tx.Clear([]byte("n")); tx.Clear([]byte("again")) })
	commit(t, e, func(tx store.Txn) { tx.Add([]byte("n"), 3); tx.Set([]byte("again"), []byte("there")) })
	commit(t, e, func(tx store.Txn) { tx.Clear([]byte("late")) })
	if err := e.Sweep(t.Context(), int64(old)); err != nil {
		t.Fatal(err)
	}
	if v := read(t, e, "n"); v != "\x03\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("a counter that was removed and added to again is %q, want 3: its old lanes count again", v)
	}
	if v := read(t, e, "again"); v != "there" {
		t.Errorf("a key that was written again is %q", v)
	}
	if n := len(slices.DeleteFunc(rowsOf(t, e), func(r string) bool { return !strings.HasPrefix(r, "t") })); n != 1 {
		t.Errorf("%d lists of tombstones, want 1: that of the late removal", n)
	}
}

// writes matches the requests that write a row whose name holds text.
func writes(r *etcdserverpb.TxnRequest, text string) bool {
	for _, o := range r.Success {
		if strings.Contains(string(o.GetRequestPut().GetKey()), text) || (o.GetRequestTxn() != nil && writes(o.GetRequestTxn(), text)) {
			return true
		}
	}
	return false
}

// TestACommitInDoubtIsRefusedOnceItWasOvertaken holds a claim on its way to the
// cluster until its caller has given up and the same actor has been claimed and
// released through another connection. What the late claim saw is what there is
// again, an actor that nobody owns; and yet it must not be applied any more,
// because nobody waits for it. That holds while the tombstone of the release is
// there, and when it has been swept away.
func TestACommitInDoubtIsRefusedOnceItWasOvertaken(t *testing.T) {
	for _, swept := range []bool{false, true} {
		t.Run(fmt.Sprintf("swept=%v", swept), func(t *testing.T) {
			var s wireState
			o := fresh(t)
			slow, quick := open(t, withWire(o, &s)), open(t, o)
			held, arrived := make(chan struct{}), make(chan struct{})
			s.holdIf(func(r *etcdserverpb.TxnRequest) <-chan struct{} {
				if !writes(r, "actor") {
					return nil
				}
				close(arrived)
				s.hold = nil // holdIf's lock is held
				return held
			})
			late := slow.Begin(t.Context())
			defer late.Cancel()
			if v, err := late.Get([]byte("actor")); err != nil || v != nil {
				t.Fatalf("read %q, error %v", v, err)
			}
			late.Set([]byte("actor"), []byte("late"))
			outcome := make(chan error)
			go func() { outcome <- late.Commit() }()
			<-arrived
			set(t, quick, "actor", "quick")
			released := commit(t, quick, func(tx store.Txn) { tx.Clear([]byte("actor")) })
			if swept {
				if err := quick.Sweep(t.Context(), int64(released)); err != nil {
					t.Fatal(err)
				}
			}
			close(held)
			if err := <-outcome; !errors.Is(err, store.ErrConflict) && !errors.Is(err, store.ErrTooOld) {
				t.Errorf("the late commit: error %v, want a refusal", err)
			}
			if v := read(t, quick, "actor"); v != "" {
				t.Errorf("the late commit was applied: %q", v)
			}
		})
	}
}

// untilHorizon waits until the horizon has reached a version.
func untilHorizon(t *testing.T, e *etcd.Engine, version store.Version) {
	t.Helper()
	var last int64
	for {
		at, err := e.Horizon(t.Context())
		switch {
		case err != nil:
			t.Fatal(err)
		case at < last:
			t.Fatalf("the horizon went from %d back to %d", last, at)
		case at >= int64(version):
			return
		}
		last = at
		if err := clock.System().Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheHorizonFollowsAndIsSwept(t *testing.T) {
	o := fresh(t)
	o.Window = 100 * time.Millisecond
	e, other := open(t, o), open(t, o) // both would move it
	set(t, e, "k", "v")
	untilHorizon(t, other, commit(t, e, func(tx store.Txn) { tx.Clear([]byte("k")) }))
	for len(rowsOf(t, e)) > 0 {
		if err := clock.System().Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMemoryOlderThanTheWindowCostsNoMoreThanAnotherTry lets the horizon pass
// what an engine remembers.
func TestMemoryOlderThanTheWindowCostsNoMoreThanAnotherTry(t *testing.T) {
	e := open(t, fresh(t))
	s := join(t, e, "node", registry.Options{Monitors: -1})
	for range 2 {
		c, err := s.Claim(t.Context(), "actor")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := e.Sweep(t.Context(), int64(set(t, e, "age", ""))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAWipedNamespaceMakesOldTransactionsTooOld(t *testing.T) {
	o := fresh(t)
	e := open(t, o)
	set(t, e, "k", "v")
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	if _, err := tx.Get([]byte("k")); err != nil {
		t.Fatal(err)
	}
	tx.Set([]byte("k"), []byte("w"))
	if err := e.Wipe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); !errors.Is(err, store.ErrTooOld) {
		t.Errorf("error %v, want %v", err, store.ErrTooOld)
	}
	set(t, e, "k", "x")
	db := newDB(t, e)
	if _, err := db.Transact(t.Context(), func(tx store.Tx) error {
		v, err := tx.Get([]byte("k"))
		tx.Set([]byte("k"), append(v, 'y'))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if v := read(t, e, "k"); v != "xy" {
		t.Errorf("after the wipe: %q, want xy", v)
	}
}
