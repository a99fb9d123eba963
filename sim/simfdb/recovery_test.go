package simfdb

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// Situations that faults bring about too seldom to rely on.

func TestRecoveryAfterLongIdlenessReusesNoVersion(t *testing.T) {
	l := newLab(t, 1, Options{})
	done := false
	l.client("client", func(h *sim.Host, cl *Client) error {
		if _, err := write(h.Context(), cl, "k"); err != nil {
			return err
		}
		// Idle for longer than a recovery jumps.
		if err := h.Sleep(h.Context(), 250*time.Second); err != nil {
			return err
		}
		before, err := cl.beginPort(h.Context()).ReadVersion()
		if err != nil {
			return err
		}
		l.Lookup("fdb-proxy").Restart()
		after, err := cl.beginPort(h.Context()).ReadVersion()
		if err != nil {
			return err
		}
		if after < before+store.Version(windowVersions) {
			t.Errorf("read version %d before the recovery, %d after it", before, after)
		}
		done = true
		return nil
	})
	l.run(300 * time.Second)
	if !done {
		t.Error("not finished")
	}
}

// TestIdleReadVersionStaysBelowCommitsInFlight reads across the time of an empty
// batch while a commit cannot reach the log.
func TestIdleReadVersionStaysBelowCommitsInFlight(t *testing.T) {
	l := newLab(t, 1, Options{})
	l.client("writer", func(h *sim.Host, cl *Client) error {
		first, err := write(h.Context(), cl, "k")
		if err != nil {
			return err
		}
		l.Net().Cut("fdb-proxy", "fdb-log")
		l.After(5*time.Second, "heal", func() { l.Net().Heal("fdb-proxy", "fdb-log") })
		l.client("reader", func(h *sim.Host, cl *Client) error { return expectReadVersion(h, cl, first.Committed()) })
		_, err = write(h.Context(), cl, "k")
		return err
	})
	l.run(10 * time.Second)
	if n := l.c.Counts().Committed; n != 2 {
		t.Errorf("%d commits", n)
	}
}

func expectReadVersion(h *sim.Host, cl *Client, want store.Version) error {
	for range 40 {
		if err := h.Sleep(h.Context(), 100*time.Millisecond); err != nil {
			return err
		}
		rv, err := cl.beginPort(h.Context()).ReadVersion()
		if err != nil {
			return err
		}
		if rv != want {
			return fmt.Errorf("read version %d with a commit in flight behind %d", rv, want)
		}
	}
	return nil
}

// TestIdleReadVersionIsNotUsedAgain lets a batch get its version in the very
// microsecond in which a reader was given one.
func TestIdleReadVersionIsNotUsedAgain(t *testing.T) {
	l := newLab(t, 1, Options{})
	l.client("client", func(h *sim.Host, cl *Client) error {
		_, err := write(h.Context(), cl, "k")
		return err
	})
	l.run(time.Second)
	p := l.c.proxy
	checked := false
	l.After(p.committedAt+idleInterval-l.Now(), "together", func() {
		p.readVersion(p.port, &grvRequest{})
		given := l.c.witness.given
		if given != p.committed+versionsIn(idleInterval) {
			t.Errorf("read version %d, want one step above %d", given, p.committed)
		}
		p.waiting = []*commitRequest{{from: p.port}}
		p.flush()
		if v := p.batches[0].resolve.version; v <= given {
			t.Errorf("batch %d after read version %d", v, given)
		}
		p.batches = nil
		checked = true
	})
	p.port.Close() // what it sends itself is for nobody
	l.run(2 * time.Second)
	if !checked {
		t.Error("not checked")
	}
}

// TestRequestOfAnEndedGenerationIsNotJudged repeats a commit that was applied,
// as a network that duplicates may, after a recovery: an answer such as 1007
// would be wrong.
func TestRequestOfAnEndedGenerationIsNotJudged(t *testing.T) {
	l := newLab(t, 1, Options{})
	l.client("client", func(h *sim.Host, cl *Client) error {
		tx, err := write(h.Context(), cl, "k")
		if err != nil {
			return err
		}
		l.Lookup("fdb-proxy").Restart()
		if _, err := cl.beginPort(h.Context()).ReadVersion(); err != nil {
			return err
		}
		lost := l.c.Counts().ConnectionLost
		h.SendTo(cl.port, "fdb-proxy", portName, &tx.request)
		if err := h.Sleep(h.Context(), time.Second); err != nil {
			return err
		}
		if n := l.c.Counts(); n.TooOld != 0 || n.Conflicts != 0 || n.ConnectionLost != lost+1 {
			t.Errorf("%+v", n)
		}
		return nil
	})
	l.run(10 * time.Second)
}

