package fleet

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/proxy"
)

// What is done to a process.
const (
	faultKill   = "kill"   // SIGKILL
	faultFreeze = "freeze" // SIGSTOP
)

// serverName is the target of faults of the server.
const serverName = "server"

// Fault is one that a process met.
type Fault struct {
	Kind   string        `json:"fault"`
	Target string        `json:"target"`
	Nodes  []int         `json:"nodes,omitempty"` // of the target, counted from 0
	At     time.Duration `json:"at"`              // it is about to be killed; it stands still
	Until  time.Duration `json:"until"`           // it is about to be started again; to go on
}

// Spells, in TTLs. With two seconds, eight processes and ten minutes: some 300 faults
// of processes and 25 of the server.
const (
	nodeSpell    = 14  // longest time between two faults of a process
	serverSpell  = 20  // and of the server
	leastSpell   = 2   // shortest time between two
	downTime     = 1.5 // longest time for which what was killed is away
	leastFreeze  = 1.2 // a frozen process loses its leases
	longFreeze   = 3
	serverFreeze = 2.5 // longest of the server: sessions may survive it, or not
	calm         = 8   // longest time between two cuts of a connection
	cutTime      = 2.5 // longest cut
	longDelay    = 0.5 // longest delay of a slow connection
)

// spell draws a time from so many TTLs to so many.
func (f *fleet) spell(r *rand.Rand, least, most float64) time.Duration {
	return time.Duration((least + (most-least)*r.Float64()) * float64(f.o.TTL))
}

// rand returns a source of its own for a part of the soak.
func (f *fleet) rand(part string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(part)) // never fails
	return rand.New(rand.NewPCG(f.o.Seed, h.Sum64()))
}

// bag returns a function that draws from what there is, and draws nothing again before
// it has drawn everything.
func bag[T any](r *rand.Rand, what []T) func() T {
	left := 0
	return func() T {
		if left == 0 {
			r.Shuffle(len(what), func(i, j int) { what[i], what[j] = what[j], what[i] })
			left = len(what)
		}
		left--
		return what[left]
	}
}

// chaos makes trouble until ctx ends. Then all processes run and all connections
// pass.
func (f *fleet) chaos(ctx context.Context) {
	var running sync.WaitGroup
	for _, s := range f.slots {
		running.Go(func() { f.trouble(ctx, s, nodeSpell, leastFreeze, longFreeze) })
		if len(s.proxies) > 0 {
			running.Go(func() { f.cut(ctx, s) })
		}
	}
	if f.server != nil {
		running.Go(func() { f.trouble(ctx, f.server, serverSpell, 0.2, serverFreeze) })
		running.Go(func() { f.sample(ctx) })
	}
	running.Go(func() {
		for f.clock.Sleep(ctx, 100*time.Millisecond) == nil && f.o.Tick != nil {
			f.o.Tick()
		}
	})
	<-ctx.Done()
	running.Wait()
}

// trouble kills and freezes one process by turns, as far as that is wanted.
func (f *fleet) trouble(ctx context.Context, s *slot, spell, least, most float64) {
	var kinds []string
	if f.o.Kill {
		kinds = append(kinds, faultKill)
	}
	if f.o.Pause {
		kinds = append(kinds, faultFreeze)
	}
	r := f.rand("trouble " + s.name)
	next := bag(r, kinds)
	for len(kinds) > 0 && f.clock.Sleep(ctx, f.spell(r, leastSpell, spell)) == nil {
		fault := Fault{Kind: next(), Target: s.name, Nodes: s.nodes}
		var err error
		if fault.Kind == faultKill {
			err = f.restart(ctx, s, &fault, f.spell(r, 0, downTime))
		} else {
			err = f.freeze(ctx, s, &fault, f.spell(r, least, most))
		}
		if err != nil {
			f.broken(err)
			return
		}
		f.mu.Lock()
		f.faults = append(f.faults, fault)
		f.mu.Unlock()
	}
}

// restart kills a process and starts it again after a while.
func (f *fleet) restart(ctx context.Context, s *slot, fault *Fault, down time.Duration) error {
	fault.At = f.now()
	if err := s.kill(); err != nil {
		return err
	}
	_ = f.clock.Sleep(ctx, down) // it comes back in any case
	fault.Until = f.now()
	return s.start(ctx)
}

// freeze stops a process for a while.
func (f *fleet) freeze(ctx context.Context, s *slot, fault *Fault, span time.Duration) error {
	p := s.current()
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.startPatience())
	defer cancel()
	if err := p.Freeze(bounded); err != nil {
		return err
	}
	fault.At = f.now()
	_ = f.clock.Sleep(ctx, span) // it goes on in any case
	fault.Until = f.now()
	return p.Thaw()
}

// cutting is one thing that is done to a process's connections.
type cutting struct {
	mode proxy.Mode // empty: any
	one  bool       // to one member, drawn each time, and else to all
}

// cuttings are all modes for all members, and half as often, where there are several,
// something for one of them.
func cuttings(members int) (all []cutting) {
	for i, m := range proxy.Modes() {
		all = append(all, cutting{mode: m})
		if members > 1 && i%2 == 1 {
			all = append(all, cutting{one: true})
		}
	}
	return all
}

// cut cuts the connections of one process by turns.
func (f *fleet) cut(ctx context.Context, s *slot) {
	defer pass(s.proxies)
	r := f.rand("cut " + s.name)
	next, some := bag(r, cuttings(len(s.proxies))), bag(r, proxy.Modes())
	for f.clock.Sleep(ctx, f.spell(r, 0, calm)) == nil {
		c, hit, count := next(), s.proxies, f.cuts
		if c.one {
			at := r.IntN(len(s.proxies))
			c.mode, hit, count = some(), s.proxies[at:at+1], f.partly
		}
		f.mu.Lock()
		count[string(c.mode)]++
		f.mu.Unlock()
		delay := f.spell(r, 0, longDelay)
		for _, p := range hit {
			p.Set(c.mode, delay)
		}
		if f.clock.Sleep(ctx, f.spell(r, 0, cutTime)) != nil {
			return
		}
		pass(hit)
	}
}

// pass lets proxies pass everything.
func pass(proxies []*proxy.Proxy) {
	for _, p := range proxies {
		p.Set(proxy.Pass, 0)
	}
}
