package simfdb

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// What the recording states as a count or a share, and what only shows with
// several clients at once.

// TestAtomicOperations takes the recorded table as it is: stored value, operand
// and what a read in the same transaction, and the database, then said.
func TestAtomicOperations(t *testing.T) {
	kinds := map[string]MutationType{
		"add": Add, "bit_and": BitAnd, "bit_or": BitOr, "bit_xor": BitXor, "max": Max, "min": Min,
		"byte_max": ByteMax, "byte_min": ByteMin, "append_if_fits": AppendIfFits, "compare_and_clear": CompareAndClear,
	}
	table, err := os.ReadFile("testdata/atomics.table")
	if err != nil {
		t.Fatal(err)
	}
	l := newLab(t, 1, Options{})
	cases := 0
	l.client("client", func(h *sim.Host, cl *Client) error {
		for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n") {
			name, rest, _ := strings.Cut(strings.TrimPrefix(line, "- "), ": ")
			for _, c := range strings.Split(strings.Trim(rest, "{}"), "} {") {
				operands, want, _ := strings.Cut(c, ": ")
				stored, operand, _ := strings.Cut(operands, ", ")
				if err := atomicCase(h.Context(), cl, kinds[name], stored, operand, want); err != nil {
					t.Errorf("%s {%s}: %v", name, c, err)
				}
				cases++
			}
		}
		return nil
	})
	l.run(10 * time.Second)
	if cases != 90 {
		t.Errorf("%d cases, want 90", cases)
	}
}

