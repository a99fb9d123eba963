package storetest

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/kelpie-registry/kelpie/store"
)

// replayer remembers a transaction's mutations so that it can apply them again,
// blindly.
type replayer struct {
	e    store.Engine
	tx   store.Txn
	did  []func(tx store.Txn)
	last store.Txn
}

func (r *replayer) note(f func(tx store.Txn)) {
	r.did = append(r.did, f)
	f(r.tx)
}

func (r *replayer) hooks() hooks {
	return hooks{
		set: func(key, value []byte) {
			key, value = bytes.Clone(key), bytes.Clone(value)
			r.note(func(tx store.Txn) { tx.Set(key, value) })
		},
		remove: func(key []byte) {
			key = bytes.Clone(key)
			r.note(func(tx store.Txn) { tx.Clear(key) })
		},
		removeRange: func(begin, end []byte) {
			begin, end = bytes.Clone(begin), bytes.Clone(end)
			r.note(func(tx store.Txn) { tx.ClearRange(begin, end) })
		},
		add: func(key []byte, delta int64) {
			key = bytes.Clone(key)
			r.note(func(tx store.Txn) { tx.Add(key, delta) })
		},
		stamp: func(key, value []byte, offset int) {
			key, value = bytes.Clone(key), bytes.Clone(value)
			r.note(func(tx store.Txn) { tx.SetStamped(key, value, offset) })
		},
		committed: func() store.Version {
			if r.last != nil {
				return r.last.Committed()
			}
			return r.tx.Committed()
		},
	}
}

func (r *replayer) replay() error {
	r.last = r.e.Begin(context.Background())
	for _, f := range r.did {
		f(r.last)
	}
	return r.last.Commit()
}

// commitBugs lose, split or misreport commits.
var commitBugs = []bug{
	{"each seventh write is lost", func() *broken {
		n := 0
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			return hooks{set: func(key, value []byte) {
				if n++; n%7 != 0 {
					tx.Set(key, value)
				}
			}}
		}}
	}, []string{"range/a long one is read to its end", histories, programs}},

	{"an acknowledged commit is lost", func() *broken {
		n := 0
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			return hooks{commit: func() error {
				if n++; n%5 == 0 {
					tx.Cancel()
					return nil
				}
				return tx.Commit()
			}}
		}}
	}, []string{"commit/versions rise", histories, programs, drawn}},

	{"a commit comes in two parts", byTxn(func(e store.Engine, tx store.Txn) hooks {
		var late []func(tx store.Txn)
		return hooks{
			set: func(key, value []byte) {
				key, value = bytes.Clone(key), bytes.Clone(value)
				if len(late) > 0 || len(key) == 0 || key[0]%2 == 0 {
					late = append(late, func(tx store.Txn) { tx.Set(key, value) })
				}
				tx.Set(key, value)
			},
			commit: func() error {
				if len(late) == 0 {
					return tx.Commit()
				}
				if err := tx.Commit(); err != nil {
					return err
				}
				second := e.Begin(context.Background())
				for _, f := range late {
					f(second)
				}
				return second.Commit()
			},
		}
	}), []string{histories}},

	{"a cancelled transaction is applied", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{cancel: func() { _ = tx.Commit() }}
	}), []string{"own writes/nobody else does before the commit", "used/after a cancel", "retry/an error of the body applies nothing", histories, drawn}},

	{"commits are in doubt for no reason", func() *broken {
		n := 0
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			return hooks{commit: func() error {
				if n++; n%9 == 0 {
					_ = tx.Commit()
					return store.ErrCommitUnknown
				}
				return tx.Commit()
			}}
		}}
	}, []string{"commit/versions rise", "conflict/table", histories, programs}},

	{"the commit version is one too high", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{committed: func() store.Version {
			v := tx.Committed()
			if v > 0 {
				v++
			}
			return v
		}}
	}), []string{"commit/versions rise", "stamp/is the commit version at its offset", histories, drawn}},

	{"an empty commit has a version", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{committed: func() store.Version { return max(tx.Committed(), 1) }}
	}), []string{"commit/a transaction that wrote nothing has no version", histories}},

	{"a transaction that only read cannot commit", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{commit: func() error {
			err := tx.Commit()
			if err == nil && tx.Committed() == 0 {
				return store.ErrInvalid
			}
			return err
		}}
	}), []string{"retry/read", "commit/a transaction that wrote nothing has no version", "isolation/a transaction reads one version", histories, programs}},

	{"a removal of nothing is no write", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{remove: func(key []byte) {
			if v, err := tx.Snapshot().Get(key); err != nil || v != nil {
				tx.Clear(key)
			}
		}}
	}), []string{"commit/of a removal of nothing has a version", "conflict/table", programs}},

	{"a cleared range loses but two rows", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{removeRange: func(begin, end []byte) {
			rows, _, err := tx.Snapshot().GetRange(begin, end, store.RangeOptions{Limit: 2})
			if err != nil {
				tx.ClearRange(begin, end)
			}
			for _, kv := range rows {
				tx.Clear(kv.Key)
			}
		}}
	}), []string{"write/set, clear and clear range", "conflict/table", programs}},

	{"an addition keeps long values", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{add: func(key []byte, delta int64) {
			v, err := tx.Snapshot().Get(key)
			tx.Add(key, delta)
			if err == nil && len(v) > 8 {
				binary.LittleEndian.PutUint64(v, binary.LittleEndian.Uint64(v)+uint64(delta))
				tx.Set(key, v)
			}
		}}
	}), []string{"add/operands short, long and missing", programs}},

	{"an addition is big-endian", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{add: func(key []byte, delta int64) {
			tx.Add(key, int64(binary.BigEndian.Uint64(binary.LittleEndian.AppendUint64(nil, uint64(delta)))))
		}}
	}), []string{"add/operands short, long and missing", "add/after own writes", programs, drawn}},

	{"an addition to nothing is lost", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{add: func(key []byte, delta int64) {
			if v, err := tx.Snapshot().Get(key); err != nil || v != nil {
				tx.Add(key, delta)
			}
		}}
	}), []string{"add/operands short, long and missing", programs}},
}

