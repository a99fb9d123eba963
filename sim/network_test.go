package sim_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// arrivals sends n messages from a to b, the i-th at i·gap, and returns when
// each arrived, as often as it did.
func arrivals(t testing.TB, seed uint64, link sim.Link, n int, gap time.Duration, skip func(i int) bool) (at [][]time.Duration, w *sim.World) {
	t.Helper()
	w = sim.NewWorld(seed, sim.Options{})
	t.Cleanup(w.Close)
	w.Net().SetDefault(link)
	at = make([][]time.Duration, n)
	process(w, "b", func(_ ctxT, h *hostT) {
		h.Bind("in", func(m sim.Message) {
			i := m.Body.(int)
			at[i] = append(at[i], w.Now()-time.Duration(i)*gap)
		})
	})
	a := server(w, "a")
	for i := range n {
		if skip == nil || !skip(i) {
			w.After(time.Duration(i)*gap, fmt.Sprint("send ", i), func() { a.Host().SendTo(nil, "b", "in", i) })
		}
	}
	mustRun(t, w, time.Duration(n)*gap+time.Hour)
	return at, w
}

func TestLatencyIsWithinItsBounds(t *testing.T) {
	link := sim.Link{LatencyMin: time.Millisecond, LatencyMax: 3 * time.Millisecond}
	at, _ := arrivals(t, 1, link, 1000, time.Second, nil)
	least, most := time.Duration(math.MaxInt64), time.Duration(0)
	for i := range at {
		if len(at[i]) != 1 {
			t.Fatalf("message %d arrives %d times", i, len(at[i]))
		}
		least, most = min(least, at[i][0]), max(most, at[i][0])
	}
	if least < link.LatencyMin || most > link.LatencyMax || least > 1050*time.Microsecond || most < 2950*time.Microsecond {
		t.Errorf("latencies from %v to %v", least, most)
	}
}

func TestTailLatency(t *testing.T) {
	link := sim.Link{LatencyMin: time.Millisecond, LatencyMax: time.Millisecond, TailProb: 0.1, TailMax: 100 * time.Millisecond}
	at, _ := arrivals(t, 1, link, 1000, time.Second, nil)
	tail := 0
	for i := range at {
		switch d := at[i][0] - link.LatencyMin; {
		case d > link.TailMax || d < 0:
			t.Errorf("latency %v", at[i][0])
		case d > 0:
			tail++
		}
	}
	if tail < 60 || tail > 140 {
		t.Errorf("%d of 1000 in the tail", tail)
	}
}

func TestLoss(t *testing.T) {
	link := sim.DefaultLink
	link.Loss = 0.3
	at, w := arrivals(t, 1, link, 1000, time.Second, nil)
	lost := uint64(0)
	for i := range at {
		if len(at[i]) == 0 {
			lost++
		}
	}
	if s := w.Stats(); lost < 250 || lost > 350 || s.Dropped != lost || s.Messages != 1000 || s.Delivered != 1000-lost {
		t.Errorf("%d of 1000 lost, %+v", lost, s)
	}
}

func TestDuplicates(t *testing.T) {
	link := sim.DefaultLink
	link.Duplicate = 0.3
	at, w := arrivals(t, 1, link, 1000, time.Second, nil)
	twice := uint64(0)
	for i := range at {
		switch len(at[i]) {
		case 1:
		case 2:
			twice++
		default:
			t.Errorf("message %d arrives %d times", i, len(at[i]))
		}
	}
	if twice < 250 || twice > 350 || w.Stats().Duplicated != twice {
		t.Errorf("%d of 1000 twice, %+v", twice, w.Stats())
	}
}

// sequence returns the messages in the order of their arrival.
func sequence(at [][]time.Duration, gap time.Duration) []int {
	var order []int
	for i := range at {
		if len(at[i]) > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return int(at[i][0] + time.Duration(i)*gap - at[j][0] - time.Duration(j)*gap)
	})
	return order
}

func TestLinkKeepsItsOrder(t *testing.T) {
	link := sim.Link{LatencyMax: 10 * time.Millisecond, TailProb: 0.2, TailMax: time.Second, Loss: 0.1}
	at, _ := arrivals(t, 1, link, 1000, time.Microsecond, nil)
	if order := sequence(at, time.Microsecond); !slices.IsSorted(order) {
		t.Errorf("order %v", order)
	}
}

