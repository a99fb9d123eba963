package optimistic_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/optimistic"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// window is small, so that the suite's histories reach it.
const window = 1000

// age commits until every version taken so far has left the window.
var age = storetest.AgeByCommits(window+1, false)

// TestConformanceOnGoroutines runs the suite over a base that answers at once,
// whole or in small pieces.
func TestConformanceOnGoroutines(t *testing.T) {
	for name, maxRows := range map[string]int{"whole ranges": 0, "ranges in pieces": 2} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, storetest.Harness{
				Age: age,
				New: func(testing.TB, uint64) storetest.World {
					base := &mapBase{maxRows: maxRows}
					wake, stop := make(chan struct{}, 1), make(chan struct{})
					e := optimistic.Over(base, 0, optimistic.Options{Window: window, BatchTxns: 3, Wake: func() {
						select {
						case wake <- struct{}{}:
						default:
						}
					}})
					go func() {
						for {
							select {
							case <-wake:
								for n := 1; n > 0; {
									n, _ = e.Flush()
								}
							case <-stop:
								return
							}
						}
					}()
					return storetest.Goroutines(e, func() error {
						close(stop)
						return errors.Join(e.Check(), base.err())
					})
				},
			})
		})
	}
}

// simulated returns a world of simulated processes around one engine over a
// base whose writes take simulated time.
func simulated(tb testing.TB, seed uint64) storetest.World {
	tb.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	tb.Cleanup(w.Close)
	var processes [storetest.Clients]*sim.Process
	for i := range processes {
		processes[i] = w.Process(fmt.Sprintf("client-%d", i), sim.ProcessOptions{})
		processes[i].Start(func(context.Context, *sim.Host) {})
	}
	pause := func(h host.Host) error {
		return h.Sleep(h.Context(), time.Duration(h.Rand().IntN(100))*time.Microsecond)
	}
	base := &mapBase{maxRows: 3}
	var e *optimistic.Engine
	disk := w.Process("disk", sim.ProcessOptions{})
	wake := func() {}
	disk.Start(func(ctx context.Context, h *sim.Host) {
		base.before = func() error { return pause(h) }
		base.after = func() error { return pause(h) }
		flushing := false
		wake = func() {
			if flushing {
				return
			}
			flushing = true
			h.Go("flush", func(context.Context) {
				for n := 1; n > 0; {
					n, _ = e.Flush()
				}
				flushing = false
			})
		}
	})
	// A commit at the first instant must find the disk awake.
	if err := w.Run(time.Microsecond); err != nil {
		tb.Fatal(err)
	}
	e = optimistic.Over(base, 0, optimistic.Options{Clock: processes[0].Host(), Window: window, Wake: func() { wake() }})
	return &storetest.Hosts{
		Host: func(client int) host.Host { return processes[client].Host() },
		Connect: func(client int) store.Engine {
			h := processes[client].Host()
			return storetest.Yielding(e, func() { _ = pause(h) })
		},
		Step:  func() error { return w.Run(w.Now() + time.Second) },
		Check: func() error { return errors.Join(e.Check(), base.err()) },
	}
}

func TestConformanceInTheSimulator(t *testing.T) {
	storetest.Run(t, storetest.Harness{
		Age: age,
		New: simulated,
	})
}
