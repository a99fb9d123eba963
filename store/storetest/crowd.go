package storetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/kelpie-registry/kelpie/store"
)

// crowdChecks have many more tasks than clients use the store at once.
func crowdChecks() []check {
	return []check{
		{name: "crowd/transfers of many tasks keep the sum and all count", run: crowdTransfers},
		{name: "crowd/many watches and many writers", needs: []Feature{Watches}, run: crowdWatches},
	}
}

// Sizes of a crowd.
const (
	crowdMovers    = 40
	crowdReaders   = 8
	crowdEach      = 4 // transfers of a mover, sums of a reader
	crowdAccounts  = 24
	crowdBalance   = 100
	crowdWatchers  = 24
	crowdWatchKeys = 6
)

func accountKey(i int) []byte { return fmt.Appendf(nil, "account/%02d", i) }
func doneKey(task int) []byte { return fmt.Appendf(nil, "done/%02d", task) }

// number reads a little-endian count.
func number(value []byte) uint64 {
	var b [8]byte
	copy(b[:], value)
	return binary.LittleEndian.Uint64(b[:])
}

// crowdTransfers moves units between accounts in many tasks, while others sum
// them up. Each transfer counts itself, so that one which was acknowledged and
// lost shows.
func crowdTransfers(l *lab) error {
	if err := l.row(func(c *client) error {
		_, err := c.commit(func(tx store.Txn) {
			for i := range crowdAccounts {
				tx.Set(accountKey(i), []byte(le(crowdBalance)))
			}
		})
		return err
	}); err != nil {
		return err
	}
	var mu sync.Mutex
	acked, doubted := make([]uint64, crowdMovers), make([]uint64, crowdMovers)
	var tasks []func(c *client) error
	for task := range crowdMovers {
		tasks = append(tasks, func(c *client) error {
			r := rand.New(rand.NewPCG(l.seed, uint64(task)))
			for range crowdEach {
				err := c.move(accountKey(r.IntN(crowdAccounts)), accountKey(r.IntN(crowdAccounts)), doneKey(task))
				mu.Lock()
				switch {
				case err == nil:
					acked[task]++
				case c.h.interfered(err):
					doubted[task]++
				}
				mu.Unlock()
				if err != nil && !c.h.interfered(err) {
					return err
				}
			}
			return nil
		})
	}
	for range crowdReaders {
		tasks = append(tasks, func(c *client) error {
			for range crowdEach {
				if err := c.sums(nil, nil); err != nil && !c.h.interfered(err) {
					return err
				}
			}
			return nil
		})
	}
	if err := l.together(tasks...); err != nil {
		return err
	}
	return l.row(func(c *client) error { return c.sums(acked, doubted) })
}

// move moves a unit, and counts that it did.
func (c *client) move(from, to, done []byte) error {
	db, err := c.db()
	if err != nil {
		return err
	}
	_, err = db.Transact(c.ctx, func(tx store.Tx) error {
		values, err := tx.GetAll(from, to)
		if err != nil {
			return err
		}
		a, b := number(values[0]), number(values[1])
		if string(from) != string(to) {
			tx.Set(from, []byte(le(a-1)))
			tx.Set(to, []byte(le(b+1)))
		}
		tx.Add(done, 1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("transact: %w", err)
	}
	return nil
}

// sums checks that nothing was lost or made: the accounts' sum, and, where they
// are given, that the transfers which were acknowledged were counted, and no
// others but those in doubt. A transfer in doubt was applied once or not at all.
func (c *client) sums(acked, doubted []uint64) error {
	db, err := c.db()
	if err != nil {
		return err
	}
	return db.Read(c.ctx, func(r store.Reader) error {
		rows, err := whole(r, accountKey(0), []byte("account0"), store.RangeOptions{})
		if err != nil {
			return err
		}
		total := uint64(0)
		for _, kv := range rows {
			total += number(kv.Value)
		}
		if total != crowdAccounts*crowdBalance || len(rows) != crowdAccounts {
			return fmt.Errorf("%d accounts sum up to %d, want %d and %d", len(rows), total, crowdAccounts, crowdAccounts*crowdBalance)
		}
		for task := range acked {
			value, err := r.Get(doneKey(task))
			if err != nil {
				return fmt.Errorf("Get: %w", err)
			}
			if n := number(value); n < acked[task] || n > acked[task]+doubted[task] {
				return fmt.Errorf("task %d has moved %d units, %d acknowledged and %d in doubt", task, n, acked[task], doubted[task])
			}
		}
		return nil
	})
}

// crowdWatches has many tasks wait for changes of a few keys, each for a value
// of its own, while writers count the keys up.
func crowdWatches(l *lab) error {
	var tasks []func(c *client) error
	for task := range crowdWatchers {
		key := fmt.Appendf(nil, "watched/%d", task%crowdWatchKeys)
		want := uint64(1 + task%crowdEach)
		tasks = append(tasks, func(c *client) error { return c.await(key, want) })
	}
	for i := range crowdWatchKeys {
		key := fmt.Appendf(nil, "watched/%d", i)
		tasks = append(tasks, func(c *client) error {
			for n := range uint64(crowdEach) {
				if err := c.insist(func() error {
					_, err := c.commit(func(tx store.Txn) { tx.Set(key, []byte(le(n+1))) })
					return err
				}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return l.together(tasks...)
}

// await waits until key has at least the value want, with watches.
func (c *client) await(key []byte, want uint64) error {
	for {
		var now []byte
		var w store.Watch
		err := c.insist(func() error {
			tx := c.begin()
			defer tx.Cancel()
			var err error
			if now, err = tx.Get(key); err != nil {
				return fmt.Errorf("Get: %w", err)
			}
			if w, err = tx.Watch(key); err != nil {
				return fmt.Errorf("watch: %w", err)
			}
			return tx.Commit()
		})
		if err != nil {
			return err
		}
		if number(now) >= want {
			w.Cancel()
			return nil
		}
		if err := c.fires(w); err != nil {
			return err
		}
	}
}
