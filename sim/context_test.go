package sim_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/sim"
)

// inside runs f as the main task of a process.
func inside(t *testing.T, f func(w *sim.World, ctx ctxT, h *hostT)) {
	t.Helper()
	w := world(t, sim.Options{})
	ended := false
	process(w, "p", func(ctx ctxT, h *hostT) {
		f(w, ctx, h)
		ended = true
	})
	mustRun(t, w, 24*time.Hour)
	if !ended {
		t.Error("the task did not come to its end")
	}
}

var errWhy = errors.New("why")

func TestCancelReachesTheWholeTreeAtOnce(t *testing.T) {
	inside(t, func(_ *sim.World, ctx ctxT, h *hostT) {
		root, cancel := h.WithCancel(ctx)
		child, cancelChild := h.WithTimeout(root, time.Hour)
		defer cancelChild()
		grandchild, cancelGrandchild := h.WithCancel(context.WithValue(child, errWhy, 1))
		defer cancelGrandchild(nil)
		sibling, cancelSibling := h.WithCancel(ctx)
		defer cancelSibling(nil)
		if clock.Cause(grandchild) != nil {
			t.Error("a context has a cause before its end")
		}
		cancel(errWhy)
		cancel(errors.New("too late"))
		for name, c := range map[string]context.Context{
			"root": root, "child": child, "grandchild": grandchild, "with a value": context.WithValue(grandchild, errWhy, 2),
		} {
			if c.Err() != context.Canceled || clock.Cause(c) != errWhy {
				t.Errorf("%s: error %v, cause %v", name, c.Err(), clock.Cause(c))
			}
			select {
			case <-c.Done():
			default:
				t.Errorf("%s: Done is open", name)
			}
		}
		if sibling.Err() != nil {
			t.Error("a context that does not depend on it ends too")
		}
		if grandchild.Value(errWhy) != 1 || grandchild.Value("other") != nil {
			t.Error("values are lost")
		}
	})
}

func TestDoneIsClosedLater(t *testing.T) {
	inside(t, func(_ *sim.World, ctx ctxT, h *hostT) {
		c, cancel := h.WithCancel(ctx)
		done := c.Done()
		select {
		case <-done:
			t.Error("closed before the end")
		default:
		}
		cancel(nil)
		if _, open := <-done; open {
			t.Error("not closed")
		}
		if ctx.Done() == nil {
			t.Error("the root has no Done")
		}
	})
}

func TestTimeoutEndsOnLocalTime(t *testing.T) {
	w := world(t, sim.Options{})
	p := w.Process("p", sim.ProcessOptions{RatePPB: -500_000_000, WallOffset: time.Hour})
	p.Start(func(ctx ctxT, h *hostT) {
		c, cancel := h.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if d, ok := c.Deadline(); !ok || !d.Equal(h.Now().Add(10*time.Second)) {
			t.Errorf("deadline %v, %v", d, ok)
		}
		if err := h.Sleep(c, time.Hour); err != context.DeadlineExceeded || w.Now() != 20*time.Second {
			t.Errorf("Sleep = %v at %v", err, w.Now())
		}
		if clock.Cause(c) != context.DeadlineExceeded {
			t.Errorf("cause %v", clock.Cause(c))
		}
	})
	mustRun(t, w, time.Hour)
}

func TestTheEarlierDeadlineHolds(t *testing.T) {
	inside(t, func(w *sim.World, ctx ctxT, h *hostT) {
		short, cancelShort := h.WithTimeout(ctx, time.Second)
		defer cancelShort()
		long, cancelLong := h.WithTimeout(short, time.Minute)
		defer cancelLong()
		a, _ := short.Deadline()
		if b, ok := long.Deadline(); !ok || !b.Equal(a) {
			t.Errorf("deadline %v, want %v", b, a)
		}
		if err := h.Sleep(long, time.Hour); err != context.DeadlineExceeded || w.Now() != time.Second {
			t.Errorf("Sleep = %v at %v", err, w.Now())
		}
	})
}

func TestTimeoutOfNothingHasEnded(t *testing.T) {
	inside(t, func(w *sim.World, ctx ctxT, h *hostT) {
		for _, d := range []time.Duration{0, -1} {
			c, cancel := h.WithTimeout(ctx, d)
			if c.Err() != context.DeadlineExceeded {
				t.Errorf("WithTimeout(%v): %v", d, c.Err())
			}
			cancel()
		}
		c, cancel := h.WithCancel(ctx)
		cancel(errWhy)
		child, cancelChild := h.WithTimeout(c, time.Second)
		defer cancelChild()
		if child.Err() != context.Canceled || clock.Cause(child) != errWhy {
			t.Errorf("child of an ended context: %v, %v", child.Err(), clock.Cause(child))
		}
	})
}

func TestCancelStopsTheTimeout(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctx ctxT, h *hostT) {
		_, cancel := h.WithTimeout(ctx, time.Hour)
		cancel()
	})
	mustRun(t, w, 24*time.Hour)
	if n := w.Stats().Events; n != 1 {
		t.Errorf("%d events, want 1", n)
	}
}

