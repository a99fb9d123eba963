package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"testing"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// manyActors is an engine that has, besides what it really holds, as many actors as
// it is told, all owned by one session. They cost no memory.
type manyActors struct {
	store.Engine
	keys   keys
	actors int
	record []byte // of each of them
	pages  int    // that were read
}

func (e *manyActors) Begin(ctx context.Context) store.Txn { return &manyTxn{e.Engine.Begin(ctx), e} }

type manyTxn struct {
	store.Txn
	e *manyActors
}

func manyActor(i int) ActorID { return ActorID(fmt.Sprintf("%08d", i)) }

func (tx *manyTxn) GetRange(begin, end []byte, o store.RangeOptions) (rows []store.KeyValue, more bool, err error) {
	space := tx.e.keys.tagged(tagActor, 0)
	if !bytes.HasPrefix(begin, space) {
		return tx.Txn.GetRange(begin, end, o)
	}
	tx.e.pages++
	first := 0
	if at := begin[len(space):]; len(at) >= 8 {
		if first, err = strconv.Atoi(string(at[:8])); err != nil {
			return nil, false, err
		}
		if len(at) > 8 {
			first++ // behind that actor
		}
	}
	for i := first; i < tx.e.actors && len(rows) < o.Limit; i++ {
		rows = append(rows, store.KeyValue{Key: tx.e.keys.actor(manyActor(i)), Value: tx.e.record})
	}
	return rows, first+len(rows) < tx.e.actors, nil
}

// withMany returns a registry with so many actors.
func withMany(tb testing.TB, actors int) (*Registry, *manyActors) {
	tb.Helper()
	ctx := context.Background()
	h, err := host.NewSystem(host.SystemOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	inner := memory.New(memory.Options{Clock: h})
	tb.Cleanup(func() {
		if err := errors.Join(h.Close(ctx), inner.Close()); err != nil {
			tb.Error(err)
		}
	})
	open := func(e store.Engine) (*Registry, *store.DB) {
		db, err := store.Open(e, h, h.Rand(), store.Options{})
		if err != nil {
			tb.Fatal(err)
		}
		r, err := Open(h, db, Options{})
		if err != nil {
			tb.Fatal(err)
		}
		return r, db
	}
	// The session, whose tasks go on, is of another registry over the same rows.
	r, db := open(inner)
	s, err := r.Join(ctx, "n", JoinOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := s.Claim(ctx, manyActor(0)); err != nil {
		tb.Fatal(err)
	}
	e := &manyActors{Engine: inner, keys: r.keys, actors: actors}
	if err := db.Read(ctx, func(tx store.Reader) error {
		e.record, err = tx.Get(r.keys.actor(manyActor(0)))
		return err
	}); err != nil {
		tb.Fatal(err)
	}
	many, _ := open(e)
	return many, e
}

// A listing of ten million actors, one a page, costs what the pages cost that are
// asked for, and no memory that grows with them.
func TestListOfTenMillionByPagesOfOne(t *testing.T) {
	const all, some = 10_000_000, 20_000
	r, e := withMany(t, all)
	list := func(o ListOptions, most int) (listed int, last ActorID) {
		t.Helper()
		for row, err := range r.List(t.Context(), o) {
			if err != nil {
				t.Fatal(err)
			}
			listed, last = listed+1, row.Actor
			if listed == most {
				break
			}
		}
		return listed, last
	}
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	one := ListOptions{PageRows: 1}
	list(one, some/10)
	before := inUse()
	e.pages = 0
	if n, last := list(one, some); n != some || last != manyActor(some-1) || e.pages != some {
		t.Errorf("listed %d to %q in %d pages", n, last, e.pages)
	}
	if after := inUse(); after > before+1<<20 {
		t.Errorf("%d bytes are in use after %d pages, %d before", after, some, before)
	}
	one.After = manyActor(all - 3)
	if n, last := list(one, all); n != 2 || last != manyActor(all-1) {
		t.Errorf("the end: listed %d to %q", n, last)
	}
	if n, _ := list(ListOptions{PageRows: MaxPageRows, After: manyActor(all - 100_001)}, all); n != 100_000 {
		t.Errorf("listed %d of the last 100,000", n)
	}
}

// BenchmarkListTenMillion lists ten million actors; an operation is a listing.
func BenchmarkListTenMillion(b *testing.B) {
	for _, rows := range []int{1, defaultPageRows} {
		b.Run(fmt.Sprintf("page=%d", rows), func(b *testing.B) {
			r, e := withMany(b, 10_000_000)
			for b.Loop() {
				n := 0
				for _, err := range r.List(b.Context(), ListOptions{PageRows: rows}) {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != e.actors {
					b.Fatalf("listed %d", n)
				}
			}
			b.ReportMetric(float64(e.actors)*float64(b.N)/b.Elapsed().Seconds(), "actors/s")
		})
	}
}
