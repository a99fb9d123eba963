package storetest

import (
	"bytes"
	"context"
	"slices"

	"github.com/kelpie-registry/kelpie/store"
)

// viewBugs let reads see the wrong thing.
var viewBugs = []bug{
	{"reads see the newest version", byTxn(func(e store.Engine, _ store.Txn) hooks {
		return hooks{get: func(key []byte) ([]byte, error) {
			tx := e.Begin(context.Background())
			defer tx.Cancel()
			return tx.Get(key)
		}}
	}), []string{"isolation/a transaction reads one version", "own writes/get sees them", histories, programs, drawn}},

	{"ranges see the newest version", byTxn(func(e store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			if rows, more, err := tx.GetRange(begin, end, o); err != nil {
				return rows, more, err
			}
			other := e.Begin(context.Background())
			defer other.Cancel()
			return other.GetRange(begin, end, o)
		}}
	}), []string{"isolation/a transaction reads one version", "own writes/ranges see them", histories, programs, drawn}},

	{"a transaction begins in the past", func() *broken {
		var old store.Txn
		return &broken{begin: func(e store.Engine, ctx context.Context) store.Txn {
			tx := old
			if tx == nil {
				tx = e.Begin(ctx)
			}
			old = e.Begin(context.Background())
			_, _ = old.ReadVersion()
			return tx
		}}
	}, []string{"isolation/a commit is seen by all that begin later", "commit/versions rise", histories, programs, drawn}},

	{"the read version is the newest one", byTxn(func(e store.Engine, tx store.Txn) hooks {
		return hooks{readVersion: func() (store.Version, error) {
			if v, err := tx.ReadVersion(); err != nil {
				return v, err
			}
			other := e.Begin(context.Background())
			defer other.Cancel()
			return other.ReadVersion()
		}}
	}), []string{"isolation/a transaction reads one version"}},

	{"removed keys come back in ranges", byTxn(func(e store.Engine, tx store.Txn) hooks {
		return hooks{remove: func([]byte) {}}
	}), []string{"own writes/get sees them", "write/set, clear and clear range", programs, drawn}},

	{"reverse is ignored", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			o.Reverse = false
			return tx.GetRange(begin, end, o)
		}}
	}), []string{"range/limit, reverse and more", "own writes/ranges see them", programs, drawn}},

	{"the limit is ignored", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			o.Limit = 0
			return tx.GetRange(begin, end, o)
		}}
	}), []string{"range/limit, reverse and more", programs}},

	{"more is never said", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, _, err := tx.GetRange(begin, end, o)
			return rows, false, err
		}}
	}), []string{"range/limit, reverse and more", programs, drawn}},

	{"long ranges are cut without a word", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, more, err := tx.GetRange(begin, end, o)
			if len(rows) > 1000 {
				return rows[:1000], false, nil
			}
			return rows, more, err
		}}
	}), []string{"range/a long one is read to its end"}},

	{"the end of a range is inclusive", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			return tx.GetRange(begin, after(end), o)
		}}
	}), []string{"range/bounds", programs, drawn}},

	{"an inverted range is empty", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			if bytes.Compare(begin, end) > 0 {
				return nil, false, nil
			}
			return tx.GetRange(begin, end, o)
		}}
	}), []string{"range/inverted and negative limit are invalid"}},

	{"a negative limit is none", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			o.Limit = max(o.Limit, 0)
			return tx.GetRange(begin, end, o)
		}}
	}), []string{"range/inverted and negative limit are invalid"}},

	{"an empty value is none", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{get: func(key []byte) ([]byte, error) {
			v, err := tx.Get(key)
			if len(v) == 0 {
				v = nil
			}
			return v, err
		}}
	}), []string{"get/missing, empty and present", programs}},

	{"no value is an empty one", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{get: func(key []byte) ([]byte, error) {
			v, err := tx.Get(key)
			if v == nil && err == nil {
				v = []byte{}
			}
			return v, err
		}}
	}), []string{"get/missing, empty and present", programs}},

	{"several keys are answered in their order", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getAll: func(keys [][]byte) ([][]byte, error) {
			keys = slices.Clone(keys)
			slices.SortFunc(keys, bytes.Compare)
			return tx.GetAll(keys...)
		}}
	}), []string{"get/all in the order asked for"}},

	{"results share memory", func() *broken {
		cache := map[string][]byte{}
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			return hooks{get: func(key []byte) ([]byte, error) {
				v, err := tx.Get(key)
				if v != nil && cache[string(key)] == nil {
					cache[string(key)] = v
				}
				if v == nil || len(v) != len(cache[string(key)]) {
					return v, err
				}
				return cache[string(key)], err
			}}
		}}
	}, []string{"get/slices belong to the caller"}},

	{"a row's key and value share an array", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, more, err := tx.GetRange(begin, end, o)
			for i, kv := range rows {
				joined := slices.Concat(kv.Key, kv.Value)
				rows[i].Key, rows[i].Value = joined[:len(kv.Key)], joined[len(kv.Key):]
			}
			return rows, more, err
		}}
	}), []string{"get/slices belong to the caller"}},

	{"arguments are kept", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		var late []func()
		return hooks{
			set: func(key, value []byte) { late = append(late, func() { tx.Set(key, value) }) },
			commit: func() error {
				for _, f := range late {
					f()
				}
				return tx.Commit()
			},
		}
	}), []string{"get/slices belong to the caller", "own writes/get sees them"}},

	{"keys end at a zero byte", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{set: func(key, value []byte) {
			if i := bytes.IndexByte(key, 0); i > 0 {
				key = key[:i]
			}
			tx.Set(key, value)
		}}
	}), []string{"get/keys are plain bytes", "range/bounds"}},

	{"the limit counts rows that the transaction has removed", byTxn(func(e store.Engine, tx store.Txn) hooks {
		return hooks{getRange: func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			other := e.Begin(context.Background())
			defer other.Cancel()
			committed, more, err := other.GetRange(begin, end, o)
			if err != nil || o.Limit == 0 {
				return tx.GetRange(begin, end, o)
			}
			kept := committed[:0]
			for _, kv := range committed {
				if v, err := tx.Get(kv.Key); err == nil && v != nil {
					kept = append(kept, kv)
				}
			}
			return kept, more, nil
		}}
	}), []string{"range/limits with holes from own removals", programs}},

	{"own writes are not seen by snapshot readers", byTxn(func(e store.Engine, tx store.Txn) hooks {
		return hooks{snapshot: func() store.Reader {
			return e.Begin(context.Background()).Snapshot()
		}}
	}), []string{"own writes/a snapshot reader sees them", programs, drawn}},

	{"a cleared range forgets nothing of before", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		var set [][2][]byte
		return hooks{
			set: func(key, value []byte) {
				set = append(set, [2][]byte{bytes.Clone(key), bytes.Clone(value)})
				tx.Set(key, value)
			},
			removeRange: func(begin, end []byte) {
				tx.ClearRange(begin, end)
				for _, kv := range set {
					tx.Set(kv[0], kv[1])
				}
			},
		}
	}), []string{"own writes/the last mutation wins", programs}},
}
