package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// lifeBugs keep going, or end, when they should not.
var lifeBugs = []bug{
	{"a transaction can be used again", func() *broken {
		return &broken{hook: func(e store.Engine, tx store.Txn) hooks {
			over := false
			return hooks{
				commit: func() error { over = true; return tx.Commit() },
				get: func(key []byte) ([]byte, error) {
					if !over {
						return tx.Get(key)
					}
					other := e.Begin(context.Background())
					defer other.Cancel()
					return other.Get(key)
				},
			}
		}}
	}, []string{"used/after a commit", "used/after an empty commit", "used/after a refused commit"}},

	{"committing twice is fine", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		done := false
		return hooks{commit: func() error {
			if done {
				return nil
			}
			done = true
			return tx.Commit()
		}}
	}), []string{"used/after a commit", "used/after an empty commit"}},

	{"closing does nothing", func() *broken {
		return &broken{close: func(store.Engine) error { return nil }}
	}, []string{"closed/refuses everything", "closed/transactions under way end", "watch/ends when the engine closes"}},

	{"contexts are ignored", func() *broken {
		return &broken{begin: func(e store.Engine, _ context.Context) store.Txn { return e.Begin(context.Background()) }}
	}, []string{"context/ended before the transaction begins", "context/cancelled between calls", "context/deadline passed between calls"}},

	{"a cancel forgets the commit", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		forgotten := false
		return hooks{
			cancel: func() { forgotten = true; tx.Cancel() },
			committed: func() store.Version {
				if forgotten {
					return 0
				}
				return tx.Committed()
			},
		}
	}), []string{"used/cancel after the commit does nothing", "commit/versions rise"}},

	{"nothing is ever too old", byTxn(func(e store.Engine, tx store.Txn) hooks {
		return hooks{get: func(key []byte) ([]byte, error) {
			v, err := tx.Get(key)
			if !errors.Is(err, store.ErrTooOld) {
				return v, err
			}
			other := e.Begin(context.Background())
			defer other.Cancel()
			return other.Get(key)
		}}
	}), []string{"window/transactions grow too old"}},

	{"a commit whose context has ended is applied", byTxn(func(e store.Engine, tx store.Txn) hooks {
		r := &replayer{e: e, tx: tx}
		h := r.hooks()
		h.commit = func() error {
			err := tx.Commit()
			if errors.Is(err, context.Canceled) {
				_ = r.replay()
			}
			return err
		}
		return h
	}), []string{"context/cancelled during commits", "context/cancelled between calls"}},

	{"a long key is cut", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{set: func(key, value []byte) { tx.Set(key[:min(len(key), store.MaxKeyBytes)], value) }}
	}), []string{"write/invalid mutations fail the commit as a whole"}},

	{"a key over the limit cannot be cleared", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{remove: func(key []byte) {
			if len(key) > store.MaxKeyBytes {
				tx.Set(key, nil)
				return
			}
			tx.Clear(key)
		}}
	}), []string{"limit/there is no longer key to read or clear"}},

	{"a value of the largest size is refused", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{set: func(key, value []byte) {
			if len(value) == store.MaxValueBytes {
				value = make([]byte, store.MaxValueBytes+1)
			}
			tx.Set(key, value)
		}}
	}), []string{"limit/longest key and biggest value", "limit/a transaction just under its size"}},

	{"an invalid mutation is left out", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{removeRange: func(begin, end []byte) {
			if bytes.Compare(begin, end) <= 0 {
				tx.ClearRange(begin, end)
			}
		}}
	}), []string{"write/invalid mutations fail the commit as a whole"}},

	{"size is not limited", byTxn(func(e store.Engine, tx store.Txn) hooks {
		r := &replayer{e: e, tx: tx}
		h := r.hooks()
		h.commit = func() error {
			err := tx.Commit()
			if !errors.Is(err, store.ErrTooLarge) {
				return err
			}
			for half := range slices.Chunk(r.did, max(1, len(r.did)/2)) {
				part := &replayer{e: e, did: half}
				if err := part.replay(); err != nil {
					return err
				}
				r.last = part.last
			}
			return nil
		}
		return h
	}), []string{"limit/a transaction over its size"}},
}