func TestReorderLetsMessagesOvertake(t *testing.T) {
	link := sim.Link{LatencyMax: time.Millisecond, Reorder: 0.1, ReorderMax: time.Second}
	at, w := arrivals(t, 1, link, 1000, time.Millisecond, nil)
	order := sequence(at, time.Millisecond)
	if len(order) != 1000 || slices.IsSorted(order) {
		t.Errorf("%d messages, sorted %v", len(order), slices.IsSorted(order))
	}
	if n := w.Stats().Reordered; n < 60 || n > 140 {
		t.Errorf("%d of 1000 reordered", n)
	}
}

func TestCutStopsOneDirection(t *testing.T) {
	w := world(t, sim.Options{})
	w.Net().SetDefault(sim.Link{LatencyMin: time.Second, LatencyMax: time.Second})
	j := &journal{w: w}
	main := func(_ ctxT, h *hostT) {
		h.Bind("in", func(m sim.Message) { j.add("%s gets %v", h.Name(), m.Body) })
	}
	a, b := process(w, "a", main), process(w, "b", main)
	each := func(at time.Duration) {
		w.After(at, "send", func() {
			a.Host().SendTo(nil, "b", "in", at)
			b.Host().SendTo(nil, "a", "in", at)
		})
	}
	each(1500 * time.Millisecond) // on its way when the cut comes
	w.After(2*time.Second, "cut", func() {
		w.Net().Cut("a", "b")
		if !w.Net().IsCut("a", "b") || w.Net().IsCut("b", "a") {
			t.Error("the wrong direction is cut")
		}
	})
	each(3 * time.Second)
	each(5500 * time.Millisecond) // sent during the cut, due after it
	w.After(6*time.Second, "heal", func() { w.Net().Heal("a", "b") })
	each(7 * time.Second)
	mustRun(t, w, time.Minute)
	slices.Sort(j.lines)
	j.want(t, "2.5s a gets 1.5s", "4s a gets 3s", "6.5s a gets 5.5s", "8s a gets 7s", "8s b gets 7s")
}

func TestHealAllHealsAll(t *testing.T) {
	w := world(t, sim.Options{})
	names := []string{"a", "b", "c"}
	for _, from := range names {
		for _, to := range names {
			w.Net().Cut(from, to)
		}
	}
	w.Net().HealAll()
	for _, from := range names {
		for _, to := range names {
			if w.Net().IsCut(from, to) {
				t.Errorf("%s -> %s is cut", from, to)
			}
		}
	}
}

func TestLinkOfItsOwn(t *testing.T) {
	w := world(t, sim.Options{})
	w.Net().SetDefault(sim.Link{LatencyMin: time.Second, LatencyMax: time.Second, Loss: 0})
	w.Net().SetLink("a", "b", sim.Link{LatencyMin: time.Minute, LatencyMax: time.Minute})
	j := &journal{w: w}
	main := func(_ ctxT, h *hostT) {
		h.Bind("in", func(m sim.Message) { j.add("%s -> %s", m.Body, h.Name()) })
	}
	for _, name := range []string{"a", "b", "c"} {
		process(w, name, main)
	}
	send := func() {
		w.Lookup("a").Host().SendTo(nil, "b", "in", "a")
		w.Lookup("a").Host().SendTo(nil, "c", "in", "a")
		w.Lookup("b").Host().SendTo(nil, "a", "in", "b")
	}
	w.After(0, "send", send)
	w.After(2*time.Minute, "clear", func() {
		w.Net().ClearLink("a", "b")
		send()
	})
	mustRun(t, w, time.Hour)
	slices.Sort(j.lines)
	j.want(t, "1m0s a -> b", "1s a -> c", "1s b -> a", "2m1s a -> b", "2m1s a -> c", "2m1s b -> a")
}

func TestLinkShowsWhatHolds(t *testing.T) {
	w := world(t, sim.Options{})
	mine, standard := sim.Link{LatencyMax: 1}, sim.Link{LatencyMax: 2}
	check := func(from, to string, want sim.Link, wantOwn bool) {
		t.Helper()
		if got, own := w.Net().Link(from, to); got != want || own != wantOwn {
			t.Errorf("%s -> %s is %+v, own %v", from, to, got, own)
		}
	}
	check("a", "b", sim.DefaultLink, false)
	w.Net().SetDefault(standard)
	w.Net().SetLink("a", "b", mine)
	w.Net().SetLink("a", "a", mine)
	check("a", "b", mine, true)
	check("b", "a", standard, false)
	check("a", "a", mine, true)
	check("b", "b", sim.Loopback, true)
	w.Net().ClearLink("a", "b")
	w.Net().ClearLink("a", "a")
	check("a", "b", standard, false)
	check("a", "a", sim.Loopback, true)
}

