package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// watchChecks hold Watch to the port.
func watchChecks() []check {
	needs := []Feature{Watches}
	return []check{
		{name: "watch/fires when the value changes", needs: needs, run: watchFires},
		{name: "watch/does not fire before the commit", needs: needs, run: watchAfterCommit},
		{name: "watch/of a change made before its own commit", needs: needs, run: watchMissedChange},
		{name: "watch/compares with what the transaction saw", needs: needs, run: watchOwnWrites},
		{name: "watch/is quiet while the value stays", needs: needs, run: watchQuiet},
		{name: "watch/fires once", needs: needs, run: watchOnce},
		{name: "watch/a change there and back may be missed", needs: needs, run: watchABA},
		{name: "watch/outlives its transaction and its context", needs: needs, run: watchOutlives},
		{name: "watch/many of one key and of many keys", needs: needs, run: watchMany},
		{name: "watch/cancelled", needs: needs, run: watchCancelled},
		{name: "watch/wait ends with its context", needs: needs, run: watchContext},
		{name: "watch/ends with the failed commit's error", needs: needs, run: watchRefused},
		{name: "watch/ends with the cancelled transaction", needs: needs, run: watchGivenUp},
		{name: "watch/ends when the engine closes", needs: needs, run: watchClosed},
		{name: "watch/a lost connection loses no change in silence", needs: needs, cuts: true, run: watchCutOff},
		{name: "watch/of an unreadable key", needs: []Feature{Watches, Stamps}, run: watchUnreadable},
	}
}

