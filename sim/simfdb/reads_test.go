package simfdb

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/sim"
)

// TestReadsAgreeWithPlainModel mixes reads and writes in transactions, with and
// without the options that say which reads see which writes.
func TestReadsAgreeWithPlainModel(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		for seed := range uint64(1500) {
			r := rand.New(rand.NewPCG(seed, 2))
			stored := randomState(r)
			if err := storeModel(cl, stored); err != nil {
				return err
			}
			tr := cl.CreateTransaction()
			unread, hidden := r.IntN(5) == 0, r.IntN(4) == 0
			if unread {
				_ = tr.Options().SetReadYourWritesDisable()
			}
			if hidden {
				_ = tr.Options().SetSnapshotRywDisable()
			}
			now := copyModel(stored)
			var story []string
			for range 12 {
				if r.IntN(2) == 0 {
					m := randomMutation(r)
					story = append(story, fmt.Sprintf("%d %q %q", m.kind, m.key, m.param))
					m.write(tr)
					applyToModel(now, m)
					continue
				}
				snapshot := r.IntN(3) == 0
				q := randomRead(r, snapshot)
				story = append(story, q.name)
				seen := now
				if unread || snapshot && hidden {
					seen = stored
				}
				if got, want := q.real(tr), q.want(seen); got != want {
					return fmt.Errorf("seed %d: %s: got %s, want %s\n%s", seed, q.name, got, want, strings.Join(story, "\n"))
				}
			}
			if err := tr.Commit().Get(); err != nil {
				return err
			}
			all := readOfRange(FirstGreaterOrEqual(nil), FirstGreaterOrEqual([]byte(firstSystemKey)), RangeOptions{}, false, false)
			if got, want := all.real(cl.CreateTransaction()), all.want(now); got != want {
				return fmt.Errorf("seed %d: stored %s, want %s\n%s", seed, got, want, strings.Join(story, "\n"))
			}
		}
		return nil
	})
}

// TestChangedReadsConflict lets another transaction change a key. When that would
// have changed what a read answered, the commit must fail; and a good share of the
// others must not.
func TestChangedReadsConflict(t *testing.T) {
	changed, spared, needless := 0, 0, 0
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		for seed := range uint64(1500) {
			r := rand.New(rand.NewPCG(seed, 3))
			stored := randomState(r)
			if err := storeModel(cl, stored); err != nil {
				return err
			}
			tr := cl.CreateTransaction()
			unread := r.IntN(4) == 0
			if unread {
				_ = tr.Options().SetReadYourWritesDisable()
			}
			var own []mutation
			for range r.IntN(4) {
				own = append(own, randomMutation(r))
				own[len(own)-1].write(tr)
			}
			seen := func(state map[string]string) map[string]string {
				now := copyModel(state)
				for _, m := range own {
					if !unread {
						applyToModel(now, m)
					}
				}
				return now
			}
			q := randomRead(r, false)
			if got, want := q.real(tr), q.want(seen(stored)); got != want {
				return fmt.Errorf("seed %d: %s: got %s, want %s", seed, q.name, got, want)
			}
			other := randomMutation(r)
			after := copyModel(stored)
			applyToModel(after, other)
			if _, err := cl.Transact(func(tr *Transaction) (any, error) {
				other.write(tr)
				return nil, nil
			}); err != nil {
				return err
			}
			tr.Set([]byte("zz"), nil)
			err := tr.Commit().Get()
			matters := q.want(seen(stored)) != q.want(seen(after))
			switch {
			case matters && err == nil:
				return fmt.Errorf("seed %d: %s after %v: changed by %d %q %q and no conflict", seed, q.name, own, other.kind, other.key, other.param)
			case matters:
				changed++
			case err == nil:
				spared++
			default:
				needless++
			}
		}
		return nil
	})
	if changed < 100 || spared < 300 {
		t.Errorf("%d changed, %d spared, %d refused needlessly", changed, spared, needless)
	}
	t.Logf("%d reads changed, %d spared, %d refused for other keys", changed, spared, needless)
}

// TestReadsSeeOnlyEarlierWrites starts reads, writes, and only then waits.
func TestReadsSeeOnlyEarlierWrites(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		if err := storeModel(cl, map[string]string{"a": "1", "b": "1", "c": "1"}); err != nil {
			return err
		}
		tr := cl.CreateTransaction()
		tr.Add([]byte("b"), []byte{1})
		begin, end := FirstGreaterOrEqual([]byte("a")), FirstGreaterOrEqual([]byte("z"))
		get, sum := tr.Get([]byte("a")), tr.Get([]byte("b"))
		chunk := tr.GetChunk(begin, end, ChunkOptions{Mode: StreamingModeExact, Limit: 9})
		key := tr.GetKey(FirstGreaterThan([]byte("a")))
		tr.Add([]byte("b"), []byte{1})
		tr.Set([]byte("a5"), nil)
		tr.ClearRange([]byte("a"), []byte("c"))
		a, err := get.Get()
		if string(a) != "1" || err != nil {
			t.Errorf("get a: %q %v", a, err)
		}
		b, err := sum.Get()
		if string(b) != "2" || err != nil {
			t.Errorf("get b: %q %v", b, err)
		}
		rows, err := chunk.Get()
		if got := showRows(rows.KeyValues, err); got != `"a"="1" "b"="2" "c"="1"` {
			t.Errorf("range: %s", got)
		}
		k, err := key.Get()
		if string(k) != "b" || err != nil {
			t.Errorf("key: %q %v", k, err)
		}
		if got := showRows(tr.GetRange(begin, end, RangeOptions{}).GetSliceWithError()); got != `"c"="1"` {
			t.Errorf("range after the writes: %s", got)
		}
		return nil
	})
}

// TestBypassedStampReadsTheSameInARange holds a range to what a get returns.
func TestBypassedStampReadsTheSameInARange(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		tr := cl.CreateTransaction()
		_ = tr.Options().SetBypassUnreadable()
		tr.SetVersionstampedValue([]byte("k"), append([]byte("a----------z"), 1, 0, 0, 0))
		value, err := tr.Get([]byte("k")).Get()
		if err != nil {
			return err
		}
		rows, err := tr.GetRange(FirstGreaterOrEqual([]byte("k")), FirstGreaterOrEqual([]byte("l")), RangeOptions{}).GetSliceWithError()
		if err != nil {
			return err
		}
		want := "a----------z\x01\x00\x00\x00"
		if len(rows) != 1 || string(rows[0].Value) != want || string(value) != want {
			return fmt.Errorf("get %q, range %q, want %q", value, rows, want)
		}
		return nil
	})
}
