package litmus_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onport"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// wrongTxn is a transaction of the memory engine with a bug: what it embeds is
// right, what it replaces is not.
type wrongTxn struct {
	store.Txn
	engine        store.Engine
	get           func(key []byte) ([]byte, error)
	getAll        func(keys [][]byte) ([][]byte, error)
	getRange      func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error)
	snapshot      func() store.Reader
	set           func(key, value []byte)
	remove        func(key []byte)
	removeRange   func(begin, end []byte)
	add           func(key []byte, delta int64)
	stamp         func(key, value []byte, offset int)
	readConflict  func(begin, end []byte)
	writeConflict func(begin, end []byte)
	watch         func(key []byte) (store.Watch, error)
	commit        func() error
	committed     func() store.Version
}

func (t *wrongTxn) Get(key []byte) ([]byte, error)           { return t.get(key) }
func (t *wrongTxn) GetAll(keys ...[]byte) ([][]byte, error)  { return t.getAll(keys) }
func (t *wrongTxn) Snapshot() store.Reader                   { return t.snapshot() }
func (t *wrongTxn) Set(key, value []byte)                    { t.set(key, value) }
func (t *wrongTxn) Clear(key []byte)                         { t.remove(key) }
func (t *wrongTxn) ClearRange(begin, end []byte)             { t.removeRange(begin, end) }
func (t *wrongTxn) Add(key []byte, delta int64)              { t.add(key, delta) }
func (t *wrongTxn) SetStamped(key, value []byte, offset int) { t.stamp(key, value, offset) }
func (t *wrongTxn) AddReadConflict(begin, end []byte)        { t.readConflict(begin, end) }
func (t *wrongTxn) AddWriteConflict(begin, end []byte)       { t.writeConflict(begin, end) }
func (t *wrongTxn) Watch(key []byte) (store.Watch, error)    { return t.watch(key) }
func (t *wrongTxn) Commit() error                            { return t.commit() }
func (t *wrongTxn) Committed() store.Version                 { return t.committed() }
func (t *wrongTxn) GetRange(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
	return t.getRange(begin, end, o)
}

// wrongEngine is the memory engine with a bug.
type wrongEngine struct {
	store.Engine
	begin func(e store.Engine) store.Txn // may be nil
	spoil func(t *wrongTxn)              // may be nil
}

func (e *wrongEngine) Begin(ctx context.Context) store.Txn {
	tx := e.Engine.Begin(ctx)
	if e.begin != nil {
		tx = e.begin(e.Engine)
	}
	t := &wrongTxn{
		Txn: tx, engine: e.Engine, get: tx.Get, getRange: tx.GetRange, snapshot: tx.Snapshot,
		getAll: func(keys [][]byte) ([][]byte, error) { return tx.GetAll(keys...) },
		set:    tx.Set, remove: tx.Clear, removeRange: tx.ClearRange, add: tx.Add, stamp: tx.SetStamped,
		readConflict: tx.AddReadConflict, writeConflict: tx.AddWriteConflict, watch: tx.Watch,
		commit: tx.Commit, committed: tx.Committed,
	}
	if e.spoil != nil {
		e.spoil(t)
	}
	return t
}

// wrongWatch fires when it should not, or does not when it should.
type wrongWatch struct {
	store.Watch
	wait func(ctx context.Context) error
}

func (w *wrongWatch) Wait(ctx context.Context) error { return w.wait(ctx) }

// after returns the first key behind key.
func after(key []byte) []byte { return append(bytes.Clone(key), 0) }

