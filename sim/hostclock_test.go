package sim_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/sim"
)

func TestSleepLastsLocalTime(t *testing.T) {
	for _, c := range []struct {
		name  string
		ppb   int64
		local time.Duration
		want  time.Duration // true time
	}{
		{"true", 0, time.Second, time.Second},
		{"twice as fast but a little", sim.MaxRatePPB, 1_999_999_999, time.Second},
		{"half as fast", -500_000_000, time.Second, 2 * time.Second},
		{"100 ppm fast", 100_000, 10_001 * time.Second, 10_000 * time.Second},
		{"rounded up", 500_000_000, 1, 1},
		{"rounded up again", 500_000_000, 2, 2},
		{"exact", 500_000_000, 3, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world(t, sim.Options{})
			p := w.Process("p", sim.ProcessOptions{RatePPB: c.ppb})
			p.Start(func(ctx ctxT, h *hostT) {
				if err := h.Sleep(ctx, c.local); err != nil || w.Now() != c.want {
					t.Errorf("Sleep(%v) = %v at %v, want it at %v", c.local, err, w.Now(), c.want)
				}
				if got := h.Monotonic(); got < c.local {
					t.Errorf("the clock shows %v after a sleep of %v", got, c.local)
				}
			})
			mustRun(t, w, 24*time.Hour)
		})
	}
}

func TestChangedRateMovesPendingTimers(t *testing.T) {
	w := world(t, sim.Options{})
	j := &journal{w: w}
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		h.AfterFunc(10*time.Second, func() { j.add("timer, clock %v", h.Monotonic()) })
		h.After(20*time.Second, func() { j.add("callback, clock %v", h.Monotonic()) })
		c, cancel := h.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		_ = h.NewEvent().Wait(c)
		j.add("deadline, clock %v", h.Monotonic())
		_ = h.Sleep(ctx, 10*time.Second)
		j.add("sleep, clock %v", h.Monotonic())
	})
	q := process(w, "q", func(ctx ctxT, h *hostT) {
		_ = h.Sleep(ctx, 10*time.Second)
		j.add("other process")
	})
	w.After(5*time.Second, "half", func() { p.SetRate(-500_000_000) })
	w.After(16*time.Second, "one and a half", func() { p.SetRate(500_000_000) })
	w.After(35*time.Second, "normal", func() {
		if got := p.RatePPB(); got != 500_000_000 {
			t.Errorf("rate is %d", got)
		}
		p.SetRate(0)
	})
	mustRun(t, w, time.Minute)
	_ = q
	j.want(t,
		"10s other process",
		"15s timer, clock 10s",
		"22.333333334s callback, clock 20.000000001s",
		"29s deadline, clock 30s",
		"36s sleep, clock 40s",
	)
}

func TestWallClockJumpsAndMonotonicDoesNot(t *testing.T) {
	w := world(t, sim.Options{})
	p := w.Process("p", sim.ProcessOptions{WallOffset: -time.Minute})
	start := time.Date(2025, 12, 31, 23, 59, 0, 0, time.UTC)
	p.Start(func(ctx ctxT, h *hostT) {
		if got := h.Now(); !got.Equal(start) {
			t.Errorf("the wall clock starts at %v, want %v", got, start)
		}
		_ = h.Sleep(ctx, 10*time.Second)
		if got := h.Now().Sub(start); got != 10*time.Second-time.Hour {
			t.Errorf("the wall clock moved by %v", got)
		}
		if got := h.Monotonic(); got != 10*time.Second {
			t.Errorf("the monotonic clock shows %v", got)
		}
	})
	w.After(5*time.Second, "jump", func() { p.JumpWall(-time.Hour) })
	mustRun(t, w, time.Minute)
}

func TestSleepOfNothingYieldsOnce(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctx ctxT, h *hostT) {
		other := 0
		h.Go("other", func(ctx ctxT) {
			for range 100 {
				other++
				h.Yield()
			}
		})
		for range 100 {
			if err := h.Sleep(ctx, -1); err != nil {
				t.Error(err)
			}
		}
		if other == 0 {
			t.Error("the other task never ran")
		}
		if w.Now() != 0 {
			t.Errorf("it took %v", w.Now())
		}
	})
	mustRun(t, w, time.Minute)
}

func TestSleepBeyondTheEndOfTimeIsForever(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctx ctxT, h *hostT) {
		_ = h.Sleep(ctx, 1)
		_ = h.Sleep(ctx, math.MaxInt64)
		t.Error("forever is over")
	})
	mustRun(t, w, 1000*time.Hour)
}

