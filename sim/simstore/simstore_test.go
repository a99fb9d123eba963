package simstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// window is the window, in versions, of the inner engine in these tests.
const window = 200

// lab is a world with a server.
type lab struct {
	*sim.World
	t      *testing.T
	inner  *memory.Engine
	server *Server
	faults Faults
}

// way is how long a message takes.
const way = 15 * time.Millisecond

func idle(context.Context, *sim.Host) {}

func newLab(t *testing.T, seed uint64) *lab {
	t.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	t.Cleanup(w.Close)
	clock := w.Process("clock", sim.ProcessOptions{})
	clock.Start(idle)
	l := &lab{World: w, t: t, inner: memory.New(memory.Options{Clock: clock.Host(), Window: window})}
	l.server = NewServer(w, l.inner, &l.faults)
	w.Net().SetDefault(sim.Link{LatencyMin: way, LatencyMax: way})
	return l
}

// run runs f as the main task of a process "client" and lets the world go on
// for a while after it.
func (l *lab) run(f func(h *sim.Host, e store.Engine) error) {
	l.t.Helper()
	done := false
	l.Process("client", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		if err := f(h, l.server.Connect(h)); err != nil {
			l.Fail("client", err)
		}
		done = true
	})
	if err := l.Run(l.Now() + time.Minute); err != nil {
		l.t.Fatal(err)
	}
	if !done {
		l.t.Fatal("the client has not finished")
	}
}

// stored looks into the inner engine.
func (l *lab) stored(key string) string {
	tx := l.inner.Begin(context.Background())
	defer tx.Cancel()
	v, err := tx.Get([]byte(key))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(v)
}

func put(ctx context.Context, e store.Engine, key, value string) error {
	tx := e.Begin(ctx)
	defer tx.Cancel()
	tx.Set([]byte(key), []byte(value))
	return tx.Commit()
}

func TestCallsTakeTheLatencyOfNetworkAndServer(t *testing.T) {
	l := newLab(t, 1)
	l.faults.ReadLatency = Latency{time.Millisecond, 2 * time.Millisecond}
	l.faults.CommitLatency = Latency{10 * time.Millisecond, 20 * time.Millisecond}
	l.run(func(h *sim.Host, e store.Engine) error {
		for range 20 {
			start := l.Now()
			tx := e.Begin(h.Context())
			if _, err := tx.Get([]byte("k")); err != nil {
				return err
			}
			if d := l.Now() - start - 2*way; d < 2*time.Millisecond || d > 4*time.Millisecond {
				t.Errorf("a read took the server %v", d)
			}
			start = l.Now()
			tx.Set([]byte("k"), []byte("x"))
			if err := tx.Commit(); err != nil {
				return err
			}
			if d := l.Now() - start - 2*way; d < 20*time.Millisecond || d > 40*time.Millisecond {
				t.Errorf("a commit took the server %v", d)
			}
		}
		return nil
	})
	if n := l.faults.Fired().Slowed; n != 40 {
		t.Errorf("%d of 40 calls were slowed down", n)
	}
}

// TestRatesFire sets each rate to 1 in turn: the client sees its error, the
// store its effect, and the count goes up.
func TestRatesFire(t *testing.T) {
	for _, c := range []struct {
		name    string
		set     func(f *Faults)
		want    error
		applied string // at once
		later   string
		fired   Fired
	}{
		{"none", func(*Faults) {}, nil, "x", "x", Fired{}},
		{"unavailable", func(f *Faults) { f.UnavailableRate = 1 }, store.ErrUnavailable, "", "", Fired{Unavailable: 1}},
		{"conflict", func(f *Faults) { f.ConflictRate = 1 }, store.ErrConflict, "", "", Fired{Conflicts: 1}},
		{"unknown, applied", func(f *Faults) { f.UnknownAppliedRate = 1 }, store.ErrCommitUnknown, "x", "x", Fired{UnknownApplied: 1}},
		{"unknown, dropped", func(f *Faults) { f.UnknownDroppedRate = 1 }, store.ErrCommitUnknown, "", "", Fired{UnknownDropped: 1}},
		{"unknown, late", func(f *Faults) { f.UnknownLateRate = 1 }, store.ErrCommitUnknown, "", "x", Fired{UnknownLate: 1, LateApplied: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 1)
			l.run(func(h *sim.Host, e store.Engine) error {
				c.set(&l.faults)
				err := put(h.Context(), e, "k", "x")
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("commit: %v, want %v", err, c.want)
				}
				if got := l.stored("k"); got != c.applied {
					t.Errorf("stored %q when the client was told, want %q", got, c.applied)
				}
				return nil
			})
			if got := l.stored("k"); got != c.later {
				t.Errorf("stored %q in the end, want %q", got, c.later)
			}
			if got := l.faults.Fired(); got != c.fired {
				t.Errorf("fired %+v, want %+v", got, c.fired)
			}
		})
	}
}

