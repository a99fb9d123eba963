package sim_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// explode panics in a function of its own, to be found by name.
func explode(v any) { panic(v) }

func TestPanicBecomesAFailureWithStackAndTime(t *testing.T) {
	fire := func() { explode(errWhy) }
	for _, c := range []struct {
		name          string
		start         func(w *sim.World)
		process, task string
	}{
		{"task", func(w *sim.World) {
			process(w, "p", func(ctx ctxT, h *hostT) {
				h.Go("child", func(ctx ctxT) {
					_ = h.Sleep(ctx, time.Second)
					fire()
				})
				_ = h.Sleep(ctx, time.Hour)
			})
		}, "p", "child"},
		{"timer", func(w *sim.World) {
			process(w, "p", func(_ ctxT, h *hostT) { h.AfterFunc(time.Second, fire) })
		}, "p", "timer"},
		{"callback of a process", func(w *sim.World) {
			process(w, "p", func(ctx ctxT, h *hostT) {
				h.After(time.Second, fire)
				_ = h.Sleep(ctx, time.Hour) // its stack runs the callback
			})
		}, "p", "callback"},
		{"callback of the world", func(w *sim.World) { w.After(time.Second, "fire", fire) }, "", "fire"},
		{"port", func(w *sim.World) {
			w.Net().SetDefault(sim.Link{LatencyMin: time.Second, LatencyMax: time.Second})
			process(w, "p", func(_ ctxT, h *hostT) { h.Bind("in", func(sim.Message) { fire() }) })
			process(w, "q", func(_ ctxT, h *hostT) { h.SendTo(nil, "p", "in", 1) })
		}, "p", "in"},
		{"invariant", func(w *sim.World) {
			process(w, "p", func(ctx ctxT, h *hostT) { _ = h.Sleep(ctx, time.Second) })
			w.Invariant("rule", func() error {
				if w.Now() == time.Second {
					fire()
				}
				return nil
			})
		}, "p", "main"},
		{"while it leaves", func(w *sim.World) {
			process(w, "p", func(ctx ctxT, h *hostT) {
				defer fire()
				_ = h.Sleep(ctx, time.Second)
				panic("earlier")
			})
		}, "p", "main"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world(t, sim.Options{})
			c.start(w)
			f := mustFail(t, w, time.Minute, sim.RulePanic)
			if f.At != time.Second || f.Process != c.process || f.Task != c.task || f.Event != w.Stats().Events || !errors.Is(f, errWhy) {
				t.Errorf("failure %+v", f)
			}
			if !strings.HasPrefix(f.Stack, "github.com/kelpie-registry/kelpie/sim_test.explode\n") || strings.Contains(f.Stack, "sim.(*") {
				t.Errorf("stack:\n%s", f.Stack)
			}
			if got := f.Signature(); got != "panic: sim_test.explode (failure_test.go:#)" {
				t.Errorf("signature %q", got)
			}
			if w.Run(time.Hour) != error(f) || w.Failure() != f {
				t.Error("the failure does not last")
			}
		})
	}
}

func TestPanicOfTheRuntimeIsLocatedInUserCode(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctxT, *hostT) {
		zero := w.Now()
		_ = 1 / zero
	})
	f := mustFail(t, w, time.Minute, sim.RulePanic)
	if !strings.Contains(f.Signature(), "sim_test.TestPanicOfTheRuntimeIsLocatedInUserCode.func#") {
		t.Errorf("signature %q", f.Signature())
	}
	var e runtime.Error
	if !errors.As(f, &e) {
		t.Errorf("the panic's value is lost: %v", f)
	}
}

