package storetest

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// readChecks hold Get, GetAll and the view of the transaction's own writes to
// the port.
func readChecks() []check {
	return []check{
		{name: "get/missing, empty and present", run: getValues},
		{name: "get/all in the order asked for", run: getAllOrder},
		{name: "get/slices belong to the caller", run: slicesAreTheCallers},
		{name: "get/keys are plain bytes", run: binaryKeys},
		{name: "own writes/get sees them", run: ownWritesGet},
		{name: "own writes/ranges see them", run: ownWritesRange},
		{name: "own writes/the last mutation wins", run: ownWritesOrder},
		{name: "own writes/a snapshot reader sees them", run: ownWritesSnapshot},
		{name: "own writes/nobody else does before the commit", run: ownWritesPrivate},
	}
}

func getValues(l *lab) error {
	return l.solo(func(c *client) error {
		if _, err := c.commit(func(tx store.Txn) {
			tx.Set([]byte("empty"), []byte{})
			tx.Set([]byte("nil"), nil)
			tx.Set([]byte("a"), []byte("1"))
		}); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		for _, key := range []string{"empty", "nil"} {
			v, err := tx.Get([]byte(key))
			if err != nil {
				return fmt.Errorf("Get(%q): %w", key, err)
			}
			if v == nil || len(v) != 0 {
				return fmt.Errorf("Get(%q) is %#v; want an empty value that is not nil", key, v)
			}
		}
		rows, err := all(tx, store.RangeOptions{})
		if err != nil {
			return err
		}
		if len(rows) != 3 || rows[1].Value == nil {
			return fmt.Errorf("rows are %#v, want an empty value that is not nil", rows)
		}
		return steps(
			func() error { return wantGet(tx, "missing", "-") },
			func() error { return wantGet(tx, "a", "1") },
			func() error { return wantGet(tx, "a\x00", "-") },
			func() error { return wantRows(rows, "a", "1", "empty", "", "nil", "") },
		)
	})
}

func getAllOrder(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1", "b", "2", "c", "3"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.Set([]byte("b"), []byte("own"))
		for _, r := range []store.Reader{tx, tx.Snapshot()} {
			got, err := r.GetAll([]byte("c"), []byte("missing"), []byte("a"), []byte("b"), []byte("c"))
			if err != nil {
				return fmt.Errorf("GetAll: %w", err)
			}
			want := [][]byte{[]byte("3"), nil, []byte("1"), []byte("own"), []byte("3")}
			if len(got) != len(want) {
				return fmt.Errorf("GetAll of %d keys gave %d values", len(want), len(got))
			}
			for i := range want {
				if show(got[i]) != show(want[i]) {
					return fmt.Errorf("GetAll gave %q, want %q", got, want)
				}
			}
			none, err := r.GetAll()
			if err != nil {
				return fmt.Errorf("GetAll of no keys: %w", err)
			}
			if len(none) != 0 {
				return fmt.Errorf("GetAll of no keys gave %q", none)
			}
		}
		return nil
	})
}

// slicesAreTheCallers changes every slice that goes in, after the call, and
// every slice that comes out.
func slicesAreTheCallers(l *lab) error {
	return l.solo(func(c *client) error {
		tx := c.begin()
		defer tx.Cancel()
		key, value := []byte("a"), []byte("value")
		tx.Set(key, value)
		scribble(key, value)
		begin, end := []byte("x"), []byte("y")
		tx.ClearRange(begin, end)
		scribble(begin, end)
		if err := readAndScribble(tx); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		again := c.begin()
		defer again.Cancel()
		if err := readAndScribble(again); err != nil {
			return err
		}
		return c.has("a", "value")
	})
}

// readAndScribble reads a=value in every way, changing each result, twice.
func readAndScribble(tx store.Txn) error {
	for range 2 {
		key := []byte("a")
		v, err := tx.Get(key)
		if err != nil {
			return fmt.Errorf("Get: %w", err)
		}
		if string(v) != "value" {
			return fmt.Errorf("Get after the slices were changed: %q", v)
		}
		scribble(key, append(v, "tail"...))
		scribble(v)
		vs, err := tx.GetAll([]byte("a"))
		if err != nil {
			return fmt.Errorf("GetAll: %w", err)
		}
		if len(vs) != 1 || string(vs[0]) != "value" {
			return fmt.Errorf("GetAll after the slices were changed: %q", vs)
		}
		scribble(vs...)
		rows, err := all(tx, store.RangeOptions{})
		if err != nil {
			return err
		}
		if err := wantRows(rows, "a", "value"); err != nil {
			return fmt.Errorf("after the slices were changed: %w", err)
		}
		scribble(append(rows[0].Key, "tail"...))
		if string(rows[0].Value) != "value" {
			return errors.New("a row's key and value share an array: appending to the key changed the value")
		}
		scribble(rows[0].Key, rows[0].Value)
	}
	return nil
}

func scribble(slices ...[]byte) {
	for _, s := range slices {
		for i := range s {
			s[i] = '!'
		}
	}
}