func TestReadsAreRefused(t *testing.T) {
	l := newLab(t, 1)
	l.faults.UnavailableRate = 1
	l.run(func(h *sim.Host, e store.Engine) error {
		_, err := e.Begin(h.Context()).Get([]byte("k"))
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("get: %v", err)
		}
		return nil
	})
}

// TestLostMessages cuts the link, or crashes or pauses the server, at each of
// the moments that matter to a commit and to a read.
func TestLostMessages(t *testing.T) {
	cutThere := func(l *lab) { l.Net().Cut("client", "store") }
	cutBack := func(l *lab) { l.Net().Cut("store", "client") }
	crash := func(l *lab) { l.Lookup("store").Crash() }
	pause := func(l *lab) { l.Lookup("store").Pause() }
	for _, c := range []struct {
		name    string
		trouble func(l *lab)
		after   time.Duration // into the commit; it arrives after 15 ms
		applied string
		want    error  // of the commit
		later   string // what is stored once all is well again
	}{
		{"request cut", cutThere, 0, "", store.ErrCommitUnknown, ""},
		{"request cut under way", cutThere, time.Millisecond, "", store.ErrCommitUnknown, ""},
		{"cut behind the request", cutThere, 16 * time.Millisecond, "x", nil, "x"},
		{"answer cut", cutBack, 0, "x", store.ErrCommitUnknown, "x"},
		{"answer cut under way", cutBack, 16 * time.Millisecond, "x", store.ErrCommitUnknown, "x"},
		{"crash before the request arrives", crash, time.Millisecond, "", store.ErrCommitUnknown, ""},
		{"pause before the request arrives", pause, time.Millisecond, "", store.ErrCommitUnknown, "x"},
		{"crash after the answer left", crash, 16 * time.Millisecond, "x", nil, "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 1)
			l.run(func(h *sim.Host, e store.Engine) error {
				if c.after == 0 {
					c.trouble(l)
				} else {
					l.After(c.after, "trouble", func() { c.trouble(l) })
				}
				start := l.Now()
				err := put(h.Context(), e, "k", "x")
				if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("commit: %v, want %v", err, c.want)
				}
				if d := l.Now() - start; err != nil && d < l.faults.timeout() {
					t.Errorf("gave up after %v", d)
				}
				if got := l.stored("k"); got != c.applied {
					t.Errorf("stored %q, want %q", got, c.applied)
				}
				if err == nil {
					return nil
				}
				if n := l.faults.Fired().CommitsLost; n != 1 {
					t.Errorf("%d commits lost", n)
				}
				ctx, cancel := h.WithTimeout(h.Context(), time.Second)
				defer cancel()
				if _, err = e.Begin(ctx).Get([]byte("k")); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("read with a short context: %v", err)
				}
				if _, err = e.Begin(h.Context()).Get([]byte("k")); !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("read: %v", err)
				}
				l.Net().HealAll()
				if p := l.Lookup("store"); !p.Alive() {
					p.Restart()
				} else {
					p.Resume()
				}
				v, err := e.Begin(h.Context()).Get([]byte("k"))
				if string(v) != c.later {
					t.Errorf("in the end %q is stored, want %q", v, c.later)
				}
				return err
			})
		})
	}
}

