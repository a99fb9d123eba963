package etcd

import "context"

// Forget makes every read version so far too old, as time does: the horizon
// moves to the present, what is behind it goes, and the history is compacted.
func (e *Engine) Forget(ctx context.Context) error {
	tx := e.Begin(ctx)
	defer tx.Cancel()
	tx.Set([]byte("age"), nil)
	if err := tx.Commit(); err != nil {
		return err
	}
	revision := int64(tx.Committed())
	if _, err := e.moveHorizon(ctx, revision); err != nil {
		return err
	}
	if err := e.sweep(ctx, revision); err != nil {
		return err
	}
	_, err := e.client.Compact(ctx, revision)
	return err
}
