package etcd_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// history is what clients saw of transactions run through store.DB, which lets
// the engine guess. A transaction reads some of a few keys and writes its own
// name to one or two, or removes them, one by one or with all between; or it
// decides by what it read to change nothing, and says so with an error or by
// writing nothing.
type history struct {
	mu      sync.Mutex
	clock   int // orders the beginnings and the ends
	records []*record
}

type record struct {
	name       string
	begin, end int
	read       map[string]string // "" for none
	wrote      []string
	removed    []string
	place      uint64 // version and order; zero for one that wrote nothing
	doubtful   bool
}

func (h *history) tick() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clock++
	return h.clock
}

// kind is what a transaction does with what it has read.
type kind int

const (
	writesName kind = iota
	removesKeys
	removesRange
	fails
	writesNothing
	kinds
)

// changes reports whether a transaction of this kind changes anything.
func (k kind) changes() bool { return k < fails }

// errDecided is a body's own decision.
var errDecided = errors.New("decided against it")

// universe are the keys of the history.
var universe = []string{"a", "b", "c", "d"}

// run runs transactions until n of them are over, and records them.
func (h *history) run(ctx context.Context, e store.Engine, client string, n int, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 7))
	db, err := store.Open(e, clock.System(), r, store.Options{})
	if err != nil {
		return err
	}
	for i := range n {
		rec := &record{name: fmt.Sprintf("%s/%d", client, i), begin: h.tick()}
		does := kind(r.IntN(int(kinds)))
		reads, writes := pick(r, 1+r.IntN(3)), pick(r, 1+r.IntN(2))
		version, err := db.Transact(ctx, func(tx store.Tx) error { return rec.body(tx, does, reads, writes) })
		rec.end = h.tick()
		switch {
		case errors.Is(err, store.ErrCommitUnknown):
			rec.doubtful = true
		case err != nil && !errors.Is(err, errDecided):
			return fmt.Errorf("%s: %w", rec.name, err)
		case (does == fails) != (err != nil), does.changes() != (version != 0):
			return errors.Join(fmt.Errorf("%s of kind %d has version %d", rec.name, does, version), err)
		}
		h.mu.Lock()
		h.records = append(h.records, rec)
		h.mu.Unlock()
	}
	return nil
}

func pick(r *rand.Rand, n int) []string {
	var keys []string
	for _, i := range r.Perm(len(universe))[:n] {
		keys = append(keys, universe[i])
	}
	return keys
}

// body reads, and writes the transaction's name behind a stamp.
func (rec *record) body(tx store.Tx, kind kind, reads, writes []string) error {
	rec.read, rec.wrote, rec.removed = map[string]string{}, nil, nil
	for _, k := range reads {
		v, err := tx.Get([]byte(k))
		if err != nil {
			return err
		}
		rec.read[k] = string(v)
	}
	switch kind {
	case fails:
		return errDecided
	case writesNothing:
		return nil
	case removesKeys:
		rec.removed = writes
		for _, k := range writes {
			tx.Clear([]byte(k))
		}
	case removesRange:
		begin, end := slices.Min(writes), slices.Max(writes)+"\x00"
		tx.ClearRange([]byte(begin), []byte(end))
		for _, k := range universe {
			if begin <= k && k < end {
				rec.removed = append(rec.removed, k)
			}
		}
	default:
		rec.wrote = writes
	}
	for _, k := range append(rec.wrote[:len(rec.wrote):len(rec.wrote)], "done/"+rec.name) {
		tx.SetStamped([]byte(k), append(make([]byte, store.StampBytes), rec.name...), 0)
	}
	return nil
}

// judge demands that there is an order of all transactions that were applied,
// the one of their versions, in which each read what the ones before it left,
// and that goes along with real time.
func (h *history) judge(t *testing.T, e store.Engine) {
	t.Helper()
	placed := h.placed(t, e)
	state := []map[string]string{{}} // state[i] is after i commits
	for _, rec := range placed {
		before := state[len(state)-1]
		for k, v := range rec.read {
			if before[k] != v {
				t.Fatalf("%s read %q in %s, where %q was", rec.name, v, k, before[k])
			}
		}
		next := map[string]string{}
		for k, v := range before {
			next[k] = v
		}
		for _, k := range rec.wrote {
			next[k] = string(rec.value())
		}
		for _, k := range rec.removed {
			delete(next, k)
		}
		state = append(state, next)
	}
	h.judgeRealTime(t, placed)
	for _, rec := range h.records {
		if rec.place == 0 && !rec.doubtful {
			rec.judgeRead(t, placed, state)
		}
	}
}