// TestLinkFaultsAct lets the link lose, double and disorder messages.
func TestLinkFaultsAct(t *testing.T) {
	for _, c := range []struct {
		name  string
		there sim.Link // from client to server
		wrong func(f Fired, n sim.LinkCounts, failed int) bool
	}{
		{"none", sim.Link{LatencyMax: way}, func(f Fired, _ sim.LinkCounts, failed int) bool { return failed > 0 || f != Fired{} }},
		{"loss", sim.Link{LatencyMax: way, Loss: 0.3}, func(f Fired, n sim.LinkCounts, failed int) bool {
			return failed == 0 || f.ReadsLost == 0 || f.CommitsLost == 0 || f.ReadsLost+f.CommitsLost != n.Lost
		}},
		{"duplicate", sim.Link{LatencyMax: way, Duplicate: 0.3}, func(f Fired, n sim.LinkCounts, failed int) bool {
			return failed > 0 || f.Copies == 0 || f.Copies != n.Duplicated
		}},
		{"reorder", sim.Link{LatencyMax: way, Reorder: 0.3, ReorderMax: time.Second}, func(f Fired, n sim.LinkCounts, failed int) bool {
			return failed > 0 || n.Reordered == 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 1)
			l.Net().SetLink("client", "store", c.there)
			l.faults.Timeout = 2 * time.Second
			applied, failed := int64(0), 0
			l.run(func(h *sim.Host, e store.Engine) error {
				for range 20 {
					tx := e.Begin(h.Context())
					if _, err := tx.Snapshot().Get([]byte("n")); err != nil {
						failed++
						continue
					}
					tx.Add([]byte("n"), 1)
					if tx.Commit() != nil {
						failed++
						continue
					}
					applied++
				}
				return nil
			})
			if got := int64(binary.LittleEndian.Uint64([]byte(l.stored("n")))); got != applied {
				t.Errorf("added %d times, %d were acknowledged and no answer was lost", got, applied)
			}
			if f, n := l.faults.Fired(), l.Net().Counts("client", "store"); c.wrong(f, n, failed) {
				t.Errorf("%d failed, fired %+v, link %+v", failed, f, n)
			}
		})
	}
}

// TestResetEndsWhatIsInFlight breaks the connection under a read, a commit and a
// watch: each ends at once, and the commit arrives all the same.
func TestResetEndsWhatIsInFlight(t *testing.T) {
	l := newLab(t, 1)
	reset := func() {
		if n := l.Net().Reset("client", "store"); n == 0 {
			t.Error("nothing was broken")
		}
	}
	l.run(func(h *sim.Host, e store.Engine) error {
		start := l.Now()
		l.After(time.Millisecond, "reset", reset)
		if _, err := e.Begin(h.Context()).Get([]byte("k")); !errors.Is(err, store.ErrUnavailable) || l.Now()-start != time.Millisecond {
			t.Errorf("read: %v after %v", err, l.Now()-start)
		}
		tx := e.Begin(h.Context())
		watch, err := tx.Watch([]byte("k"))
		if err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		start = l.Now()
		l.After(time.Millisecond, "reset", reset)
		if err := watch.Wait(h.Context()); !errors.Is(err, store.ErrUnavailable) || l.Now()-start != time.Millisecond {
			t.Errorf("watch: %v after %v", err, l.Now()-start)
		}
		start = l.Now()
		l.After(time.Millisecond, "reset", reset)
		err = put(h.Context(), e, "k", "x")
		if !errors.Is(err, store.ErrCommitUnknown) || l.Now()-start != time.Millisecond {
			t.Errorf("commit: %v after %v", err, l.Now()-start)
		}
		if l.Net().Reset("client", "clock") != 0 {
			t.Error("the reset of another connection broke something")
		}
		return nil
	})
	if got := l.stored("k"); got != "x" {
		t.Errorf("stored %q", got)
	}
	if f := l.faults.Fired(); f.Reset != 3 {
		t.Errorf("%+v", f)
	}
}

// TestCommitOutlivesItsClient ends the context, and then the process, while the
// request is on its way.
func TestCommitOutlivesItsClient(t *testing.T) {
	l := newLab(t, 1)
	l.run(func(h *sim.Host, e store.Engine) error {
		ctx, cancel := h.WithTimeout(h.Context(), 5*time.Millisecond)
		defer cancel()
		err := put(ctx, e, "timeout", "x")
		if !errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("commit: %v", err)
		}
		if l.stored("timeout") != "" {
			t.Error("applied before the request arrived")
		}
		err = put(ctx, e, "not sent", "x")
		if errors.Is(err, store.ErrCommitUnknown) || !errors.Is(err, store.ErrTimedOut) {
			t.Errorf("commit with an ended context: %v", err)
		}
		return nil
	})
	p := l.Process("victim", sim.ProcessOptions{})
	p.Start(func(ctx context.Context, h *sim.Host) {
		_ = put(ctx, l.server.Connect(h), "crash", "x")
		t.Error("the client lives on")
	})
	l.After(5*time.Millisecond, "crash", p.Crash)
	if err := l.Run(l.Now() + time.Second); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"timeout": "x", "not sent": "", "crash": "x"} {
		if got := l.stored(key); got != want {
			t.Errorf("%s: stored %q, want %q", key, got, want)
		}
	}
}