func atomicCase(ctx context.Context, cl *Client, kind MutationType, stored, operand, want string) error {
	value := func(s string) []byte {
		if s == "empty" {
			return []byte{}
		}
		b, err := hex.DecodeString(s)
		if err != nil {
			panic(err)
		}
		return b
	}
	show := func(b []byte) string {
		switch {
		case b == nil:
			return "nil"
		case len(b) == 0:
			return `""`
		default:
			return fmt.Sprintf("0x%x", b)
		}
	}
	key := []byte("k")
	tx := cl.beginPort(ctx)
	tx.Clear(key)
	if stored != "missing" {
		tx.Set(key, value(stored))
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	tx = cl.beginPort(ctx)
	tx.Atomic(kind, key, value(operand))
	own, err := tx.Get(key)
	if err != nil {
		return err
	}
	if err = tx.Commit(); err != nil {
		return err
	}
	after, err := cl.beginPort(ctx).Get(key)
	if err != nil {
		return err
	}
	if show(own) != want || show(after) != want {
		return fmt.Errorf("read back %s, stored %s, want %s", show(own), show(after), want)
	}
	return nil
}

func TestRangeAnswersAreBoundedByBytes(t *testing.T) {
	l := newLab(t, 1, Options{})
	l.client("client", func(h *sim.Host, cl *Client) error {
		for part := range 5 {
			tx := cl.beginPort(h.Context())
			for i := range 1000 {
				tx.Set(fmt.Appendf(nil, "r/%08d/abcd", part*1000+i), make([]byte, 100))
			}
			if err := tx.Commit(); err != nil {
				return err
			}
		}
		for _, reverse := range []bool{false, true} {
			tx := cl.beginPort(h.Context())
			begin, end := []byte("r/"), []byte("r0")
			var calls []int
			for more := true; more; {
				var rows []store.KeyValue
				var err error
				if rows, more, err = tx.GetRange(begin, end, store.RangeOptions{Reverse: reverse}); err != nil {
					return err
				}
				calls = append(calls, len(rows))
				if tail := rows[len(rows)-1].Key; reverse {
					end = tail
				} else {
					begin = append(tail, 0)
				}
			}
			if want := []int{576, 576, 576, 576, 576, 576, 576, 576, 392}; !slices.Equal(calls, want) {
				t.Errorf("rows per call %v, want %v (reverse %v)", calls, want, reverse)
			}
		}
		for _, c := range []struct {
			limit, rows int
			more        bool
		}{{0, 10, false}, {9, 9, true}, {10, 10, true}, {11, 10, false}} {
			tx := cl.beginPort(h.Context())
			rows, more, err := tx.GetRange([]byte("r/00000000"), []byte("r/00000010"), store.RangeOptions{Limit: c.limit})
			if err != nil || len(rows) != c.rows || more != c.more {
				t.Errorf("limit %d of 10 rows: %d rows, more %v, %v", c.limit, len(rows), more, err)
			}
		}
		return nil
	})
	l.run(10 * time.Second)
}

// write commits a blind write.
func write(ctx context.Context, cl *Client, key string) (*portTransaction, error) {
	tx := cl.beginPort(ctx)
	tx.Set([]byte(key), []byte("x"))
	return tx, tx.Commit()
}

func TestConcurrentBlindWritesShareVersionsAndNotStamps(t *testing.T) {
	l := newLab(t, 1, Options{})
	versions := map[Version]int{}
	stamps := map[[store.StampBytes]byte]bool{}
	l.client("client", func(h *sim.Host, cl *Client) error {
		for i := range 64 {
			h.Go(fmt.Sprint("writer-", i), func(ctx context.Context) {
				for range 50 {
					tx, err := write(ctx, cl, fmt.Sprint(i))
					if err != nil {
						l.Fail("writer", err)
						return
					}
					stamp := stampBytes(tx.life.committed, tx.order)
					if stamps[stamp] {
						l.Fail("stamp", fmt.Errorf("%x a second time", stamp))
					}
					stamps[stamp] = true
					versions[tx.life.committed]++
				}
			})
		}
		return nil
	})
	l.run(10 * time.Second)
	if len(stamps) != 3200 {
		t.Fatalf("%d commits, want 3200", len(stamps))
	}
	most := 0
	for _, n := range versions {
		most = max(most, n)
	}
	if len(versions) > 800 || most < 20 {
		t.Errorf("%d versions for 3200 commits, at most %d shared one", len(versions), most)
	}
}

func TestOfTwoConflictingCommitsOneWins(t *testing.T) {
	l := newLab(t, 1, Options{})
	won := 0
	l.client("client", func(h *sim.Host, cl *Client) error {
		for range 300 {
			pair := [2]*portTransaction{cl.beginPort(h.Context()), cl.beginPort(h.Context())}
			done := [2]interface {
				Set()
				Wait(context.Context) error
			}{h.NewEvent(), h.NewEvent()}
			for i, tx := range pair {
				if _, err := tx.Get([]byte("k")); err != nil {
					return err
				}
				tx.Set([]byte("k"), []byte("x"))
				h.Go("commit", func(context.Context) {
					if err := tx.Commit(); err == nil {
						won++
					} else if !errors.Is(err, store.ErrConflict) {
						l.Fail("commit", err)
					}
					done[i].Set()
				})
			}
			for _, d := range done {
				if err := d.Wait(h.Context()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	l.run(10 * time.Second)
	if won != 300 {
		t.Errorf("%d of 300 pairs had one winner", won)
	}
}

func TestReadVersionIsCausalAcrossClients(t *testing.T) {
	l := newLab(t, 1, Options{})
	l.client("b", func(h *sim.Host, _ *Client) error { return nil })
	l.run(0)
	other := l.Lookup("b").Host()
	checked := 0
	l.client("a", func(h *sim.Host, cl *Client) error {
		b := l.c.Client(other)
		for range 1000 {
			tx, err := write(h.Context(), cl, "k")
			if err != nil {
				return err
			}
			seen := h.NewEvent()
			other.Go("reader", func(ctx context.Context) {
				rv, err := b.beginPort(ctx).ReadVersion()
				if err != nil || rv != tx.Committed() {
					l.Fail("causality", fmt.Errorf("read version %d after commit %d: %w", rv, tx.Committed(), err))
				}
				checked++
				seen.Set()
			})
			if err := seen.Wait(h.Context()); err != nil {
				return err
			}
		}
		return nil
	})
	l.run(20 * time.Second)
	if checked != 1000 {
		t.Errorf("%d checks", checked)
	}
}

func TestSequentialCommitsHaveDistinctVersions(t *testing.T) {
	l := newLab(t, 1, Options{})
	n := 0
	l.client("client", func(h *sim.Host, cl *Client) error {
		last := Version(0)
		for range 300 {
			tx, err := write(h.Context(), cl, "k")
			if err != nil {
				return err
			}
			if d := tx.life.committed - last; d < 500 {
				t.Errorf("two commits in a row are %d versions apart", d)
			}
			last = tx.life.committed
			n++
		}
		return nil
	})
	l.run(5 * time.Second)
	if n != 300 {
		t.Errorf("%d commits", n)
	}
}

// TestCancelDuringCommitDoesNotUndoIt cancels at once, half a millisecond after
// the call of Commit, and late: the commit is applied each time.
func TestCancelDuringCommitDoesNotUndoIt(t *testing.T) {
	l := newLab(t, 1, Options{})
	unknown, acked := 0, 0
	l.client("client", func(h *sim.Host, cl *Client) error {
		for i := range 200 {
			key := fmt.Sprint("k", i)
			tx := cl.beginPort(h.Context())
			tx.Set([]byte(key), []byte("x"))
			if _, err := tx.ReadVersion(); err != nil { // so that Commit sends at once
				return err
			}
			h.After(time.Duration(i)*20*time.Microsecond, tx.Cancel)
			switch err := tx.Commit(); {
			case err == nil:
				acked++
			case errors.Is(err, store.ErrCommitUnknown):
				unknown++
			default:
				return err
			}
			if err := h.Sleep(h.Context(), 100*time.Millisecond); err != nil {
				return err
			}
			if v, err := cl.beginPort(h.Context()).Get([]byte(key)); err != nil || v == nil {
				t.Errorf("%s was not applied (%v)", key, err)
			}
		}
		return nil
	})
	l.run(30 * time.Second)
	if unknown == 0 || acked == 0 || unknown+acked != 200 {
		t.Errorf("%d unknown, %d acknowledged; want some of both", unknown, acked)
	}
}

// TestTimeoutDuringCommitMayApplyItLater slows the way to the proxy: the client
// is told that the outcome is unknown, and the commit is applied after that.
func TestTimeoutDuringCommitMayApplyItLater(t *testing.T) {
	l := newLab(t, 1, Options{})
	done := false
	l.client("client", func(h *sim.Host, cl *Client) error {
		ctx, cancel := h.WithTimeout(h.Context(), 100*time.Millisecond)
		defer cancel()
		tx := cl.beginPort(ctx)
		tx.Set([]byte("k"), []byte("x"))
		if _, err := tx.ReadVersion(); err != nil {
			return err
		}
		l.Net().SetLink("client", "fdb-proxy", sim.Link{LatencyMin: time.Second, LatencyMax: time.Second})
		if err := tx.Commit(); !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("commit: %w", err)
		}
		l.Net().ClearLink("client", "fdb-proxy")
		if v := read(l, "k"); v != nil {
			t.Error("applied before its message arrived")
		}
		if err := h.Sleep(h.Context(), 2*time.Second); err != nil {
			return err
		}
		if v := read(l, "k"); v == nil {
			t.Error("not applied")
		}
		done = true
		return nil
	})
	l.run(5 * time.Second)
	if !done {
		t.Error("not finished")
	}
}

// read looks into the storage server's data.
func read(l *lab, key string) []byte {
	return bytesOf(l.c.storageDisk.data.get(key, l.c.storageDisk.applied.version))
}

// TestLostConnectionIsFenced loses the connection with a commit in flight. What
// is so when the client is told 1021, stays so, even if the commit's request
// arrives later.
func TestLostConnectionIsFenced(t *testing.T) {
	slow := sim.Link{LatencyMin: time.Millisecond, LatencyMax: time.Millisecond, Reorder: 1, ReorderMax: 5 * time.Second}
	for _, c := range []struct {
		name string
		lose func(l *lab)
		want func(applied, refused int) bool // of 20 seeds
	}{
		{"the request is late", func(l *lab) {
			l.Net().SetLink("client", "fdb-proxy", slow)
			l.After(100*time.Millisecond, "fast again", func() { l.Net().ClearLink("client", "fdb-proxy") })
		}, func(applied, refused int) bool { return applied > 0 && refused > 0 }},
		{"the request is lost", func(l *lab) {
			l.Net().Cut("client", "fdb-proxy")
			l.After(3*time.Second, "heal", func() { l.Net().Heal("client", "fdb-proxy") })
		}, func(applied, refused int) bool { return applied == 0 && refused == 0 }},
		{"the reply is lost", func(l *lab) {
			l.Net().Cut("fdb-proxy", "client")
			l.After(3*time.Second, "heal", func() { l.Net().Heal("fdb-proxy", "client") })
		}, func(applied, refused int) bool { return applied == 20 && refused == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			applied, refused := 0, 0
			for seed := range uint64(20) {
				l := newLab(t, seed, Options{})
				l.client("client", func(h *sim.Host, cl *Client) error { return loseConnection(l, h, cl, c.lose) })
				l.run(30 * time.Second)
				if n := l.c.Counts(); n.CommitUnknown+n.Committed == 0 {
					t.Fatalf("not finished: %+v", n)
				}
				if read(l, "k") != nil {
					applied++
				}
				refused += int(l.c.Counts().Conflicts)
			}
			if !c.want(applied, refused) {
				t.Errorf("applied %d times, refused late %d times", applied, refused)
			}
		})
	}
}

func loseConnection(l *lab, h *sim.Host, cl *Client, lose func(l *lab)) error {
	tx := cl.beginPort(h.Context())
	tx.Set([]byte("k"), []byte("x"))
	if _, err := tx.ReadVersion(); err != nil {
		return err
	}
	lose(l)
	if err := tx.Commit(); err != nil && !errors.Is(err, Error{CodeCommitUnknownResult}) {
		return fmt.Errorf("commit: %w", err)
	}
	told, err := cl.beginPort(h.Context()).Get([]byte("k"))
	if err != nil {
		return err
	}
	if err := h.Sleep(h.Context(), 10*time.Second); err != nil {
		return err
	}
	if later := read(l, "k"); string(told) != string(later) {
		return fmt.Errorf("after 1021 it was %q, later %q", told, later)
	}
	return nil
}