func TestLoopbackIsNotTheNetwork(t *testing.T) {
	w := world(t, sim.Options{})
	w.Net().SetDefault(sim.Link{Loss: 1})
	got := false
	process(w, "a", func(_ ctxT, h *hostT) {
		h.Bind("in", func(sim.Message) { got = true })
		h.SendTo(nil, "a", "in", 1)
	})
	mustRun(t, w, time.Second)
	if !got {
		t.Error("a message to oneself is lost")
	}
}

// fates sends messages on two links; skip leaves out one of the first link.
func fates(t *testing.T, seed uint64, skip bool) (other [][]time.Duration) {
	t.Helper()
	w := sim.NewWorld(seed, sim.Options{})
	defer w.Close()
	w.Net().SetDefault(sim.Link{LatencyMax: 10 * time.Millisecond, Loss: 0.2, Duplicate: 0.2, Reorder: 0.2, ReorderMax: time.Second})
	other = make([][]time.Duration, 100)
	server(w, "b")
	process(w, "c", func(_ ctxT, h *hostT) {
		h.Bind("in", func(m sim.Message) { i := m.Body.(int); other[i] = append(other[i], w.Now()) })
	})
	process(w, "a", func(ctx ctxT, h *hostT) {
		for i := range 100 {
			if i != 50 || !skip {
				h.SendTo(nil, "b", "in", i)
			}
			h.SendTo(nil, "c", "in", i)
			_ = h.Sleep(ctx, 20*time.Millisecond)
		}
	})
	mustRun(t, w, time.Minute)
	return other
}

func TestTakingAwayAMessageLeavesTheFatesOfTheOthers(t *testing.T) {
	for seed := range uint64(20) {
		if a, b := fates(t, seed, false), fates(t, seed, true); fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("seed %d: fates on another link change:\n%v\n%v", seed, a, b)
		}
		// On its own link, those before it and, as the last is taken, all.
		link := sim.Link{LatencyMax: 10 * time.Millisecond, Loss: 0.2, Duplicate: 0.2}
		a, _ := arrivals(t, seed, link, 50, time.Second, nil)
		b, _ := arrivals(t, seed, link, 50, time.Second, func(i int) bool { return i == 49 })
		if fmt.Sprint(a[:49]) != fmt.Sprint(b[:49]) {
			t.Errorf("seed %d: fates before the message change", seed)
		}
	}
}

func TestTakingAwayAFaultLeavesTheFatesOfMessages(t *testing.T) {
	link := sim.Link{LatencyMax: 10 * time.Millisecond}
	lossy := link
	lossy.Loss = 0.3
	a, _ := arrivals(t, 9, link, 200, time.Second, nil)
	b, _ := arrivals(t, 9, lossy, 200, time.Second, nil)
	for i := range b {
		if len(b[i]) > 0 && b[i][0] != a[i][0] {
			t.Errorf("message %d takes %v with loss on the link and %v without", i, b[i][0], a[i][0])
		}
	}
}

func TestLinkValidateNamesTheField(t *testing.T) {
	for want, l := range map[string]sim.Link{
		"sim: Link.LatencyMin is -1ns, must be at least 0s":   {LatencyMin: -1},
		"sim: Link.LatencyMax is 1ns, must be at least 2ns":   {LatencyMin: 2, LatencyMax: 1},
		"sim: Link.TailMax is -1ns, must be at least 0s":      {TailMax: -1},
		"sim: Link.ReorderMax is -1ns, must be at least 0s":   {ReorderMax: -1},
		"sim: Link.TailProb is 1.5, must be between 0 and 1":  {TailProb: 1.5},
		"sim: Link.Loss is -1, must be between 0 and 1":       {Loss: -1},
		"sim: Link.Duplicate is NaN, must be between 0 and 1": {Duplicate: math.NaN()},
		"sim: Link.Reorder is 2, must be between 0 and 1":     {Reorder: 2},
	} {
		if err := l.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for _, l := range []sim.Link{{}, sim.DefaultLink, sim.Loopback, {Loss: 1, Duplicate: 1, Reorder: 1, TailProb: 1}} {
		if err := l.Validate(); err != nil {
			t.Error(err)
		}
	}
}