// watchBugs break watches.
var watchBugs = []bug{
	{"watches never fire", byWatch(func(_ store.Txn, w store.Watch, _ []byte) *hookedWatch {
		return &hookedWatch{Watch: w, wait: func(ctx context.Context) error {
			if err := w.Wait(ctx); err != nil {
				return err
			}
			return fmt.Errorf("no: %w", context.DeadlineExceeded)
		}}
	}), []string{"watch/fires when the value changes", "watch/fires once"}},

	{
		"watches hear nothing of what happened while they were cut off", func() *broken { return &broken{deaf: true} },
		[]string{"watch/a lost connection loses no change in silence"},
	},

	{"watches fire at once", byWatch(func(_ store.Txn, w store.Watch, _ []byte) *hookedWatch {
		return &hookedWatch{Watch: w, wait: func(context.Context) error { return nil }}
	}), []string{"watch/does not fire before the commit", "watch/is quiet while the value stays", "watch/cancelled", "watch/ends when the engine closes"}},

	{"watches are set before the commit", func() *broken {
		return &broken{hook: func(e store.Engine, tx store.Txn) hooks {
			return hooks{watch: func(key []byte) (store.Watch, error) {
				other := e.Begin(context.Background())
				defer other.Cancel()
				w, err := other.Watch(key)
				if err != nil {
					return nil, err
				}
				return w, other.Commit()
			}}
		}}
	}, []string{"watch/does not fire before the commit", "watch/compares with what the transaction saw", "watch/ends with the failed commit's error", "watch/ends with the cancelled transaction"}},

	{"watches add a conflict", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{watch: func(key []byte) (store.Watch, error) {
			if _, err := tx.Get(key); err != nil {
				return nil, err
			}
			return tx.Watch(key)
		}}
	}), []string{"conflict/table", "watch/of a change made before its own commit"}},

	{"a watch fires for one waiter of many", func() *broken {
		last := map[string]store.Watch{}
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			return hooks{watch: func(key []byte) (store.Watch, error) {
				w, err := tx.Watch(key)
				if err != nil {
					return nil, err
				}
				if before := last[string(key)]; before != nil {
					before.Cancel()
				}
				last[string(key)] = w
				return w, nil
			}}
		}}
	}, []string{"watch/many of one key and of many keys"}},

	{"a watch ends when its value comes back", func() *broken {
		return &broken{hook: func(e store.Engine, tx store.Txn) hooks {
			return hooks{watch: func(key []byte) (store.Watch, error) {
				key = bytes.Clone(key)
				seen, err := tx.Snapshot().Get(key)
				if err != nil {
					return nil, err
				}
				w, err := tx.Watch(key)
				if err != nil {
					return nil, err
				}
				return &hookedWatch{Watch: w, wait: func(ctx context.Context) error {
					if err := w.Wait(ctx); err != nil {
						return err
					}
					other := e.Begin(context.Background())
					defer other.Cancel()
					if now, err := other.Get(key); err == nil && bytes.Equal(now, seen) && (now == nil) == (seen == nil) {
						return store.ErrInvalid
					}
					return nil
				}}, nil
			}}
		}}
	}, []string{"watch/a change there and back may be missed"}},

	{"an unreadable key can be watched", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		stamped := map[string]bool{}
		return hooks{
			stamp: func(key, value []byte, offset int) {
				stamped[string(key)] = true
				tx.SetStamped(key, value, offset)
			},
			watch: func(key []byte) (store.Watch, error) {
				if stamped[string(key)] {
					key = []byte("another")
				}
				return tx.Watch(key)
			},
		}
	}), []string{"watch/of an unreadable key"}},

	{"a cancelled watch goes on", byWatch(func(_ store.Txn, w store.Watch, _ []byte) *hookedWatch {
		return &hookedWatch{Watch: w, cancel: func() {}}
	}), []string{"watch/cancelled"}},

	{"a watch ends with its transaction", func() *broken {
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			var ws []store.Watch
			return hooks{
				watch: func(key []byte) (store.Watch, error) {
					w, err := tx.Watch(key)
					if err == nil {
						ws = append(ws, w)
					}
					return w, err
				},
				cancel: func() {
					for _, w := range ws {
						w.Cancel()
					}
					tx.Cancel()
				},
			}
		}}
	}, []string{"watch/fires when the value changes", "watch/outlives its transaction and its context"}},

	{"waiting ignores its context", byWatch(func(_ store.Txn, w store.Watch, _ []byte) *hookedWatch {
		return &hookedWatch{Watch: w, wait: func(ctx context.Context) error {
			if ctx.Err() != nil {
				return nil
			}
			return w.Wait(ctx)
		}}
	}), []string{"watch/wait ends with its context"}},

	{"a refused commit leaves its watches with another error", byWatch(func(tx store.Txn, w store.Watch, _ []byte) *hookedWatch {
		return &hookedWatch{Watch: w, wait: func(ctx context.Context) error {
			err := w.Wait(ctx)
			if errors.Is(err, store.ErrConflict) {
				return store.ErrInvalid
			}
			return err
		}}
	}), []string{"watch/ends with the failed commit's error"}},
}

// byWatch is a bug within single watches.
func byWatch(f func(tx store.Txn, w store.Watch, key []byte) *hookedWatch) func() *broken {
	return byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{watch: func(key []byte) (store.Watch, error) {
			w, err := tx.Watch(key)
			if err != nil {
				return nil, err
			}
			return f(tx, w, key), nil
		}}
	})
}
