package sim_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/sim"
)

func TestCrashUnwindsBeforeTheNextEvent(t *testing.T) {
	w := world(t, sim.Options{})
	j := &journal{w: w}
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		defer j.add("main leaves")
		h.Go("child", func(ctx ctxT) {
			defer j.add("child leaves")
			_ = h.Sleep(ctx, time.Hour)
			j.add("child survives")
		})
		_ = h.NewEvent().Wait(ctx)
		j.add("main survives")
	})
	w.After(time.Second, "crash", func() {
		p.Crash()
		j.add("crashed, alive %v", p.Alive())
	})
	w.After(time.Second+1, "later", func() { j.add("later") })
	mustRun(t, w, time.Minute)
	j.want(t, "1s crashed, alive false", "1s main leaves", "1s child leaves", "1.000000001s later")
}

func TestCrashOfTheOwnProcessDoesNotReturn(t *testing.T) {
	for name, crash := range map[string]func(p *sim.Process){"crash": (*sim.Process).Crash, "restart": (*sim.Process).Restart} {
		t.Run(name, func(t *testing.T) {
			w := world(t, sim.Options{})
			lives := 0
			var p *sim.Process
			p = process(w, "p", func(ctx ctxT, h *hostT) {
				if lives++; lives > 1 {
					return
				}
				h.Go("other", func(ctx ctxT) { _ = h.Sleep(ctx, time.Hour); t.Error("the other task survives") })
				_ = h.Sleep(ctx, time.Second)
				crash(p)
				t.Error("the call returns")
			})
			mustRun(t, w, time.Minute)
			if alive := p.Alive(); alive != (name == "restart") {
				t.Errorf("alive is %v", alive)
			}
		})
	}
}

func TestDefersOfADeadLifeCannotTouchTheWorld(t *testing.T) {
	w := world(t, sim.Options{})
	other := server(w, "other")
	var before sim.Stats
	var event clock.Event
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		child, cancel := h.WithCancel(ctx)
		event = h.NewEvent()
		timer := h.AfterFunc(time.Hour, func() {})
		port := h.Bind("p", func(sim.Message) {})
		defer func() {
			for name, f := range map[string]func(){
				"Sleep":       func() { _ = h.Sleep(ctx, 1) },
				"Sleep 0":     func() { _ = h.Sleep(ctx, 0) },
				"Yield":       func() { h.Yield() },
				"Wait":        func() { _ = event.Wait(ctx) },
				"Go":          func() { h.Go("x", func(ctxT) { t.Error("runs") }) },
				"After":       func() { h.After(1, func() { t.Error("runs") }) },
				"AfterFunc":   func() { h.AfterFunc(1, func() { t.Error("runs") }) },
				"Stop":        func() { timer.Stop() },
				"WithCancel":  func() { h.WithCancel(ctx) },
				"WithTimeout": func() { h.WithTimeout(ctx, 1) },
				"NewEvent":    func() { h.NewEvent() },
				"Bind":        func() { h.Bind("x", nil) },
				"Port.Close":  func() { port.Close() },
				"Send":        func() { port.Send(port, 1) },
				"SendTo":      func() { h.SendTo(port, "other", "x", 1) },
				"Handle":      func() { h.Network().Handle("x", nil) },
				"Call":        func() { _, _ = h.Network().Call(ctx, "other", "x", nil) },
			} {
				mustPanic(t, name, f)
			}
			// What has no way to refuse is without effect.
			event.Set()
			cancel(nil)
			other.Crash()
			other.Pause()
			other.JumpWall(1)
			other.SetRate(1)
			p := h.Process()
			p.Restart()
			w.Net().Cut("p", "other")
			w.Net().SetDefault(sim.Link{})
			w.Note("a", "b")
			w.Fail("rule", nil)
			w.Stop()
			w.After(0, "x", func() { t.Error("runs") })
			if event.IsSet() || child.Err() != nil || !other.Alive() || other.Paused() || p.Alive() || w.Net().IsCut("p", "other") {
				t.Error("a deferred function changed the world")
			}
			// Time can be read.
			_, _, _ = h.Now(), h.Monotonic(), w.Now()
		}()
		_ = h.Sleep(ctx, time.Hour)
	})
	w.After(time.Second, "crash", func() {
		before = w.Stats()
		p.Crash()
	})
	mustRun(t, w, 2*time.Second)
	if after := w.Stats(); after.Timers != before.Timers || after.Messages != before.Messages || after.Tasks != before.Tasks {
		t.Errorf("counts went from %+v to %+v", before, after)
	}
}