// stampBugs get stamps wrong.
var stampBugs = []bug{
	{"stamps count downwards", func() *broken {
		n := uint64(1 << 60)
		return &broken{hook: func(_ store.Engine, tx store.Txn) hooks {
			return hooks{stamp: func(key, value []byte, offset int) {
				if offset < 0 || offset > len(value)-store.StampBytes {
					tx.SetStamped(key, value, offset)
					return
				}
				n--
				value = bytes.Clone(value)
				binary.BigEndian.PutUint64(value[offset:], n)
				tx.Set(key, value)
			}}
		}}
	}, []string{"stamp/is the commit version at its offset", "stamp/orders concurrent commits", histories, programs, drawn}},

	{"the offset of a stamp is ignored", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		return hooks{stamp: func(key, value []byte, offset int) { tx.SetStamped(key, value, 0) }}
	}), []string{"stamp/is the commit version at its offset", "write/invalid mutations fail the commit as a whole", programs}},

	{"a stamped key reads as it was", byTxn(func(e store.Engine, tx store.Txn) hooks {
		stamped := map[string]bool{}
		return hooks{
			stamp: func(key, value []byte, offset int) {
				stamped[string(key)] = true
				tx.SetStamped(key, value, offset)
			},
			get: func(key []byte) ([]byte, error) {
				if stamped[string(key)] {
					return nil, nil
				}
				return tx.Get(key)
			},
		}
	}), []string{"stamp/cannot be read before the commit", programs}},

	{"a read of a stamped key does not fail the commit", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		stamped := map[string]bool{}
		return hooks{
			stamp: func(key, value []byte, offset int) {
				stamped[string(key)] = true
				tx.SetStamped(key, value, offset)
			},
			get: func(key []byte) ([]byte, error) {
				if stamped[string(key)] {
					return nil, store.ErrUnreadable
				}
				return tx.Get(key)
			},
		}
	}), []string{"stamp/a read of it fails the commit", programs}},

	{"a stamp makes everything unreadable", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		stamped := false
		return hooks{
			stamp: func(key, value []byte, offset int) {
				stamped = true
				tx.SetStamped(key, value, offset)
			},
			get: func(key []byte) ([]byte, error) {
				if stamped {
					return nil, store.ErrUnreadable
				}
				return tx.Get(key)
			},
		}
	}), []string{"stamp/other keys stay readable", programs}},

	{"a stamp outlives the removal of its key", byTxn(func(_ store.Engine, tx store.Txn) hooks {
		stamped := map[string]bool{}
		return hooks{
			stamp: func(key, value []byte, offset int) {
				stamped[string(key)] = true
				tx.SetStamped(key, value, offset)
			},
			remove: func(key []byte) {
				if !stamped[string(key)] {
					tx.Clear(key)
				}
			},
		}
	}), []string{"stamp/later mutations of the key", programs}},

	{"two transactions share a stamp", func() *broken {
		var shared []byte
		return &broken{hook: func(e store.Engine, tx store.Txn) hooks {
			return hooks{stamp: func(key, value []byte, offset int) {
				if offset != 0 || len(value) != store.StampBytes || shared == nil {
					tx.SetStamped(key, value, offset)
					shared = make([]byte, store.StampBytes)
					return
				}
				tx.Set(key, shared)
			}}
		}}
	}, []string{"stamp/orders concurrent commits", histories, drawn}},
}
