package sim_test

import (
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

func TestMessageCarriesItsSenderAndBody(t *testing.T) {
	w := world(t, sim.Options{})
	j := &journal{w: w}
	w.Net().SetDefault(sim.Link{LatencyMin: time.Second, LatencyMax: time.Second})
	process(w, "b", func(_ ctxT, h *hostT) {
		var in *sim.Port
		in = h.Bind("in", func(m sim.Message) {
			j.add("%s at %s from %s", m.Body, in.Addr(), m.From.Addr())
			in.Send(m.From, "answer")
		})
	})
	process(w, "a", func(ctx ctxT, h *hostT) {
		var out *sim.Port
		out = h.Bind("out", func(m sim.Message) { j.add("%s at %s from %s", m.Body, out.Addr(), m.From.Addr()) })
		h.SendTo(out, "b", "in", "question")
		if out.Host() != h {
			t.Error("the port belongs to another host")
		}
	})
	mustRun(t, w, time.Minute)
	j.want(t, "1s question at b/in from a/out", "2s answer at a/out from b/in")
}

// rebind sends to a port by reference and by name while its owner changes.
func rebind(t *testing.T, change func(p *sim.Process, port *sim.Port)) (direct, byName int) {
	t.Helper()
	w := world(t, sim.Options{})
	w.Net().SetDefault(sim.Link{LatencyMin: time.Second, LatencyMax: time.Second})
	var first *sim.Port
	b := process(w, "b", func(_ ctxT, h *hostT) {
		port := h.Bind("in", func(m sim.Message) {
			if m.Body == "direct" {
				direct++
			} else {
				byName++
			}
		})
		if first == nil {
			first = port
		}
	})
	process(w, "a", func(ctx ctxT, h *hostT) {
		out := h.Bind("out", nil)
		_ = h.Sleep(ctx, time.Second)
		out.Send(first, "direct")
		h.SendTo(out, "b", "in", "by name")
	})
	w.After(1500*time.Millisecond, "change", func() { change(b, first) })
	mustRun(t, w, time.Minute)
	return direct, byName
}

func TestPortsAndTheLivesOfTheirOwners(t *testing.T) {
	for _, c := range []struct {
		name           string
		change         func(p *sim.Process, port *sim.Port)
		direct, byName int
	}{
		{"nothing", func(*sim.Process, *sim.Port) {}, 1, 1},
		{"crash", func(p *sim.Process, _ *sim.Port) { p.Crash() }, 0, 0},
		{"restart", func(p *sim.Process, _ *sim.Port) { p.Restart() }, 0, 1},
		{"close", func(_ *sim.Process, port *sim.Port) { port.Close(); port.Close() }, 0, 0},
		{"bind again", func(p *sim.Process, _ *sim.Port) { p.Host().Bind("in", nil) }, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if direct, byName := rebind(t, c.change); direct != c.direct || byName != c.byName {
				t.Errorf("%d by reference and %d by name, want %d and %d", direct, byName, c.direct, c.byName)
			}
		})
	}
}

func TestMessagesToNobodyAreDropped(t *testing.T) {
	w := world(t, sim.Options{})
	server(w, "b")
	w.Process("never started", sim.ProcessOptions{})
	process(w, "a", func(_ ctxT, h *hostT) {
		h.SendTo(nil, "nobody", "in", 1)
		h.SendTo(nil, "never started", "in", 1)
		h.SendTo(nil, "b", "no such port", 1)
	})
	mustRun(t, w, time.Minute)
	if s := w.Stats(); s.Dropped != 3 || s.Delivered != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMessageOutlivesItsSender(t *testing.T) {
	w := world(t, sim.Options{})
	got := false
	process(w, "b", func(_ ctxT, h *hostT) { h.Bind("in", func(sim.Message) { got = true }) })
	a := process(w, "a", func(ctx ctxT, h *hostT) {
		_ = h.Sleep(ctx, time.Second)
		h.SendTo(nil, "b", "in", 1)
		h.Process().Crash()
	})
	mustRun(t, w, time.Minute)
	if !got || a.Alive() {
		t.Errorf("delivered %v, sender alive %v", got, a.Alive())
	}
}

func TestAPortMustNotBlock(t *testing.T) {
	w := world(t, sim.Options{})
	process(w, "b", func(ctx ctxT, h *hostT) {
		h.Bind("in", func(sim.Message) { _ = h.Sleep(ctx, 1) })
		h.SendTo(nil, "b", "in", 1)
	})
	f := mustFail(t, w, time.Minute, sim.RulePanic)
	if f.Process != "b" || f.Task != "in" {
		t.Errorf("failure %v", f)
	}
}

// A reset tells the ports of both processes, be they paused, and counts what
// they say it broke.
func TestResetTellsPorts(t *testing.T) {
	w := world(t, sim.Options{})
	j := &journal{w: w}
	listen := func(name string, broken int) *sim.Process {
		return process(w, name, func(_ ctxT, h *hostT) {
			h.Bind("mute", nil)
			for _, port := range []string{"y", "x"} {
				h.Bind(port, nil).OnReset(func(peer string) int {
					j.add("%s/%s: %s", name, port, peer)
					return broken
				})
			}
		})
	}
	listen("a", 1)
	b := listen("b", 10)
	listen("c", 100)
	var broken [3]int
	w.After(time.Second, "reset", func() { broken[0] = w.Net().Reset("a", "b") })
	w.After(2*time.Second, "reset", func() { b.Pause(); broken[1] = w.Net().Reset("b", "a") })
	w.After(3*time.Second, "reset", func() { b.Crash(); broken[2] = w.Net().Reset("b", "a") })
	mustRun(t, w, time.Minute)
	if broken != [3]int{22, 22, 2} {
		t.Errorf("broken: %v", broken)
	}
	j.want(t, "1s a/x: b", "1s a/y: b", "1s b/x: a", "1s b/y: a",
		"2s b/x: a", "2s b/y: a", "2s a/x: b", "2s a/y: b", "3s a/x: b", "3s a/y: b")
}