func TestCodeThatRecoversIsUnwoundAgain(t *testing.T) {
	w := world(t, sim.Options{})
	recovered, left := 0, 0
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		defer func() { left++ }()
		for range 3 {
			func() {
				defer func() {
					if r := recover(); r != nil {
						recovered++
						if err, ok := r.(error); !ok || !strings.Contains(err.Error(), "process p has crashed") {
							t.Errorf("recovered %v", r)
						}
					}
				}()
				_ = h.Sleep(ctx, time.Second)
			}()
		}
	})
	w.After(0, "crash", func() { w.After(time.Millisecond, "crash", p.Crash) })
	mustRun(t, w, time.Minute)
	if recovered != 3 || left != 1 {
		t.Errorf("recovered %d times, left %d times, want 3 and 1", recovered, left)
	}
}

func TestCodeThatRecoversForeverIsEnded(t *testing.T) {
	a := sim.NewArena()
	defer a.Close()
	w := sim.NewWorld(1, sim.Options{Arena: a})
	defer w.Close()
	left := false
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		defer func() { left = true }()
		for {
			func() {
				defer func() { _ = recover() }()
				_ = h.Sleep(ctx, time.Second)
			}()
		}
	})
	ran := false
	process(w, "q", func(ctx ctxT, h *hostT) {
		_ = h.Sleep(ctx, 10*time.Second)
		ran = true
	})
	w.After(5*time.Second, "crash", p.Crash)
	mustRun(t, w, time.Minute)
	if !left || !ran {
		t.Errorf("the task left: %v; others ran on: %v", left, ran)
	}
}

func TestPanicOfADyingTaskIsNoFailure(t *testing.T) {
	w := world(t, sim.Options{})
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		defer panic("broken by the crash")
		_ = h.Sleep(ctx, time.Hour)
	})
	w.After(time.Second, "crash", p.Crash)
	mustRun(t, w, time.Minute)
}

func TestLifeLosesItsTimersCallbacksAndContexts(t *testing.T) {
	w := world(t, sim.Options{})
	var ctx1 context.Context
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		if h.Process().Life() > 1 {
			return
		}
		h.AfterFunc(2*time.Second, func() { t.Error("timer of a dead life fires") })
		h.After(2*time.Second, func() { t.Error("callback of a dead life runs") })
		ctx1, _ = h.WithTimeout(ctx, 2*time.Second)
		h.Go("not started", func(ctxT) {
			_ = h.Sleep(ctx1, time.Hour)
			t.Error("task of a dead life goes on")
		})
	})
	w.After(time.Second, "restart", p.Restart)
	mustRun(t, w, time.Minute)
	if ctx1.Err() != nil {
		t.Error("context of a dead life ends")
	}
	if p.Life() != 2 {
		t.Errorf("life is %d, want 2", p.Life())
	}
}

func TestCrashBeforeTheFirstEvent(t *testing.T) {
	w := world(t, sim.Options{})
	p := process(w, "p", func(ctxT, *hostT) { t.Error("main runs") })
	p.Crash()
	p.Crash()
	mustRun(t, w, time.Second)
}

func TestRestartedLifeHasANewOriginAndKeepsRateAndOffset(t *testing.T) {
	w := world(t, sim.Options{})
	p := w.Process("p", sim.ProcessOptions{WallOffset: time.Hour, RatePPB: 500_000_000})
	var old *sim.Host
	p.Start(func(_ ctxT, h *hostT) {
		if old == nil {
			old = h
		}
	})
	w.After(10*time.Second, "restart", p.Restart)
	mustRun(t, w, 20*time.Second)
	if got := p.Host().Monotonic(); got != 15*time.Second {
		t.Errorf("the new life's clock shows %v, want 15s", got)
	}
	if got := old.Monotonic(); got != 30*time.Second {
		t.Errorf("the old life's clock shows %v, want 30s", got)
	}
	wall := time.Date(2026, 1, 1, 1, 0, 20, 0, time.UTC)
	if got := p.Host().Now(); !got.Equal(wall) {
		t.Errorf("the wall clock shows %v, want %v", got, wall)
	}
}

