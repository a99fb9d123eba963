package sim_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/sim"
)

// second makes every message take a second.
func second(w *sim.World) {
	w.Net().SetDefault(sim.Link{LatencyMin: time.Second, LatencyMax: time.Second})
}

// echo serves "echo", which counts its calls.
func echo(count *int) func(ctx ctxT, h *hostT) {
	return func(_ ctxT, h *hostT) {
		h.Network().Handle("echo", func(_ context.Context, req []byte) ([]byte, error) {
			*count++
			return append([]byte("re: "), req...), nil
		})
		h.Network().Handle("fail", func(context.Context, []byte) ([]byte, error) { return nil, errWhy })
		h.Network().Handle("large", func(context.Context, []byte) ([]byte, error) {
			return make([]byte, sim.MaxBodyBytes+1), nil
		})
		h.Network().Handle("gone", func(context.Context, []byte) ([]byte, error) { return nil, nil })
		h.Network().Handle("gone", nil)
	}
}

func TestCall(t *testing.T) {
	w := world(t, sim.Options{})
	second(w)
	count := 0
	s := process(w, "s", echo(&count))
	w.Process("down", sim.ProcessOptions{})
	var remote *network.RemoteError
	process(w, "c", func(ctx ctxT, h *hostT) {
		n := h.Network()
		if n.Address() != "c" {
			t.Errorf("address %s", n.Address())
		}
		for _, c := range []struct {
			name   string
			to     network.Address
			method string
			req    []byte
			want   error
			reply  string
			takes  time.Duration
		}{
			{"reply", "s", "echo", []byte("x"), nil, "re: x", 2 * time.Second},
			{"unknown address", "nobody", "echo", nil, network.ErrUnknownAddress, "", 0},
			{"process down", "down", "echo", nil, network.ErrRefused, "", time.Second},
			{"unknown method", "s", "other", nil, network.ErrRefused, "", time.Second},
			{"removed method", "s", "gone", nil, network.ErrRefused, "", time.Second},
			{"large request", "s", "echo", make([]byte, sim.MaxBodyBytes+1), network.ErrTooLarge, "", 0},
			{"large reply", "s", "large", nil, network.ErrTooLarge, "", 2 * time.Second},
		} {
			start := w.Now()
			reply, err := n.Call(ctx, c.to, c.method, c.req)
			if !errors.Is(err, c.want) || string(reply) != c.reply || w.Now()-start != c.takes {
				t.Errorf("%s: %q, %v after %v", c.name, reply, err, w.Now()-start)
			}
		}
		if _, err := n.Call(ctx, "s", "fail", nil); !errors.As(err, &remote) || remote.Message != "why" || remote.Method != "fail" {
			t.Errorf("failing handler: %v", err)
		}
		s.Crash()
		if _, err := n.Call(ctx, "s", "echo", nil); !errors.Is(err, network.ErrRefused) {
			t.Errorf("crashed server: %v", err)
		}
	})
	mustRun(t, w, time.Hour)
	if count != 1 || remote == nil {
		t.Errorf("the handler ran %d times", count)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault func(w *sim.World)
		count int // runs of the handler
	}{
		{"request cut", func(w *sim.World) { w.Net().Cut("c", "s") }, 0},
		{"reply cut", func(w *sim.World) { w.Net().Cut("s", "c") }, 1},
		{"request lost", func(w *sim.World) { w.Net().SetLink("c", "s", sim.Link{Loss: 1}) }, 0},
		{"reply lost", func(w *sim.World) { w.Net().SetLink("s", "c", sim.Link{Loss: 1}) }, 1},
		{"server paused", func(w *sim.World) { w.Lookup("s").Pause() }, 0},
		{"server crashes after the request came", func(w *sim.World) {
			w.Net().SetLink("s", "c", sim.Link{Loss: 1})
			w.After(1500*time.Millisecond, "crash", w.Lookup("s").Crash)
		}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := world(t, sim.Options{})
			second(w)
			count := 0
			process(w, "s", echo(&count))
			process(w, "c", func(ctx ctxT, h *hostT) {
				_ = h.Sleep(ctx, time.Second)
				c.fault(w)
				ctx, cancel := h.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				_, err := h.Network().Call(ctx, "s", "echo", []byte("x"))
				if !errors.Is(err, network.ErrNoReply) || !errors.Is(err, context.DeadlineExceeded) || w.Now() != 11*time.Second {
					t.Errorf("%v at %v", err, w.Now())
				}
				_, err = h.Network().Call(ctx, "s", "echo", []byte("x"))
				if !errors.Is(err, network.ErrNoReply) || w.Now() != 11*time.Second {
					t.Errorf("with an ended context: %v at %v", err, w.Now())
				}
			})
			mustRun(t, w, time.Hour)
			if count != c.count {
				t.Errorf("the handler ran %d times, want %d", count, c.count)
			}
		})
	}
}

func TestCutReplyPathHidesARefusal(t *testing.T) {
	w := world(t, sim.Options{})
	server(w, "s")
	w.Net().Cut("s", "c")
	process(w, "c", func(ctx ctxT, h *hostT) {
		ctx, cancel := h.WithTimeout(ctx, time.Second)
		defer cancel()
		if _, err := h.Network().Call(ctx, "s", "x", nil); !errors.Is(err, network.ErrNoReply) {
			t.Errorf("got %v", err)
		}
	})
	mustRun(t, w, time.Minute)
}

