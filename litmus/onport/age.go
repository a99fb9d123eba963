package onport

import (
	"context"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// AgeByCommits ages an engine whose window is so many commits.
func AgeByCommits(window int) func(store.Engine) error {
	return func(e store.Engine) error {
		for range window + 1 {
			if err := moveOn(e); err != nil {
				return err
			}
		}
		return nil
	}
}

// interval is how often AgeByTime commits.
const interval = 500 * time.Millisecond

// AgeByTime ages an engine whose window is a time shorter than d. It commits now
// and then, because the versions of an idle store may stand still.
func AgeByTime(c clock.Clock, d time.Duration) func(store.Engine) error {
	return func(e store.Engine) error {
		for range d / interval {
			if err := c.Sleep(context.Background(), interval); err != nil {
				return err
			}
			if err := moveOn(e); err != nil {
				return err
			}
		}
		return nil
	}
}

// moveOn makes a commit that leaves nothing.
func moveOn(e store.Engine) error {
	tx := e.Begin(context.Background())
	defer tx.Cancel()
	key := []byte("\xfe\xff/age") // no program has it
	tx.Set(key, nil)
	tx.Clear(key)
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("onport: age: %w", marked(err))
	}
	return nil
}
