//go:build linux

package fleet

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/proxy"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
	"github.com/kelpie-registry/kelpie/store/remote"
)

// pair is a store with two members in one process, which each process with nodes
// reaches by itself, as it does those of etcd. Shared are their addresses and a comma.
func pair() soak.Store {
	return soak.Store{
		Name: "pair", Serve: servePair, Connect: connectPair,
		Data: func() (string, func() error, error) {
			folder, err := os.MkdirTemp("", "kelpie-pair-")
			return folder, func() error { return os.RemoveAll(folder) }, err
		},
		Through: func(shared string, via func(string) (string, error)) (string, error) {
			members := strings.Split(shared, ",")
			for i, m := range members {
				at, err := via(m)
				if err != nil {
					return "", err
				}
				members[i] = at
			}
			return strings.Join(members, ","), nil
		},
	}
}

func servePair(ctx context.Context, folder string, ready func(string)) error {
	engine, err := disk.Open(folder, disk.Options{NoSync: true})
	if err != nil {
		return err
	}
	var members []string
	for i := range 2 {
		net, err := httpnet.New(httpnet.Options{})
		if err != nil {
			return err
		}
		h, err := host.NewSystem(host.SystemOptions{Name: fmt.Sprintf("member-%d", i+1), Network: net})
		if err != nil {
			return err
		}
		if _, err := remote.NewServer(h, engine, remote.ServerOptions{}); err != nil {
			return err
		}
		members = append(members, string(net.Address()))
	}
	ready(strings.Join(members, ","))
	<-ctx.Done()
	return nil
}

func connectPair(_ context.Context, c clock.Clock, shared string) (store.Engine, error) {
	var members []network.Address
	for _, m := range strings.Split(shared, ",") {
		members = append(members, network.Address(m))
	}
	return remote.Open(c.(host.Host), remote.Options{Servers: members, CallTimeout: 100 * time.Millisecond})
}

// acknowledged returns how many operations that write were called from a time of the
// history to another, and acknowledged.
func acknowledged(t *testing.T, f *fleet, from, to time.Duration) (n int) {
	t.Helper()
	h, err := f.readHistories()
	if err != nil {
		t.Fatal(err)
	}
	for i := range h.Ops {
		op := &h.Ops[i]
		writes := op.Kind == linearizability.KindJoin || op.Kind == linearizability.KindClaim || op.Kind == linearizability.KindGuard
		if writes && op.Outcome == linearizability.OutcomeOK && op.Call >= from && op.Call < to {
			n++
		}
	}
	return n
}

// TestNodesReachEachMemberThroughAProxyOnly cuts processes off from one of two members,
// and they go on; from both, and they do not; and lets them go on again.
func TestNodesReachEachMemberThroughAProxyOnly(t *testing.T) {
	o := options(t)
	o.Store, o.Processes = pair(), 2
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	f := newFleet(o)
	defer func() {
		if err := f.end(); err != nil {
			t.Error(err)
		}
	}()
	if err := f.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	goesOn := func(what string) {
		t.Helper()
		for from := f.now(); acknowledged(t, f, from, f.now()) < 10; {
			if err := f.clock.Sleep(t.Context(), 20*time.Millisecond); err != nil {
				t.Fatalf("%s: nothing goes on", what)
			}
		}
	}
	goesOn("with both members")
	set := func(m proxy.Mode, members ...int) {
		for _, s := range f.slots {
			if len(s.proxies) != 2 {
				t.Fatalf("%s has %d proxies before two members", s.name, len(s.proxies))
			}
			for _, i := range members {
				s.proxies[i].Set(m, 0)
			}
		}
	}
	for one := range 2 {
		set(proxy.Refuse, one)
		goesOn(fmt.Sprintf("without member %d", one+1))
		set(proxy.Pass, one)
	}
	set(proxy.Refuse, 0, 1)
	from := f.now()
	if err := f.clock.Sleep(t.Context(), 2*o.TTL); err != nil {
		t.Fatal(err)
	}
	if n := acknowledged(t, f, from, f.now()); n > 0 {
		t.Errorf("%d operations were acknowledged to processes that were cut off from all members", n)
	}
	set(proxy.Pass, 0, 1)
	goesOn("with both members again")
}

// TestASoakCutsASingleMemberOffToo runs a whole soak of it.
func TestASoakCutsASingleMemberOffToo(t *testing.T) {
	o := options(t)
	o.Store, o.Kill = pair(), false // it comes back at other addresses
	_, res := conclusive(t, o, func(_ *fleet, res *Result) bool {
		return len(res.Faults.Cuts) > 0 && len(res.Faults.OneMember) > 0 && res.Accounted.Claims > 0
	})
	if res.Violation != nil {
		t.Errorf("%+v", res.Violation)
	}
	report := linearizability.Check(res.History, linearizability.Options{})
	if err := report.Err(); err != nil {
		t.Error(err)
	}
	if res.Faults.Resets == 0 && res.Faults.DroppedBytes == 0 {
		t.Errorf("nothing was cut: %+v", res.Faults)
	}
}

func TestCuttings(t *testing.T) {
	for _, c := range []struct{ members, all, one int }{{1, 6, 0}, {2, 6, 3}, {3, 6, 3}} {
		modes, one := map[proxy.Mode]bool{}, 0
		for _, k := range cuttings(c.members) {
			if k.one {
				one++
			} else {
				modes[k.mode] = true
			}
		}
		if len(modes) != c.all || one != c.one {
			t.Errorf("%d members: %d modes for all, %d for one, want %d and %d", c.members, len(modes), one, c.all, c.one)
		}
	}
}

// TestASoakOfSeveralMembersDemandsACutOfOne doctors what was counted.
func TestASoakOfSeveralMembersDemandsACutOfOne(t *testing.T) {
	f := newFleet(Options{For: demandSpan, TTL: 1, Processes: 1})
	f.slots = []*slot{{f: f, proxies: []*proxy.Proxy{nil, nil}}}
	res := &Result{}
	res.Counts.Degraded, res.Counts.Lost, res.Counts.Failovers, res.Accounted.Claims = 1, 1, 1, 1
	res.Faults.DroppedBytes, res.Faults.Resets = 1, 1
	for _, m := range proxy.Modes() {
		f.cuts[string(m)] = 1
	}
	if got := f.missing(res); !strings.Contains(got, "one member") {
		t.Errorf("missing: %q", got)
	}
	f.partly[string(proxy.Cut)] = 1
	if got := f.missing(res); got != "" {
		t.Errorf("missing: %q", got)
	}
	delete(f.cuts, string(proxy.Deaf))
	if got := f.missing(res); !strings.Contains(got, "the mode deaf") {
		t.Errorf("missing: %q", got)
	}
}