// watchKey sets a watch on key in a transaction of its own, which does more
// before and after it calls Watch; both may be nil.
func (c *client) watchKey(key string, before, after func(tx store.Txn)) (store.Watch, error) {
	tx := c.begin()
	defer tx.Cancel()
	if before != nil {
		before(tx)
	}
	w, err := tx.Watch([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	if after != nil {
		after(tx)
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("Commit: %w", err)
	}
	return w, nil
}

// fires returns an error unless w fires.
func (c *client) fires(w store.Watch) error {
	ctx, cancel := c.clock.WithTimeout(c.ctx, c.h.Patience)
	defer cancel()
	err := w.Wait(ctx)
	if err != nil && c.h.suffers(LostWatches) && errors.Is(err, store.ErrUnavailable) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("a watch that had to fire: %w", err)
	}
	return nil
}

// silent returns an error if w fires or ends.
func (c *client) silent(w store.Watch) error {
	ctx, cancel := c.clock.WithTimeout(c.ctx, c.h.Quiet)
	defer cancel()
	err := w.Wait(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil
	case err != nil && c.h.suffers(LostWatches) && errors.Is(err, store.ErrUnavailable):
		return nil
	case err != nil:
		return fmt.Errorf("a watch that had to stay quiet ended: %w", err)
	default:
		return errors.New("a watch fired that had to stay quiet")
	}
}

// ends returns an error unless w ends with an error, one of wants if there are
// any.
func (c *client) ends(w store.Watch, wants ...error) error {
	ctx, cancel := c.clock.WithTimeout(c.ctx, c.h.Patience)
	defer cancel()
	err := w.Wait(ctx)
	if err == nil {
		return errors.New("a watch fired that had to end with an error")
	}
	if ctx.Err() != nil {
		return errors.New("a watch did not end")
	}
	if len(wants) > 0 && (!c.h.suffers(LostWatches) || !errors.Is(err, store.ErrUnavailable)) {
		return wantError("Wait", err, wants...)
	}
	return nil
}

func watchFires(l *lab) error {
	for _, tc := range []struct {
		name string
		do   writeStep
		key  string
	}{
		{"set", set("a"), "a"},
		{"clear", clearKey("a"), "a"},
		{"clear range", clearRange("a", "b"), "a"},
		{"add", addN(), "n"},
		{"set of a missing key", set("m"), "m"},
		{"empty value where none was", func(tx store.Txn) { tx.Set([]byte("m"), nil) }, "m"},
		{"clear range and set", func(tx store.Txn) { tx.ClearRange(first, last); tx.Set([]byte("a"), []byte("9")) }, "a"},
	} {
		if err := l.row(func(c *client) error {
			if _, err := c.commit(func(tx store.Txn) {
				tx.ClearRange(first, last)
				tx.Set([]byte("a"), []byte("1"))
				tx.Set([]byte("n"), []byte(le(1)))
			}); err != nil {
				return err
			}
			w, err := c.watchKey(tc.key, nil, nil)
			if err != nil {
				return err
			}
			wait := c.background(func(c *client) error { return c.fires(w) })
			if _, err := c.commit(tc.do); err != nil {
				return err
			}
			// Both a task that waited already and one that comes late.
			return firstError(wait(), c.fires(w))
		}); err != nil {
			return fmt.Errorf("%s: %w", tc.name, err)
		}
	}
	return nil
}

func watchAfterCommit(l *lab) error {
	return l.solo(func(c *client) error {
		tx := c.begin()
		defer tx.Cancel()
		w, err := tx.Watch([]byte("a"))
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if err := c.put("a", "1"); err != nil {
			return err
		}
		if err := c.silent(w); err != nil {
			return fmt.Errorf("before the commit: %w", err)
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		return c.fires(w)
	})
}

// watchMissedChange has a writing transaction watch a key that changes before
// it commits: the watch adds no conflict, and fires with the commit.
func watchMissedChange(l *lab) error {
	return l.solo(func(c *client) error {
		tx := c.begin()
		defer tx.Cancel()
		w, err := tx.Watch([]byte("a"))
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if err := c.put("a", "1"); err != nil {
			return err
		}
		tx.Set([]byte("out"), nil)
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("a watch adds no conflict range: %w", err)
		}
		return c.fires(w)
	})
}

func watchOwnWrites(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "0"); err != nil {
			return err
		}
		w, err := c.watchKey("a", set("a"), nil)
		if err != nil {
			return err
		}
		if err := c.silent(w); err != nil {
			return fmt.Errorf("set, then watched: %w", err)
		}
		if err := c.put("a", "3"); err != nil {
			return err
		}
		if err := c.fires(w); err != nil {
			return fmt.Errorf("set, then watched: %w", err)
		}
		w, err = c.watchKey("a", nil, set("a"))
		if err != nil {
			return err
		}
		if err := c.fires(w); err != nil {
			return fmt.Errorf("watched, then set to another value: %w", err)
		}
		w, err = c.watchKey("a", clearKey("a"), nil)
		if err != nil {
			return err
		}
		if err := firstError(c.silent(w), c.put("a", "4"), c.fires(w)); err != nil {
			return fmt.Errorf("cleared, then watched: %w", err)
		}
		return c.seesWhatItTakesBack()
	})
}

// seesWhatItTakesBack sets, watches and clears a key in a transaction with a read
// version: what it saw is never in the store.
func (c *client) seesWhatItTakesBack() error {
	for _, takeBack := range []writeStep{clearRange("b", "c"), clearKey("b")} {
		var failed error
		w, err := c.watchKey("b", func(tx store.Txn) {
			_, failed = tx.Get([]byte("a"))
			tx.Set([]byte("b"), []byte("2"))
		}, takeBack)
		if err := firstError(failed, err); err != nil {
			return err
		}
		if err := c.fires(w); err != nil {
			return fmt.Errorf("set, then watched, then cleared: %w", err)
		}
	}
	return nil
}

func watchQuiet(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "1", "b", "1"); err != nil {
			return err
		}
		w, err := c.watchKey("a", nil, nil)
		if err != nil {
			return err
		}
		if err := firstError(c.put("b", "2"), c.silent(w), c.put("b", "3", "a\x00", "1"), c.silent(w)); err != nil {
			return err
		}
		return firstError(c.put("a", "2"), c.fires(w))
	})
}

