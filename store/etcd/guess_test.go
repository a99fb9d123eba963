package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
)

func withWire(o etcd.Options, s *wireState) etcd.Options { return etcd.WithWire(o, s.between) }

// set commits one key.
func set(t *testing.T, e store.Engine, key, value string) store.Version {
	t.Helper()
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	tx.Set([]byte(key), []byte(value))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return tx.Committed()
}

// read returns what a transaction of its own reads in key.
func read(t *testing.T, e store.Engine, key string) string {
	t.Helper()
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	v, err := tx.Get([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	return string(v)
}

func newDB(t *testing.T, e store.Engine) *store.DB {
	t.Helper()
	db, err := store.Open(e, clock.System(), rand.New(rand.NewPCG(1, 2)), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestAClaimIsOneRequest(t *testing.T) {
	var s wireState
	e := open(t, withWire(fresh(t), &s))
	session := join(t, e, "node", registry.Options{Monitors: -1})
	if _, err := session.Claim(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	reads, writes := s.reads.Load(), s.writes.Load()
	for _, actor := range []registry.ActorID{"a", "b", "c"} {
		c, err := session.Claim(t.Context(), actor)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := session.Claim(t.Context(), actor); err != nil {
			t.Fatal(err)
		}
	}
	if r, w := s.reads.Load()-reads, s.writes.Load()-writes; r != 0 || w != 9 {
		t.Errorf("6 claims and 3 releases took %d reads and %d writes, want 0 and 9", r, w)
	}
}

func TestAWrongGuessIsFoundOut(t *testing.T) {
	o := fresh(t)
	mine, theirs := open(t, o), open(t, o)
	db := newDB(t, mine)
	for _, tc := range []struct {
		name    string
		prepare func()
	}{
		{"of absence", func() { set(t, theirs, "k", "theirs") }},
		{"of an old value", func() {
			set(t, mine, "k", "mine")
			set(t, theirs, "k", "theirs")
		}},
		{"of a removed value", func() {
			set(t, mine, "k", "mine")
			tx := theirs.Begin(t.Context())
			tx.Clear([]byte("k"))
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}},
		{"of a value removed with its range", func() {
			set(t, mine, "k", "mine")
			tx := theirs.Begin(t.Context())
			tx.ClearRange([]byte("a"), []byte("z"))
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.prepare()
			want := read(t, theirs, "k")
			var got string
			look := func(tx store.Tx) error {
				v, err := tx.Get([]byte("k"))
				got = string(v)
				return err
			}
			own := errors.New("the body's own error")
			if _, err := db.Transact(t.Context(), func(tx store.Tx) error { return errors.Join(look(tx), own) }); !errors.Is(err, own) || got != want {
				t.Errorf("a body that failed had read %q, error %v; want %q and its own error", got, err, want)
			}
			tc.prepare()
			if _, err := db.Transact(t.Context(), look); err != nil || got != want {
				t.Errorf("a body that wrote nothing had read %q, error %v; want %q", got, err, want)
			}
			tc.prepare()
			if _, err := db.Transact(t.Context(), func(tx store.Tx) error {
				if err := look(tx); err != nil {
					return err
				}
				tx.Set([]byte("copy"), []byte(got))
				return nil
			}); err != nil || got != want || read(t, theirs, "copy") != want {
				t.Errorf("a body that wrote had read %q, error %v; want %q", got, err, want)
			}
			for how, spoil := range map[string]func(tx store.Tx){
				"makes no sense": func(tx store.Tx) { tx.SetStamped([]byte("copy"), nil, -1) },
				"is too much": func(tx store.Tx) {
					for i := range bigTxnOps + 1 {
						tx.Set(fmt.Appendf(nil, "copy/%d", i), nil)
					}
				},
			} {
				tc.prepare()
				if _, err := db.Transact(t.Context(), func(tx store.Tx) error {
					if err := look(tx); err != nil || got == want {
						return err
					}
					spoil(tx)
					return nil
				}); err != nil || got != want {
					t.Errorf("a body that %s on a wrong guess had read %q, error %v; want %q", how, got, err, want)
				}
			}
		})
	}
}

func TestOnlyLeaveMakesATransactionGuess(t *testing.T) {
	o := fresh(t)
	mine, theirs := open(t, o), open(t, o)
	set(t, mine, "k", "old")
	set(t, theirs, "k", "new")
	gets := map[string]func(tx *etcd.Txn) ([]byte, error){
		"without leave": func(tx *etcd.Txn) ([]byte, error) { return tx.Get([]byte("k")) },
		"a snapshot": func(tx *etcd.Txn) ([]byte, error) {
			tx.Guess()
			return tx.Snapshot().Get([]byte("k"))
		},
		"a snapshot of a key that was guessed": func(tx *etcd.Txn) ([]byte, error) {
			tx.Guess()
			if v, err := tx.Get([]byte("k")); err != nil || string(v) != "old" {
				t.Errorf("guessed %q, error %v: the test is not looking", v, err)
			}
			return tx.Snapshot().Get([]byte("k"))
		},
		"a range": func(tx *etcd.Txn) ([]byte, error) {
			tx.Guess()
			rows, _, err := tx.GetRange([]byte("k"), []byte("l"), store.RangeOptions{})
			if err != nil {
				return nil, err
			}
			return rows[0].Value, nil
		},
	}
	for _, name := range []string{"a snapshot of a key that was guessed", "a snapshot", "a range", "without leave"} {
		get := gets[name]
		tx := mine.Begin(t.Context()).(*etcd.Txn)
		if v, err := get(tx); err != nil || string(v) != "new" {
			t.Errorf("%s: %q, error %v, want new", name, v, err)
		}
		tx.Cancel()
	}
	if err := newDB(t, mine).Read(t.Context(), func(r store.Reader) error {
		v, err := r.Get([]byte("k"))
		if string(v) != "new" {
			t.Errorf("Read: %q, want new", v)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func TestConfirmJudgesTheGuesses(t *testing.T) {
	o := fresh(t)
	mine, theirs := open(t, o), open(t, o)
	set(t, mine, "k", "v")
	guess := func() *etcd.Txn {
		tx := mine.Begin(t.Context()).(*etcd.Txn)
		tx.Guess()
		if v, err := tx.Get([]byte("k")); err != nil || string(v) != "v" {
			t.Fatalf("guessed %q, error %v", v, err)
		}
		return tx
	}
	tx := guess()
	defer tx.Cancel()
	if err := tx.Confirm(); err != nil {
		t.Errorf("a right guess: %v", err)
	}
	tx = guess()
	defer tx.Cancel()
	set(t, theirs, "k", "w")
	if err := tx.Confirm(); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a wrong guess: error %v, want %v", err, store.ErrConflict)
	}
	if err := tx.Commit(); !errors.Is(err, store.ErrConflict) {
		t.Errorf("the commit of a wrong guess: error %v, want %v", err, store.ErrConflict)
	}
	set(t, mine, "k", "v")
	tx = guess()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	gone := mine.Begin(ctx).(*etcd.Txn)
	if err := gone.Confirm(); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: error %v", err)
	}
	tx.Cancel()
	if err := tx.Confirm(); !errors.Is(err, store.ErrUsed) {
		t.Errorf("after a cancel: error %v, want %v", err, store.ErrUsed)
	}
}

func TestNothingIsGuessedWithoutMemory(t *testing.T) {
	var s wireState
	o := withWire(fresh(t), &s)
	o.Remember = -1
	e := open(t, o)
	before := s.reads.Load()
	if _, err := newDB(t, e).Transact(t.Context(), func(tx store.Tx) error {
		_, err := tx.Get([]byte("k"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n := s.reads.Load() - before; n != 1 {
		t.Errorf("%d reads, want 1", n)
	}
}