func TestTimerRunsInATaskOfItsOwn(t *testing.T) {
	w := world(t, sim.Options{})
	j := &journal{w: w}
	process(w, "p", func(_ ctxT, h *hostT) {
		h.AfterFunc(time.Second, func() {
			j.add("fires")
			_ = h.Sleep(h.Context(), time.Second)
			j.add("slept")
		})
		h.AfterFunc(-time.Second, func() { j.add("at once") })
		j.add("goes on")
	})
	mustRun(t, w, time.Minute)
	j.want(t, "0s goes on", "0s at once", "1s fires", "2s slept")
}

func TestTimerStop(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctx ctxT, h *hostT) {
		stopped := h.AfterFunc(time.Second, func() { t.Error("a stopped timer fires") })
		if !stopped.Stop() {
			t.Error("the first Stop reports false")
		}
		if stopped.Stop() {
			t.Error("the second Stop reports true")
		}
		fired := h.AfterFunc(time.Second, func() {})
		_ = h.Sleep(ctx, 2*time.Second)
		if fired.Stop() {
			t.Error("Stop of a timer that fired reports true")
		}
	})
	mustRun(t, w, time.Minute)
}

func TestStoppedTimersLeaveNothingBehind(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctx ctxT, h *hostT) {
		var timers []clock.Timer
		for round := range 100 {
			for i := range 100 {
				timers = append(timers, h.AfterFunc(time.Hour+time.Duration(i), func() { t.Error("fires") }))
			}
			for _, timer := range timers {
				timer.Stop()
			}
			timers = timers[:0]
			_ = h.Sleep(ctx, time.Duration(round))
		}
	})
	mustRun(t, w, 24*time.Hour)
	if n := w.Stats().Events; n != 101 {
		t.Errorf("%d events, want 101", n)
	}
}

func TestEventWakesPresentAndFutureWaiters(t *testing.T) {
	w := world(t, sim.Options{})
	j := &journal{w: w}
	process(w, "p", func(ctx ctxT, h *hostT) {
		e := h.NewEvent()
		for range 3 {
			h.Go("waiter", func(ctx ctxT) {
				if err := e.Wait(ctx); err != nil {
					t.Error(err)
				}
				j.add("woken")
			})
		}
		_ = h.Sleep(ctx, time.Second)
		if e.IsSet() {
			t.Error("a new event is set")
		}
		e.Set()
		e.Set()
		if !e.IsSet() {
			t.Error("an event that was set is not")
		}
		_ = h.Sleep(ctx, time.Second)
		if err := e.Wait(ctx); err != nil {
			t.Error(err)
		}
	})
	mustRun(t, w, time.Minute)
	j.want(t, "1s woken", "1s woken", "1s woken")
}

func TestSetEventWinsOverAnEndedContext(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctx ctxT, h *hostT) {
		c, cancel := h.WithCancel(ctx)
		e := h.NewEvent()
		cancel(nil)
		if err := e.Wait(c); err != context.Canceled {
			t.Errorf("Wait of an event that is not set = %v", err)
		}
		e.Set()
		if err := e.Wait(c); err != nil {
			t.Errorf("Wait of a set event = %v", err)
		}
		// Both in one instant, in either order.
		for _, eventFirst := range []bool{true, false} {
			c, cancel := h.WithCancel(ctx)
			e := h.NewEvent()
			h.After(time.Second, func() {
				if eventFirst {
					e.Set()
				}
				cancel(nil)
				if !eventFirst {
					e.Set()
				}
			})
			if err := e.Wait(c); err != nil {
				t.Errorf("Wait with the event first %v = %v", eventFirst, err)
			}
		}
	})
	mustRun(t, w, time.Minute)
}

func TestCondLosesNoBroadcast(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctx ctxT, h *hostT) {
		cond := clock.NewCond(h)
		woken := 0
		for range 5 {
			ticket := cond.Ticket()
			h.Go("waiter", func(ctx ctxT) {
				if err := ticket.Wait(ctx); err == nil {
					woken++
				}
			})
		}
		cond.Broadcast()
		_ = h.Sleep(ctx, time.Second)
		if woken != 5 {
			t.Errorf("%d woken, want 5", woken)
		}
	})
	mustRun(t, w, time.Minute)
}
