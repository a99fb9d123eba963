package etcd_test

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// TestWhatACommitReadIsNotWhatItLeft has transactions read a key and write it in
// each way, and demands that the next guess knows what they left.
func TestWhatACommitReadIsNotWhatItLeft(t *testing.T) {
	one := binary.LittleEndian.AppendUint64(nil, 1)
	for name, tc := range map[string]struct {
		write func(tx store.Tx)
		want  string
	}{
		"set":                {func(tx store.Tx) { tx.Set([]byte("k"), []byte("new")) }, "new"},
		"clear":              {func(tx store.Tx) { tx.Clear([]byte("k")) }, ""},
		"clear range":        {func(tx store.Tx) { tx.ClearRange([]byte("a"), []byte("z")) }, ""},
		"add":                {func(tx store.Tx) { tx.Add([]byte("k"), 1) }, "\x02\x00\x00\x00\x00\x00\x00\x00"},
		"clear range, add":   {func(tx store.Tx) { tx.ClearRange([]byte("a"), []byte("z")); tx.Add([]byte("k"), 1) }, string(one)},
		"clear range, clear": {func(tx store.Tx) { tx.ClearRange([]byte("a"), []byte("z")); tx.Clear([]byte("k")) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := open(t, fresh(t))
			db := newDB(t, e)
			set(t, e, "k", string(one))
			if _, err := db.Transact(t.Context(), func(tx store.Tx) error {
				_, err := tx.Get([]byte("k"))
				tc.write(tx)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			var got []byte
			if _, err := db.Transact(t.Context(), func(tx store.Tx) (err error) {
				got, err = tx.Get([]byte("k"))
				return err
			}); err != nil || string(got) != tc.want {
				t.Errorf("the next transaction read %q, error %v, want %q", got, err, tc.want)
			}
		})
	}
}

// TestNoUpdateIsLostBetweenTheGuessesOfOneEngine has tasks of one engine count
// in turns: a guess that outlives the commit which overtook it loses one.
func TestNoUpdateIsLostBetweenTheGuessesOfOneEngine(t *testing.T) {
	e := open(t, fresh(t))
	const tasks, each = 8, 40
	keys := [][]byte{[]byte("a"), []byte("b"), []byte("c"), []byte("d")}
	var counting sync.WaitGroup
	for range tasks {
		db := newDB(t, e)
		counting.Go(func() {
			for range each {
				if _, err := db.Transact(t.Context(), func(tx store.Tx) error {
					values, err := tx.GetAll(keys...)
					if err != nil {
						return err
					}
					for i, v := range values {
						n := uint64(0)
						if v != nil {
							n = binary.LittleEndian.Uint64(v)
						}
						tx.Set(keys[i], binary.LittleEndian.AppendUint64(nil, n+1))
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	counting.Wait()
	for _, key := range keys {
		if n := counter(t, e, string(key)); n != tasks*each {
			t.Errorf("%s is %d after %d transactions that added one each", key, n, tasks*each)
		}
	}
}

// TestNoAnswerOfTheRegistryRestsOnAStaleGuess has another node change what this
// node's engine remembers, and asks for each answer that writes nothing.
func TestNoAnswerOfTheRegistryRestsOnAStaleGuess(t *testing.T) {
	o := fresh(t)
	mine, theirs := join(t, open(t, o), "mine", registry.Options{}), join(t, open(t, o), "theirs", registry.Options{})
	ctx := t.Context()
	claim := func(s *registry.Session) *registry.Claim {
		t.Helper()
		c, err := s.Claim(ctx, "actor")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	held := claim(theirs)
	if _, err := mine.Claim(ctx, "actor"); !errors.Is(err, registry.ErrHeld) {
		t.Fatalf("error %v, want %v", err, registry.ErrHeld)
	}
	if err := held.Release(ctx); err != nil {
		t.Fatal(err)
	}
	c := claim(mine) // ErrHeld is what is remembered
	if err := c.Release(ctx); err != nil {
		t.Fatal(err)
	}
	claim(theirs)
	if _, err := mine.Claim(ctx, "actor"); !errors.Is(err, registry.ErrHeld) { // that it is free is
		t.Errorf("error %v, want %v", err, registry.ErrHeld)
	}
}

// TestGuardIsNotAnsweredFromAStaleGuess guards transactions that write nothing
// through an engine that saw the claim as it was before.
func TestGuardIsNotAnsweredFromAStaleGuess(t *testing.T) {
	o := fresh(t)
	s, db := join(t, open(t, o), "node", registry.Options{}), newDB(t, open(t, o))
	ctx := t.Context()
	guard := func(c *registry.Claim) error {
		_, err := db.Transact(ctx, func(tx store.Tx) error { return registry.Guard(tx, c) })
		return err
	}
	var last *registry.Claim
	for turn := range 3 {
		c, err := s.Claim(ctx, "actor")
		if err != nil {
			t.Fatal(err)
		}
		if err := guard(c); err != nil { // that nobody owns the actor is remembered
			t.Errorf("turn %d: the owner's: error %v", turn, err)
		}
		if last != nil {
			if err := guard(last); !errors.Is(err, registry.ErrNotOwner) {
				t.Errorf("turn %d: with the token before: error %v, want %v", turn, err, registry.ErrNotOwner)
			}
		}
		if err := c.Release(ctx); err != nil {
			t.Fatal(err)
		}
		if err := guard(c); !errors.Is(err, registry.ErrNotOwner) { // that the node owns it is
			t.Errorf("turn %d: after the release: error %v, want %v", turn, err, registry.ErrNotOwner)
		}
		last = c
	}
}