func TestGoexitOfATaskIsAFailure(t *testing.T) {
	for name, exit := range map[string]func(w *sim.World){
		"task": func(w *sim.World) {
			process(w, "p", func(ctx ctxT, h *hostT) { _ = h.Sleep(ctx, time.Second); runtime.Goexit() })
		},
		"callback on the stack of a task": func(w *sim.World) {
			process(w, "p", func(ctx ctxT, h *hostT) {
				h.After(time.Second, runtime.Goexit)
				_ = h.Sleep(ctx, time.Hour)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := sim.NewArena()
			w := sim.NewWorld(1, sim.Options{Arena: a})
			process(w, "other", func(ctx ctxT, h *hostT) { _ = h.Sleep(ctx, time.Hour) })
			exit(w)
			f := mustFail(t, w, time.Minute, sim.RulePanic)
			if !strings.Contains(f.Error(), "Goexit") {
				t.Errorf("failure %v", f)
			}
			w.Close()
			// The arena can be used on.
			w = sim.NewWorld(1, sim.Options{Arena: a})
			chatter(w)
			mustRun(t, w, chatterTime)
			w.Close()
			a.Close()
		})
	}
}

func TestBlockingOutsideOfATaskIsAFailure(t *testing.T) {
	w := world(t, sim.Options{})
	p := server(w, "p")
	w.After(time.Second, "blocks", func() { p.Host().Yield() })
	f := mustFail(t, w, time.Minute, sim.RulePanic)
	if !strings.Contains(f.Error(), "Yield outside of a task") {
		t.Errorf("failure %v", f)
	}
	mustPanic(t, "Yield by the driver", p.Host().Yield)
}

func TestWorldStopsAtTheEventThatBreaksAnInvariant(t *testing.T) {
	w := world(t, sim.Options{})
	x := 0
	var reported uint64
	w.Invariant("first", func() error { return nil })
	w.Invariant("x is below 5", func() error {
		if x >= 5 {
			reported = w.Stats().Events
			return errWhy
		}
		return nil
	})
	w.Invariant("after", func() error {
		if x >= 5 {
			t.Error("a further invariant is checked")
		}
		return nil
	})
	process(w, "p", func(ctx ctxT, h *hostT) {
		for {
			_ = h.Sleep(ctx, time.Second)
			x++
		}
	})
	process(w, "q", func(ctx ctxT, h *hostT) {
		for {
			_ = h.Sleep(ctx, time.Second)
		}
	})
	f := mustFail(t, w, time.Minute, "x is below 5")
	if x != 5 || f.At != 5*time.Second || f.Process != "p" || f.Task != "main" || f.Event != reported || w.Stats().Events != reported || !errors.Is(f, errWhy) {
		t.Errorf("x is %d, failure %+v after %d events", x, f, w.Stats().Events)
	}
}

func TestFailStopsAfterThePresentEvent(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "p", func(ctx ctxT, h *hostT) {
		_ = h.Sleep(ctx, time.Second)
		w.Fail("mine", errWhy)
		w.Fail("second", errWhy)
		_ = h.Sleep(ctx, 0)
		t.Error("the task goes on")
	})
	f := mustFail(t, w, time.Minute, "mine")
	if got, want := f.Error(), "mine at 1s, event 2 in p/main: why"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFailByTheDriver(t *testing.T) {
	w := world(t, sim.Options{})
	w.Fail("mine", nil)
	f := mustFail(t, w, time.Minute, "mine")
	if got, want := f.Error(), "mine at 0s, event 0: mine"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestStopEndsTheRunAndTheNextGoesOn(t *testing.T) {
	w := world(t, sim.Options{})
	ticks := 0
	process(w, "p", func(ctx ctxT, h *hostT) {
		for {
			_ = h.Sleep(ctx, time.Second)
			if ticks++; ticks == 3 {
				w.Stop()
			}
		}
	})
	mustRun(t, w, time.Minute)
	if ticks != 3 || w.Now() != 3*time.Second {
		t.Errorf("%d ticks at %v", ticks, w.Now())
	}
	mustRun(t, w, time.Minute)
	if ticks != 60 || w.Now() != time.Minute {
		t.Errorf("%d ticks at %v", ticks, w.Now())
	}
	mustRun(t, w, time.Second)
	if w.Now() != time.Minute {
		t.Errorf("time went back to %v", w.Now())
	}
}

func TestRunFromInsidePanics(t *testing.T) {
	for name, f := range map[string]func(w *sim.World){
		"Run":   func(w *sim.World) { _ = w.Run(time.Hour) },
		"Close": func(w *sim.World) { w.Close() },
	} {
		w := world(t, sim.Options{})
		process(w, "p", func(ctxT, *hostT) { f(w) })
		if got := mustFail(t, w, time.Minute, sim.RulePanic); !strings.Contains(got.Error(), "from inside the world") {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDeadlockSaysWhatEveryTaskWaitsFor(t *testing.T) {
	w := world(t, sim.Options{})
	w.Net().Cut("q", "p")
	process(w, "p", func(ctx ctxT, h *hostT) {
		h.Daemon()
		e := h.NewEvent()
		h.Go("waiter", func(ctx ctxT) {
			_ = h.Sleep(ctx, time.Second)
			_ = e.Wait(ctx)
		})
		_ = e.Wait(ctx)
	})
	process(w, "q", func(ctx ctxT, h *hostT) {
		_, _ = h.Network().Call(ctx, "p", "hello", nil)
	})
	f := mustFail(t, w, time.Minute, sim.RuleDeadlock)
	if f.At != time.Second {
		t.Errorf("found at %v", f.At)
	}
	for _, want := range []string{
		"p/main waits for event #1 of p (made by main) since 0s, in sim_test.TestDeadlockSaysWhatEveryTaskWaitsFor.func1 (failure_test.go:",
		"[daemon]",
		"p/waiter waits for event #1 of p (made by main) since 1s, in sim_test.TestDeadlockSaysWhatEveryTaskWaitsFor.func1.1 (failure_test.go:",
		"q/main waits for the reply to hello from p since 0s, in sim_test.TestDeadlockSaysWhatEveryTaskWaitsFor.func2 (failure_test.go:",
	} {
		if !strings.Contains(f.Error(), want) {
			t.Errorf("the report lacks %q:\n%v", want, f)
		}
	}
	if got, want := f.Signature(), "deadlock: waiter in sim_test.TestDeadlockSaysWhatEveryTaskWaitsFor.func#.# (failure_test.go:#)"; got != want {
		t.Errorf("signature %q, want %q", got, want)
	}
}

func TestWhatIsNoDeadlock(t *testing.T) {
	forEver := func(ctx ctxT, h *hostT) { _ = h.NewEvent().Wait(ctx) }
	for name, start := range map[string]func(w *sim.World){
		"nothing at all": func(*sim.World) {},
		"no tasks left":  func(w *sim.World) { server(w, "p") },
		"daemons only": func(w *sim.World) {
			process(w, "p", func(ctx ctxT, h *hostT) { h.Daemon(); forEver(ctx, h) })
		},
		"a paused process": func(w *sim.World) {
			process(w, "p", forEver)
			q := process(w, "q", func(ctx ctxT, h *hostT) { _ = h.Sleep(ctx, 10*time.Second) })
			w.After(time.Second, "pause", q.Pause)
		},
		"stopped": func(w *sim.World) {
			process(w, "p", forEver)
			w.After(time.Second, "stop", w.Stop)
		},
		"events after the end": func(w *sim.World) {
			process(w, "p", forEver)
			w.After(time.Hour, "later", func() {})
		},
		"crashed": func(w *sim.World) {
			p := process(w, "p", forEver)
			w.After(time.Second, "crash", p.Crash)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := world(t, sim.Options{})
			start(w)
			mustRun(t, w, time.Minute)
		})
	}
}

func TestLivelockNamesWhoRanMost(t *testing.T) {
	for _, c := range []struct {
		name string
		o    sim.Options
		nap  time.Duration
		want string
	}{
		{"at one instant", sim.Options{MaxInstantEvents: 10_000}, 0, "more than 10000 events at one instant; of the last 2000:"},
		{"in all", sim.Options{MaxEvents: 10_000}, time.Nanosecond, "more than 10000 events; of the last 2000:"},
		{"small bound", sim.Options{MaxEvents: 10}, time.Nanosecond, "more than 10 events; of the last 11:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world(t, c.o)
			process(w, "p", func(ctx ctxT, h *hostT) {
				h.Go("rare", func(ctx ctxT) {
					for {
						_ = h.Sleep(ctx, 10*c.nap+1)
					}
				})
				for {
					_ = h.Sleep(ctx, c.nap)
				}
			})
			f := mustFail(t, w, time.Minute, sim.RuleLivelock)
			if !strings.Contains(f.Error(), c.want) || !strings.Contains(f.Error(), "task p/main") || !strings.Contains(f.Error(), "sim_test.TestLivelockNamesWhoRanMost") {
				t.Errorf("report:\n%v", f)
			}
			if got := f.Signature(); got != "livelock: task p/main" {
				t.Errorf("signature %q", got)
			}
			if limit := c.o.MaxEvents + c.o.MaxInstantEvents; f.Event < limit || f.Event > limit+5 {
				t.Errorf("found at event %d", f.Event)
			}
		})
	}
}

func TestManyEventsAreNoLivelockWhileTimeMoves(t *testing.T) {
	w := world(t, sim.Options{MaxInstantEvents: 100})
	process(w, "p", func(ctx ctxT, h *hostT) {
		for range 1000 {
			for range 50 {
				h.Yield()
			}
			_ = h.Sleep(ctx, 1)
		}
	})
	mustRun(t, w, time.Minute)
}

// located is an error that says where.
type located struct{}

func (located) Error() string { return "text that depends on the seed" }
func (located) Where() string { return "there, line 12" }

func TestSignatureLeavesOutWhatDiffersBetweenSeeds(t *testing.T) {
	for _, c := range []struct{ a, b error }{
		{errors.New("actor-17 has 2 owners\nmore 1"), errors.New("actor-4 has 33 owners\nother 2")},
		{fmt.Errorf("x 1: %w", located{}), fmt.Errorf("y: %w", located{})},
	} {
		a := (&sim.Failure{Rule: "r", Event: 1, At: 2, Task: "a", Err: c.a}).Signature()
		b := (&sim.Failure{Rule: "r", Event: 3, At: 4, Task: "b", Err: c.b}).Signature()
		if a != b {
			t.Errorf("%q and %q", a, b)
		}
	}
	one := (&sim.Failure{Rule: "r", Err: errors.New("a")}).Signature()
	for _, f := range []*sim.Failure{{Rule: "s", Err: errors.New("a")}, {Rule: "r", Err: errors.New("b")}, {Rule: "r"}} {
		if f.Signature() == one {
			t.Errorf("%v has the signature of another", f)
		}
	}
	long := (&sim.Failure{Rule: "r", Err: errors.New(strings.Repeat("é", 1000))}).Signature()
	if len(long) > 200 || strings.ContainsRune(long, '\uFFFD') {
		t.Errorf("signature %q", long)
	}
}
