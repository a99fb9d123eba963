package storetest

import (
	"context"
	"errors"

	"github.com/kelpie-registry/kelpie/store"
)

// AgeByCommits returns a [Harness.Age] for engines whose window is counted in commits:
// it makes n of them, and one more that leaves nothing behind. faulty endures that some
// of the n are refused or stay unknown.
func AgeByCommits(n int, faulty bool) func(ctx context.Context, w World, client int) error {
	return func(ctx context.Context, w World, client int) error {
		for range n {
			tx := w.Engine(client).Begin(ctx)
			tx.Set([]byte("age"), nil)
			err := tx.Commit()
			if endured := faulty && (store.Retryable(err) || errors.Is(err, store.ErrCommitUnknown)); err != nil && !endured {
				return err
			}
		}
		tx := w.Engine(client).Begin(ctx)
		tx.Clear([]byte("age"))
		return tx.Commit()
	}
}
