package storetest

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// bug is an engine with one bug, and the cases that must reject it: all that
// are named, and possibly others.
type bug struct {
	name string
	// make breaks an engine. It is called once for each world.
	make     func() *broken
	rejected []string
}

// byTxn is a bug within single transactions.
func byTxn(f func(e store.Engine, tx store.Txn) hooks) func() *broken {
	return func() *broken { return &broken{hook: f} }
}

const (
	histories = "random/concurrent histories are strictly serializable"
	programs  = "random/interleaved programs do what the model does"
	drawn     = "random/drawn histories are strictly serializable"
)

// conflictBugs lose or invent conflicts.
var conflictBugs = []bug{
	{"get adds no conflict", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{get: func(key []byte) ([]byte, error) { return tx.Snapshot().Get(key) }}
	}), []string{"isolation/lost update refused", "isolation/write skew refused", "conflict/table", "isolation/transfers keep the sum", "retry/increments from all clients all count", histories, programs, drawn}},

	{"ranges add no conflict", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: tx.Snapshot().GetRange}
	}), []string{"isolation/phantoms refused", "isolation/write skew over ranges refused", "conflict/table", histories, programs, drawn}},

	{"ranges add conflicts for their rows only", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, more, err := tx.Snapshot().GetRange(begin, end, o)
			for _, kv := range rows {
				tx.AddReadConflict(kv.Key, after(kv.Key))
			}
			return rows, more, err
		}}
	}), []string{"isolation/phantoms refused", "conflict/table", histories, programs}},

	{"a limited range leaves out its last row", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, more, err := tx.Snapshot().GetRange(begin, end, o)
			switch {
			case !more:
				tx.AddReadConflict(begin, end)
			case o.Reverse:
				tx.AddReadConflict(after(rows[len(rows)-1].Key), end)
			default:
				tx.AddReadConflict(begin, rows[len(rows)-1].Key)
			}
			return rows, more, err
		}}
	}), []string{"conflict/limited ranges, both directions", histories, programs}},

	{"a limited reverse range guards the wrong end", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			if !o.Reverse {
				return tx.GetRange(begin, end, o)
			}
			rows, more, err := tx.Snapshot().GetRange(begin, end, o)
			if n := len(rows); more {
				tx.AddReadConflict(begin, after(rows[n-1].Key))
			} else if err == nil {
				tx.AddReadConflict(begin, end)
			}
			return rows, more, err
		}}
	}), []string{"conflict/limited ranges, both directions", programs}},

	{"a limited range guards the whole range", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, more, err := tx.GetRange(begin, end, o)
			if err == nil {
				tx.AddReadConflict(begin, end)
			}
			return rows, more, err
		}}
	}), []string{"conflict/limited ranges, both directions", programs}},

	{"only write-write conflicts count (snapshot isolation)", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{
			get:      func(key []byte) ([]byte, error) { return tx.Snapshot().Get(key) },
			getRange: tx.Snapshot().GetRange,
			set: func(key, value []byte) {
				_, _ = tx.ReadVersion()
				tx.AddReadConflict(key, after(key))
				tx.Set(key, value)
			},
		}
	}), []string{"isolation/write skew refused", "isolation/phantoms refused", "conflict/table", histories, programs, drawn}},

	{"snapshot reads conflict", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{snapshot: func() store.Reader { return tx }}
	}), []string{"conflict/table", programs}},

	{"own writes read back conflict", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		own := map[string][]byte{}
		return hooks{
			set: func(key, value []byte) { own[string(key)] = append([]byte{}, value...) },
			get: func(key []byte) ([]byte, error) {
				v, err := tx.Get(key)
				if mine, ok := own[string(key)]; ok && err == nil {
					return bytes.Clone(mine), nil
				}
				return v, err
			},
			commit: func() error {
				for _, key := range slices.Sorted(maps.Keys(own)) {
					tx.Set([]byte(key), own[key])
				}
				return tx.Commit()
			},
		}
	}), []string{"conflict/table", programs, drawn}},

	{"writes conflict with each other", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{set: func(key, value []byte) {
			_, _ = tx.ReadVersion()
			tx.AddReadConflict(key, after(key))
			tx.Set(key, value)
		}}
	}), []string{"conflict/table", programs}},

	{"addition reads", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{add: func(key []byte, delta int64) {
			_, _ = tx.Get(key)
			tx.Add(key, delta)
		}}
	}), []string{"conflict/table", "add/concurrent additions all count", programs}},

	{"explicit read conflicts are forgotten", byTxn(func(store.Engine, store.Txn) hooks {
		return hooks{readConflict: func([]byte, []byte) {}}
	}), []string{"conflict/table", programs}},

	{"explicit write conflicts are forgotten", byTxn(func(store.Engine, store.Txn) hooks {
		return hooks{writeConflict: func([]byte, []byte) {}}
	}), []string{"conflict/table", "conflict/a write conflict refuses readers and writes nothing", programs}},

	{"a read conflict is a write", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{readConflict: func(begin, end []byte) {
			tx.AddReadConflict(begin, end)
			tx.AddWriteConflict(begin, end)
		}}
	}), []string{"conflict/a read conflict alone commits nothing", programs, drawn}},

	{"a transaction conflicts with itself", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		read, met := map[string]bool{}, false
		return hooks{
			get: func(key []byte) ([]byte, error) {
				read[string(key)] = true
				return tx.Get(key)
			},
			set: func(key, value []byte) {
				met = met || read[string(key)]
				tx.Set(key, value)
			},
			commit: func() error {
				if met {
					tx.Cancel()
					return store.ErrConflict
				}
				return tx.Commit()
			},
		}
	}), []string{"conflict/own reads and writes do not meet", programs}},

	{"a write of the same value is left out", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{set: func(key, value []byte) {
			if old, err := tx.Snapshot().Get(key); err != nil || old == nil || !bytes.Equal(old, value) {
				tx.Set(key, value)
			}
		}}
	}), []string{"conflict/table"}},

	{"each fifth commit conflicts with nothing", func() *broken {
		n := 0
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			return hooks{commit: func() error {
				if n++; n%5 == 0 {
					tx.Cancel()
					return store.ErrConflict
				}
				return tx.Commit()
			}}
		}}
	}, []string{"commit/versions rise", "conflict/table", programs, drawn}},

	{"conflicts are ignored", byTxn(func(e store.Engine, tx store.Txn) hooks {
		r := &replayer{e: e, tx: tx}
		h := r.hooks()
		h.commit = func() error {
			if err := tx.Commit(); !errors.Is(err, store.ErrConflict) {
				return err
			}
			return r.replay()
		}
		return h
	}), []string{"isolation/lost update refused", "isolation/phantoms refused", "conflict/table", histories, programs, drawn}},

	{"a refused commit is applied", byTxn(func(e store.Engine, tx store.Txn) hooks {
		r := &replayer{e: e, tx: tx}
		h := r.hooks()
		h.commit = func() error {
			err := tx.Commit()
			if errors.Is(err, store.ErrConflict) {
				_ = r.replay()
			}
			return err
		}
		return h
	}), []string{"isolation/a refused transaction leaves nothing", "isolation/lost update refused", histories, drawn}},
}