// bugs are engines that programs must tell from a right one.
var bugs = []struct {
	name string
	slow bool // only slow programs show it
	make func() *wrongEngine
}{
	{"ranges forget their read conflicts", false, spoiled(func(t *wrongTxn) { t.getRange = t.Txn.Snapshot().GetRange })},
	{"gets forget their read conflicts", false, spoiled(func(t *wrongTxn) { t.get = t.Txn.Snapshot().Get })},
	{"gets of nothing forget their read conflicts", false, spoiled(func(t *wrongTxn) {
		t.get = func(key []byte) ([]byte, error) {
			if v, err := t.Txn.Snapshot().Get(key); v == nil {
				return v, err
			}
			return t.Txn.Get(key)
		}
	})},
	{"gets of several forget their read conflicts", false, spoiled(func(t *wrongTxn) {
		t.getAll = func(keys [][]byte) ([][]byte, error) { return t.Txn.Snapshot().GetAll(keys...) }
	})},
	{"a limited range conflicts as a whole", false, spoiled(func(t *wrongTxn) {
		t.getRange = func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, more, err := t.Txn.GetRange(begin, end, o)
			if more {
				t.Txn.AddReadConflict(begin, end)
			}
			return rows, more, err
		}
	})},
	{"snapshot reads conflict", false, spoiled(func(t *wrongTxn) { t.snapshot = func() store.Reader { return t.Txn } })},
	{"blind writes conflict", false, spoiled(func(t *wrongTxn) {
		t.set = func(key, value []byte) {
			t.Txn.AddReadConflict(key, after(key))
			t.Txn.Set(key, value)
		}
	})},
	{"additions conflict", false, spoiled(func(t *wrongTxn) {
		t.add = func(key []byte, delta int64) {
			t.Txn.AddReadConflict(key, after(key))
			t.Txn.Add(key, delta)
		}
	})},
	{"explicit read conflicts are ignored", false, spoiled(func(t *wrongTxn) { t.readConflict = func(_, _ []byte) {} })},
	{"explicit write conflicts are ignored", false, spoiled(func(t *wrongTxn) { t.writeConflict = func(_, _ []byte) {} })},
	{"a cleared range conflicts with nothing", false, spoiled(func(t *wrongTxn) {
		t.removeRange = func(begin, end []byte) {
			rows, _, err := t.Txn.Snapshot().GetRange(begin, end, store.RangeOptions{})
			if err != nil {
				t.Txn.ClearRange(begin, end)
			}
			for _, kv := range rows {
				t.Txn.Clear(kv.Key)
			}
		}
	})},

	{"stale reads", false, func() *wrongEngine {
		var old store.Txn
		return &wrongEngine{begin: func(e store.Engine) store.Txn {
			tx := old
			if tx == nil {
				tx = e.Begin(context.Background())
			}
			old = e.Begin(context.Background())
			_, _ = old.ReadVersion()
			return tx
		}}
	}},
	{"reads see the newest version", false, spoiled(func(t *wrongTxn) {
		t.get = func(key []byte) ([]byte, error) {
			if v, err := t.Txn.Get(key); err != nil {
				return v, err
			}
			other := t.engine.Begin(context.Background())
			defer other.Cancel()
			return other.Get(key)
		}
	})},
	{"a lost clear", false, spoiled(func(t *wrongTxn) { t.remove = func([]byte) {} })},
	{"a cleared range takes its end along", false, spoiled(func(t *wrongTxn) {
		t.removeRange = func(begin, end []byte) {
			if bytes.Compare(begin, end) < 0 {
				end = after(end)
			}
			t.Txn.ClearRange(begin, end)
		}
	})},
	{"more is never said", false, spoiled(func(t *wrongTxn) {
		t.getRange = func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, _, err := t.Txn.GetRange(begin, end, o)
			return rows, false, err
		}
	})},
	{"more is not said at exactly the limit", false, spoiled(func(t *wrongTxn) {
		t.getRange = func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			rows, more, err := t.Txn.GetRange(begin, end, o)
			if more {
				o.Limit++
				all, _, _ := t.Txn.Snapshot().GetRange(begin, end, o)
				more = len(all) > len(rows)
			}
			return rows, more, err
		}
	})},
	{"the limit of a reverse range counts from the front", false, spoiled(func(t *wrongTxn) {
		t.getRange = func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			reverse := o.Reverse
			o.Reverse = false
			rows, more, err := t.Txn.GetRange(begin, end, o)
			if reverse {
				slices.Reverse(rows)
			}
			return rows, more, err
		}
	})},
	{"a range takes its end along", false, spoiled(func(t *wrongTxn) {
		t.getRange = func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			if bytes.Compare(begin, end) < 0 {
				end = after(end)
			}
			return t.Txn.GetRange(begin, end, o)
		}
	})},
	{"an inverted range is empty", false, spoiled(func(t *wrongTxn) {
		t.getRange = func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			if bytes.Compare(begin, end) > 0 {
				end = begin
			}
			return t.Txn.GetRange(begin, end, o)
		}
	})},
	{"a negative limit is none", false, spoiled(func(t *wrongTxn) {
		t.getRange = func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			o.Limit = max(o.Limit, 0)
			return t.Txn.GetRange(begin, end, o)
		}
	})},
	{"ranges do not see own writes", false, spoiled(func(t *wrongTxn) {
		t.getRange = func(begin, end []byte, o store.RangeOptions) ([]store.KeyValue, bool, error) {
			if rows, more, err := t.Txn.GetRange(begin, end, o); err != nil {
				return rows, more, err
			}
			other := t.engine.Begin(context.Background())
			defer other.Cancel()
			return other.GetRange(begin, end, o)
		}
	})},
	{"an empty value is none", false, spoiled(func(t *wrongTxn) {
		t.get = func(key []byte) ([]byte, error) {
			v, err := t.Txn.Get(key)
			if len(v) == 0 {
				v = nil
			}
			return v, err
		}
	})},
	{"several keys are answered in their order", false, spoiled(func(t *wrongTxn) {
		t.getAll = func(keys [][]byte) ([][]byte, error) {
			keys = slices.Clone(keys)
			slices.SortFunc(keys, bytes.Compare)
			return t.Txn.GetAll(keys...)
		}
	})},

	{"addition without a carry", false, spoiled(func(t *wrongTxn) {
		t.add = func(key []byte, delta int64) {
			v, err := t.Txn.Snapshot().Get(key)
			if err != nil {
				t.Txn.Add(key, delta)
				return
			}
			sum := make([]byte, 8)
			copy(sum, v)
			for i, b := range binary.LittleEndian.AppendUint64(nil, uint64(delta)) {
				sum[i] += b
			}
			t.Txn.Set(key, sum)
		}
	})},
	{"addition to nothing is nothing", false, spoiled(func(t *wrongTxn) {
		t.add = func(key []byte, delta int64) {
			if v, err := t.Txn.Snapshot().Get(key); err == nil && v == nil {
				return
			}
			t.Txn.Add(key, delta)
		}
	})},
	{"a stamp one byte off", false, spoiled(func(t *wrongTxn) {
		t.stamp = func(key, value []byte, offset int) { t.Txn.SetStamped(key, append(bytes.Clone(value), 0), offset+1) }
	})},
	{"a stamp can be read before the commit", false, spoiled(func(t *wrongTxn) {
		stamps := map[string][]byte{}
		t.stamp = func(key, value []byte, offset int) {
			stamps[string(key)] = value
			t.Txn.SetStamped(key, value, offset)
		}
		t.get = func(key []byte) ([]byte, error) {
			if v, there := stamps[string(key)]; there {
				return v, nil
			}
			return t.Txn.Get(key)
		}
	})},

	{"a watch fires at once", false, spoiled(func(t *wrongTxn) {
		t.watch = func(key []byte) (store.Watch, error) {
			w, err := t.Txn.Watch(key)
			return &wrongWatch{w, func(context.Context) error { return nil }}, err
		}
	})},
	{"a watch never fires", false, spoiled(func(t *wrongTxn) {
		t.watch = func(key []byte) (store.Watch, error) {
			w, err := t.Txn.Watch(key)
			return &wrongWatch{w, func(ctx context.Context) error {
				if err := w.Wait(ctx); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}}, err
		}
	})},
	{"a watch is a read", false, spoiled(func(t *wrongTxn) {
		t.watch = func(key []byte) (store.Watch, error) {
			t.Txn.AddReadConflict(key, after(key))
			return t.Txn.Watch(key)
		}
	})},

	{"a refused transaction is applied", false, spoiled(func(t *wrongTxn) {
		var sets [][2][]byte
		t.set = func(key, value []byte) {
			sets = append(sets, [2][]byte{bytes.Clone(key), bytes.Clone(value)})
			t.Txn.Set(key, value)
		}
		t.commit = func() error {
			err := t.Txn.Commit()
			if err != nil {
				again := t.engine.Begin(context.Background())
				for _, kv := range sets {
					again.Set(kv[0], kv[1])
				}
				_ = again.Commit()
			}
			return err
		}
	})},
	{"a commit applies half", false, spoiled(func(t *wrongTxn) {
		n := 0
		t.set = func(key, value []byte) {
			if n++; n < 3 {
				t.Txn.Set(key, value)
			}
		}
	})},
	{"a transaction that wrote nothing has a version", false, spoiled(func(t *wrongTxn) {
		t.committed = func() store.Version { return max(t.Txn.Committed(), 1) }
	})},
	{"versions do not rise", false, spoiled(func(t *wrongTxn) {
		t.committed = func() store.Version { return min(t.Txn.Committed(), 3) }
	})},
	{"an invalid mutation is dropped", false, spoiled(func(t *wrongTxn) {
		t.removeRange = func(begin, end []byte) {
			if bytes.Compare(begin, end) <= 0 {
				t.Txn.ClearRange(begin, end)
			}
		}
	})},
	{"a transaction works on after its commit", false, spoiled(func(t *wrongTxn) {
		over := false
		t.commit = func() error {
			over = true
			return t.Txn.Commit()
		}
		t.get = func(key []byte) ([]byte, error) {
			if !over {
				return t.Txn.Get(key)
			}
			other := t.engine.Begin(context.Background())
			defer other.Cancel()
			return other.Get(key)
		}
	})},
	{"values may be longer than the limit", false, spoiled(func(t *wrongTxn) {
		t.set = func(key, value []byte) { t.Txn.Set(key, value[:min(len(value), store.MaxValueBytes)]) }
	})},
	{"transactions never grow too old", true, func() *wrongEngine {
		return &wrongEngine{Engine: memory.New(memory.Options{})}
	}},
}