func TestPausedProcessStandsStillWhileItsClocksGoOn(t *testing.T) {
	w := world(t, sim.Options{})
	j := &journal{w: w}
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		h.After(1500*time.Millisecond, func() { j.add("callback") })
		h.AfterFunc(1600*time.Millisecond, func() { j.add("timer") })
		h.Bind("in", func(m sim.Message) { j.add("message %v", m.Body) })
		_ = h.Sleep(ctx, 1400*time.Millisecond)
		j.add("main, clock %v", h.Monotonic())
		_ = h.Sleep(ctx, 5*time.Second)
		j.add("main, clock %v", h.Monotonic())
	})
	process(w, "q", func(ctx ctxT, h *hostT) {
		_ = h.Sleep(ctx, 2*time.Second)
		for i := range 20 {
			h.SendTo(nil, "p", "in", i)
		}
	})
	w.After(time.Second, "pause", p.Pause)
	w.After(3*time.Second, "resume", func() {
		if len(j.lines) != 0 {
			t.Errorf("happened during the pause: %q", j.lines)
		}
		p.Resume()
	})
	mustRun(t, w, time.Minute)
	if len(j.lines) != 24 {
		t.Fatalf("happened: %q", j.lines)
	}
	messages := 0
	for _, line := range j.lines[:23] {
		if !strings.HasPrefix(line, "3s ") {
			t.Errorf("%q, want it at 3s", line)
		}
		if rest, ok := strings.CutPrefix(line, "3s message "); ok {
			if rest != strconv.Itoa(messages) {
				t.Errorf("message %s comes as number %d", rest, messages)
			}
			messages++
		}
	}
	if got, want := j.lines[23], "8s main, clock 8s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatAPausedProcessHeldDiesWithIt(t *testing.T) {
	w := world(t, sim.Options{})
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		if h.Process().Life() > 1 {
			return
		}
		h.Bind("in", func(sim.Message) { t.Error("message arrives") })
		_ = h.Sleep(ctx, 2*time.Second)
		t.Error("the task goes on")
	})
	q := server(w, "q")
	w.After(time.Second, "pause", p.Pause)
	w.After(2*time.Second, "send", func() { q.Host().SendTo(nil, "p", "in", 1) })
	w.After(3*time.Second, "restart", p.Restart)
	w.After(4*time.Second, "resume", p.Resume)
	mustRun(t, w, time.Minute)
	if p.Paused() {
		t.Error("the new life is paused")
	}
}

func TestTaskCanPauseItsOwnProcess(t *testing.T) {
	w := world(t, sim.Options{})
	j := &journal{w: w}
	p := process(w, "p", func(ctx ctxT, h *hostT) {
		h.Process().Pause()
		j.add("runs on")
		h.Yield()
		j.add("resumed")
	})
	w.After(time.Second, "resume", p.Resume)
	mustRun(t, w, time.Minute)
	j.want(t, "0s runs on", "1s resumed")
}

func TestTimerStoppedWhileHeldDoesNotFire(t *testing.T) {
	w := world(t, sim.Options{})
	var timer clock.Timer
	p := process(w, "p", func(_ ctxT, h *hostT) {
		timer = h.AfterFunc(2*time.Second, func() { t.Error("fires") })
	})
	w.After(time.Second, "pause", p.Pause)
	w.After(3*time.Second, "stop", func() {
		if !timer.Stop() {
			t.Error("Stop reports that the timer fired")
		}
	})
	w.After(4*time.Second, "resume", p.Resume)
	mustRun(t, w, time.Minute)
}

func TestProcessesAreFoundByNameAndInOrder(t *testing.T) {
	w := world(t, sim.Options{})
	b, a := server(w, "b"), server(w, "a")
	if got := w.Processes(); len(got) != 2 || got[0] != b || got[1] != a {
		t.Errorf("processes are %v", got)
	}
	if w.Lookup("a") != a || w.Lookup("c") != nil || a.World() != w || a.Host().Process() != a || a.Host().Name() != "a" {
		t.Error("names do not lead to their processes")
	}
}

func TestBadProcessesPanic(t *testing.T) {
	w := world(t, sim.Options{})
	p := server(w, "p")
	for name, f := range map[string]func(){
		"empty name":            func() { w.Process("", sim.ProcessOptions{}) },
		"taken name":            func() { w.Process("p", sim.ProcessOptions{}) },
		"rate of -10^9":         func() { w.Process("q", sim.ProcessOptions{RatePPB: -1e9}) },
		"rate of 10^9":          func() { p.SetRate(1e9) },
		"start of a live one":   func() { p.Start(nil) },
		"restart before start":  func() { w.Process("r", sim.ProcessOptions{}).Restart() },
		"link with bad latency": func() { w.Net().SetDefault(sim.Link{LatencyMin: 2, LatencyMax: 1}) },
	} {
		mustPanic(t, name, f)
	}
}

func TestForeignTaskSeesADeadHost(t *testing.T) {
	w := world(t, sim.Options{})
	p := server(w, "p")
	process(w, "q", func(ctx ctxT, h *hostT) {
		dead := p.Host()
		p.Crash()
		dead.Go("x", func(ctxT) { t.Error("a dead host runs a task") })
		dead.After(0, func() { t.Error("a dead host runs a callback") })
		if dead.AfterFunc(0, func() { t.Error("a dead host fires a timer") }).Stop() {
			t.Error("a dead host has timers")
		}
		if c, cancel := dead.WithCancel(ctx); c.Err() == nil {
			t.Error("a dead host's context lives")
		} else {
			cancel(nil)
		}
		if _, err := dead.Network().Call(ctx, "q", "x", nil); err == nil {
			t.Error("a dead host calls")
		}
		if err := dead.Sleep(ctx, time.Second); err != nil || w.Now() != time.Second {
			t.Errorf("sleep on a dead host's clock: %v at %v", err, w.Now())
		}
	})
	mustRun(t, w, time.Minute)
	if w.Now() != time.Minute {
		t.Error("the task did not end")
	}
}
