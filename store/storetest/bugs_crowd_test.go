package storetest

import (
	"context"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// fewOpen is how many transactions may be open before an overloaded engine goes
// wrong: more than any case has but those of crowds.
const fewOpen = 20

// crowdBugs show when many tasks use the store at once.
var crowdBugs = []bug{
	{"conflicts are forgotten while many transactions are open", overloaded(func(h *hooks, tx store.Txn, over func() bool) {
		h.getAll = func(keys [][]byte) ([][]byte, error) {
			if over() {
				return tx.Snapshot().GetAll(keys...)
			}
			return tx.GetAll(keys...)
		}
	}), []string{"crowd/transfers of many tasks keep the sum and all count"}},

	{"a commit is lost while many transactions are open", overloaded(func(h *hooks, tx store.Txn, over func() bool) {
		commit := h.commit
		h.commit = func() error {
			if over() {
				h.cancel()
				return nil
			}
			return commit()
		}
	}), []string{"crowd/transfers of many tasks keep the sum and all count"}},

	{"a key has room for three watches", func() *broken {
		watches := map[string]int{}
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			return hooks{watch: func(key []byte) (store.Watch, error) {
				w, err := tx.Watch(key)
				if err != nil {
					return nil, err
				}
				if watches[string(key)]++; watches[string(key)] <= 3 {
					return w, nil
				}
				return &hookedWatch{Watch: w, wait: func(ctx context.Context) error {
					if err := w.Wait(ctx); err != nil {
						return err
					}
					return fmt.Errorf("deaf: %w", context.DeadlineExceeded)
				}}, nil
			}}
		}}
	}, []string{"crowd/many watches and many writers"}},
}

// overloaded counts a world's open transactions and tells a transaction's hooks
// whether they are too many.
func overloaded(spoil func(h *hooks, tx store.Txn, over func() bool)) func() *broken {
	return func() *broken {
		open := 0
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			open++
			done := false
			end := func() {
				if !done {
					done = true
					open--
				}
			}
			h := hooks{
				commit: func() error { defer end(); return tx.Commit() },
				cancel: func() { end(); tx.Cancel() },
			}
			spoil(&h, tx, func() bool { return open > fewOpen })
			return h
		}}
	}
}
