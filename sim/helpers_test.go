package sim_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/sim"
)

type (
	ctxT  = context.Context
	hostT = sim.Host
)

// world returns a world that is closed at the end of the test.
func world(t testing.TB, o sim.Options) *sim.World {
	t.Helper()
	w := sim.NewWorld(1, o)
	t.Cleanup(w.Close)
	return w
}

// process starts a process of that name and main.
func process(w *sim.World, name string, main func(ctx ctxT, h *hostT)) *sim.Process {
	p := w.Process(name, sim.ProcessOptions{})
	p.Start(main)
	return p
}

// server starts a process that has no tasks.
func server(w *sim.World, name string) *sim.Process {
	return process(w, name, func(ctxT, *hostT) {})
}

// mustRun runs the world to that time.
func mustRun(t testing.TB, w *sim.World, until time.Duration) {
	t.Helper()
	if err := w.Run(until); err != nil {
		t.Fatal(err)
	}
}

// mustFail runs the world to that time and returns how it failed.
func mustFail(t testing.TB, w *sim.World, until time.Duration, rule string) *sim.Failure {
	t.Helper()
	err := w.Run(until)
	var f *sim.Failure
	if !errors.As(err, &f) {
		t.Fatalf("the run ended with %v, want a failure of rule %s", err, rule)
	}
	if f.Rule != rule {
		t.Fatalf("the run ended with %v, want rule %s", f, rule)
	}
	return f
}

// journal notes what happens with its true time.
type journal struct {
	w     *sim.World
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.lines = append(j.lines, fmt.Sprintf("%v ", j.w.Now())+fmt.Sprintf(format, args...))
}

func (j *journal) want(t testing.TB, want ...string) {
	t.Helper()
	if len(j.lines) != len(want) {
		t.Fatalf("happened:\n%q\nwant:\n%q", j.lines, want)
	}
	for i := range want {
		if j.lines[i] != want[i] {
			t.Fatalf("happened:\n%q\nwant:\n%q", j.lines, want)
		}
	}
}

// mustPanic checks that f panics.
func mustPanic(t testing.TB, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s does not panic", what)
		}
	}()
	f()
}

// chatter is a world with a bit of everything: calls, messages, timers, events,
// contexts, crashes, pauses, faults of the network.
func chatter(w *sim.World) {
	const nodes = 3
	link := sim.DefaultLink
	link.Loss, link.Duplicate, link.Reorder, link.ReorderMax = 0.1, 0.1, 0.1, 5*time.Millisecond
	link.TailProb, link.TailMax = 0.1, 20*time.Millisecond
	w.Net().SetDefault(link)
	main := func(ctx ctxT, h *hostT) {
		got := 0
		h.Bind("in", func(sim.Message) { got++ })
		h.Network().Handle("echo", func(ctx ctxT, req []byte) ([]byte, error) {
			if err := h.Sleep(ctx, time.Duration(h.Rand().Int64N(int64(3*time.Millisecond)))); err != nil {
				return nil, err
			}
			return req, nil
		})
		next := h.NewEvent()
		h.Go("setter", func(ctx ctxT) {
			for h.Sleep(ctx, 7*time.Millisecond) == nil {
				next.Set()
				next = h.NewEvent()
			}
		})
		h.Go("waiter", func(ctx ctxT) {
			for {
				ctx, cancel := h.WithTimeout(ctx, time.Duration(1+h.Rand().IntN(15))*time.Millisecond)
				_ = next.Wait(ctx)
				cancel()
			}
		})
		for i := range nodes {
			to := fmt.Sprintf("n%d", i)
			h.Go("talker", func(ctx ctxT) {
				for {
					ctx, cancel := h.WithTimeout(ctx, 10*time.Millisecond)
					_, err := h.Network().Call(ctx, network.Address(to), "echo", []byte("x"))
					w.Note("call", fmt.Sprint(h.Name(), " ", to, " ", err, " ", got))
					h.SendTo(nil, to, "in", 1)
					cancel()
					h.AfterFunc(time.Millisecond, func() { _ = h.Sleep(h.Context(), time.Millisecond) })
					_ = h.Sleep(h.Context(), time.Duration(h.Rand().Int64N(int64(4*time.Millisecond))))
				}
			})
		}
	}
	for i := range nodes {
		p := w.Process(fmt.Sprintf("n%d", i), sim.ProcessOptions{RatePPB: int64(i) * 1_000_000})
		p.Start(main)
		at := time.Duration(i+1) * 50 * time.Millisecond
		w.After(at, "crash", p.Crash)
		w.After(at+20*time.Millisecond, "restart", p.Restart)
		w.After(at+40*time.Millisecond, "pause", p.Pause)
		w.After(at+60*time.Millisecond, "resume", p.Resume)
		w.After(at+70*time.Millisecond, "cut", func() { w.Net().Cut(p.Name(), "n0") })
		w.After(at+90*time.Millisecond, "heal", w.Net().HealAll)
		w.After(at+95*time.Millisecond, "rate", func() { p.SetRate(-5_000_000) })
		w.After(at+95*time.Millisecond, "reset", func() { w.Net().Reset(p.Name(), "n1") })
	}
}

const chatterTime = 400 * time.Millisecond
