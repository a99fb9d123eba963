package storetest

import (
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// conflictChecks go through which write refuses which read.
func conflictChecks() []check {
	explicit := []Feature{ExplicitConflicts}
	return []check{
		{name: "conflict/table", run: conflictTable},
		{name: "conflict/limited ranges, both directions", run: limitedRanges},
		{name: "conflict/a write conflict refuses readers and writes nothing", needs: explicit, run: writeConflictAlone},
		{name: "conflict/a read conflict alone commits nothing", needs: explicit, run: readConflictAlone},
		{name: "conflict/own reads and writes do not meet", needs: []Feature{PreciseConflicts}, run: ownConflicts},
	}
}

// conflictCase is one row: a transaction takes its read version and runs read;
// another runs write and commits; the first writes the key "out" and commits.
type conflictCase struct {
	name  string
	read  func(tx store.Txn) error
	write func(tx store.Txn)
	want  bool      // refused
	needs []Feature // beside PreciseConflicts where want is false
}

// The rows start on a=1 b=1 c=1 d=1 e=1 n=(5).
var conflictCases = []conflictCase{
	{"get, set", get("b"), set("b"), true, nil},
	{"get, set to the same value", get("b"), func(tx store.Txn) { tx.Set([]byte("b"), []byte("1")) }, true, []Feature{WriteConflicts}},
	{"get of a missing key, set", get("b5"), set("b5"), true, nil},
	{"get, clear", get("b"), clearKey("b"), true, nil},
	{"get of a missing key, clear of it", get("b5"), clearKey("b5"), true, []Feature{WriteConflicts}},
	{"get, clear range", get("b"), clearRange("a", "c"), true, nil},
	{"get of a missing key, clear range", get("b5"), clearRange("b1", "b9"), true, []Feature{WriteConflicts}},
	{"get, add", get("n"), addN(), true, nil},
	{"get, add zero", get("n"), func(tx store.Txn) { tx.Add([]byte("n"), 0) }, true, []Feature{WriteConflicts}},
	{"get, stamp", get("b"), stamp("b"), true, []Feature{Stamps}},
	{"get, set of another key", get("b"), set("c"), false, nil},
	{"get, clear range beside it", get("b"), clearRange("b\x00", "c"), false, nil},
	{"get all, set of the second", getAll("a", "b"), set("b"), true, nil},
	{"get all, set of another", getAll("a", "b"), set("c"), false, nil},
	{"snapshot get, set", snapshotGet("b"), set("b"), false, nil},
	{"snapshot range, set", snapshotRange("a", "z"), set("b"), false, nil},
	{"blind set, set", do(set("b")), set("b"), false, nil},
	{"blind clear range, set", do(clearRange("a", "z")), set("b"), false, nil},
	{"add, add", do(addN()), addN(), false, nil},
	{"add, set", do(addN()), set("n"), false, nil},
	{"stamp, stamp", do(stamp("b")), stamp("b"), false, []Feature{Stamps}},
	{"set and get of it, set", both(do(set("b")), get("b")), set("b"), false, nil},
	{"get and set of it, set", both(get("b"), do(set("b"))), set("b"), true, nil},
	{"clear and get of it, set", both(do(clearKey("b")), get("b")), set("b"), false, nil},
	{"add and get of it, set", both(do(addN()), get("n")), set("n"), true, nil},
	{"set, add and get of it, set", both(do(set("n")), do(addN()), get("n")), set("n"), false, nil},
	{"clear range and range, set", both(do(clearRange("a", "c")), rangeOf("a", "c")), set("b"), false, nil},
	{"clear range and wider range, set outside it", both(do(clearRange("b", "d")), rangeOf("a", "z")), set("d"), true, nil},
	{"clear range and wider range, set inside it", both(do(clearRange("b", "d")), rangeOf("a", "z")), set("c"), false, nil},
	{"set and range over it, set of it", both(do(set("b")), rangeOf("a", "e")), set("b"), false, nil},
	{"set and range over it, set beside it", both(do(set("b")), rangeOf("a", "e")), set("b\x00"), true, nil},
	{"add and range over it, set of it", both(do(addN()), rangeOf("a", "z")), set("n"), true, nil},
	{"range, new row", rangeOf("a", "z"), set("b5"), true, nil},
	{"range, set of its end", rangeOf("a", "c"), set("c"), false, nil},
	{"range, set of its begin", rangeOf("a", "c"), set("a"), true, nil},
	{"empty range of rows, new row", rangeOf("b1", "b9"), set("b5"), true, nil},
	{"range, clear range that overlaps", rangeOf("b", "d"), clearRange("c", "z"), true, nil},
	{"range, clear range that touches", rangeOf("b", "d"), clearRange("d", "z"), false, nil},
	{"range, clear range of nothing in it", rangeOf("b1", "b9"), clearRange("b2", "b3"), true, []Feature{WriteConflicts}},
	{"own key in a limited range, set behind it", both(do(set("a5")), limited("a", "z", 2, false)), set("a7"), false, nil},

	{"read conflict, set", readConflict("a", "c"), set("b"), true, []Feature{ExplicitConflicts}},
	{"read conflict, set of its end", readConflict("a", "c"), set("c"), false, []Feature{ExplicitConflicts}},
	{"empty read conflict, set", readConflict("b", "b"), set("b"), false, []Feature{ExplicitConflicts}},
	{"snapshot get and read conflict, set", both(snapshotGet("b"), readConflict("b", "b\x00")), set("b"), true, []Feature{ExplicitConflicts}},
	{"set and read conflict of it, set", both(do(set("b")), readConflict("b", "b\x00")), set("b"), false, []Feature{ExplicitConflicts}},
	{"read conflict and set of it, set", both(readConflict("b", "b\x00"), do(set("b"))), set("b"), true, []Feature{ExplicitConflicts}},
	{"get, write conflict", get("b"), writeConflict("a", "c"), true, []Feature{ExplicitConflicts}},
	{"range, write conflict inside it", rangeOf("a", "z"), writeConflict("b1", "b2"), true, []Feature{ExplicitConflicts}},
	{"get, write conflict beside it", get("b"), writeConflict("b\x00", "c"), false, []Feature{ExplicitConflicts}},
	{"read conflict, write conflict", readConflict("b1", "b9"), writeConflict("b2", "b3"), true, []Feature{ExplicitConflicts}},
	{"write conflict, set", do(writeConflict("a", "c")), set("b"), false, []Feature{ExplicitConflicts}},
	{"watch, set", watch("b"), set("b"), false, []Feature{Watches}},
}

type (
	readStep  = func(tx store.Txn) error
	writeStep = func(tx store.Txn)
)

func get(key string) readStep {
	return func(tx store.Txn) error { _, err := tx.Get([]byte(key)); return err }
}

func getAll(keys ...string) readStep {
	return func(tx store.Txn) error {
		var ks [][]byte
		for _, k := range keys {
			ks = append(ks, []byte(k))
		}
		_, err := tx.GetAll(ks...)
		return err
	}
}

func snapshotGet(key string) readStep {
	return func(tx store.Txn) error { _, err := tx.Snapshot().Get([]byte(key)); return err }
}

func rangeOf(begin, end string) readStep {
	return func(tx store.Txn) error {
		_, err := whole(tx, []byte(begin), []byte(end), store.RangeOptions{})
		return err
	}
}

func snapshotRange(begin, end string) readStep {
	return func(tx store.Txn) error {
		_, err := whole(tx.Snapshot(), []byte(begin), []byte(end), store.RangeOptions{})
		return err
	}
}

func limited(begin, end string, limit int, reverse bool) readStep {
	return func(tx store.Txn) error {
		_, err := whole(tx, []byte(begin), []byte(end), store.RangeOptions{Limit: limit, Reverse: reverse})
		return err
	}
}

func readConflict(begin, end string) readStep {
	return func(tx store.Txn) error { tx.AddReadConflict([]byte(begin), []byte(end)); return nil }
}

func watch(key string) readStep {
	return func(tx store.Txn) error {
		w, err := tx.Watch([]byte(key))
		if err == nil {
			w.Cancel()
		}
		return err
	}
}

func do(w writeStep) readStep { return func(tx store.Txn) error { w(tx); return nil } }

func both(steps ...readStep) readStep {
	return func(tx store.Txn) error {
		for _, s := range steps {
			if err := s(tx); err != nil {
				return err
			}
		}
		return nil
	}
}

func set(key string) writeStep { return func(tx store.Txn) { tx.Set([]byte(key), []byte("2")) } }

func clearKey(key string) writeStep { return func(tx store.Txn) { tx.Clear([]byte(key)) } }

func addN() writeStep { return func(tx store.Txn) { tx.Add([]byte("n"), 1) } }

func stamp(key string) writeStep {
	return func(tx store.Txn) { tx.SetStamped([]byte(key), make([]byte, store.StampBytes), 0) }
}

func clearRange(begin, end string) writeStep {
	return func(tx store.Txn) { tx.ClearRange([]byte(begin), []byte(end)) }
}

func writeConflict(begin, end string) writeStep {
	return func(tx store.Txn) { tx.AddWriteConflict([]byte(begin), []byte(end)) }
}

func conflictTable(l *lab) error {
	return l.solo(func(c *client) error {
		for _, tc := range conflictCases {
			if !l.hasAll(tc.needs) {
				continue
			}
			if err := l.insist(func() error { return c.meet(&tc) }); err != nil {
				return fmt.Errorf("%s: %w", tc.name, err)
			}
		}
		return nil
	})
}

// meet runs one case. What it wants may be decided by its read.
func (c *client) meet(tc *conflictCase) error {
	if _, err := c.commit(func(tx store.Txn) {
		tx.ClearRange(first, last)
		for _, k := range []string{"a", "b", "c", "d", "e"} {
			tx.Set([]byte(k), []byte("1"))
		}
		tx.Set([]byte("n"), []byte(le(5)))
	}); err != nil {
		return err
	}
	tx, err := c.beginAt()
	if err != nil {
		return err
	}
	defer tx.Cancel()
	if err := tc.read(tx); err != nil {
		return fmt.Errorf("the first transaction: %w", err)
	}
	if _, err := c.commit(tc.write); err != nil {
		return fmt.Errorf("the second transaction: %w", err)
	}
	tx.Set([]byte("out"), nil)
	err = tx.Commit()
	if tc.want {
		return wantError("the first transaction's commit", err, store.ErrConflict)
	}
	if err != nil && (c.h.has(PreciseConflicts) || !errors.Is(err, store.ErrConflict)) {
		return fmt.Errorf("the first transaction's commit, which nothing stands against: %w", err)
	}
	return nil
}

// limitedRanges reads two of five rows and demands that the conflict range ends
// at the last row returned, when the engine says more, and that it is the whole
// range when it does not.
func limitedRanges(l *lab) error {
	return l.solo(func(c *client) error {
		for _, tc := range []struct {
			limit   int
			reverse bool
			key     string // that the other transaction sets, in the range
		}{
			{2, false, "Z"},
			{2, false, "a"},
			{2, false, "a5"},
			{2, false, "b"},
			{2, false, "b\x00"},
			{2, false, "c"},
			{2, false, "e9"},
			{5, false, "e9"},
			{6, false, "e9"},
			{2, true, "e9"},
			{2, true, "e"},
			{2, true, "d5"},
			{2, true, "d"},
			{2, true, "c\xff"},
			{2, true, "a"},
			{2, true, "Z"},
			{5, true, "Z"},
			{6, true, "Z"},
		} {
			row := conflictCase{write: set(tc.key)}
			row.read = func(tx store.Txn) error {
				rows, more, err := tx.GetRange([]byte("A"), []byte("f"), store.RangeOptions{Limit: tc.limit, Reverse: tc.reverse})
				if err != nil {
					return fmt.Errorf("GetRange: %w", err)
				}
				if len(rows) == 0 {
					return errors.New("GetRange gave no row")
				}
				edge := string(rows[len(rows)-1].Key)
				row.want = !more || (!tc.reverse && tc.key <= edge) || (tc.reverse && tc.key >= edge)
				return nil
			}
			if err := l.insist(func() error { return c.meet(&row) }); err != nil {
				return fmt.Errorf("limit %d, reverse %v, set of %q: %w", tc.limit, tc.reverse, tc.key, err)
			}
		}
		return nil
	})
}

func writeConflictAlone(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("b", "1"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		if err := wantGet(tx, "b", "1"); err != nil {
			return err
		}
		v, err := c.commit(writeConflict("a", "c"))
		if err != nil {
			return err
		}
		if v == 0 {
			return errors.New("a transaction with a write conflict has no commit version")
		}
		tx.Set([]byte("out"), nil)
		if err := wantError("commit", tx.Commit(), store.ErrConflict); err != nil {
			return err
		}
		return c.has("b", "1")
	})
}

