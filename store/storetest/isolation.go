package storetest

import (
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// isolationChecks hold transactions to isolation, in the classic anomalies.
func isolationChecks() []check {
	return []check{
		{name: "isolation/a transaction reads one version", run: repeatableReads},
		{name: "isolation/lost update refused", run: lostUpdate},
		{name: "isolation/write skew refused", run: writeSkew},
		{name: "isolation/write skew over ranges refused", run: writeSkewRanges},
		{name: "isolation/phantoms refused", run: phantoms},
		{name: "isolation/a commit is seen by all that begin later", run: visibleAtOnce},
		{name: "isolation/a refused transaction leaves nothing", run: refusedLeavesNothing},
		{name: "isolation/transfers keep the sum", run: transfers},
	}
}

func repeatableReads(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1", "b", "1", "c", "1"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		if err := wantGet(tx, "a", "1"); err != nil {
			return err
		}
		before, err := tx.ReadVersion()
		if err != nil {
			return fmt.Errorf("ReadVersion: %w", err)
		}
		if _, err := c.commit(func(tx store.Txn) {
			tx.Set([]byte("a"), []byte("2"))
			tx.Clear([]byte("b"))
			tx.ClearRange([]byte("c"), []byte("d"))
			tx.Set([]byte("d"), []byte("2"))
			tx.Add([]byte("e"), 1)
		}); err != nil {
			return err
		}
		after, err := tx.ReadVersion()
		if err != nil {
			return fmt.Errorf("ReadVersion: %w", err)
		}
		if after != before {
			return fmt.Errorf("another's commit moved the read version from %d to %d", before, after)
		}
		for _, r := range []store.Reader{tx, tx.Snapshot()} {
			if err := firstError(
				wantGet(r, "a", "1"),
				wantGet(r, "b", "1"),
				wantGet(r, "d", "-"),
				wantAll(r, "a", "1", "b", "1", "c", "1"),
			); err != nil {
				return fmt.Errorf("after another's commit: %w", err)
			}
		}
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("commit of a transaction that wrote nothing: %w", err)
		}
		return c.has("a", "2", "d", "2", "e", le(1))
	})
}

func lostUpdate(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("n", "1"); err != nil {
			return err
		}
		one, two := c.begin(), c.begin()
		defer one.Cancel()
		defer two.Cancel()
		if err := firstError(wantGet(one, "n", "1"), wantGet(two, "n", "1")); err != nil {
			return err
		}
		one.Set([]byte("n"), []byte("one"))
		two.Set([]byte("n"), []byte("two"))
		if err := one.Commit(); err != nil {
			return err
		}
		if err := wantError("the second update", two.Commit(), store.ErrConflict); err != nil {
			return err
		}
		return c.has("n", "one")
	})
}

func writeSkew(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("x", "1", "y", "1"); err != nil {
			return err
		}
		one, two := c.begin(), c.begin()
		defer one.Cancel()
		defer two.Cancel()
		if err := firstError(wantGet(one, "x", "1"), wantGet(two, "y", "1")); err != nil {
			return err
		}
		one.Set([]byte("y"), []byte("0"))
		two.Set([]byte("x"), []byte("0"))
		if err := one.Commit(); err != nil {
			return err
		}
		if err := wantError("the second of a skewed pair", two.Commit(), store.ErrConflict); err != nil {
			return err
		}
		return c.has("x", "1", "y", "0")
	})
}

func writeSkewRanges(l *lab) error {
	return l.solo(func(c *client) error {
		one, two := c.begin(), c.begin()
		defer one.Cancel()
		defer two.Cancel()
		if err := firstError(wantAll(one), wantAll(two)); err != nil {
			return err
		}
		one.Set([]byte("x"), []byte("1"))
		two.Set([]byte("y"), []byte("1"))
		if err := two.Commit(); err != nil {
			return err
		}
		if err := wantError("the second of a skewed pair", one.Commit(), store.ErrConflict); err != nil {
			return err
		}
		return c.has("y", "1")
	})
}

