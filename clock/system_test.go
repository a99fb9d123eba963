package clock

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// machine is a clock inside a synctest bubble, whose machine can be suspended:
// the suspension passes on the monotonic clock and not on Go's timers.
type machine struct {
	systemClock
	suspended atomic.Int64
}

func newMachine() *machine {
	m := &machine{}
	start := time.Now()
	m.monotonic = func() time.Duration {
		return time.Since(start) + time.Duration(m.suspended.Load())
	}
	return m
}

func (m *machine) suspend(d time.Duration) { m.suspended.Add(int64(d)) }

func TestMonotonicNeverDecreasesAndKeepsOneOrigin(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := System().Monotonic()
			for range 20_000 {
				now := System().Monotonic()
				if now < last {
					t.Errorf("went back from %v to %v", last, now)
					return
				}
				last = now
			}
		})
	}
	wg.Wait()
}

func TestMonotonicRunsAtTheRateOfGoTime(t *testing.T) {
	for _, c := range []struct {
		name string
		read func() time.Duration
	}{{"chosen", monotonic}, {"fallback", processTime}} {
		t.Run(c.name, func(t *testing.T) {
			wall, from := time.Now(), c.read()
			time.Sleep(20 * time.Millisecond)
			inner := c.read() - from // read inside the interval that time.Since spans
			if outer := time.Since(wall); inner < 15*time.Millisecond || inner > outer+time.Millisecond {
				t.Errorf("%v passed on the clock while %v passed", inner, outer)
			}
		})
	}
}

func TestMonotonicDoesNotAllocate(t *testing.T) {
	c := System()
	if n := testing.AllocsPerRun(1000, func() { c.Monotonic() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNowIsTheWallClock(t *testing.T) {
	before := time.Now()
	now := System().Now()
	if now.Before(before) || now.After(time.Now()) {
		t.Errorf("Now() = %v is not between two readings of time.Now", now)
	}
}

func TestSystemSleepNeverEndsEarly(t *testing.T) {
	c := System()
	for _, d := range []time.Duration{1, time.Microsecond, 3 * time.Millisecond} {
		from := c.Monotonic()
		if err := c.Sleep(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if passed := c.Monotonic() - from; passed < d {
			t.Errorf("Sleep(%v) ended after %v", d, passed)
		}
	}
}

func TestSleepLastsItsTime(t *testing.T) {
	for _, d := range []time.Duration{1, recheck - 1, recheck, recheck + 1, time.Hour} {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newMachine()
				if err := c.Sleep(t.Context(), d); err != nil {
					t.Fatal(err)
				}
				if got := c.Monotonic(); got != d {
					t.Errorf("ended after %v", got)
				}
			})
		})
	}
}

func TestSleepOfZeroYieldsAndReportsTheContext(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, d := range []time.Duration{0, -1, math.MinInt64} {
		if err := System().Sleep(t.Context(), d); err != nil {
			t.Errorf("Sleep(%v) = %v", d, err)
		}
		if err := System().Sleep(ended, d); !errors.Is(err, context.Canceled) {
			t.Errorf("Sleep(%v) = %v with an ended context", d, err)
		}
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMachine()
		ctx, cancel := c.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		if err := c.Sleep(ctx, math.MaxInt64); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Sleep = %v", err)
		}
		if got := c.Monotonic(); got != 2500*time.Millisecond {
			t.Errorf("ended after %v", got)
		}
	})
}

func TestWaitsThatASuspensionOvertookEndSoonAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMachine()
		go func() {
			time.Sleep(10 * time.Second)
			c.suspend(time.Hour)
		}()
		fired := make(chan time.Duration, 1)
		c.AfterFunc(30*time.Minute, func() { fired <- c.Monotonic() })
		if err := c.Sleep(t.Context(), 30*time.Minute); err != nil {
			t.Fatal(err)
		}
		latest := time.Hour + 10*time.Second + recheck
		if woke := c.Monotonic(); woke > latest {
			t.Errorf("the sleeper woke at %v, want at most %v", woke, latest)
		}
		if at := <-fired; at > latest {
			t.Errorf("the timer fired at %v, want at most %v", at, latest)
		}
	})
}

func TestAfterFuncRunsOnceInATaskOfItsOwn(t *testing.T) {
	for _, d := range []time.Duration{-1, 0, 1, recheck, 90 * time.Minute} {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newMachine()
				var mu sync.Mutex
				var at []time.Duration
				mu.Lock() // f blocks on the caller: it has a task of its own
				c.AfterFunc(d, func() {
					mu.Lock()
					defer mu.Unlock()
					at = append(at, c.Monotonic())
				})
				mu.Unlock()
				time.Sleep(4 * time.Hour)
				mu.Lock()
				defer mu.Unlock()
				if len(at) != 1 || at[0] != max(d, 0) {
					t.Errorf("ran at %v", at)
				}
			})
		})
	}
}

func TestTimerStopReportsWhetherItPreventedTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMachine()
		var runs atomic.Int32
		count := func() { runs.Add(1) }

		early := c.AfterFunc(time.Minute, count)
		time.Sleep(30 * time.Second) // past some rechecks
		if !early.Stop() {
			t.Error("Stop of a pending timer = false")
		}
		if early.Stop() {
			t.Error("the second Stop = true")
		}
		late := c.AfterFunc(time.Second, count)
		time.Sleep(time.Hour)
		if late.Stop() {
			t.Error("Stop after the call = true")
		}
		if n := runs.Load(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

// Exactly one of Stop and the function wins, whatever the interleaving.
func TestTimerStopRacesWithTheCall(t *testing.T) {
	c := System()
	const timers = 500
	var stopped, ran atomic.Int32
	for i := range timers {
		timer := c.AfterFunc(time.Microsecond, func() { ran.Add(1) })
		if i%2 == 0 {
			_ = c.Sleep(t.Context(), time.Microsecond)
		}
		if timer.Stop() {
			stopped.Add(1)
		}
	}
	for stopped.Load()+ran.Load() < timers {
		_ = c.Sleep(t.Context(), 0)
	}
	_ = c.Sleep(t.Context(), time.Millisecond) // room for a call too many
	if n := stopped.Load() + ran.Load(); n != timers {
		t.Errorf("%d stopped or run out of %d", n, timers)
	}
}

func TestWithCancelCarriesItsCause(t *testing.T) {
	c := System()
	why := errors.New("the lease was lost")
	parent, cancel := c.WithCancel(t.Context())
	child, cancelChild := context.WithCancel(parent)
	defer cancelChild()
	if err := Cause(parent); err != nil {
		t.Errorf("Cause = %v before the end", err)
	}
	cancel(why)
	cancel(errors.New("a second one"))
	for _, ctx := range []context.Context{parent, child} {
		if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(Cause(ctx), why) {
			t.Errorf("Err = %v, Cause = %v", ctx.Err(), Cause(ctx))
		}
	}
}

// causedContext stands for the contexts of other clocks.
type causedContext struct {
	context.Context
	cause error
}

func (c causedContext) Cause() error { return c.cause }

func (c causedContext) Value(key any) any {
	if key == (CauseKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func TestCauseAsksContextsOfOtherClocks(t *testing.T) {
	why := errors.New("the process crashed")
	if err := Cause(causedContext{t.Context(), why}); !errors.Is(err, why) {
		t.Errorf("Cause = %v", err)
	}
	type key struct{}
	if err := Cause(context.WithValue(causedContext{t.Context(), why}, key{}, 1)); !errors.Is(err, why) {
		t.Errorf("Cause = %v of a child that carries a value", err)
	}
	if err := Cause(causedContext{t.Context(), nil}); err != nil {
		t.Errorf("Cause = %v of a context that has not ended", err)
	}
}

func TestWithTimeoutEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMachine()
		ctx, cancel := c.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		deadline, ok := ctx.Deadline()
		if want := c.Now().Add(time.Minute); !ok || !deadline.Equal(want) {
			t.Errorf("Deadline = %v, %v, want %v", deadline, ok, want)
		}
		<-ctx.Done()
		if got := c.Monotonic(); got != time.Minute {
			t.Errorf("ended after %v", got)
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.Errorf("Err = %v", ctx.Err())
		}
	})
}

func TestWithTimeoutOfZeroHasEnded(t *testing.T) {
	ctx, cancel := System().WithTimeout(t.Context(), 0)
	defer cancel()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("Err = %v", ctx.Err())
	}
}

func TestWithTimeoutEndsWithItsParent(t *testing.T) {
	why := errors.New("closing")
	parent, cancelParent := System().WithCancel(t.Context())
	ctx, cancel := System().WithTimeout(parent, time.Hour)
	defer cancel()
	cancelParent(why)
	if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(Cause(ctx), why) {
		t.Errorf("Err = %v, Cause = %v", ctx.Err(), Cause(ctx))
	}
}

func TestEventWakesPresentAndFutureWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := System().NewEvent()
		if e.IsSet() {
			t.Fatal("a new event is set")
		}
		var woken atomic.Int32
		for range 3 {
			go func() {
				if e.Wait(t.Context()) == nil {
					woken.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := woken.Load(); n != 0 {
			t.Fatalf("%d waiters woke before Set", n)
		}
		e.Set()
		e.Set() // only the first call has an effect
		synctest.Wait()
		if n := woken.Load(); n != 3 {
			t.Errorf("%d of 3 waiters woke", n)
		}
		if err := e.Wait(t.Context()); err != nil || !e.IsSet() {
			t.Errorf("Wait = %v, IsSet = %v after Set", err, e.IsSet())
		}
	})
}

func TestEventWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newMachine()
		ctx, cancel := c.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.NewEvent().Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait = %v", err)
		}
	})
}

func TestSetEventWinsOverAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := System().NewEvent()
	if err := e.Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait = %v before Set", err)
	}
	e.Set()
	for range 200 { // an unlucky select would show
		if err := e.Wait(ctx); err != nil {
			t.Fatalf("Wait = %v after Set", err)
		}
	}
}

func BenchmarkMonotonic(b *testing.B) {
	for _, c := range []struct {
		name string
		read func() time.Duration
	}{{"system", monotonic}, {"uptime", System().Uptime}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.read()
			}
		})
	}
}
