package optimistic_test

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/optimistic"
)

// mapBase is a base in memory. before and after, which may be nil, run around
// the moment at which a commit takes effect.
type mapBase struct {
	before, after func() error
	wrong         error // returned by every read
	maxRows       int   // rows of one answer; 0 means no bound

	mu      sync.Mutex
	data    map[string]string
	version store.Version
	commits int
	errs    []error // of the contract, by the engine
}

func (b *mapBase) Values(keys [][]byte) ([][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	values := make([][]byte, len(keys))
	for i, key := range keys {
		if v, ok := b.data[string(key)]; ok {
			values[i] = []byte(v)
		}
	}
	return values, b.wrong
}

func (b *mapBase) Rows(begin, end []byte, reverse bool, limit int) ([]store.KeyValue, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.maxRows > 0 {
		limit = min(limit, b.maxRows)
	}
	keys := slices.Sorted(maps.Keys(b.data))
	if reverse {
		slices.Reverse(keys)
	}
	var rows []store.KeyValue
	for _, k := range keys {
		if k < string(begin) || k >= string(end) {
			continue
		}
		if len(rows) == limit {
			return rows, true, b.wrong
		}
		rows = append(rows, store.KeyValue{Key: []byte(k), Value: []byte(b.data[k])})
	}
	return rows, false, b.wrong
}

func (b *mapBase) Commit(last store.Version, changes []optimistic.Change) error {
	if b.before != nil {
		if err := b.before(); err != nil {
			return err
		}
	}
	b.apply(last, changes)
	if b.after != nil {
		return b.after()
	}
	return nil
}

func (b *mapBase) apply(last store.Version, changes []optimistic.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if last <= b.version {
		b.errs = append(b.errs, errors.New("versions do not rise"))
	}
	b.version = last
	b.commits++
	if b.data == nil {
		b.data = map[string]string{}
	}
	previous := ""
	for i, ch := range changes {
		if i > 0 && ch.Key <= previous {
			b.errs = append(b.errs, errors.New("changes are not sorted"))
		}
		previous = ch.Key
		if v, ok := b.data[ch.Key]; ok != (ch.Old != nil) || v != string(ch.Old) {
			b.errs = append(b.errs, errors.New("a change of what the base does not have"))
		}
		if ch.New == nil {
			delete(b.data, ch.Key)
		} else {
			b.data[ch.Key] = string(ch.New)
		}
	}
}

func (b *mapBase) err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return errors.Join(b.errs...)
}

// gate lets the commits of a base through one by one.
type gate struct {
	base mapBase
	in   chan struct{} // a commit has come
	out  chan error    // it may take effect, or fails
}

func newGate() *gate {
	g := &gate{in: make(chan struct{}), out: make(chan error)}
	g.base.before = func() error {
		g.in <- struct{}{}
		return <-g.out
	}
	return g
}

// flushing runs f while the engine flushes one batch: f gets to know when the
// base has it and decides what becomes of it.
func flushing(t *testing.T, e *optimistic.Engine, g *gate, f func(let func(error))) (txns int, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		txns, err = e.Flush()
	}()
	<-g.in
	let := func(err error) { g.out <- err }
	f(let)
	<-done
	return txns, err
}
