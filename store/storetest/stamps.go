package storetest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kelpie-registry/kelpie/store"
)

// stampChecks hold SetStamped to the port.
func stampChecks() []check {
	needs := []Feature{Stamps}
	return []check{
		{name: "stamp/is the commit version at its offset", needs: needs, run: stampIsVersion},
		{name: "stamp/cannot be read before the commit", needs: needs, run: stampUnreadable},
		{name: "stamp/a read of it fails the commit", needs: needs, run: stampPoisons},
		{name: "stamp/other keys stay readable", needs: needs, run: stampOthers},
		{name: "stamp/later mutations of the key", needs: needs, run: stampThenMutate},
		{name: "stamp/orders concurrent commits", needs: needs, run: stampsOrder},
	}
}

func stampIsVersion(l *lab) error {
	return l.solo(func(c *client) error {
		var previous []byte
		for _, offset := range []int{0, 3, 10, 90} {
			template := bytes.Repeat([]byte{'.'}, 100)
			key, other := []byte("a"), []byte("b")
			v, err := c.commit(func(tx store.Txn) {
				tx.SetStamped(key, template, offset)
				tx.SetStamped(other, template, 0)
				scribble(template) // the slice is the caller's
			})
			if err != nil {
				return err
			}
			tx := c.begin()
			got, err := tx.GetAll(key, other)
			tx.Cancel()
			if err != nil {
				return fmt.Errorf("GetAll: %w", err)
			}
			stamped, err := store.StampVersion(got[0], offset)
			if err != nil {
				return fmt.Errorf("offset %d: %w", offset, err)
			}
			if stamped != v {
				return fmt.Errorf("offset %d: the stamp says %d, the commit %d", offset, stamped, v)
			}
			if binary.BigEndian.Uint64(got[0][offset:]) != uint64(v) {
				return fmt.Errorf("offset %d: the stamp is %x, not version %d big-endian", offset, got[0][offset:offset+10], v)
			}
			want := bytes.Repeat([]byte{'.'}, 100)
			copy(want[offset:], got[0][offset:offset+store.StampBytes])
			if !bytes.Equal(got[0], want) {
				return fmt.Errorf("offset %d: the value is %q, want %q", offset, got[0], want)
			}
			stamp := got[0][offset : offset+store.StampBytes]
			if !bytes.Equal(stamp, got[1][:store.StampBytes]) {
				return fmt.Errorf("two stamps of one commit: %x and %x", stamp, got[1][:store.StampBytes])
			}
			if bytes.Compare(previous, stamp) >= 0 {
				return fmt.Errorf("stamp %x after stamp %x", stamp, previous)
			}
			previous = slices.Clone(stamp)
		}
		return nil
	})
}

// unreadable reads key a in each way.
var unreadable = []struct {
	name string
	read func(tx store.Txn) error
}{
	{"Get", func(tx store.Txn) error { _, err := tx.Get([]byte("a")); return err }},
	{"GetAll", func(tx store.Txn) error { _, err := tx.GetAll([]byte("b"), []byte("a")); return err }},
	{"GetRange", func(tx store.Txn) error {
		_, _, err := tx.GetRange([]byte("a"), []byte("b"), store.RangeOptions{})
		return err
	}},
	{"reverse GetRange", func(tx store.Txn) error {
		_, _, err := tx.GetRange([]byte("a"), []byte("b"), store.RangeOptions{Reverse: true})
		return err
	}},
	{"snapshot Get", func(tx store.Txn) error { _, err := tx.Snapshot().Get([]byte("a")); return err }},
	{"snapshot GetRange", func(tx store.Txn) error {
		_, _, err := tx.Snapshot().GetRange([]byte("a"), []byte("b"), store.RangeOptions{})
		return err
	}},
}

func stampUnreadable(l *lab) error {
	for _, tc := range unreadable {
		if err := l.row(func(c *client) error {
			tx := c.begin()
			defer tx.Cancel()
			tx.SetStamped([]byte("a"), make([]byte, 10), 0)
			return wantError(tc.name, tc.read(tx), store.ErrUnreadable)
		}); err != nil {
			return err
		}
	}
	return nil
}