func TestBackgroundIsAParent(t *testing.T) {
	inside(t, func(w *sim.World, _ ctxT, h *hostT) {
		c, cancel := h.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := h.Sleep(c, time.Hour); err != context.DeadlineExceeded || w.Now() != time.Second {
			t.Errorf("Sleep = %v at %v", err, w.Now())
		}
		if err := h.Sleep(context.Background(), time.Second); err != nil {
			t.Error(err)
		}
		if err := h.Sleep(context.WithoutCancel(c), time.Second); err != nil {
			t.Error(err)
		}
	})
}

func TestForeignParentIsSeenWhenAsked(t *testing.T) {
	inside(t, func(_ *sim.World, _ ctxT, h *hostT) {
		parent, cancelParent := context.WithCancelCause(context.Background())
		c, cancel := h.WithCancel(parent)
		defer cancel(nil)
		child, cancelChild := h.WithCancel(c)
		defer cancelChild(nil)
		if err := h.Sleep(child, time.Second); err != nil {
			t.Error(err)
		}
		cancelParent(errWhy)
		if child.Err() != context.Canceled || clock.Cause(child) != errWhy {
			t.Errorf("error %v, cause %v", child.Err(), clock.Cause(child))
		}
	})
}

func TestSleepEndsWithAValueContext(t *testing.T) {
	inside(t, func(w *sim.World, ctx ctxT, h *hostT) {
		c, cancel := h.WithCancel(ctx)
		wrapped := context.WithValue(c, errWhy, "v")
		h.After(time.Second, func() { cancel(nil) })
		if err := h.Sleep(wrapped, time.Hour); err != context.Canceled || w.Now() != time.Second {
			t.Errorf("Sleep = %v at %v", err, w.Now())
		}
	})
}

// afterFunc is context.AfterFunc, but for the goroutine in which that runs f.
func afterFunc(ctx context.Context, f func()) (stop func() bool) {
	return ctx.(interface {
		AfterFunc(f func()) (stop func() bool)
	}).AfterFunc(f)
}

// The standard library spreads cancellation through AfterFunc, as a task, with
// no goroutine.
func TestStandardContextsCanBeChildren(t *testing.T) {
	inside(t, func(w *sim.World, ctx ctxT, h *hostT) {
		c, cancel := h.WithCancel(ctx)
		std, cancelStd := context.WithCancel(c)
		defer cancelStd()
		called := false
		stop := afterFunc(c, func() { called = true })
		stopped := afterFunc(c, func() { t.Error("a function that was stopped runs") })
		if !stopped() || stopped() {
			t.Error("stop does not report what it did")
		}
		h.After(time.Second, func() { cancel(errWhy) })
		if err := h.Sleep(std, time.Hour); err != context.Canceled || w.Now() != time.Second {
			t.Errorf("Sleep = %v at %v", err, w.Now())
		}
		_ = h.Sleep(ctx, 1)
		if std.Err() != context.Canceled || context.Cause(std) == nil || !called || stop() {
			t.Errorf("child %v, function called %v", std.Err(), called)
		}
		afterFunc(c, func() { called = false })
		_ = h.Sleep(ctx, 1)
		if called {
			t.Error("a function given to an ended context does not run")
		}
	})
}

func TestEveryChildIsTold(t *testing.T) {
	inside(t, func(_ *sim.World, ctx ctxT, h *hostT) {
		c, cancel := h.WithCancel(ctx)
		told := 0
		for range 3 {
			child, cancelChild := h.WithCancel(c)
			defer cancelChild(nil)
			afterFunc(child, func() { told++ })
		}
		cancel(nil)
		_ = h.Sleep(ctx, 1)
		if told != 3 {
			t.Errorf("%d of 3 told", told)
		}
	})
}

func TestTasksThatWaitOnAContextAreWoken(t *testing.T) {
	inside(t, func(w *sim.World, ctx ctxT, h *hostT) {
		c, cancel := h.WithCancel(ctx)
		woken := 0
		for range 3 {
			h.Go("sleeper", func(ctxT) {
				if err := h.Sleep(c, time.Hour); err == context.Canceled && w.Now() == time.Second {
					woken++
				}
			})
			h.Go("waiter", func(ctxT) {
				if err := h.NewEvent().Wait(c); err == context.Canceled && w.Now() == time.Second {
					woken++
				}
			})
		}
		_ = h.Sleep(ctx, time.Second)
		cancel(nil)
		_ = h.Sleep(ctx, time.Second)
		if woken != 6 {
			t.Errorf("%d of 6 woken", woken)
		}
		if err := h.Sleep(c, time.Hour); err != context.Canceled {
			t.Errorf("Sleep on an ended context = %v", err)
		}
		if w.Now() != 2*time.Second {
			t.Errorf("it took until %v", w.Now())
		}
	})
}
