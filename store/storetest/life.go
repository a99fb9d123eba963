package storetest

import (
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// lifeChecks hold the lives of transactions and engines to the port: used,
// given up, closed, too old.
func lifeChecks() []check {
	return []check{
		{name: "used/after a commit", run: func(l *lab) error { return used(l, finishCommit) }},
		{name: "used/after an empty commit", run: func(l *lab) error { return used(l, finishEmpty) }},
		{name: "used/after a refused commit", run: func(l *lab) error { return used(l, finishRefused) }},
		{name: "used/after a cancel", run: func(l *lab) error { return used(l, finishCancel) }},
		{name: "used/cancel after the commit does nothing", run: cancelAfterCommit},
		{name: "closed/refuses everything", run: closedRefuses},
		{name: "closed/transactions under way end", run: closedUnderWay},
		{name: "window/transactions grow too old", needs: []Feature{Window}, run: tooOld},
	}
}

// call is a call of a transaction that returns an error.
type call struct {
	name string
	do   func(tx store.Txn) error
}

// calls returns the calls that every state of a transaction and of an engine
// must answer for.
func (l *lab) calls() []call {
	cs := []call{
		{"Get", get("a")},
		{"GetAll", getAll("a", "b")},
		{"GetRange", rangeOf("a", "b")},
		{"snapshot Get", snapshotGet("a")},
		{"snapshot GetAll", func(tx store.Txn) error { _, err := tx.Snapshot().GetAll([]byte("a")); return err }},
		{"snapshot GetRange", snapshotRange("a", "b")},
		{"ReadVersion", func(tx store.Txn) error { _, err := tx.ReadVersion(); return err }},
		{"Commit", func(tx store.Txn) error { return tx.Commit() }},
	}
	if l.h.has(Watches) {
		cs = append(cs, call{"Watch", func(tx store.Txn) error { _, err := tx.Watch([]byte("a")); return err }})
	}
	return cs
}

// Ways in which a transaction ends.
func finishCommit(_ *client, tx store.Txn) error {
	tx.Set([]byte("kept"), nil)
	return tx.Commit()
}

func finishEmpty(_ *client, tx store.Txn) error { return tx.Commit() }

func finishCancel(_ *client, tx store.Txn) error {
	tx.Set([]byte("lost"), nil)
	tx.Cancel()
	return nil
}

func finishRefused(c *client, tx store.Txn) error {
	if _, err := tx.Get([]byte("b")); err != nil {
		return err
	}
	if err := c.put("b", "changed"); err != nil {
		return err
	}
	tx.Set([]byte("lost"), nil)
	return wantError("Commit", tx.Commit(), store.ErrConflict)
}

// used ends a transaction and makes each call on it.
func used(l *lab, finish func(c *client, tx store.Txn) error) error {
	return l.solo(func(c *client) error {
		for _, k := range l.calls() {
			tx := c.begin()
			snapshot := tx.Snapshot()
			if err := finish(c, tx); err != nil {
				return err
			}
			// Mutations have no error to return; they must not do anything either.
			tx.Set([]byte("late"), nil)
			tx.ClearRange(first, last)
			tx.Add([]byte("late"), 1)
			if err := wantError(k.name, k.do(tx), store.ErrUsed); err != nil {
				return err
			}
			if _, err := snapshot.Get([]byte("a")); !errors.Is(err, store.ErrUsed) {
				return wantError("Get of an earlier snapshot reader", err, store.ErrUsed)
			}
		}
		tx := c.begin()
		defer tx.Cancel()
		got, err := tx.GetAll([]byte("late"), []byte("lost"))
		if err != nil {
			return fmt.Errorf("GetAll: %w", err)
		}
		if got[0] != nil || got[1] != nil {
			return fmt.Errorf("writes of a transaction that had ended were applied: %q", got)
		}
		return nil
	})
}

func cancelAfterCommit(l *lab) error {
	return l.solo(func(c *client) error {
		tx := c.begin()
		tx.Set([]byte("a"), []byte("1"))
		if err := tx.Commit(); err != nil {
			return err
		}
		v := tx.Committed()
		tx.Cancel()
		tx.Cancel()
		if tx.Committed() != v {
			return fmt.Errorf("a cancel changed the commit version from %d to %d", v, tx.Committed())
		}
		return c.has("a", "1")
	})
}

func closedRefuses(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.engine.Close(); err != nil {
			return fmt.Errorf("Close: %w", err)
		}
		for _, k := range l.calls() {
			tx := c.begin()
			err := wantError(k.name, k.do(tx), store.ErrClosed)
			tx.Cancel()
			if err != nil {
				return err
			}
		}
		_, err := c.commit(set("a"))
		if err := wantError("a commit", err, store.ErrClosed); err != nil {
			return err
		}
		if err := c.engine.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			return fmt.Errorf("Close again: %w", err)
		}
		return nil
	})
}

func closedUnderWay(l *lab) error {
	return l.solo(func(c *client) error {
		var txs []store.Txn
		for range l.calls() {
			tx := c.begin()
			defer tx.Cancel()
			if _, err := tx.Get([]byte("a")); err != nil {
				return err
			}
			tx.Set([]byte("b"), nil)
			txs = append(txs, tx)
		}
		if err := c.engine.Close(); err != nil {
			return fmt.Errorf("Close: %w", err)
		}
		for i, k := range l.calls() {
			if err := wantError(k.name, k.do(txs[i]), store.ErrClosed); err != nil {
				return err
			}
		}
		return nil
	})
}

// tooOld lets read versions fall out of the window.
func tooOld(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1"); err != nil {
			return err
		}
		var old []store.Txn
		for range 4 {
			tx, err := c.beginAt()
			if err != nil {
				return err
			}
			defer tx.Cancel()
			if err := wantGet(tx, "a", "1"); err != nil {
				return err
			}
			old = append(old, tx)
		}
		blind := c.begin()
		defer blind.Cancel()
		blind.Set([]byte("blind"), nil)
		if err := c.put("a", "2"); err != nil {
			return err
		}
		if err := c.h.Age(c.ctx, c.World, c.n); err != nil {
			return fmt.Errorf("Harness.Age: %w", err)
		}
		_, err := old[0].Get([]byte("never read before"))
		_, _, rerr := old[1].GetRange([]byte("p"), []byte("q"), store.RangeOptions{})
		old[2].Set([]byte("b"), []byte("1"))
		if err := firstError(
			wantError("Get", err, store.ErrTooOld),
			wantError("GetRange", rerr, store.ErrTooOld),
			wantError("Commit", old[2].Commit(), store.ErrTooOld),
		); err != nil {
			return err
		}
		if err := old[3].Commit(); err != nil {
			return fmt.Errorf("commit of an old transaction that wrote nothing: %w", err)
		}
		fresh := c.begin()
		defer fresh.Cancel()
		return firstError(wantGet(fresh, "a", "2"), wantGet(fresh, "b", "-"))
	})
}