func watchOnce(l *lab) error {
	return l.solo(func(c *client) error {
		w, err := c.watchKey("a", nil, nil)
		if err != nil {
			return err
		}
		if err := firstError(c.put("a", "1"), c.fires(w)); err != nil {
			return err
		}
		// It stays fired, whatever comes; a new watch is a new beginning.
		w.Cancel()
		if err := c.fires(w); err != nil {
			return fmt.Errorf("after firing, and then cancelled: %w", err)
		}
		w2, err := c.watchKey("a", nil, nil)
		if err != nil {
			return err
		}
		return firstError(c.silent(w2), c.put("a", "2"), c.fires(w2))
	})
}

// watchABA changes a value and changes it back: the watch may fire or not, but
// it must not end, and must fire for a change that lasts.
func watchABA(l *lab) error {
	return l.solo(func(c *client) error {
		if err := c.put("a", "A"); err != nil {
			return err
		}
		w, err := c.watchKey("a", nil, nil)
		if err != nil {
			return err
		}
		if err := firstError(c.put("a", "B"), c.put("a", "A")); err != nil {
			return err
		}
		if err := c.silent(w); err != nil && c.fires(w) != nil {
			return fmt.Errorf("there and back: %w", err)
		}
		return firstError(c.put("a", "C"), c.fires(w))
	})
}

// watchOutlives ends all that the watch came from before the key changes.
func watchOutlives(l *lab) error {
	return l.solo(func(c *client) error {
		ctx, cancel := c.clock.WithCancel(c.ctx)
		tx := c.engine.Begin(ctx)
		w, err := tx.Watch([]byte("a"))
		if err != nil {
			cancel(nil)
			return fmt.Errorf("watch: %w", err)
		}
		err = tx.Commit()
		tx.Cancel()
		cancel(nil)
		if err != nil {
			return fmt.Errorf("Commit: %w", err)
		}
		return firstError(c.silent(w), c.put("a", "1"), c.fires(w))
	})
}

func watchMany(l *lab) error {
	return l.solo(func(c *client) error {
		const n = 30
		var hot, quiet []store.Watch
		for i := range n {
			w, err := c.watchKey("hot", nil, nil)
			if err != nil {
				return err
			}
			hot = append(hot, w)
			if w, err = c.watchKey(fmt.Sprintf("quiet/%d", i), nil, nil); err != nil {
				return err
			}
			quiet = append(quiet, w)
		}
		hot[3].Cancel()
		if err := c.put("hot", "1"); err != nil {
			return err
		}
		for i, w := range hot {
			if i == 3 {
				continue
			}
			if err := c.fires(w); err != nil {
				return fmt.Errorf("watch %d of %d: %w", i, n, err)
			}
		}
		if err := firstError(c.silent(quiet[0]), c.silent(quiet[n-1])); err != nil {
			return err
		}
		return firstError(c.put("quiet/7", "1"), c.fires(quiet[7]), c.silent(quiet[8]))
	})
}

func watchCancelled(l *lab) error {
	return l.solo(func(c *client) error {
		w, err := c.watchKey("a", nil, nil)
		if err != nil {
			return err
		}
		wait := c.background(func(c *client) error { return c.ends(w) })
		if err := c.pause(c.h.Quiet); err != nil {
			return err
		}
		w.Cancel()
		w.Cancel()
		if err := wait(); err != nil {
			return err
		}
		if err := c.put("a", "1"); err != nil {
			return err
		}
		return c.ends(w)
	})
}

