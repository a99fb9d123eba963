package optimistic_test

import (
	"context"
	"errors"
	"testing"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/optimistic"
)

// slowBase lets reads through one by one, once it is told to.
type slowBase struct {
	mapBase
	slow bool
	in   chan struct{} // a read has come
	out  chan struct{} // it may go on
}

func (b *slowBase) Values(keys [][]byte) ([][]byte, error) {
	if b.slow {
		b.in <- struct{}{}
		<-b.out
	}
	return b.mapBase.Values(keys)
}

// TestGivenUpWhileInUse gives a transaction up while another task is in one of
// its calls. That is not allowed, and must leave no watch behind all the same.
func TestGivenUpWhileInUse(t *testing.T) {
	for name, giveUp := range map[string]func(tx store.Txn){
		"cancel": store.Txn.Cancel,
		"commit": func(tx store.Txn) {
			if err := tx.Commit(); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("Commit = %v, want %v", err, store.ErrInvalid)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := &slowBase{in: make(chan struct{}), out: make(chan struct{})}
			e := optimistic.Over(b, 0, optimistic.Options{})
			tx := e.Begin(context.Background())
			w, err := tx.Watch([]byte("a"))
			if err != nil {
				t.Fatal(err)
			}
			b.slow = true
			done := clock.System().NewEvent()
			go func() {
				defer done.Set()
				if _, err := tx.Get([]byte("b")); err != nil {
					t.Errorf("the call that was under way: %v", err)
				}
			}()
			<-b.in
			giveUp(tx)
			b.out <- struct{}{}
			if err := done.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
			b.slow = false
			if n := e.Stats().Watches; n != 0 {
				t.Errorf("%d watches are left", n)
			}
			ended, cancel := context.WithCancel(context.Background())
			cancel()
			if err := w.Wait(ended); err == nil || errors.Is(err, context.Canceled) {
				t.Errorf("the watch ended with %v, want why the transaction did", err)
			}
			if _, err := tx.Get([]byte("b")); !errors.Is(err, store.ErrUsed) {
				t.Errorf("Get = %v, want %v", err, store.ErrUsed)
			}
			checked(t, e)
		})
	}
}
