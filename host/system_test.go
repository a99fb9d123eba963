package host_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
)

func newSystem(t *testing.T, o host.SystemOptions) *host.System {
	t.Helper()
	s, err := host.NewSystem(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestZeroOptionsGiveAWorkingHost(t *testing.T) {
	s := newSystem(t, host.SystemOptions{})
	if s.Name() == "" || s.Network() == nil || s.Rand() == nil || s.Context().Err() != nil {
		t.Errorf("name %q, network %v, rand %v, context %v", s.Name(), s.Network(), s.Rand(), s.Context().Err())
	}
	if err := s.Sleep(t.Context(), time.Millisecond); err != nil {
		t.Error(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// fixedClock is a clock that tests recognise.
type fixedClock struct{ clock.Clock }

func (fixedClock) Monotonic() time.Duration { return 42 }

// fixedNetwork is a network that tests recognise.
type fixedNetwork struct{ network.Network }

func (fixedNetwork) Address() network.Address { return "here" }

func TestOptionsAreUsed(t *testing.T) {
	s := newSystem(t, host.SystemOptions{Name: "node-1", Clock: fixedClock{clock.System()}, Network: fixedNetwork{}})
	if s.Name() != "node-1" || s.Monotonic() != 42 || s.Network().Address() != "here" {
		t.Errorf("name %q, time %v, address %q", s.Name(), s.Monotonic(), s.Network().Address())
	}
}

func TestNameOverTheLimitIsRefused(t *testing.T) {
	_, err := host.NewSystem(host.SystemOptions{Name: strings.Repeat("n", host.MaxName+1)})
	if err == nil || !strings.Contains(err.Error(), "SystemOptions.Name") || !strings.Contains(err.Error(), "256") {
		t.Errorf("error %v", err)
	}
}

func TestHostWithoutNetworkRefusesCallsClearly(t *testing.T) {
	s := newSystem(t, host.SystemOptions{Name: "node-1"})
	s.Network().Handle("m", nil)
	_, err := s.Network().Call(t.Context(), "b:1", "m", nil)
	if !errors.Is(err, network.ErrRefused) || !strings.Contains(err.Error(), "node-1 has no network") {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = s.Network().Call(ctx, "b:1", "m", nil)
	if !errors.Is(err, network.ErrNoReply) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v with an ended context", err)
	}
}

func draws(s *host.System) []uint64 {
	values := make([]uint64, 8)
	for i := range values {
		values[i] = s.Rand().Uint64()
	}
	return values
}

func TestRandRepeatsForASeedAndDiffersWithout(t *testing.T) {
	for _, c := range []struct {
		name string
		a, b uint64
		same bool
	}{
		{"one seed", 7, 7, true},
		{"two seeds", 7, 8, false},
		{"no seed", 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := draws(newSystem(t, host.SystemOptions{Seed: c.a}))
			b := draws(newSystem(t, host.SystemOptions{Seed: c.b}))
			if slices.Equal(a, b) != c.same {
				t.Errorf("%v and %v", a, b)
			}
		})
	}
}

func TestRandIsSharedWithoutLoss(t *testing.T) {
	s := newSystem(t, host.SystemOptions{Seed: 1})
	const tasks, each = 8, 1000
	var mu sync.Mutex
	seen := map[uint64]bool{}
	var wg sync.WaitGroup
	for range tasks {
		wg.Go(func() {
			for range each {
				v := s.Rand().Uint64()
				mu.Lock()
				seen[v] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	// A torn or repeated state of the source would repeat values.
	if len(seen) != tasks*each {
		t.Errorf("%d different values out of %d", len(seen), tasks*each)
	}
}

func TestCloseEndsTasksAndWaitsForThem(t *testing.T) {
	s := newSystem(t, host.SystemOptions{})
	var returned atomic.Int32
	for range 5 {
		s.Go("waits", func(ctx context.Context) {
			<-ctx.Done()
			if !errors.Is(clock.Cause(ctx), host.ErrClosed) {
				t.Errorf("the context ended because of %v", clock.Cause(ctx))
			}
			s.Go("cleans up", func(context.Context) { // a task of a task
				time.Sleep(5 * time.Millisecond)
				returned.Add(1)
			})
		})
	}
	for range 2 { // may be called again
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := returned.Load(); n != 5 {
			t.Fatalf("Close returned with %d of 5 tasks done", n)
		}
	}
}

func TestCloseNamesTheTasksThatDoNotEnd(t *testing.T) {
	s := newSystem(t, host.SystemOptions{Name: "node-1"})
	release := s.NewEvent()
	for _, name := range []string{"watch", "keeper", "watch"} {
		s.Go(name, func(context.Context) { _ = release.Wait(context.Background()) })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := s.Close(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "node-1: still running: keeper, watch (2 times)") {
		t.Errorf("Close = %v", err)
	}
	release.Set()
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close = %v after the tasks ended", err)
	}
}

func TestGoAfterCloseRunsWithAnEndedContext(t *testing.T) {
	s := newSystem(t, host.SystemOptions{})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := s.NewEvent()
	s.Go("late", func(ctx context.Context) {
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("context %v", ctx.Err())
		}
		done.Set()
	})
	if err := done.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTimersDoNotRunAfterCloseAndAreWaitedFor(t *testing.T) {
	s := newSystem(t, host.SystemOptions{})
	var late, done atomic.Bool
	started := s.NewEvent()
	s.AfterFunc(0, func() {
		started.Set()
		time.Sleep(5 * time.Millisecond)
		done.Store(true)
	})
	s.AfterFunc(30*time.Millisecond, func() { late.Store(true) })
	if err := started.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !done.Load() {
		t.Error("Close returned while a timer's function ran")
	}
	before := late.Load() // a slow machine may have run it before Close
	time.Sleep(50 * time.Millisecond)
	if late.Load() && !before {
		t.Error("a timer's function ran after Close")
	}
}

func TestTimerStopsThroughTheHost(t *testing.T) {
	s := newSystem(t, host.SystemOptions{})
	if !s.AfterFunc(time.Hour, func() {}).Stop() {
		t.Error("Stop of a pending timer = false")
	}
}

func TestTasksCarryTheirNameAsAProfilerLabel(t *testing.T) {
	s := newSystem(t, host.SystemOptions{})
	s.Go("keeper", func(ctx context.Context) {
		if name, ok := pprof.Label(ctx, "task"); !ok || name != "keeper" {
			t.Errorf("label %q, %v", name, ok)
		}
	})
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A task that leaves by runtime.Goexit, as t.FailNow does, has returned.
func TestTaskMayGoexit(t *testing.T) {
	s := newSystem(t, host.SystemOptions{})
	s.Go("exits", func(context.Context) { runtime.Goexit() })
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestPanicOfATaskEndsTheProcess(t *testing.T) {
	const variable = "KELPIE_HOST_TEST_PANIC"
	switch os.Getenv(variable) {
	case "task":
		s := newSystem(t, host.SystemOptions{})
		s.Go("keeper", func(context.Context) { panic("the keeper broke") })
		_ = s.Close(context.Background()) // must not return
		os.Exit(0)
	case "timer":
		s := newSystem(t, host.SystemOptions{})
		s.AfterFunc(0, func() { panic("the keeper broke") })
		_ = s.Sleep(context.Background(), time.Minute)
		os.Exit(0)
	}
	for _, what := range []string{"task", "timer"} {
		t.Run(what, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanicOfATaskEndsTheProcess$")
			cmd.Env = append(os.Environ(), variable+"="+what)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 2 {
				t.Errorf("the process ended with %v, want exit status 2", err)
			}
			for _, part := range []string{"the keeper broke", "TestPanicOfATaskEndsTheProcess.func"} {
				if !strings.Contains(stderr.String(), part) {
					t.Errorf("stderr lacks %q:\n%s", part, stderr.String())
				}
			}
		})
	}
}

func TestHostLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // fails when a goroutine of the bubble stays blocked
		s := newSystem(t, host.SystemOptions{})
		s.Go("waits", func(ctx context.Context) { _ = s.NewEvent().Wait(ctx) })
		s.Go("sleeps", func(ctx context.Context) { <-ctx.Done() })
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
