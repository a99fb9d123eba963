package storetest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/kelpie-registry/kelpie/store"
)

// writeChecks hold the mutations and the commit to the port.
func writeChecks() []check {
	return []check{
		{name: "write/set, clear and clear range", run: writeBasics},
		{name: "write/invalid mutations fail the commit as a whole", run: writeInvalid},
		{name: "add/operands short, long and missing", run: addOperands},
		{name: "add/after own writes", run: addAfterOwn},
		{name: "add/concurrent additions all count", run: addConcurrent},
		{name: "commit/versions rise", run: versionsRise},
		{name: "commit/a transaction that wrote nothing has no version", run: emptyCommit},
		{name: "commit/of a removal of nothing has a version", run: removalOfNothing},
	}
}

func writeBasics(l *lab) error {
	return l.solo(func(c *client) error {
		return steps(
			func() error { return c.put("a", "1", "b", "1", "c", "1", "c5", "1", "d", "1", "e", "1") },
			func() error {
				_, err := c.commit(func(tx store.Txn) {
					tx.Set([]byte("a"), []byte("2"))
					tx.Clear([]byte("b"))
					tx.ClearRange([]byte("c"), []byte("e"))
					tx.ClearRange([]byte("e"), []byte("e"))
				})
				return err
			},
			func() error { return c.has("a", "2", "e", "1") },
			func() error {
				_, err := c.commit(func(tx store.Txn) { tx.ClearRange(first, last) })
				return err
			},
			func() error { return c.has() },
			func() error { return c.put("b", "again") },
			func() error { return c.has("b", "again") },
		)
	})
}

// writeInvalid commits transactions with one bad mutation between good ones:
// none of their writes may be applied.
func writeInvalid(l *lab) error {
	long, big := make([]byte, store.MaxKeyBytes+1), make([]byte, store.MaxValueBytes+1)
	for _, tc := range []struct {
		name string
		need []Feature
		do   func(tx store.Txn)
		want error
	}{
		{"ClearRange inverted", nil, func(tx store.Txn) { tx.ClearRange([]byte("b"), []byte("a")) }, store.ErrInvalid},
		{"AddReadConflict inverted", []Feature{ExplicitConflicts}, func(tx store.Txn) { tx.AddReadConflict([]byte("b"), []byte("a")) }, store.ErrInvalid},
		{"AddWriteConflict inverted", []Feature{ExplicitConflicts}, func(tx store.Txn) { tx.AddWriteConflict([]byte("b"), []byte("a")) }, store.ErrInvalid},
		{"Set of a long key", nil, func(tx store.Txn) { tx.Set(long, nil) }, store.ErrTooLarge},
		{"Set of a big value", nil, func(tx store.Txn) { tx.Set([]byte("b"), big) }, store.ErrTooLarge},
		{"Add to a long key", nil, func(tx store.Txn) { tx.Add(long, 1) }, store.ErrTooLarge},
		{"SetStamped of a long key", []Feature{Stamps}, func(tx store.Txn) { tx.SetStamped(long, make([]byte, 10), 0) }, store.ErrTooLarge},
		{"SetStamped of a big value", []Feature{Stamps}, func(tx store.Txn) { tx.SetStamped([]byte("b"), big, 0) }, store.ErrTooLarge},
		{"a stamp at a negative offset", []Feature{Stamps}, func(tx store.Txn) { tx.SetStamped([]byte("b"), make([]byte, 20), -1) }, store.ErrInvalid},
		{"a stamp past the end", []Feature{Stamps}, func(tx store.Txn) { tx.SetStamped([]byte("b"), make([]byte, 20), 11) }, store.ErrInvalid},
		{"a stamp at the largest offset", []Feature{Stamps}, func(tx store.Txn) { tx.SetStamped([]byte("b"), make([]byte, 20), math.MaxInt) }, store.ErrInvalid},
		{"a stamp in a short value", []Feature{Stamps}, func(tx store.Txn) { tx.SetStamped([]byte("b"), make([]byte, 9), 0) }, store.ErrInvalid},
	} {
		if !l.hasAll(tc.need) {
			continue
		}
		if err := l.row(func(c *client) error {
			_, err := c.commit(func(tx store.Txn) {
				tx.Set([]byte("a"), []byte("1"))
				tc.do(tx)
				tx.Set([]byte("c"), []byte("1"))
			})
			if err := wantError("commit", err, tc.want); err != nil {
				return err
			}
			return c.has()
		}); err != nil {
			return fmt.Errorf("%s: %w", tc.name, err)
		}
	}
	return nil
}

func (l *lab) hasAll(fs []Feature) bool {
	for _, f := range fs {
		if !l.h.has(f) {
			return false
		}
	}
	return true
}