// phantoms reads a range, has another transaction change what belongs into it,
// and commits a write.
func phantoms(l *lab) error {
	for _, tc := range []struct {
		name    string
		reverse bool
		do      func(tx store.Txn)
	}{
		{"a row before the first", false, func(tx store.Txn) { tx.Set([]byte("a5"), nil) }},
		{"a row between two", false, func(tx store.Txn) { tx.Set([]byte("c5"), nil) }},
		{"a row behind the last", false, func(tx store.Txn) { tx.Set([]byte("x"), nil) }},
		{"a row behind the last, reverse", true, func(tx store.Txn) { tx.Set([]byte("x"), nil) }},
		{"a row before the first, reverse", true, func(tx store.Txn) { tx.Set([]byte("a5"), nil) }},
		{"a row gone", false, func(tx store.Txn) { tx.Clear([]byte("c")) }},
		{"all rows gone", false, func(tx store.Txn) { tx.ClearRange([]byte("a"), []byte("z")) }},
		{"a counter made", false, func(tx store.Txn) { tx.Add([]byte("c5"), 1) }},
		{"a row changed", true, func(tx store.Txn) { tx.Set([]byte("d"), []byte("2")) }},
	} {
		if err := l.row(func(c *client) error {
			if _, err := c.commit(func(tx store.Txn) {
				tx.ClearRange(first, last)
				tx.Set([]byte("b"), []byte("1"))
				tx.Set([]byte("c"), []byte("1"))
				tx.Set([]byte("d"), []byte("1"))
			}); err != nil {
				return err
			}
			tx := c.begin()
			defer tx.Cancel()
			if _, err := whole(tx, []byte("a"), []byte("z"), store.RangeOptions{Reverse: tc.reverse}); err != nil {
				return err
			}
			if _, err := c.commit(tc.do); err != nil {
				return err
			}
			tx.Set([]byte("out"), nil)
			return wantError("commit", tx.Commit(), store.ErrConflict)
		}); err != nil {
			return fmt.Errorf("%s: %w", tc.name, err)
		}
	}
	return nil
}

// visibleAtOnce commits on one client and reads on another, by turns.
func visibleAtOnce(l *lab) error {
	for i := range 5 * Clients {
		value := fmt.Sprint(i)
		var v store.Version
		writer := func(c *client) (err error) {
			v, err = c.commit(func(tx store.Txn) { tx.Set([]byte("a"), []byte(value)) })
			return err
		}
		reader := func(c *client) error {
			tx := c.begin()
			defer tx.Cancel()
			if err := wantGet(tx, "a", value); err != nil {
				return err
			}
			rv, err := tx.ReadVersion()
			if err != nil {
				return fmt.Errorf("ReadVersion: %w", err)
			}
			if rv < v {
				return fmt.Errorf("read version %d after a commit at %d was acknowledged", rv, v)
			}
			return nil
		}
		if err := firstError(l.on(i%Clients, writer), l.on((i+1)%Clients, reader)); err != nil {
			return err
		}
	}
	return nil
}

// on runs f in a task of client n and returns its error.
func (l *lab) on(n int, f func(c *client) error) error {
	err := errUnfinished
	l.spawn(n, func(c *client) { err = f(c) })
	if e := l.Wait(); e != nil {
		return e
	}
	return err
}

func refusedLeavesNothing(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		if err := wantGet(tx, "a", "1"); err != nil {
			return err
		}
		tx.Set([]byte("b"), []byte("1"))
		tx.Add([]byte("n"), 1)
		tx.ClearRange([]byte("a"), []byte("a\x00"))
		if err := c.put("a", "2"); err != nil {
			return err
		}
		if err := wantError("commit", tx.Commit(), store.ErrConflict); err != nil {
			return err
		}
		if v := tx.Committed(); v != 0 {
			return fmt.Errorf("a refused transaction has commit version %d", v)
		}
		return c.has("a", "2")
	})
}

// transfers moves amounts between accounts from all clients at once, while
// readers add them up.
func transfers(l *lab) error {
	const accounts, each, start = 5, 30, 100
	key := func(i int) []byte { return fmt.Appendf(nil, "account/%d", i) }
	if err := l.solo(func(c *client) error {
		_, err := c.commit(func(tx store.Txn) {
			for i := range accounts {
				tx.Set(key(i), []byte{start})
			}
		})
		return err
	}); err != nil {
		return err
	}
	sum := func(r store.Reader) (int, error) {
		rows, err := all(r, store.RangeOptions{})
		total := 0
		for _, kv := range rows {
			total += int(kv.Value[0])
		}
		return total, err
	}
	work := func(c *client) error {
		r := c.rand()
		for range each {
			err := c.transfer(key(r.IntN(accounts)), key(r.IntN(accounts)))
			if err != nil && !errors.Is(err, store.ErrConflict) && !l.h.interfered(err) {
				return err
			}
			tx := c.begin()
			total, err := sum(tx)
			tx.Cancel()
			if err != nil && l.h.interfered(err) {
				continue
			}
			if err != nil {
				return err
			}
			if total != accounts*start {
				return fmt.Errorf("the accounts sum up to %d, want %d", total, accounts*start)
			}
		}
		return nil
	}
	return l.together(work, work, work, work)
}

// transfer moves one unit from one account to the other, if there is one.
func (c *client) transfer(from, to []byte) error {
	tx := c.begin()
	defer tx.Cancel()
	balance, err := tx.Get(from)
	if err != nil {
		return fmt.Errorf("Get: %w", err)
	}
	if balance[0] == 0 {
		return nil
	}
	tx.Set(from, []byte{balance[0] - 1})
	target, err := tx.Get(to)
	if err != nil {
		return fmt.Errorf("Get: %w", err)
	}
	if target[0] == 255 {
		return nil
	}
	tx.Set(to, []byte{target[0] + 1})
	return tx.Commit()
}