// judgeRead demands that what a transaction that wrote nothing read was there at
// one moment while it ran.
func (rec *record) judgeRead(t *testing.T, placed []*record, state []map[string]string) {
	t.Helper()
	from, to := 0, len(placed)
	for i, p := range placed {
		if p.end < rec.begin {
			from = i + 1
		}
	}
	for i, p := range slices.Backward(placed) {
		if p.begin > rec.end {
			to = i
		}
	}
	for i := from; i <= to; i++ {
		if agrees(state[i], rec.read) {
			return
		}
	}
	t.Fatalf("%s read %q, which was there at no moment while it ran", rec.name, rec.read)
}

func agrees(state, read map[string]string) bool {
	for k, v := range read {
		if state[k] != v {
			return false
		}
	}
	return true
}

func (h *history) judgeRealTime(t *testing.T, placed []*record) {
	t.Helper()
	last := 0
	for _, rec := range placed {
		if rec.end < last {
			t.Fatalf("%s was over before one began that has a lower version", rec.name)
		}
		last = max(last, rec.begin)
	}
}

func (rec *record) changed() bool { return len(rec.wrote)+len(rec.removed) > 0 }

// value is what the transaction wrote.
func (rec *record) value() []byte {
	b := binary.BigEndian.AppendUint64(nil, rec.place>>16)
	b = binary.BigEndian.AppendUint16(b, uint16(rec.place))
	return append(b, rec.name...)
}

// placed returns the transactions that the store shows to have been applied, in
// order.
func (h *history) placed(t *testing.T, e store.Engine) []*record {
	t.Helper()
	byName := map[string]*record{}
	for _, rec := range h.records {
		byName[rec.name] = rec
	}
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	var placed []*record
	begin, end := []byte("done/"), []byte("done0")
	for more := true; more; {
		var rows []store.KeyValue
		var err error
		if rows, more, err = tx.GetRange(begin, end, store.RangeOptions{}); err != nil {
			t.Fatal(err)
		}
		for _, kv := range rows {
			rec := byName[string(kv.Key[len("done/"):])]
			if rec == nil || !rec.changed() {
				t.Fatalf("%s is there, and nobody wrote it", kv.Key)
			}
			rec.place = binary.BigEndian.Uint64(kv.Value)<<16 | uint64(binary.BigEndian.Uint16(kv.Value[8:]))
			placed = append(placed, rec)
			begin = append(kv.Key, 0)
		}
	}
	slices.SortFunc(placed, func(a, b *record) int {
		return int(int64(a.place) - int64(b.place))
	})
	applied := map[*record]bool{}
	for i, rec := range placed {
		applied[rec] = true
		if i > 0 && placed[i-1].place == rec.place {
			t.Fatalf("%s and %s have one stamp", placed[i-1].name, rec.name)
		}
	}
	for _, rec := range h.records {
		if rec.changed() && !rec.doubtful && !applied[rec] {
			t.Fatalf("%s was acknowledged, and is not there", rec.name)
		}
	}
	return placed
}

func TestGuessedHistoriesAreStrictlySerializable(t *testing.T) {
	for _, faults := range []bool{false, true} {
		t.Run(fmt.Sprintf("faults=%v", faults), func(t *testing.T) {
			h := &history{}
			o := fresh(t)
			var running sync.WaitGroup
			for i := range 3 {
				s := &wireState{rand: rand.New(rand.NewPCG(uint64(i), 3))}
				e := open(t, withWire(o, s))
				s.mu.Lock()
				s.faults = faults
				s.mu.Unlock()
				for j := range 4 {
					running.Go(func() {
						if err := h.run(t.Context(), e, fmt.Sprintf("%d.%d", i, j), 60, uint64(10*i+j)); err != nil {
							t.Error(err)
						}
					})
				}
			}
			running.Wait()
			if !t.Failed() {
				h.judge(t, open(t, o))
			}
		})
	}
}