func TestReadOnlyCommitIsNeverInDoubt(t *testing.T) {
	l := newLab(t, 1)
	l.run(func(h *sim.Host, e store.Engine) error {
		tx := e.Begin(h.Context())
		if _, err := tx.Get([]byte("k")); err != nil {
			return err
		}
		tx.AddReadConflict([]byte("a"), []byte("b"))
		l.faults.UnknownDroppedRate = 1
		l.Net().Cut("client", "store")
		return tx.Commit()
	})
}

func TestWatchNoticeIsLostInACut(t *testing.T) {
	l := newLab(t, 1)
	l.run(func(h *sim.Host, e store.Engine) error {
		watch := func() (store.Watch, error) {
			tx := e.Begin(h.Context())
			w, err := tx.Watch([]byte("k"))
			if err != nil {
				return nil, err
			}
			return w, tx.Commit()
		}
		w, err := watch()
		if err != nil {
			return err
		}
		if err = put(h.Context(), e, "k", "1"); err != nil {
			return err
		}
		if err = w.Wait(h.Context()); err != nil {
			return err
		}
		if w, err = watch(); err != nil {
			return err
		}
		l.After(time.Second, "change", func() {
			l.Net().Cut("store", "client")
			if err := put(context.Background(), l.inner, "k", "2"); err != nil {
				t.Error(err)
			}
		})
		if err := w.Wait(h.Context()); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("watch: %v", err)
		}
		if l.faults.Fired().WatchesLost != 1 {
			t.Errorf("%+v", l.faults.Fired())
		}
		return nil
	})
}

// TestALostNoticeEndsAWatchThatIsWaitedForInTurns: who waits for a watch for a while,
// again and again, hears that its notice is lost as one does who waits once.
func TestALostNoticeEndsAWatchThatIsWaitedForInTurns(t *testing.T) {
	l := newLab(t, 1)
	l.run(func(h *sim.Host, e store.Engine) error {
		tx := e.Begin(h.Context())
		w, err := tx.Watch([]byte("k"))
		if err != nil {
			return err
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		l.Net().Cut("store", "client")
		if err := put(context.Background(), l.inner, "k", "1"); err != nil {
			return err
		}
		for range 100 {
			ctx, cancel := h.WithTimeout(h.Context(), 200*time.Millisecond)
			err = w.Wait(ctx)
			cancel()
			if errors.Is(err, store.ErrUnavailable) {
				return nil
			}
		}
		t.Errorf("after twenty seconds: %v", err)
		return nil
	})
}

func TestCloseEndsTheConnectionAndNotTheStore(t *testing.T) {
	l := newLab(t, 1)
	l.run(func(h *sim.Host, e store.Engine) error {
		other := l.server.Connect(h)
		if err := e.Close(); err != nil {
			return err
		}
		if err := put(h.Context(), e, "k", "x"); !errors.Is(err, store.ErrClosed) {
			t.Errorf("commit: %v", err)
		}
		return put(h.Context(), other, "k", "x")
	})
}

func TestFaultsOutOfRangeAreNamed(t *testing.T) {
	for _, f := range []Faults{
		{ConflictRate: -0.1},
		{UnavailableRate: 1.1},
		{UnknownAppliedRate: 0.6, UnknownLateRate: 0.6},
		{ReadLatency: Latency{2, 1}},
		{CommitLatency: Latency{-1, 1}},
		{Timeout: -1},
		{LateMax: -1},
	} {
		if err := f.Validate(); err == nil {
			t.Errorf("%+v is accepted", f)
		}
	}
	if err := (&Faults{}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestOneCallMoreLeavesTheOthersAlone runs the same commits with and without a
// read in between: the fates of the other transactions' calls stay.
func TestOneCallMoreLeavesTheOthersAlone(t *testing.T) {
	fates := func(more bool) (out string) {
		l := newLab(t, 7)
		l.faults.ConflictRate, l.faults.UnknownDroppedRate = 0.3, 0.3
		l.faults.Timeout = 4 * way
		l.run(func(h *sim.Host, e store.Engine) error {
			for i := range 20 {
				tx := e.Begin(h.Context())
				if more && i == 3 {
					if _, err := tx.Get([]byte("k")); err != nil {
						return err
					}
				}
				tx.Set([]byte("k"), nil)
				if err := tx.Commit(); i != 3 {
					out += fmt.Sprintln(i, err)
				}
			}
			return nil
		})
		return out
	}
	if a, b := fates(false), fates(true); a != b {
		t.Errorf("without:\n%swith:\n%s", a, b)
	}
}