func spoiled(f func(t *wrongTxn)) func() *wrongEngine {
	return func() *wrongEngine { return &wrongEngine{spoil: f} }
}

// enough is the number of programs within which each bug must show.
const enough = 1500

func TestWrongEnginesAreTold(t *testing.T) {
	for _, bug := range bugs {
		t.Run(bug.name, func(t *testing.T) {
			g := litmus.Generation{Level: litmus.Port, Slow: bug.slow}
			for seed := range uint64(enough) {
				p := litmus.Generate(g, seed)
				e := bug.make()
				if e.Engine == nil {
					e.Engine = memory.New(memory.Options{Window: testWindow})
				}
				if right, wrong := linesOf(t, p, memory.New(memory.Options{Window: testWindow})), linesOf(t, p, e); !bytes.Equal(right, wrong) {
					t.Logf("seed %d", seed)
					return
				}
			}
			t.Errorf("%d programs do not tell it from a right one", enough)
		})
	}
}

// TestRightEngineIsNotTold is the same with no bug.
func TestRightEngineIsNotTold(t *testing.T) {
	for seed := range uint64(enough) {
		p := litmus.Generate(litmus.Generation{Level: litmus.Port}, seed)
		e := &wrongEngine{Engine: memory.New(memory.Options{Window: testWindow})}
		if right, same := linesOf(t, p, memory.New(memory.Options{Window: testWindow})), linesOf(t, p, e); !bytes.Equal(right, same) {
			t.Fatal(differ(right, same))
		}
	}
}

// linesOf runs a program on an engine. A watch that must fire has fired by the
// time it is asked, so that nothing is waited for.
func linesOf(t *testing.T, p *litmus.Program, e store.Engine) []byte {
	t.Helper()
	s := &onport.Session{
		Connect: func(int) store.Engine { return e }, Clock: clock.System(),
		Old: func() error { return onport.AgeByCommits(testWindow)(e) },
	}
	lines, err := litmus.Run(p, s, nil)
	if err != nil {
		return append(lines, err.Error()...)
	}
	return lines
}