func binaryKeys(l *lab) error {
	return l.solo(func(c *client) error {
		keys := []string{"\x00\x00", "\x00\x01", "\x7f", "\x80", "\x80\x00", "\x80\xff", "a", "a\x00", "a\x00\x00", "a\xff", "ab", "\xfd\xff\xff"}
		if _, err := c.commit(func(tx store.Txn) {
			for _, k := range keys {
				tx.Set([]byte(k), []byte{0, 0xff, k[0]})
			}
		}); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		rows, err := all(tx, store.RangeOptions{})
		if err != nil {
			return err
		}
		if len(rows) != len(keys) {
			return fmt.Errorf("%d rows, want %d", len(rows), len(keys))
		}
		for i, kv := range rows {
			if i > 0 && bytes.Compare(rows[i-1].Key, kv.Key) >= 0 {
				return fmt.Errorf("row %q comes after %q", kv.Key, rows[i-1].Key)
			}
			if !bytes.Equal(kv.Value, []byte{0, 0xff, kv.Key[0]}) {
				return fmt.Errorf("the value of %q is %x", kv.Key, kv.Value)
			}
		}
		return nil
	})
}

func ownWritesGet(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "0", "b", "0", "c", "0"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.Set([]byte("a"), []byte("new"))
		tx.Set([]byte("d"), []byte("new"))
		tx.Clear([]byte("b"))
		tx.Clear([]byte("missing"))
		want := []string{"a", "new", "b", "-", "c", "0", "d", "new", "missing", "-"}
		for i := 0; i < len(want); i += 2 {
			if err := wantGet(tx, want[i], want[i+1]); err != nil {
				return err
			}
		}
		tx.ClearRange([]byte("a"), []byte("c"))
		want = []string{"a", "-", "b", "-", "c", "0", "d", "new"}
		for i := 0; i < len(want); i += 2 {
			if err := wantGet(tx, want[i], want[i+1]); err != nil {
				return fmt.Errorf("after ClearRange(a, c): %w", err)
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		return c.has("c", "0", "d", "new")
	})
}

func ownWritesRange(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1", "b", "2", "c", "3", "d", "4", "e", "5"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.ClearRange([]byte("b"), []byte("d"))
		tx.Set([]byte("b5"), []byte("new"))
		tx.Set([]byte("e"), []byte("changed"))
		tx.Set([]byte("f"), []byte("new"))
		tx.Clear([]byte("a"))
		want := []string{"b5", "new", "d", "4", "e", "changed", "f", "new"}
		if err := wantAll(tx, want...); err != nil {
			return err
		}
		reverse, err := all(tx, store.RangeOptions{Reverse: true})
		if err != nil {
			return err
		}
		if err := wantRows(reverse, "f", "new", "e", "changed", "d", "4", "b5", "new"); err != nil {
			return fmt.Errorf("reverse: %w", err)
		}
		for limit := 1; limit <= 5; limit++ {
			rows, err := all(tx, store.RangeOptions{Limit: limit})
			if err != nil {
				return err
			}
			if err := wantRows(rows, want[:2*min(limit, 4)]...); err != nil {
				return fmt.Errorf("limit %d: %w", limit, err)
			}
			rows, err = all(tx, store.RangeOptions{Limit: limit, Reverse: true})
			if err != nil {
				return err
			}
			if !sameRows(rows, reverse[:min(limit, 4)]) {
				return fmt.Errorf("reverse, limit %d: rows are %v, want the first of %v", limit, showRows(rows), showRows(reverse))
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		return c.has(want...)
	})
}

func ownWritesOrder(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "0", "b", "0", "c", "0"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.Set([]byte("a"), []byte("1"))
		tx.Set([]byte("a"), []byte("2"))
		tx.Set([]byte("b"), []byte("gone"))
		tx.ClearRange([]byte("b"), []byte("c"))
		tx.ClearRange([]byte("c"), []byte("d"))
		tx.Set([]byte("c"), []byte("back"))
		tx.Set([]byte("d"), []byte("gone"))
		tx.Clear([]byte("d"))
		tx.Clear([]byte("e"))
		tx.Set([]byte("e"), []byte("back"))
		want := []string{"a", "2", "c", "back", "e", "back"}
		if err := wantAll(tx, want...); err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		return c.has(want...)
	})
}

func ownWritesSnapshot(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "0", "b", "0"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		r := tx.Snapshot()
		tx.Set([]byte("a"), []byte("new"))
		tx.Clear([]byte("b"))
		tx.Set([]byte("c"), []byte("new"))
		return steps(
			func() error { return wantGet(r, "a", "new") },
			func() error { return wantGet(r, "b", "-") },
			func() error { return wantAll(r, "a", "new", "c", "new") },
		)
	})
}

func ownWritesPrivate(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "0"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.Set([]byte("a"), []byte("new"))
		tx.Set([]byte("b"), []byte("new"))
		if err := wantGet(tx, "a", "new"); err != nil {
			return err
		}
		if err := c.has("a", "0"); err != nil {
			return fmt.Errorf("before the commit: %w", err)
		}
		tx.Cancel()
		if err := c.has("a", "0"); err != nil {
			return fmt.Errorf("after the cancel: %w", err)
		}
		return nil
	})
}
