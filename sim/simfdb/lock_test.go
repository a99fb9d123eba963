package simfdb

import (
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// setLock locks the database, or unlocks it.
func setLock(cl *Client, locked bool) error {
	tr := cl.CreateTransaction()
	_ = tr.Options().SetSpecialKeySpaceEnableWrites()
	if locked {
		tr.Set([]byte(specialDatabaseLocked), []byte("owner"))
	} else {
		tr.Clear([]byte(specialDatabaseLocked))
	}
	return tr.Commit().Get()
}

// TestLockOutlivesRecoveries restarts every server while the database is locked.
func TestLockOutlivesRecoveries(t *testing.T) {
	inClient(t, Options{}, func(l *lab, h *sim.Host, cl *Client) error {
		for _, locked := range []bool{true, false} {
			if err := setLock(cl, locked); err != nil {
				return err
			}
			for _, s := range l.c.Servers() {
				l.Lookup(s).Restart()
			}
			var want error
			if locked {
				want = Error{CodeDatabaseLocked}
			}
			if _, err := cl.CreateTransaction().Get([]byte("a")).Get(); !errors.Is(err, want) {
				t.Errorf("locked %v: get: %v", locked, err)
			}
			aware := cl.CreateTransaction()
			_ = aware.Options().SetLockAware()
			v, err := aware.Get([]byte(specialDatabaseLocked)).Get()
			if err != nil || (string(v) == "owner") != locked {
				t.Errorf("locked %v: the lock is %q (%v)", locked, v, err)
			}
			if err := h.Sleep(h.Context(), time.Second); err != nil {
				return err
			}
		}
		return nil
	})
}

// TestLockStopsCommitsOfReaders locks the database under transactions that have
// a read version already.
func TestLockStopsCommitsOfReaders(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		tr := cl.CreateTransaction()
		if _, err := tr.Get([]byte("a")).Get(); err != nil {
			return err
		}
		blind := cl.CreateTransaction()
		if _, err := blind.GetReadVersion().Get(); err != nil {
			return err
		}
		if err := setLock(cl, true); err != nil {
			return err
		}
		if v, err := tr.Get([]byte("b")).Get(); err != nil || v != nil {
			t.Errorf("a read at a version from before the lock: %q %v", v, err)
		}
		tr.Set([]byte("b"), nil)
		blind.Set([]byte("b"), nil)
		// The lock counts as a write of every key.
		if err := tr.Commit().Get(); !errors.Is(err, Error{CodeNotCommitted}) {
			t.Errorf("commit of a reader: %v", err)
		}
		if err := blind.Commit().Get(); !errors.Is(err, Error{CodeDatabaseLocked}) {
			t.Errorf("blind commit: %v", err)
		}
		return nil
	})
}
