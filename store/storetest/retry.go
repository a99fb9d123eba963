package storetest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/kelpie-registry/kelpie/store"
)

// retryChecks run the retry loop of package store on the engine.
func retryChecks() []check {
	return []check{
		{name: "retry/increments from all clients all count", run: retryIncrements},
		{name: "retry/an error of the body applies nothing", run: retryBodyError},
		{name: "retry/read", run: retryRead},
	}
}

// retryIncrements has all clients read, increment and write one key. Under
// faults each increment leaves a mark, so that one whose outcome is not known
// can be told afterwards.
func retryIncrements(l *lab) error {
	const each = 20
	var mu sync.Mutex
	acked := map[string]store.Version{}
	doubtful := map[string]bool{}
	work := func(c *client) error {
		db, err := c.db()
		if err != nil {
			return err
		}
		for i := range each {
			mark := fmt.Sprintf("mark/%d/%d", c.n, i)
			v, err := db.Transact(c.ctx, func(tx store.Tx) error { return increment(tx, mark) })
			mu.Lock()
			if err == nil {
				acked[mark] = v
			} else {
				doubtful[mark] = true
			}
			mu.Unlock()
			if err != nil && !c.h.uncertain(err) {
				return fmt.Errorf("transact: %w", err)
			}
		}
		return nil
	}
	if err := l.together(work, work, work, work); err != nil {
		return err
	}
	return l.solo(func(c *client) error {
		db, err := c.db()
		if err != nil {
			return err
		}
		return db.Read(c.ctx, func(r store.Reader) error {
			marks, err := whole(r, []byte("mark/"), []byte("mark0"), store.RangeOptions{})
			if err != nil {
				return err
			}
			present := map[string]bool{}
			for _, kv := range marks {
				present[string(kv.Key)] = true
				if !doubtful[string(kv.Key)] && acked[string(kv.Key)] == 0 {
					return fmt.Errorf("%s is there and was not committed", kv.Key)
				}
			}
			for i := range each * Clients {
				mark := fmt.Sprintf("mark/%d/%d", i%Clients, i/Clients)
				if acked[mark] != 0 && !present[mark] {
					return fmt.Errorf("%s was committed and is not there", mark)
				}
			}
			return wantGet(r, "n", fmt.Sprint(len(marks)))
		})
	})
}

func increment(tx store.Tx, mark string) error {
	v, err := tx.Get([]byte("n"))
	if err != nil {
		return err
	}
	n := 0
	if v != nil {
		if _, err := fmt.Sscan(string(v), &n); err != nil {
			return fmt.Errorf("the counter is %q: %w", v, err)
		}
	}
	tx.Set([]byte("n"), fmt.Append(nil, n+1))
	tx.Set([]byte(mark), nil)
	return nil
}

func retryBodyError(l *lab) error {
	return l.solo(func(c *client) error {
		db, err := c.db()
		if err != nil {
			return err
		}
		mine := errors.New("the body's own error")
		_, err = db.Transact(c.ctx, func(tx store.Tx) error {
			tx.Set([]byte("a"), []byte("1"))
			return mine
		})
		if err := wantError("Transact", err, mine); err != nil {
			return err
		}
		return c.has()
	})
}

func retryRead(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1"); err != nil {
			return err
		}
		db, err := c.db()
		if err != nil {
			return err
		}
		return db.Read(c.ctx, func(r store.Reader) error { return wantAll(r, "a", "1") })
	})
}