func watchContext(l *lab) error {
	return l.solo(func(c *client) error {
		w, err := c.watchKey("a", nil, nil)
		if err != nil {
			return err
		}
		ctx, cancel := c.clock.WithCancel(c.ctx)
		wait := c.background(func(*client) error { return wantError("Wait", w.Wait(ctx), context.Canceled) })
		if err := c.pause(c.h.Quiet); err != nil {
			cancel(nil)
			return err
		}
		cancel(nil)
		if err := wait(); err != nil {
			return err
		}
		if err := wantError("Wait with an ended context", w.Wait(ctx), context.Canceled); err != nil {
			return err
		}
		// The watch itself goes on.
		return firstError(c.put("a", "1"), c.fires(w))
	})
}

func watchRefused(l *lab) error {
	return l.solo(func(c *client) error {
		tx := c.begin()
		defer tx.Cancel()
		if err := wantGet(tx, "b", "-"); err != nil {
			return err
		}
		w, err := tx.Watch([]byte("a"))
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		tx.Set([]byte("out"), nil)
		if err := c.put("b", "1"); err != nil {
			return err
		}
		if err := wantError("Commit", tx.Commit(), store.ErrConflict); err != nil {
			return err
		}
		return c.ends(w, store.ErrConflict)
	})
}

func watchGivenUp(l *lab) error {
	return l.solo(func(c *client) error {
		tx := c.begin()
		w, err := tx.Watch([]byte("a"))
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		tx.Cancel()
		if err := c.put("a", "1"); err != nil {
			return err
		}
		return c.ends(w)
	})
}

func watchClosed(l *lab) error {
	return l.solo(func(c *client) error {
		active, err := c.watchKey("a", nil, nil)
		if err != nil {
			return err
		}
		tx := c.begin()
		defer tx.Cancel()
		pending, err := tx.Watch([]byte("a"))
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		wait := c.background(func(c *client) error { return c.ends(active, store.ErrClosed) })
		if err := c.pause(c.h.Quiet); err != nil {
			return err
		}
		if err := c.engine.Close(); err != nil {
			return fmt.Errorf("Close: %w", err)
		}
		return firstError(wait(), c.ends(active, store.ErrClosed), c.ends(pending, store.ErrClosed))
	})
}

func watchUnreadable(l *lab) error {
	return l.solo(func(c *client) error {
		tx := c.begin()
		defer tx.Cancel()
		tx.SetStamped([]byte("a"), make([]byte, store.StampBytes), 0)
		_, err := tx.Watch([]byte("a"))
		return wantError("Watch", err, store.ErrUnreadable)
	})
}

// watchCutOff changes a key while a client that watches it is cut off. The watch
// may fire once the connection is back, or end with ErrUnavailable; it must not
// wait on as if nothing had happened.
func watchCutOff(l *lab) error {
	if err := l.row(func(c *client) error { return c.put("a", "1") }); err != nil {
		return err
	}
	watcher := func(c *client) error {
		var w store.Watch
		if err := c.insist(func() (err error) {
			w, err = c.watchKey("a", nil, nil)
			return err
		}); err != nil {
			return err
		}
		if err := c.insist(func() error { return c.put("watching", "yes") }); err != nil {
			return err
		}
		ctx, cancel := c.clock.WithTimeout(c.ctx, c.h.Patience)
		defer cancel()
		if err := w.Wait(ctx); err != nil && !errors.Is(err, store.ErrUnavailable) {
			return fmt.Errorf("a watch whose connection was lost: %w", err)
		}
		return c.insist(func() error { return c.has("a", "2", "watching", "yes") })
	}
	changer := func(c *client) error {
		for range maxInsist {
			tx := c.begin()
			value, err := tx.Get([]byte("watching"))
			tx.Cancel()
			if err != nil && !c.h.interfered(err) {
				return err
			}
			if value != nil {
				return c.h.Disconnect(c.World, 0, func() error {
					return c.insist(func() error { return c.put("a", "2") })
				})
			}
			if err := c.pause(c.h.Quiet); err != nil {
				return err
			}
		}
		return errors.New("the watch was never set")
	}
	return l.together(watcher, changer)
}