func stampPoisons(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "old"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.Set([]byte("b"), nil)
		tx.SetStamped([]byte("a"), make([]byte, 10), 0)
		_, err := tx.Get([]byte("a"))
		if err := wantError("Get", err, store.ErrUnreadable); err != nil {
			return err
		}
		if err := wantError("Commit", tx.Commit(), store.ErrUnreadable); err != nil {
			return err
		}
		return c.has("a", "old")
	})
}

func stampOthers(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("b", "old"); err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		tx.SetStamped([]byte("a"), make([]byte, 10), 0)
		if err := wantGet(tx, "b", "old"); err != nil {
			return err
		}
		rows, err := whole(tx, []byte("a\x00"), last, store.RangeOptions{})
		if err != nil {
			return err
		}
		if err := wantRows(rows, "b", "old"); err != nil {
			return err
		}
		return tx.Commit()
	})
}

func stampThenMutate(l *lab) error {
	return l.solo(func(c *client) error {
		a, b, d, e := []byte("a"), []byte("b"), []byte("d"), []byte("e")
		tx := c.begin()
		defer tx.Cancel()
		tx.SetStamped(a, make([]byte, 10), 0)
		tx.Clear(a)
		if err := wantGet(tx, "a", "-"); err != nil {
			return fmt.Errorf("stamped, then cleared: %w", err)
		}
		tx.SetStamped(b, make([]byte, 10), 0)
		tx.ClearRange(b, d)
		tx.Set(b, []byte("plain"))
		if err := wantGet(tx, "b", "plain"); err != nil {
			return fmt.Errorf("stamped, then cleared, then set: %w", err)
		}
		tx.SetStamped(d, make([]byte, 10), 0)
		tx.Set(d, []byte("plain"))
		tx.Set(e, []byte("plain"))
		tx.SetStamped(e, make([]byte, 10), 0)
		if err := tx.Commit(); err != nil {
			return err
		}
		again := c.begin()
		defer again.Cancel()
		got, err := again.GetAll(a, b, d, e)
		if err != nil {
			return fmt.Errorf("GetAll: %w", err)
		}
		if got[0] != nil || string(got[1]) != "plain" || string(got[2]) != "plain" {
			return fmt.Errorf("after the commit: %q", got[:3])
		}
		if v, err := store.StampVersion(got[3], 0); err != nil || v != tx.Committed() {
			return fmt.Errorf("set, then stamped: %q, want the stamp of version %d", got[3], tx.Committed())
		}
		return nil
	})
}

// stampsOrder commits from all clients at once and demands that stamps differ,
// agree with the commit versions, and put each client's commits in their order.
func stampsOrder(l *lab) error {
	const each = 20
	var mu sync.Mutex
	seen := map[string]bool{}
	note := func(stamp []byte) error {
		mu.Lock()
		defer mu.Unlock()
		if seen[string(stamp)] {
			return fmt.Errorf("two commits have the stamp %x", stamp)
		}
		seen[string(stamp)] = true
		return nil
	}
	work := func(c *client) error {
		var previous []byte
		for i := range each {
			key := fmt.Appendf(nil, "%d/%d", c.n, i)
			var stamp []byte
			if err := l.insist(func() (err error) {
				stamp, err = c.stamped(key)
				return err
			}); err != nil {
				return err
			}
			if bytes.Compare(previous, stamp) >= 0 {
				return fmt.Errorf("stamp %x after stamp %x", stamp, previous)
			}
			if err := note(stamp); err != nil {
				return err
			}
			previous = stamp
		}
		return nil
	}
	if err := l.together(work, work, work, work); err != nil {
		return err
	}
	if len(seen) != each*Clients {
		return errors.New("stamps are missing")
	}
	return nil
}

// stamped gives key a stamp in a transaction of its own and returns it.
func (c *client) stamped(key []byte) ([]byte, error) {
	v, err := c.commit(func(tx store.Txn) { tx.SetStamped(key, make([]byte, store.StampBytes), 0) })
	if err != nil {
		return nil, err
	}
	tx := c.begin()
	defer tx.Cancel()
	stamp, err := tx.Get(key)
	if err != nil {
		return nil, fmt.Errorf("Get: %w", err)
	}
	if at, err := store.StampVersion(stamp, 0); err != nil || at != v {
		return nil, fmt.Errorf("the stamp %x is not of version %d", stamp, v)
	}
	return stamp, nil
}
