package simstore

import (
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// suiteWorld makes the world of the conformance suite.
func suiteWorld(tb testing.TB, seed uint64, f *Faults, disturb func(w *sim.World)) storetest.World {
	tb.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	tb.Cleanup(w.Close)
	clock := w.Process("clock", sim.ProcessOptions{})
	clock.Start(idle)
	inner := memory.New(memory.Options{Clock: clock.Host(), Window: window})
	server := NewServer(w, inner, f)
	hosts := make([]*sim.Host, storetest.Clients)
	for i := range hosts {
		p := w.Process(fmt.Sprint("client-", i), sim.ProcessOptions{})
		p.Start(idle)
		hosts[i] = p.Host()
	}
	if disturb != nil {
		disturb(w)
	}
	return &wired{w, &storetest.Hosts{
		Host:    func(i int) host.Host { return hosts[i] },
		Connect: func(i int) store.Engine { return server.Connect(hosts[i]) },
		Step:    func() error { return w.Run(w.Now() + 10*time.Millisecond) },
		Check:   inner.Check,
	}}
}

// wired is a suite's world that can be cut.
type wired struct {
	world *sim.World
	*storetest.Hosts
}

// disconnect is Harness.Disconnect.
func disconnect(w storetest.World, client int, during func() error) error {
	net, name := w.(*wired).world.Net(), fmt.Sprint("client-", client)
	net.Cut("store", name)
	net.Cut(name, "store")
	err := during()
	net.Heal("store", name)
	net.Heal(name, "store")
	return err
}

// age commits until every version taken so far has left the window.
var age = storetest.AgeByCommits(2*window, true)

func TestSuite(t *testing.T) {
	slow := Faults{
		ReadLatency:   Latency{0, time.Millisecond},
		CommitLatency: Latency{100 * time.Microsecond, 5 * time.Millisecond},
	}
	faulty := slow
	faulty.Timeout = 100 * time.Millisecond
	faulty.UnavailableRate, faulty.ConflictRate = 0.003, 0.003
	faulty.UnknownAppliedRate, faulty.UnknownDroppedRate, faulty.UnknownLateRate = 0.003, 0.003, 0.003
	faulty.LateMax = 50 * time.Millisecond
	cut := slow
	cut.Timeout = 200 * time.Millisecond
	suffers := []storetest.Fault{storetest.TransientErrors, storetest.UnknownCommits, storetest.LostWatches}
	for _, c := range []struct {
		name    string
		f       Faults
		disturb func(w *sim.World)
		suffers []storetest.Fault
		fired   func(f Fired) bool
	}{
		{"no faults", Faults{}, nil, nil, func(f Fired) bool { return f == Fired{} }},
		{"slow", slow, nil, nil, func(f Fired) bool { return f == Fired{Slowed: f.Slowed} }},
		{"faulty", faulty, nil, suffers, func(f Fired) bool {
			return min(f.Unavailable, f.Conflicts, f.UnknownApplied, f.UnknownDropped, f.UnknownLate, f.LateApplied) > 0
		}},
		{"bad links", cut, badLinks, suffers, func(f Fired) bool {
			return min(f.ReadsLost, f.CommitsLost, f.Copies, f.Reset) > 0
		}},
		{"cut now and then", cut, cutNowAndThen, suffers, func(f Fired) bool {
			return min(f.ReadsLost, f.CommitsLost) > 0
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var servers []*Faults
			h := storetest.Harness{
				New: func(tb testing.TB, seed uint64) storetest.World {
					tb.Helper()
					f := c.f
					servers = append(servers, &f)
					return suiteWorld(tb, seed, &f, c.disturb)
				},
				Faults:    c.suffers,
				Age:       age,
				Histories: 30,
			}
			if c.suffers != nil {
				h.Disconnect = disconnect
			}
			storetest.Run(t, h)
			var all Fired
			for _, f := range servers {
				all.add(f.Fired())
			}
			t.Logf("%+v", all)
			if !c.fired(all) {
				t.Errorf("too few faults fired: %+v", all)
			}
		})
	}
}

func (f *Fired) add(g Fired) {
	f.Unavailable += g.Unavailable
	f.Conflicts += g.Conflicts
	f.UnknownApplied += g.UnknownApplied
	f.UnknownDropped += g.UnknownDropped
	f.UnknownLate += g.UnknownLate
	f.LateApplied += g.LateApplied
	f.ReadsLost += g.ReadsLost
	f.CommitsLost += g.CommitsLost
	f.WatchesLost += g.WatchesLost
	f.Slowed += g.Slowed
	f.Copies += g.Copies
	f.Reset += g.Reset
}

// badLinks lets all links lose, double and disorder messages, and resets one
// connection now and then; for ever.
func badLinks(w *sim.World) {
	w.Net().SetDefault(sim.Link{
		LatencyMin: 100 * time.Microsecond, LatencyMax: time.Millisecond,
		Loss: 0.002, Duplicate: 0.05, Reorder: 0.05, ReorderMax: 3 * time.Millisecond,
	})
	r := w.Rand("resets")
	var next func()
	next = func() {
		w.Net().Reset("store", fmt.Sprint("client-", r.IntN(storetest.Clients)))
		w.After(time.Duration(r.Int64N(int64(2*time.Second))), "reset", next)
	}
	w.After(0, "reset", next)
}

// cutNowAndThen cuts one way between a client and the server, or crashes the server, for a
// while; for ever.
func cutNowAndThen(w *sim.World) {
	r := w.Rand("cuts")
	var next func()
	next = func() {
		from, to := fmt.Sprint("client-", r.IntN(storetest.Clients)), "store"
		if r.IntN(2) == 0 {
			from, to = to, from
		}
		crash := r.IntN(4) == 0
		if crash {
			w.Lookup("store").Crash()
		} else {
			w.Net().Cut(from, to)
		}
		w.After(time.Duration(r.Int64N(int64(30*time.Millisecond))), "heal", func() {
			w.Net().HealAll()
			if crash {
				w.Lookup("store").Restart()
			}
			w.After(time.Duration(r.Int64N(int64(2*time.Second))), "cut", next)
		})
	}
	w.After(time.Duration(r.Int64N(int64(20*time.Millisecond))), "cut", next)
}