// TestRestartedResolverIsNotTrusted gives a resolver that has lost its memory
// the message that initialized the one before: it must not pass a conflict.
func TestRestartedResolverIsNotTrusted(t *testing.T) {
	l := newLab(t, 1, Options{})
	refused := false
	l.client("client", func(h *sim.Host, cl *Client) error {
		stale := cl.beginPort(h.Context())
		if _, err := stale.Get([]byte("k")); err != nil {
			return err
		}
		stale.Set([]byte("k"), []byte("stale"))
		if _, err := write(h.Context(), cl, "k"); err != nil {
			return err
		}
		p := l.c.proxy
		l.Net().Cut("fdb-resolver", "fdb-proxy") // the resolver's hello is lost
		l.Lookup("fdb-resolver").Restart()
		l.After(10*time.Millisecond, "again", func() {
			p.h.SendTo(p.port, "fdb-resolver", portName, &resolverInit{p.recovery.generation, p.recovery.first.version, false})
		})
		l.After(20*time.Millisecond, "heal", l.Net().HealAll)
		if err := h.Sleep(h.Context(), 50*time.Millisecond); err != nil {
			return err
		}
		err := stale.Commit()
		refused = errors.Is(err, store.ErrConflict) || errors.Is(err, Error{CodeCommitUnknownResult})
		if string(read(l, "k")) != "x" {
			t.Errorf("commit: %v, and %q is stored", err, read(l, "k"))
		}
		return nil
	})
	l.run(20 * time.Second)
	if !refused {
		t.Error("the commit was not refused")
	}
}

func TestConflictWindowBoundary(t *testing.T) {
	for _, c := range []struct {
		name string
		rv   func(committed Version) Version
		want error
	}{
		{"read just before the write", func(v Version) Version { return v - 1 }, store.ErrConflict},
		{"read at the write", func(v Version) Version { return v }, nil},
	} {
		l := newLab(t, 1, Options{})
		done := false
		l.client("client", func(h *sim.Host, cl *Client) error {
			first, err := write(h.Context(), cl, "k")
			if err != nil {
				return err
			}
			tx := cl.beginPort(h.Context())
			tx.SetReadVersion(int64(c.rv(first.life.committed)))
			tx.AddReadConflict([]byte("k"), []byte("k\x00"))
			tx.Set([]byte("other"), nil)
			if err := tx.Commit(); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			done = true
			return nil
		})
		l.run(time.Second)
		if !done {
			t.Errorf("%s: not finished", c.name)
		}
	}
}

// TestWatchWaitsForItsVersion sets a watch on a value that the storage server
// does not have yet: the older value is no reason to fire.
func TestWatchWaitsForItsVersion(t *testing.T) {
	l := newLab(t, 1, Options{})
	l.Net().SetLink("fdb-log", "fdb-storage", sim.Link{LatencyMin: 300 * time.Millisecond, LatencyMax: 300 * time.Millisecond})
	fired := 0
	l.client("client", func(h *sim.Host, cl *Client) error {
		tx := cl.beginPort(h.Context())
		tx.Set([]byte("w"), []byte("B"))
		w, err := tx.Watch([]byte("w"))
		if err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		ctx, cancel := h.WithTimeout(h.Context(), 7*time.Second)
		defer cancel()
		if err := w.Wait(ctx); ctx.Err() == nil {
			t.Errorf("fired for its own change: %v", err)
		}
		if _, err := write(h.Context(), cl, "w"); err != nil {
			return err
		}
		fired++
		return w.Wait(h.Context())
	})
	l.run(20 * time.Second)
	if fired != 1 {
		t.Error("not finished")
	}
}

// TestWatchMayMissAnUndoneChange changes a value and changes it back while the
// storage server is down: only a later change is noticed.
func TestWatchMayMissAnUndoneChange(t *testing.T) {
	l := newLab(t, 1, Options{})
	done := false
	l.client("client", func(h *sim.Host, cl *Client) error {
		set := func(v string) error {
			tx := cl.beginPort(h.Context())
			tx.Set([]byte("w"), []byte(v))
			return tx.Commit()
		}
		if err := set("A"); err != nil {
			return err
		}
		tx := cl.beginPort(h.Context())
		w, err := tx.Watch([]byte("w"))
		if err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		l.Lookup("fdb-storage").Crash()
		if err := errors.Join(set("B"), set("A")); err != nil {
			return err
		}
		l.Lookup("fdb-storage").Restart()
		ctx, cancel := h.WithTimeout(h.Context(), 12*time.Second)
		defer cancel()
		if err := w.Wait(ctx); ctx.Err() == nil {
			t.Errorf("fired although the value is as before: %v", err)
		}
		if err := set("C"); err != nil {
			return err
		}
		done = w.Wait(h.Context()) == nil
		return nil
	})
	l.run(30 * time.Second)
	if !done {
		t.Error("the later change was not noticed")
	}
}
