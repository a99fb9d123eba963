//determinism:real the real host: its tasks are goroutines, its seed comes from the machine

package host

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/network"
)

// MaxName is the length limit of SystemOptions.Name, in bytes.
const MaxName = 256

// ErrClosed is why the context of a closed [System] ended.
var ErrClosed = errors.New("host: closed")

// SystemOptions of [NewSystem]. The zero value is ready for use.
type SystemOptions struct {
	// Name names the process in logs and traces; at most [MaxName] bytes.
	// Default: "host".
	Name string
	// Clock is the source of time. Default: clock.System().
	Clock clock.Clock
	// Network is the process's place on the network. System does not close it.
	// Default: one without an address that refuses each call.
	Network network.Network
	// Seed seeds Rand, so that a run can be repeated as far as chance goes.
	// Default: 0, which takes a seed from the machine.
	Seed uint64
}

// System is the host of production: goroutines, a real clock, a real network.
//
// It tracks what it runs: the tasks of Go and the functions of AfterFunc.
// [System.Close] ends their context and waits for them. A panic in one of them
// is not recovered: it ends the process, as a panic of any goroutine does.
type System struct {
	clock.Clock
	name    string
	network network.Network
	rand    *rand.Rand

	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	closed  bool           // no timer runs any more
	running map[string]int // tasks that have not returned, by name; each above 0
	idle    *clock.Cond    // broadcast when running becomes empty
}

var _ Host = (*System)(nil)

// NewSystem returns a host that lives until [System.Close]. It returns an error
// when the name is over its limit.
func NewSystem(o SystemOptions) (*System, error) {
	if o.Name == "" {
		o.Name = "host"
	}
	if len(o.Name) > MaxName {
		return nil, fmt.Errorf("host: SystemOptions.Name has %d bytes, at most %d are allowed", len(o.Name), MaxName)
	}
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Network == nil {
		o.Network = noNetwork{o.Name}
	}
	seed := o.Seed
	if seed == 0 {
		var b [8]byte
		_, _ = crand.Read(b[:]) // never fails, as documented
		seed = binary.LittleEndian.Uint64(b[:])
	}
	s := &System{
		Clock:   o.Clock,
		name:    o.Name,
		network: o.Network,
		rand:    rand.New(&lockedSource{source: rand.NewPCG(seed, 0)}),
		running: map[string]int{},
		idle:    clock.NewCond(o.Clock),
	}
	s.ctx, s.cancel = o.Clock.WithCancel(context.Background())
	return s, nil
}

// Name names the process in logs and traces.
func (s *System) Name() string { return s.name }

// Network returns the process's place on the network.
func (s *System) Network() network.Network { return s.network }

// Rand returns a random source that may be shared between tasks. It is not for
// secrets.
func (s *System) Rand() *rand.Rand { return s.rand }

// Context ends when Close is called; its cause is [ErrClosed].
func (s *System) Context() context.Context { return s.ctx }

// Go runs f in a goroutine of its own, which carries the name as the profiler
// label "task". After Close f still runs, with a context that has ended: who
// waits for it is not left waiting.
func (s *System) Go(name string, f func(ctx context.Context)) {
	s.begin(name)
	go func() {
		defer s.finish(name)
		pprof.Do(s.ctx, pprof.Labels("task", name), f)
	}()
}

// AfterFunc is the clock's, except that after Close f does not run.
func (s *System) AfterFunc(d time.Duration, f func()) clock.Timer {
	const name = "timer"
	return s.Clock.AfterFunc(d, func() {
		if !s.beginTimer(name) {
			return
		}
		defer s.finish(name)
		f()
	})
}

// Close ends the host's context and waits until every task has returned. When
// ctx ends first it returns an error that wraps ctx.Err() and names the tasks
// that still run. It may be called more than once, but not by a task or a timer
// of the host: it would wait for itself.
func (s *System) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel(ErrClosed)
	for {
		ticket := s.idle.Ticket()
		left := s.tasks()
		if len(left) == 0 {
			return nil
		}
		if err := ticket.Wait(ctx); err != nil {
			return fmt.Errorf("host: closing %s: still running: %s: %w", s.name, strings.Join(left, ", "), err)
		}
	}
}

// tasks returns the names of the running tasks, in order, with their number
// when it is above one.
func (s *System) tasks() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.running))
	for i, name := range names {
		if n := s.running[name]; n > 1 {
			names[i] = fmt.Sprintf("%s (%d times)", name, n)
		}
	}
	return names
}

func (s *System) begin(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[name]++
}

func (s *System) beginTimer(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running[name]++
	return true
}

// finish counts a task out. It is deferred directly by the task.
//
// A task that panics is not counted out, lest a Close that waits for it
// succeeds, and the process exits as if all were well, before the panic ends it.
func (s *System) finish(name string) {
	if p := recover(); p != nil {
		panic(p)
	}
	s.mu.Lock()
	s.running[name]--
	if s.running[name] == 0 {
		delete(s.running, name)
	}
	idle := len(s.running) == 0
	s.mu.Unlock()
	if idle {
		s.idle.Broadcast()
	}
}

// lockedSource lets tasks share a source.
type lockedSource struct {
	mu     sync.Mutex
	source rand.Source
}

func (l *lockedSource) Uint64() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.source.Uint64()
}

// noNetwork is the place of a process that has no network.
type noNetwork struct{ name string }

func (n noNetwork) Address() network.Address { return "" }

func (n noNetwork) Call(ctx context.Context, to network.Address, method string, _ []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", network.ErrNoReply, err)
	}
	return nil, fmt.Errorf("%w: host %s has no network to call %s at %q with", network.ErrRefused, n.name, method, to)
}

func (n noNetwork) Handle(string, network.Handler) {}
