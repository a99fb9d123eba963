package simstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// window is the window, in versions, of the inner engine in these tests.
const window = 200

// lab is a world with an engine at the far end of wires.
type lab struct {
	*sim.World
	t      *testing.T
	inner  *memory.Engine
	faults Faults
}

func idle(context.Context, *sim.Host) {}

func newLab(t *testing.T, seed uint64) *lab {
	t.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	t.Cleanup(w.Close)
	clock := w.Process("clock", sim.ProcessOptions{})
	clock.Start(idle)
	w.Process("store", sim.ProcessOptions{}).Start(idle)
	l := &lab{World: w, t: t, inner: memory.New(memory.Options{Clock: clock.Host(), Window: window})}
	l.faults.ReadLatency = Latency{time.Millisecond, 2 * time.Millisecond}
	l.faults.CommitLatency = Latency{10 * time.Millisecond, 20 * time.Millisecond}
	return l
}

// run runs f as the main task of a process "client" and lets the world go on
// for a while after it.
func (l *lab) run(f func(h *sim.Host, e store.Engine) error) {
	l.t.Helper()
	done := false
	l.Process("client", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		if err := f(h, New(h, l.inner, &l.faults)); err != nil {
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

func TestCallsTakeTheirLatency(t *testing.T) {
	l := newLab(t, 1)
	l.run(func(h *sim.Host, e store.Engine) error {
		for range 20 {
			start := l.Now()
			tx := e.Begin(h.Context())
			if _, err := tx.Get([]byte("k")); err != nil {
				return err
			}
			if d := l.Now() - start; d < 2*time.Millisecond || d > 4*time.Millisecond {
				t.Errorf("a read took %v", d)
			}
			start = l.Now()
			tx.Set([]byte("k"), []byte("x"))
			if err := tx.Commit(); err != nil {
				return err
			}
			if d := l.Now() - start; d < 20*time.Millisecond || d > 40*time.Millisecond {
				t.Errorf("a commit took %v", d)
			}
		}
		return nil
	})
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

// TestLostMessages cuts the wire, or crashes or pauses the server, at each of
// the moments that matter to a commit and to a read.
func TestLostMessages(t *testing.T) {
	cutThere := func(l *lab) { l.Net().Cut("client", "store") }
	cutBack := func(l *lab) { l.Net().Cut("store", "client") }
	crash := func(l *lab) { l.Lookup("store").Crash() }
	pause := func(l *lab) { l.Lookup("store").Pause() }
	for _, c := range []struct {
		name    string
		trouble func(l *lab)
		after   time.Duration // into the commit; it arrives between 10 and 20 ms
		applied string
		want    error // of the commit
	}{
		{"request cut", cutThere, 0, "", store.ErrCommitUnknown},
		{"cut behind the request", cutThere, time.Millisecond, "x", nil},
		{"answer cut", cutBack, 0, "x", store.ErrCommitUnknown},
		{"answer cut in time", cutBack, time.Millisecond, "x", store.ErrCommitUnknown},
		{"crash before the request arrives", crash, time.Millisecond, "", store.ErrCommitUnknown},
		{"pause before the request arrives", pause, time.Millisecond, "", store.ErrCommitUnknown},
		{"crash after the answer left", crash, 21 * time.Millisecond, "x", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 1)
			l.faults.CommitLatency = Latency{15 * time.Millisecond, 15 * time.Millisecond}
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
				_, err = e.Begin(h.Context()).Get([]byte("k"))
				return err
			})
		})
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
		_ = put(ctx, New(h, l.inner, &l.faults), "crash", "x")
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

func TestCloseEndsTheWireAndNotTheStore(t *testing.T) {
	l := newLab(t, 1)
	l.run(func(h *sim.Host, e store.Engine) error {
		other := New(h, l.inner, &l.faults)
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
		l.faults.Timeout = time.Millisecond
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

// suiteWorld makes the world of the conformance suite.
func suiteWorld(tb testing.TB, seed uint64, f *Faults, disturb func(w *sim.World)) storetest.World {
	tb.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	tb.Cleanup(w.Close)
	clock := w.Process("clock", sim.ProcessOptions{})
	clock.Start(idle)
	w.Process("store", sim.ProcessOptions{}).Start(idle)
	inner := memory.New(memory.Options{Clock: clock.Host(), Window: window})
	hosts := make([]*sim.Host, storetest.Clients)
	for i := range hosts {
		p := w.Process(fmt.Sprint("client-", i), sim.ProcessOptions{})
		p.Start(idle)
		hosts[i] = p.Host()
	}
	if disturb != nil {
		disturb(w)
	}
	return &storetest.Hosts{
		Host:    func(i int) host.Host { return hosts[i] },
		Connect: func(i int) store.Engine { return New(hosts[i], inner, f) },
		Step:    func() error { return w.Run(w.Now() + 10*time.Millisecond) },
		Check:   inner.Check,
	}
}

// age commits until the window has passed.
func age(ctx context.Context, w storetest.World, client int) error {
	for range 2 * window {
		if err := put(ctx, w.Engine(client), "age", ""); err != nil && !store.Retryable(err) && !errors.Is(err, store.ErrCommitUnknown) {
			return err
		}
	}
	tx := w.Engine(client).Begin(ctx)
	tx.Clear([]byte("age"))
	return tx.Commit()
}

func TestSuite(t *testing.T) {
	slow := Faults{
		ReadLatency:   Latency{100 * time.Microsecond, 2 * time.Millisecond},
		CommitLatency: Latency{100 * time.Microsecond, 5 * time.Millisecond},
	}
	faulty := slow
	faulty.Timeout = 100 * time.Millisecond
	faulty.UnavailableRate, faulty.ConflictRate = 0.003, 0.003
	faulty.UnknownAppliedRate, faulty.UnknownDroppedRate, faulty.UnknownLateRate = 0.003, 0.003, 0.003
	faulty.LateMax = 50 * time.Millisecond
	cut := slow
	cut.Timeout = 200 * time.Millisecond
	suffers := []storetest.Fault{storetest.TransientErrors, storetest.UnknownCommits, storetest.LostWatches}
	for _, c := range []struct {
		name    string
		f       Faults
		disturb func(w *sim.World)
		suffers []storetest.Fault
		fired   func(f Fired) bool
	}{
		{"no wire", Faults{}, nil, nil, func(f Fired) bool { return f == Fired{} }},
		{"slow", slow, nil, nil, func(f Fired) bool { return f == Fired{} }},
		{"faulty", faulty, nil, suffers, func(f Fired) bool {
			return min(f.Unavailable, f.Conflicts, f.UnknownApplied, f.UnknownDropped, f.UnknownLate, f.LateApplied) > 0
		}},
		{"cut now and then", cut, cutNowAndThen, suffers, func(f Fired) bool {
			return min(f.ReadsLost, f.UnknownApplied, f.UnknownDropped) > 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var wires []*Faults
			storetest.Run(t, storetest.Harness{
				New: func(tb testing.TB, seed uint64) storetest.World {
					tb.Helper()
					f := c.f
					wires = append(wires, &f)
					return suiteWorld(tb, seed, &f, c.disturb)
				},
				Faults:    c.suffers,
				Age:       age,
				Histories: 30,
			})
			var all Fired
			for _, f := range wires {
				all.add(f.Fired())
			}
			t.Logf("%+v", all)
			if !c.fired(all) {
				t.Errorf("too few faults fired: %+v", all)
			}
		})
	}
}

func (f *Fired) add(g Fired) {
	f.Unavailable += g.Unavailable
	f.Conflicts += g.Conflicts
	f.UnknownApplied += g.UnknownApplied
	f.UnknownDropped += g.UnknownDropped
	f.UnknownLate += g.UnknownLate
	f.LateApplied += g.LateApplied
	f.ReadsLost += g.ReadsLost
	f.WatchesLost += g.WatchesLost
}

// cutNowAndThen cuts one way of a client's wire, or crashes the server, for a
// while; for ever.
func cutNowAndThen(w *sim.World) {
	r := w.Rand("cuts")
	var next func()
	next = func() {
		from, to := fmt.Sprint("client-", r.IntN(storetest.Clients)), "store"
		if r.IntN(2) == 0 {
			from, to = to, from
		}
		crash := r.IntN(4) == 0
		if crash {
			w.Lookup("store").Crash()
		} else {
			w.Net().Cut(from, to)
		}
		w.After(time.Duration(r.Int64N(int64(30*time.Millisecond))), "heal", func() {
			w.Net().HealAll()
			if crash {
				w.Lookup("store").Restart()
			}
			w.After(time.Duration(r.Int64N(int64(2*time.Second))), "cut", next)
		})
	}
	w.After(time.Duration(r.Int64N(int64(20*time.Millisecond))), "cut", next)
}
