//determinism:real the real clock: it is made of the machine's time and of goroutines

package clock

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// recheck is the longest stretch for which the real clock trusts a Go timer.
// Go's timers stand still while the machine is suspended, [Clock.Monotonic]
// does not: a wait that a suspension overtook ends at most this long after the
// machine resumed.
const recheck = time.Second

// System returns the clock of the machine. All the clocks that it returns show
// the same times.
//
// Monotonic reads CLOCK_BOOTTIME on Linux, whose origin is the boot of the
// machine. Elsewhere, and on a Linux that refuses CLOCK_BOOTTIME, it reads Go's
// monotonic clock from the start of the process, which may stand still while
// the machine is suspended: a lease held there can look younger than it is by
// the length of the suspension, and only its fencing token protects from that.
//
// Sleep and AfterFunc never end early. When the machine was suspended they end
// up to one second after it resumed. A context of WithTimeout is a
// context.WithTimeout of the standard library: it never ends early either, but
// one that is pending during a suspension ends late by the length of it. The
// contexts mix freely with those of package context.
func System() Clock {
	return systemClock{monotonic: monotonic}
}

// systemClock is the real clock. Its monotonic time is a field so that tests
// can suspend the machine.
type systemClock struct {
	monotonic func() time.Duration
}

func (systemClock) Now() time.Time { return time.Now() }

func (c systemClock) Monotonic() time.Duration { return c.monotonic() }

func (systemClock) Uptime() time.Duration { return processTime() }

func (c systemClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		runtime.Gosched()
		return ctx.Err()
	}
	end := after(c.monotonic(), d)
	timer := time.NewTimer(min(d, recheck))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		left := end - c.monotonic()
		if left <= 0 {
			return nil
		}
		timer.Reset(min(left, recheck))
	}
}

func (c systemClock) AfterFunc(d time.Duration, f func()) Timer {
	t := &systemTimer{clock: c, end: after(c.monotonic(), d), f: f}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(min(d, recheck), t.fire)
	return t
}

func (systemClock) WithCancel(parent context.Context) (context.Context, context.CancelCauseFunc) {
	return context.WithCancelCause(parent)
}

func (systemClock) WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(parent, d)
}

func (systemClock) NewEvent() Event {
	return &systemEvent{set: make(chan struct{})}
}

// processStart is the origin of processTime.
var processStart = time.Now()

// processTime reads Go's monotonic clock from the start of the process.
func processTime() time.Duration { return time.Since(processStart) }

// after returns now+d, or the last instant there is when the sum overflows.
func after(now, d time.Duration) time.Duration {
	const last = time.Duration(1<<63 - 1)
	if d > last-now {
		return last
	}
	return now + d
}

// systemTimer waits for end in stretches of at most recheck.
type systemTimer struct {
	clock systemClock
	end   time.Duration
	f     func()

	mu    sync.Mutex
	timer *time.Timer
	done  bool // f has started, or Stop has prevented it
}

func (t *systemTimer) fire() {
	t.mu.Lock()
	if t.done {
		t.mu.Unlock()
		return
	}
	if left := t.end - t.clock.monotonic(); left > 0 {
		t.timer.Reset(min(left, recheck))
		t.mu.Unlock()
		return
	}
	t.done = true
	t.mu.Unlock()
	t.f()
}

func (t *systemTimer) Stop() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done {
		return false
	}
	t.done = true
	t.timer.Stop()
	return true
}

// systemEvent is an event whose channel is closed once.
type systemEvent struct {
	once sync.Once
	set  chan struct{}
}

func (e *systemEvent) Set() { e.once.Do(func() { close(e.set) }) }

func (e *systemEvent) IsSet() bool {
	select {
	case <-e.set:
		return true
	default:
		return false
	}
}

func (e *systemEvent) Wait(ctx context.Context) error {
	if e.IsSet() {
		return nil
	}
	select {
	case <-e.set:
		return nil
	case <-ctx.Done():
	}
	// Both may have happened, and select chooses at random.
	if e.IsSet() {
		return nil
	}
	return ctx.Err()
}
