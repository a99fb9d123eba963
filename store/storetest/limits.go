package storetest

import (
	"bytes"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// limitChecks hold the engine to the port's limits from both sides.
func limitChecks() []check {
	return []check{
		{name: "limit/longest key and biggest value", run: limitsReached},
		{name: "limit/there is no longer key to read or clear", run: noLongerKey},
		{name: "limit/a transaction over its size", run: txnTooLarge},
		{name: "limit/a transaction just under its size", needs: []Feature{Limits}, run: txnJustFits},
	}
}

func limitsReached(l *lab) error {
	return l.solo(func(c *client) error {
		key, value := make([]byte, l.h.MaxKeyBytes), make([]byte, store.MaxValueBytes)
		for i := range key {
			key[i] = 'k'
		}
		for i := range value {
			value[i] = byte(i)
		}
		if err := c.put(string(key), string(value)); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		got, err := tx.Get(key)
		if err != nil {
			return fmt.Errorf("Get: %w", err)
		}
		if !bytes.Equal(got, value) {
			return fmt.Errorf("%d bytes came back, and not those that went in", len(got))
		}
		return nil
	})
}

func noLongerKey(l *lab) error {
	return l.solo(func(c *client) error {
		key := bytes.Repeat([]byte("k"), store.MaxKeyBytes+1)
		tx := c.begin()
		defer tx.Cancel()
		if got, err := tx.Get(key); got != nil || err != nil {
			return fmt.Errorf("get: %q, %w", got, err)
		}
		tx.Clear(key)
		tx.ClearRange(key, after(key))
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("a commit that clears it: %w", err)
		}
		if v := tx.Committed(); v != 0 {
			return fmt.Errorf("a commit that clears nothing but it has version %d", v)
		}
		return nil
	})
}

// fill sets n values of the largest size.
func fill(tx store.Txn, n int) {
	value := make([]byte, store.MaxValueBytes)
	for i := range n {
		tx.Set(fmt.Appendf(nil, "%04d", i), value)
	}
}

const fullTxn = store.MaxTxnBytes / store.MaxValueBytes

func txnTooLarge(l *lab) error {
	return l.solo(func(c *client) error {
		_, err := c.commit(func(tx store.Txn) { fill(tx, fullTxn+1) })
		if err := wantError("a commit of too many bytes", err, store.ErrTooLarge); err != nil {
			return err
		}
		if !l.h.has(ExplicitConflicts) {
			return c.has()
		}
		long := make([]byte, store.MaxKeyBytes)
		_, err = c.commit(func(tx store.Txn) {
			tx.Set([]byte("a"), nil)
			for i := range 2 * store.MaxTxnBytes / store.MaxKeyBytes {
				copy(long, fmt.Sprintf("%05d", i))
				tx.AddReadConflict(long, after(long))
			}
		})
		if err := wantError("a commit of too many conflict ranges", err, store.ErrTooLarge); err != nil {
			return err
		}
		return c.has()
	})
}

func txnJustFits(l *lab) error {
	return l.solo(func(c *client) error {
		if _, err := c.commit(func(tx store.Txn) { fill(tx, fullTxn-5) }); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		rows, err := all(tx, store.RangeOptions{})
		if err != nil {
			return err
		}
		if len(rows) != fullTxn-5 {
			return fmt.Errorf("%d rows, want %d", len(rows), fullTxn-5)
		}
		return nil
	})
}
