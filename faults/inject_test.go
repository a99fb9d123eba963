package faults_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/sim"
)

// nodes returns a world with the idle processes a, b and c.
func nodes(t testing.TB) *sim.World {
	t.Helper()
	w := sim.NewWorld(1, sim.Options{})
	t.Cleanup(w.Close)
	for _, name := range []string{"a", "b", "c"} {
		w.Process(name, sim.ProcessOptions{}).Start(func(context.Context, *sim.Host) {})
	}
	return w
}

// inject injects a plan given as text.
func inject(t testing.TB, w *sim.World, plan string, h faults.Handlers) *faults.Injector {
	t.Helper()
	p, err := faults.Parse("v1 seed=0 " + plan)
	if err != nil {
		t.Fatal(err)
	}
	in, err := faults.Inject(w, p, h)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// moment is what a test wants to see at a time.
type moment[S comparable] struct {
	at   time.Duration
	want S
}

// timeline runs the world through the moments, in order, and checks what see
// returns at each.
func timeline[S comparable](t *testing.T, w *sim.World, see func() S, moments ...moment[S]) {
	t.Helper()
	for _, m := range moments {
		if err := w.Run(m.at); err != nil {
			t.Fatal(err)
		}
		if got := see(); got != m.want {
			t.Errorf("at %v: %v, want %v", m.at, got, m.want)
		}
	}
}

const (
	second = time.Second
	half   = 500 * time.Millisecond
)

// status is what crashes and pauses do to a process.
type status struct {
	alive, paused bool
	life          uint64
}

func statusOf(p *sim.Process) func() status {
	return func() status { return status{p.Alive(), p.Paused(), p.Life()} }
}

func TestCrashesAndPausesCompose(t *testing.T) {
	up, down, paused := status{true, false, 1}, status{false, false, 1}, status{true, true, 1}
	again, pausedAgain := status{true, false, 2}, status{true, true, 2}
	for _, c := range []struct {
		name, plan string
		moments    []moment[status]
	}{
		{"crash and restart", "crash(a)@1s+2s", []moment[status]{{half, up}, {second + half, down}, {3*second + half, again}}},
		{"crash for ever", "crash(a)@1s", []moment[status]{{half, up}, {second + half, down}, {time.Hour, down}}},
		{"crash that outlasts another", "crash(a)@1s+1s crash(a)@1.5s+2s", []moment[status]{
			{second + half, down}, {2*second + half, down}, {4 * second, again},
		}},
		{"crash inside another", "crash(a)@1s+4s crash(a)@2s+1s", []moment[status]{{4 * second, down}, {6 * second, again}}},
		{"crash for ever over another", "crash(a)@1s+1s crash(a)@1.5s", []moment[status]{{5 * second, down}}},
		{"pause", "pause(a)@1s+2s", []moment[status]{{half, up}, {second + half, paused}, {3*second + half, up}}},
		{"pauses that overlap", "pause(a)@1s+2s pause(a)@2s+2s", []moment[status]{{3*second + half, paused}, {4*second + half, up}}},
		{"pauses that touch", "pause(a)@1s+1s pause(a)@2s+1s", []moment[status]{{second + half, paused}, {2*second + half, paused}, {3*second + half, up}}},
		{"crash during a pause", "pause(a)@1s+5s crash(a)@2s+1s", []moment[status]{
			{second + half, paused}, {2*second + half, down}, {3*second + half, pausedAgain}, {7 * second, again},
		}},
		{"pause that ends during a crash", "pause(a)@1s+2s crash(a)@2s+5s", []moment[status]{{4 * second, down}, {8 * second, again}}},
		{"pause that begins during a crash", "crash(a)@1s+2s pause(a)@2s+5s", []moment[status]{{4 * second, pausedAgain}, {8 * second, again}}},
		{"another process", "crash(b)@1s+2s pause(c)@1s", []moment[status]{{2 * second, up}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := nodes(t)
			inject(t, w, c.plan, nil)
			timeline(t, w, statusOf(w.Lookup("a")), c.moments...)
		})
	}
}

func TestWhatTheScenarioDidToAProcessStays(t *testing.T) {
	for _, c := range []struct {
		name, plan string
		at         time.Duration
		do         func(p *sim.Process)
		moments    []moment[status]
	}{
		{
			"down before the crash", "crash(a)@2s+1s", second,
			(*sim.Process).Crash,
			[]moment[status]{{5 * second, status{false, false, 1}}},
		},
		{
			"started during the crash", "crash(a)@1s+2s", 2 * second,
			(*sim.Process).Restart,
			[]moment[status]{{5 * second, status{true, false, 2}}},
		},
		{
			"started and ended during the crash", "crash(a)@1s+2s", 2 * second,
			func(p *sim.Process) { p.Restart(); p.Crash() },
			[]moment[status]{{5 * second, status{false, false, 2}}},
		},
		{
			"paused before the pause", "pause(a)@2s+1s", second,
			(*sim.Process).Pause,
			[]moment[status]{{5 * second, status{true, true, 1}}},
		},
		{
			"resumed during the pause", "pause(a)@1s+2s", 2 * second,
			(*sim.Process).Resume,
			[]moment[status]{{2*second + half, status{true, false, 1}}, {5 * second, status{true, false, 1}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := nodes(t)
			a := w.Lookup("a")
			inject(t, w, c.plan, nil)
			w.After(c.at, "scenario", func() { c.do(a) })
			timeline(t, w, statusOf(a), c.moments...)
		})
	}
}

// cuts prints the links that are cut.
func cuts(w *sim.World) func() string {
	return func() string {
		var cut []string
		for _, from := range []string{"a", "b", "c", "late"} {
			for _, to := range []string{"a", "b", "c", "late"} {
				if w.Net().IsCut(from, to) {
					cut = append(cut, from+to)
				}
			}
		}
		return strings.Join(cut, " ")
	}
}

func TestCutsAndPartitionsCompose(t *testing.T) {
	for _, c := range []struct {
		name, plan string
		moments    []moment[string]
	}{
		{"cut", "cut(a,b)@1s+1s", []moment[string]{{half, ""}, {second + half, "ab"}, {3 * second, ""}}},
		{"cut for ever", "cut(a,b)@1s", []moment[string]{{time.Hour, "ab"}}},
		{"cut from everybody", "cut(a)@1s+1s", []moment[string]{{second + half, "ab ac"}, {3 * second, ""}}},
		{"partition", "partition(a,b)@1s+1s", []moment[string]{{second + half, "ab ba"}, {3 * second, ""}}},
		{"partition from everybody", "partition(a)@1s+1s", []moment[string]{{second + half, "ab ac ba ca"}, {3 * second, ""}}},
		{"overlapping cuts", "cut(a,b)@1s+2s cut(a,b)@2s+2s", []moment[string]{{3*second + half, "ab"}, {5 * second, ""}}},
		{"cut inside a partition", "partition(a)@1s+3s cut(b,a)@2s+1s", []moment[string]{
			{2*second + half, "ab ac ba ca"}, {3*second + half, "ab ac ba ca"}, {5 * second, ""},
		}},
		{"cut that outlasts a partition", "partition(a)@1s+1s cut(b,a)@1.5s+2s", []moment[string]{{2*second + half, "ba"}, {5 * second, ""}}},
		{"partitions that share a link", "partition(a)@1s+2s partition(b)@2s+2s", []moment[string]{
			{2*second + half, "ab ac ba bc ca cb"}, {3*second + half, "ab ba bc cb"}, {5 * second, ""},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := nodes(t)
			inject(t, w, c.plan, nil)
			timeline(t, w, cuts(w), c.moments...)
		})
	}
}

func TestWhatTheScenarioCutStaysCut(t *testing.T) {
	w := nodes(t)
	w.Net().Cut("a", "b")
	in := inject(t, w, "partition(a)@1s+1s", nil)
	timeline(t, w, cuts(w), moment[string]{second + half, "ab ac ba ca"}, moment[string]{3 * second, "ab"})
	if n := len(in.Ineffective()); n != 0 {
		t.Errorf("%d ineffective faults", n)
	}
}

func TestEverybodyIsWhoExistsWhenTheFaultBegins(t *testing.T) {
	w := nodes(t)
	inject(t, w, "cut(a)@1s+2s cut(a)@2s+2s", nil)
	w.After(second+half, "late", func() {
		w.Process("late", sim.ProcessOptions{}).Start(func(context.Context, *sim.Host) {})
	})
	timeline(t, w, cuts(w),
		moment[string]{second + 2*half - 1, "ab ac"},
		moment[string]{2*second + half, "ab ac alate"},
		moment[string]{3*second + half, "ab ac alate"},
		moment[string]{5 * second, ""})
}

// linkView is a link, and whether it has settings of its own.
type linkView struct {
	link sim.Link
	own  bool
}

func linkOf(w *sim.World, from, to string) func() linkView {
	return func() linkView {
		l, own := w.Net().Link(from, to)
		return linkView{l, own}
	}
}

func TestDegradationsOfALinkAddUpAndEnd(t *testing.T) {
	base := sim.Link{LatencyMin: time.Millisecond, LatencyMax: 2 * time.Millisecond, Loss: 0.5}
	with := func(change func(l *sim.Link)) linkView {
		l := base
		change(&l)
		return linkView{l, true}
	}
	for _, c := range []struct {
		name, plan string
		moments    []moment[linkView]
	}{
		{"slow-link", "slow-link(a,b)@1s+1s*10", []moment[linkView]{{second + half, with(func(l *sim.Link) {
			l.LatencyMin, l.LatencyMax = 6*time.Millisecond, 12*time.Millisecond
		})}}},
		{"slow-link, from the other end", "slow-link(b,a)@1s+1s*10", []moment[linkView]{{second + half, with(func(l *sim.Link) {
			l.LatencyMin, l.LatencyMax = 6*time.Millisecond, 12*time.Millisecond
		})}}},
		{"slow-link to everybody", "slow-link(b)@1s+1s*0.5", []moment[linkView]{{second + half, with(func(l *sim.Link) {
			l.LatencyMin, l.LatencyMax = 1250*time.Microsecond, 2500*time.Microsecond
		})}}},
		{"loss", "loss(a,b)@1s+1s*0.5", []moment[linkView]{{second + half, with(func(l *sim.Link) { l.Loss = 0.75 })}}},
		{"loss of everything", "loss(a,b)@1s+1s*1", []moment[linkView]{{second + half, with(func(l *sim.Link) { l.Loss = 1 })}}},
		{"duplicate", "duplicate(a)@1s+1s*0.25", []moment[linkView]{{second + half, with(func(l *sim.Link) { l.Duplicate = 0.25 })}}},
		{"reorder", "reorder(a)@1s+1s*0.25", []moment[linkView]{{second + half, with(func(l *sim.Link) {
			l.Reorder, l.ReorderMax = 0.25, faults.ReorderMax
		})}}},
		{"two of a kind", "loss(a,b)@1s+2s*0.5 loss(a)@2s+2s*0.5", []moment[linkView]{
			{second + half, with(func(l *sim.Link) { l.Loss = 0.75 })},
			{2*second + half, with(func(l *sim.Link) { l.Loss = 0.875 })},
			{3*second + half, with(func(l *sim.Link) { l.Loss = 0.75 })},
		}},
		{"two kinds", "loss(a,b)@1s+2s*0.5 duplicate(b)@2s+2s*1", []moment[linkView]{
			{2*second + half, with(func(l *sim.Link) { l.Loss, l.Duplicate = 0.75, 1 })},
			{3*second + half, with(func(l *sim.Link) { l.Duplicate = 1 })},
		}},
		{"another link", "loss(a,c)@1s+2s*0.5 loss(c)@1s+2s*0.5", []moment[linkView]{{2 * second, linkView{base, true}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := nodes(t)
			w.Net().SetLink("a", "b", base)
			inject(t, w, c.plan, nil)
			timeline(t, w, linkOf(w, "a", "b"), append(c.moments, moment[linkView]{10 * second, linkView{base, true}})...)
		})
	}
}

func TestLinkWithoutSettingsOfItsOwnIsTheDefaultAgain(t *testing.T) {
	w := nodes(t)
	inject(t, w, "loss(a)@1s+1s*0.5", nil)
	lossy := sim.DefaultLink
	lossy.Loss = 0.5
	timeline(t, w, linkOf(w, "a", "b"), moment[linkView]{second + half, linkView{lossy, true}})
	slow := sim.Link{LatencyMin: time.Second, LatencyMax: time.Second}
	w.Net().SetDefault(slow)
	timeline(t, w, linkOf(w, "a", "b"), moment[linkView]{3 * second, linkView{slow, false}})
}

func TestLinkThatTheScenarioSetsDuringAFaultStays(t *testing.T) {
	w := nodes(t)
	inject(t, w, "loss(a,b)@1s+3s*0.5 duplicate(a,b)@3s+3s*0.5", nil)
	mine := sim.Link{LatencyMin: time.Second, LatencyMax: time.Second}
	w.After(2*second, "scenario", func() { w.Net().SetLink("a", "b", mine) })
	both, one := mine, mine
	both.Loss, both.Duplicate, one.Duplicate = 0.5, 0.5, 0.5
	timeline(t, w, linkOf(w, "a", "b"),
		moment[linkView]{3*second + half, linkView{both, true}},
		moment[linkView]{4*second + half, linkView{one, true}},
		moment[linkView]{10 * second, linkView{mine, true}})
}

func TestResetBreaksCallsUnderWay(t *testing.T) {
	for _, c := range []struct {
		plan  string
		reset bool
	}{
		{"reset(a,b)@1s", true},
		{"reset(b,a)@1s", true},
		{"reset(b)@1s", true},
		{"reset(a,c)@1s", false},
	} {
		t.Run(c.plan, func(t *testing.T) {
			w := nodes(t)
			w.Process("server", sim.ProcessOptions{})
			b := w.Lookup("b")
			b.Crash()
			b.Start(func(_ context.Context, h *sim.Host) {
				h.Network().Handle("slow", func(ctx context.Context, _ []byte) ([]byte, error) {
					return nil, h.Sleep(ctx, 2*second)
				})
			})
			a := w.Lookup("a")
			a.Crash()
			var err error
			a.Start(func(ctx context.Context, h *sim.Host) {
				if err := h.Sleep(ctx, 10*time.Millisecond); err != nil {
					return
				}
				_, err = h.Network().Call(ctx, "b", "slow", nil)
			})
			in := inject(t, w, c.plan, nil)
			if err := w.Run(5 * second); err != nil {
				t.Fatal(err)
			}
			if errors.Is(err, network.ErrNoReply) != c.reset {
				t.Errorf("the call ended with %v", err)
			}
			want := faults.Count{Kind: faults.Reset, Planned: 1, Fired: 1, Effective: 1}
			if c.reset {
				want.Struck = 1
			}
			if got := in.Counts(); len(got) != 1 || got[0] != want {
				t.Errorf("counts %v, want %v", got, want)
			}
		})
	}
}

func TestWallJumpsAddUpAndAreTakenBack(t *testing.T) {
	w := nodes(t)
	host := w.Lookup("a").Host()
	start := host.Now()
	inject(t, w, "wall-jump(a)@1s+3s*60 wall-jump(a)@2s+1s*-0.5 wall-jump(a)@5s*3600", nil)
	offset := func() time.Duration { return host.Now().Sub(start) - w.Now() }
	timeline(t, w, offset,
		moment[time.Duration]{half, 0},
		moment[time.Duration]{second + half, time.Minute},
		moment[time.Duration]{2*second + half, time.Minute - half},
		moment[time.Duration]{3*second + half, time.Minute},
		moment[time.Duration]{4*second + half, 0},
		moment[time.Duration]{time.Hour, time.Hour})
}

func TestClockRateIsThatOfTheLastFault(t *testing.T) {
	w := nodes(t)
	a := w.Lookup("a")
	a.SetRate(7)
	inject(t, w, "clock-rate(a)@1s+4s*1000 clock-rate(a)@2s+1s*-500 crash(a)@3.2s+100ms clock-rate(b)@1s*5 clock-rate(a)@7s+2s*9", nil)
	w.After(8*second, "scenario", func() { a.SetRate(11) })
	timeline(t, w, a.RatePPB,
		moment[int64]{half, 7},
		moment[int64]{second + half, 1000},
		moment[int64]{2*second + half, -500},
		moment[int64]{3*second + half, 1000},
		moment[int64]{5*second + half, 7},
		moment[int64]{7*second + half, 9},
		moment[int64]{10 * second, 11})
}

// Two faults of one kind may stand one after the other without a gap; the
// scenario's rate must survive that too, whatever the order of end and begin.
func TestClockRatesThatTouch(t *testing.T) {
	for seed := range uint64(20) {
		w := sim.NewWorld(seed, sim.Options{})
		a := w.Process("a", sim.ProcessOptions{RatePPB: 7})
		a.Start(func(context.Context, *sim.Host) {})
		inject(t, w, "clock-rate(a)@1s+1s*10 clock-rate(a)@2s+1s*10 clock-rate(a)@3s+1s*20", nil)
		timeline(t, w, a.RatePPB,
			moment[int64]{2*second + half, 10}, moment[int64]{3*second + half, 20}, moment[int64]{5 * second, 7})
		w.Close()
	}
}

func TestStoreFaultsReachTheirHandler(t *testing.T) {
	w := nodes(t)
	var calls []string
	handler := func(known ...string) faults.Handler {
		return faults.Handler{Targets: known, Apply: func(target string, lasting []faults.Fault) bool {
			var amounts []string
			for _, f := range lasting {
				amounts = append(amounts, f.String())
			}
			calls = append(calls, w.Now().String()+" "+target+": "+strings.Join(amounts, " "))
			return len(lasting) == 1
		}}
	}
	in := inject(t, w, "store-unknown(a)@1s+2s*0.5 store-unknown(a)@2s+2s*0.25 store-unknown()@5s*1 server-crash(log)@6s+1s",
		faults.Handlers{faults.StoreUnknown: handler(), faults.ServerCrash: handler("log", "proxy")})
	if err := w.Run(10 * second); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"1s a: store-unknown(a)@1s+2s*0.5",
		"2s a: store-unknown(a)@1s+2s*0.5 store-unknown(a)@2s+2s*0.25",
		"3s a: store-unknown(a)@2s+2s*0.25",
		"4s a: ",
		"5s : store-unknown()@5s*1",
		"6s log: server-crash(log)@6s+1s",
		"7s log: ",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("calls\n%s, want\n%s", strings.Join(calls, "\n"), strings.Join(want, "\n"))
	}
	if got := in.Ineffective(); len(got) != 1 || got[0].Amount != 0.25 {
		t.Errorf("ineffective: %v", got)
	}
}

// A fault of a link strikes when it does to a message what it says, and not when
// nobody sends one.
func TestLinkFaultsStrikeMessages(t *testing.T) {
	for _, kind := range []string{"cut(a,b)@1s+1s", "partition(b,a)@1s+1s", "slow-link(a,b)@1s+1s*5", "loss(b,a)@1s+1s*1", "duplicate(a,b)@1s+1s*1", "reorder(a)@1s+1s*1"} {
		for sent, want := range map[time.Duration]uint64{0: 0, second + half: 1, 3 * second: 0} {
			w := nodes(t)
			in := inject(t, w, kind, nil)
			if sent > 0 {
				w.After(sent, "send", func() { w.Lookup("a").Host().SendTo(nil, "b", "in", 1) })
			}
			w.After(sent, "elsewhere", func() { w.Lookup("b").Host().SendTo(nil, "c", "in", 1) })
			if err := w.Run(4 * second); err != nil {
				t.Fatal(err)
			}
			if got := in.Counts()[0]; got.Struck != want || got.Effective != 1 {
				t.Errorf("%s, sent at %v: %+v", kind, sent, got)
			}
		}
	}
}

// A fault that still lasts counts as soon as it strikes.
func TestFaultThatLastsCountsWhenItStrikes(t *testing.T) {
	w := nodes(t)
	var calls uint64
	in := inject(t, w, "cut(a,b)@1s store-conflict()@1s*1 store-slow()@1s*1", faults.Handlers{
		faults.StoreConflict: {
			Apply:  func(string, []faults.Fault) bool { return true },
			Struck: func(string) uint64 { return calls },
		},
		faults.StoreSlow: {Apply: func(string, []faults.Fault) bool { return true }},
	})
	struck := func() string {
		s := ""
		for _, c := range in.Counts() {
			s += strings.Repeat(string(c.Kind)+" ", int(c.Struck))
		}
		return s
	}
	w.After(2*second, "send", func() { w.Lookup("a").Host().SendTo(nil, "b", "in", 1) })
	w.After(3*second, "call", func() { calls++ })
	timeline(t, w, struck,
		moment[string]{half, ""},
		moment[string]{second + half, "store-slow "},
		moment[string]{2*second + half, "cut store-slow "},
		moment[string]{3*second + half, "cut store-conflict store-slow "})
}