// le is the 8 little-endian bytes of n.
func le(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

// addOperands adds to values of all lengths, reads the sum before the commit
// and after it.
func addOperands(l *lab) error {
	for _, tc := range []struct {
		name  string
		base  string // "-": missing
		delta int64
		want  string
	}{
		{"missing", "-", 5, le(5)},
		{"missing, negative", "-", -5, le(math.MaxUint64 - 4)},
		{"empty", "", 7, le(7)},
		{"one byte", "\xff", 1, le(0x100)},
		{"three bytes", "\x01\x02\x03", 1, le(0x030202)},
		{"eight bytes", le(1 << 40), 1, le(1<<40 + 1)},
		{"nine bytes", le(3) + "\x09", 1, le(4)},
		{"long", le(3) + "a long tail", 1, le(4)},
		{"wraps around", le(math.MaxUint64), 1, le(0)},
		{"below zero", le(3), -4, le(math.MaxUint64)},
		{"smallest", le(0), math.MinInt64, le(1 << 63)},
		{"zero normalises", "\x01", 0, le(1)},
	} {
		if err := l.row(func(c *client) error {
			if _, err := c.commit(func(tx store.Txn) {
				tx.ClearRange(first, last)
				if tc.base != "-" {
					tx.Set([]byte("n"), []byte(tc.base))
				}
			}); err != nil {
				return err
			}
			tx := c.begin()
			defer tx.Cancel()
			tx.Add([]byte("n"), tc.delta)
			if err := firstError(wantGet(tx, "n", tc.want), wantAll(tx, "n", tc.want)); err != nil {
				return fmt.Errorf("before the commit: %w", err)
			}
			if err := tx.Commit(); err != nil {
				return err
			}
			return c.has("n", tc.want)
		}); err != nil {
			return fmt.Errorf("%s: %w", tc.name, err)
		}
	}
	return nil
}

func addAfterOwn(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("n", le(5), "m", le(5), "o", le(5)); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		for _, step := range []struct {
			do   func()
			want string
		}{
			{func() { tx.Add([]byte("n"), 3) }, le(8)},
			{func() { tx.Add([]byte("n"), 10) }, le(18)},
			{func() { tx.Set([]byte("n"), []byte{1}) }, "\x01"},
			{func() { tx.Add([]byte("n"), 1) }, le(2)},
			{func() { tx.Clear([]byte("n")) }, "-"},
			{func() { tx.Add([]byte("n"), 7) }, le(7)},
			{func() { tx.ClearRange([]byte("a"), []byte("z")) }, "-"},
			{func() { tx.Add([]byte("n"), -1) }, le(math.MaxUint64)},
			{func() { tx.Add([]byte("n"), 3) }, le(2)},
		} {
			step.do()
			if err := wantGet(tx, "n", step.want); err != nil {
				return err
			}
		}
		tx.Add([]byte("q"), 1)
		if err := tx.Commit(); err != nil {
			return err
		}
		return c.has("n", le(2), "q", le(1))
	})
}

// addConcurrent has all clients add to one key at once, without reading it.
func addConcurrent(l *lab) error {
	const each = 25
	add := func(c *client) error {
		for range each {
			if _, err := c.commit(func(tx store.Txn) { tx.Add([]byte("n"), 3) }); err != nil {
				return err
			}
		}
		return nil
	}
	if err := l.together(add, add, add, add); err != nil {
		return err
	}
	return l.solo(func(c *client) error { return c.has("n", le(3*each*Clients)) })
}

// versionsRise commits one after the other and compares what is returned with
// the read versions around it.
func versionsRise(l *lab) error {
	return l.solo(func(c *client) error {
		var last store.Version
		for i := range 10 {
			tx, err := c.beginAt()
			if err != nil {
				return err
			}
			rv, err := tx.ReadVersion()
			if err != nil {
				return fmt.Errorf("ReadVersion: %w", err)
			}
			if err := wantGet(tx, "a", []string{"-", "1"}[min(i, 1)]); err != nil {
				return err
			}
			again, err := tx.ReadVersion()
			if err != nil {
				return fmt.Errorf("ReadVersion: %w", err)
			}
			if again != rv {
				return fmt.Errorf("the read version went from %d to %d in one transaction", rv, again)
			}
			if rv == 0 || rv < last {
				return fmt.Errorf("read version %d after a commit at %d", rv, last)
			}
			tx.Set([]byte("a"), []byte("1"))
			if v := tx.Committed(); v != 0 {
				return fmt.Errorf("commit version %d before the commit", v)
			}
			if err := tx.Commit(); err != nil {
				return err
			}
			if v := tx.Committed(); v <= rv || v <= last {
				return fmt.Errorf("commit version %d, with read version %d and a commit at %d before", v, rv, last)
			}
			last = tx.Committed()
			tx.Cancel()
			if tx.Committed() != last {
				return errors.New("a cancel after the commit changed the commit version")
			}
		}
		return nil
	})
}

func emptyCommit(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1"); err != nil {
			return err
		}
		for _, tc := range []struct {
			name string
			do   func(tx store.Txn) error
		}{
			{"nothing", func(store.Txn) error { return nil }},
			{"reads", func(tx store.Txn) error { return wantAll(tx, "a", "1") }},
			{"a removal of an empty range", func(tx store.Txn) error {
				tx.ClearRange([]byte("a"), []byte("a"))
				return nil
			}},
		} {
			tx := c.begin()
			if err := firstError(tc.do(tx), tx.Commit()); err != nil {
				return fmt.Errorf("%s: %w", tc.name, err)
			}
			if v := tx.Committed(); v != 0 {
				return fmt.Errorf("%s: commit version %d, want none", tc.name, v)
			}
		}
		return nil
	})
}

func removalOfNothing(l *lab) error {
	return l.solo(func(c *client) error {
		v, err := c.commit(func(tx store.Txn) { tx.Clear([]byte("missing")) })
		if err != nil {
			return err
		}
		if v == 0 {
			return errors.New("the transaction wrote, and its commit version is zero")
		}
		return c.has()
	})
}