func TestDuplicatedRequestRunsTheHandlerTwice(t *testing.T) {
	w := world(t, sim.Options{})
	w.Net().SetLink("c", "s", sim.Link{LatencyMax: time.Second, Duplicate: 1})
	count := 0
	var bodies [][]byte
	process(w, "s", func(_ ctxT, h *hostT) {
		h.Network().Handle("echo", func(_ context.Context, req []byte) ([]byte, error) {
			count++
			bodies = append(bodies, bytes.Clone(req))
			req[0] = 'y' // must not reach the other handler or the caller
			return req, nil
		})
	})
	process(w, "c", func(ctx ctxT, h *hostT) {
		req := []byte("x")
		if reply, err := h.Network().Call(ctx, "s", "echo", req); err != nil || string(reply) != "y" || string(req) != "x" {
			t.Errorf("%q, %v, request %q", reply, err, req)
		}
	})
	mustRun(t, w, time.Minute)
	if count != 2 || string(bodies[0]) != "x" || string(bodies[1]) != "x" {
		t.Errorf("the handler ran %d times with %q", count, bodies)
	}
}

func TestResetBreaksCallsInFlight(t *testing.T) {
	for _, names := range [][2]string{{"c", "s"}, {"s", "c"}, {"c", "other"}} {
		w := world(t, sim.Options{})
		second(w)
		handlerEnded := time.Duration(0)
		server(w, "other")
		process(w, "s", func(_ ctxT, h *hostT) {
			h.Network().Handle("slow", func(ctx context.Context, _ []byte) ([]byte, error) {
				if h.Sleep(ctx, 10*time.Second) != nil {
					handlerEnded = w.Now()
				}
				return nil, nil
			})
		})
		process(w, "c", func(ctx ctxT, h *hostT) {
			_, err := h.Network().Call(ctx, "s", "slow", nil)
			switch {
			case names[1] == "other":
				if err != nil {
					t.Errorf("a reset of another connection breaks the call: %v", err)
				}
			case !errors.Is(err, network.ErrNoReply) || w.Now() != 5*time.Second:
				t.Errorf("%v at %v", err, w.Now())
			}
		})
		w.After(5*time.Second, "reset", func() { w.Net().Reset(names[0], names[1]) })
		mustRun(t, w, time.Hour)
		if want := names[1] != "other"; (handlerEnded == 5*time.Second) != want {
			t.Errorf("%v: the handler's context ended at %v", names, handlerEnded)
		}
	}
}

func TestHandlerLearnsThatItsCallerGaveUp(t *testing.T) {
	w := world(t, sim.Options{})
	second(w)
	j := &journal{w: w}
	process(w, "s", func(_ ctxT, h *hostT) {
		h.Network().Handle("slow", func(ctx context.Context, _ []byte) ([]byte, error) {
			j.add("handler: %v", h.Sleep(ctx, time.Hour))
			return nil, nil
		})
	})
	process(w, "c", func(ctx ctxT, h *hostT) {
		ctx, cancel := h.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		_, _ = h.Network().Call(ctx, "s", "slow", nil)
		j.add("caller")
	})
	mustRun(t, w, 2*time.Hour)
	j.want(t, "10s caller", "11s handler: context canceled")
}

func TestHandlerContextEndsWithTheHandler(t *testing.T) {
	w := world(t, sim.Options{})
	var kept context.Context
	process(w, "s", func(_ ctxT, h *hostT) {
		h.Network().Handle("m", func(ctx context.Context, _ []byte) ([]byte, error) {
			kept, _ = h.WithTimeout(ctx, time.Hour)
			return nil, nil
		})
	})
	process(w, "c", func(ctx ctxT, h *hostT) {
		if _, err := h.Network().Call(ctx, "s", "m", nil); err != nil {
			t.Error(err)
		}
		if kept.Err() == nil {
			t.Error("the context lives on")
		}
	})
	mustRun(t, w, time.Second)
}

func TestCrashedCallerIsForgotten(t *testing.T) {
	w := world(t, sim.Options{})
	second(w)
	count := 0
	process(w, "s", echo(&count))
	c := process(w, "c", func(ctx ctxT, h *hostT) {
		if h.Process().Life() > 1 {
			return
		}
		_, _ = h.Network().Call(ctx, "s", "echo", nil)
		t.Error("the dead caller goes on")
	})
	w.After(500*time.Millisecond, "restart", c.Restart)
	mustRun(t, w, time.Minute)
	if count != 1 {
		t.Errorf("the handler ran %d times", count)
	}
}

func TestCallsKeepNoOrder(t *testing.T) {
	w := world(t, sim.Options{})
	w.Net().SetDefault(sim.Link{LatencyMax: time.Second})
	var order []int
	process(w, "s", func(_ ctxT, h *hostT) {
		h.Network().Handle("m", func(_ context.Context, req []byte) ([]byte, error) {
			order = append(order, int(req[0]))
			return nil, nil
		})
	})
	process(w, "c", func(_ ctxT, h *hostT) {
		for i := range 20 {
			h.Go("call", func(ctx ctxT) { _, _ = h.Network().Call(ctx, "s", "m", []byte{byte(i)}) })
		}
	})
	mustRun(t, w, time.Minute)
	if len(order) != 20 || slices.IsSorted(order) {
		t.Errorf("order %v", order)
	}
}

func TestHostOfAnotherLifeBreaksItsCalls(t *testing.T) {
	w := world(t, sim.Options{})
	second(w)
	count := 0
	process(w, "s", echo(&count))
	b := server(w, "b")
	process(w, "a", func(ctx ctxT, h *hostT) {
		_ = h.Sleep(ctx, time.Second)
		_, err := b.Host().Network().Call(ctx, "s", "echo", nil)
		if !errors.Is(err, network.ErrNoReply) || w.Now() != 1500*time.Millisecond {
			t.Errorf("%v at %v", err, w.Now())
		}
	})
	w.After(1500*time.Millisecond, "crash", b.Crash)
	mustRun(t, w, time.Minute)
}
