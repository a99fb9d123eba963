package sim_test

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

const forever = time.Duration(math.MaxInt64)

// run runs a world until the scenario stops it.
func run(b *testing.B, w *sim.World) {
	b.Helper()
	if err := w.Run(forever); err != nil {
		b.Fatal(err)
	}
}

func rate(b *testing.B, n uint64, unit string) {
	b.Helper()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), unit)
}

// Sixteen tasks that sleep for times of their own, the trace hash on.
func BenchmarkSleep(b *testing.B) {
	const tasks = 16
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64})
	defer w.Close()
	left := 0
	p := w.Process("p", sim.ProcessOptions{})
	p.Start(func(ctx context.Context, h *sim.Host) {
		for i := range tasks {
			d := time.Duration(1000 + 37*i)
			h.Go("sleeper", func(ctx context.Context) {
				for {
					_ = h.Sleep(ctx, d)
					if left--; left <= 0 {
						w.Stop()
					}
				}
			})
		}
	})
	left = 100 * tasks
	run(b, w) // all stacks and the heap exist now
	before := w.Stats().Events
	left = b.N
	b.ReportAllocs()
	b.ResetTimer()
	run(b, w)
	b.StopTimer()
	rate(b, w.Stats().Events-before, "events/s")
}

// One task that sleeps and is always next: no switch.
func BenchmarkSleepAlone(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64})
	defer w.Close()
	w.Process("p", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		b.ReportAllocs()
		for b.Loop() {
			_ = h.Sleep(ctx, time.Microsecond)
		}
		w.Stop()
	})
	run(b, w)
}

// Two tasks that yield to each other: a context switch with its event.
func BenchmarkSwitch(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64, MaxInstantEvents: math.MaxUint64})
	defer w.Close()
	w.Process("p", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		h.Go("other", func(ctx context.Context) {
			for {
				_ = h.Sleep(ctx, 2)
			}
		})
		_ = h.Sleep(ctx, 1)
		b.ReportAllocs()
		for b.Loop() {
			_ = h.Sleep(ctx, 2)
		}
		w.Stop()
	})
	run(b, w)
}

// A port message to another process, and one back.
func BenchmarkMessage(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64})
	defer w.Close()
	body := any(&struct{}{})
	left := 0
	idle := func(context.Context, *sim.Host) {}
	p, q := w.Process("p", sim.ProcessOptions{}), w.Process("q", sim.ProcessOptions{})
	p.Start(idle)
	q.Start(idle)
	if err := w.Run(1); err != nil {
		b.Fatal(err)
	}
	var ping, pong *sim.Port
	ping = p.Host().Bind("ping", func(sim.Message) {
		if left -= 2; left <= 0 {
			w.Stop()
			return
		}
		ping.Send(pong, body)
	})
	pong = q.Host().Bind("pong", func(m sim.Message) { pong.Send(m.From, body) })
	bounce := func(n int) {
		left = n
		ping.Send(pong, body)
		run(b, w)
	}
	bounce(100)
	b.ReportAllocs()
	b.ResetTimer()
	before := w.Stats().Delivered
	bounce(b.N)
	b.StopTimer()
	rate(b, w.Stats().Delivered-before, "messages/s")
}

// A call with its handler's task, and a timeout, as a client would make it.
func BenchmarkCall(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64})
	defer w.Close()
	w.Process("server", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		h.Network().Handle("echo", func(_ context.Context, req []byte) ([]byte, error) { return req, nil })
	})
	w.Process("client", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		_ = h.Sleep(ctx, time.Second)
		req := []byte("hello")
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := h.WithTimeout(ctx, time.Second)
			if _, err := h.Network().Call(ctx, "server", "echo", req); err != nil {
				b.Error(err)
			}
			cancel()
		}
		w.Stop()
	})
	run(b, w)
}

// A timer that fires into a task of its own.
func BenchmarkTimer(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64})
	defer w.Close()
	w.Process("p", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		b.ReportAllocs()
		for b.Loop() {
			h.AfterFunc(1, func() {})
			_ = h.Sleep(ctx, 2)
		}
		w.Stop()
	})
	run(b, w)
}

// A timer that is stopped in time, as nearly all are.
func BenchmarkTimerStop(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64})
	defer w.Close()
	w.Process("p", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		f := func() {}
		b.ReportAllocs()
		for b.Loop() {
			h.AfterFunc(time.Hour, f).Stop()
		}
		w.Stop()
	})
	run(b, w)
}

// A callback event of a process: what simulated servers are made of.
func BenchmarkCallback(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64})
	defer w.Close()
	left := 0
	w.Process("p", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		var again func()
		again = func() {
			if left--; left <= 0 {
				w.Stop()
			}
			h.After(1, again)
		}
		h.After(1, again)
	})
	left = 100
	run(b, w)
	left = b.N
	b.ReportAllocs()
	b.ResetTimer()
	run(b, w)
}

// Events with waiters.
func BenchmarkEvent(b *testing.B) {
	w := sim.NewWorld(1, sim.Options{MaxEvents: math.MaxUint64, MaxInstantEvents: math.MaxUint64})
	defer w.Close()
	w.Process("p", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		next := h.NewEvent()
		h.Go("setter", func(ctx context.Context) {
			for {
				_ = h.Sleep(ctx, 1)
				next.Set()
			}
		})
		b.ReportAllocs()
		for b.Loop() {
			_ = next.Wait(ctx)
			next = h.NewEvent()
		}
		w.Stop()
	})
	run(b, w)
}

// A whole small world, with three processes and 60 virtual seconds, in a
// shared arena.
func BenchmarkWorld(b *testing.B) {
	a := sim.NewArena()
	defer a.Close()
	b.ReportAllocs()
	seed := uint64(0)
	var events uint64
	for b.Loop() {
		seed++
		w := sim.NewWorld(seed, sim.Options{Arena: a})
		for i := range 3 {
			w.Process(fmt.Sprintf("n%d", i), sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
				for range 4 {
					h.Go("worker", func(ctx context.Context) {
						for h.Sleep(ctx, 100*time.Millisecond) == nil {
							continue
						}
					})
				}
			})
		}
		if err := w.Run(time.Minute); err != nil {
			b.Fatal(err)
		}
		events += w.Stats().Events
		w.Close()
	}
	rate(b, events, "events/s")
}