func readConflictAlone(l *lab) error {
	return l.solo(func(c *client) error {
		tx, err := c.beginAt()
		if err != nil {
			return err
		}
		defer tx.Cancel()
		tx.AddReadConflict([]byte("a"), []byte("c"))
		if err := c.put("b", "1"); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("commit of a transaction that wrote nothing: %w", err)
		}
		if v := tx.Committed(); v != 0 {
			return fmt.Errorf("commit version %d, want none", v)
		}
		return nil
	})
}

// ownConflicts reads and writes the same keys in one transaction, alone.
func ownConflicts(l *lab) error {
	return l.solo(func(c *client) error {
		for range 3 {
			if _, err := c.commit(func(tx store.Txn) {
				_, _ = tx.Get([]byte("b"))
				tx.Set([]byte("b"), []byte("1"))
				_, _ = all(tx, store.RangeOptions{})
				tx.ClearRange([]byte("c"), []byte("e"))
				if l.h.has(ExplicitConflicts) {
					tx.AddReadConflict([]byte("a"), []byte("z"))
					tx.AddWriteConflict([]byte("a"), []byte("z"))
				}
				tx.Add([]byte("n"), 1)
			}); err != nil {
				return err
			}
		}
		return c.has("b", "1", "n", le(3))
	})
}
