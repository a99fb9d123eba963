package soak

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// memoryStore is the default store.
func memoryStore() Store { return Stores()[0] }

func TestASoakHoldsAndItsHistoryIsWhole(t *testing.T) {
	res, err := Run(t.Context(), Options{Store: memoryStore(), Nodes: 3, Actors: 4, For: time.Second, TTL: 60 * time.Millisecond, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if res.Violation != nil {
		t.Fatalf("audit: %+v", *res.Violation)
	}
	var file bytes.Buffer
	if err := res.History.Encode(&file); err != nil {
		t.Fatal(err)
	}
	h, err := linearizability.Decode(&file, linearizability.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r := linearizability.Check(h, linearizability.Options{})
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if n := res.Counts.Operations(); n < 100 || uint64(len(h.Ops)) < n {
		t.Errorf("%d operations counted and %d in the history, want some, and all of them there", n, len(h.Ops))
	}
	if res.Interrupted {
		t.Error("says that it was interrupted")
	}
}

// blind is an engine whose transactions never notice that what they read was
// changed.
type blind struct{ store.Engine }

func (b blind) Begin(ctx context.Context) store.Txn { return blindTxn{b.Engine.Begin(ctx)} }

type blindTxn struct{ store.Txn }

func (t blindTxn) Get(key []byte) ([]byte, error)          { return t.Snapshot().Get(key) }
func (t blindTxn) GetAll(keys ...[]byte) ([][]byte, error) { return t.Snapshot().GetAll(keys...) }

type blindCluster struct{ memoryCluster }

func (c blindCluster) Engine(n int) (store.Engine, error) {
	e, err := c.memoryCluster.Engine(n)
	return blind{e}, err
}

func TestASoakCatchesAStoreWithoutConflicts(t *testing.T) {
	broken := Store{Name: "blind", Open: func(_ context.Context, c clock.Clock) (Cluster, error) {
		return blindCluster{memoryCluster{memory.New(memory.Options{Clock: c})}}, nil
	}}
	// Claims race for one actor; which run shows it is up to the machine.
	const tries = 20
	for seed := range uint64(tries) {
		res, err := Run(t.Context(), Options{Store: broken, Nodes: 8, Actors: 1, For: time.Second, TTL: 50 * time.Millisecond, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		r := linearizability.Check(res.History, linearizability.Options{})
		if res.Violation != nil || len(r.Violations) > 0 {
			return
		}
	}
	t.Errorf("%d soaks on a store without conflict detection found nothing", tries)
}

func TestASoakThatIsInterruptedReturnsWhatWasDone(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	res, err := Run(ctx, Options{Store: memoryStore(), Nodes: 2, For: time.Hour, TTL: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if !res.Interrupted || res.Violation != nil {
		t.Errorf("interrupted %v, violation %v; want an interrupted run without an audit", res.Interrupted, res.Violation)
	}
	if err := res.History.Validate(); err != nil {
		t.Error(err)
	}
}

func TestOptionsOutOfRangeAreNamed(t *testing.T) {
	good := Options{Store: memoryStore(), Nodes: 2, For: time.Second}
	for _, c := range []struct {
		field  string
		change func(*Options)
	}{
		{"Nodes", func(o *Options) { o.Nodes = 0 }},
		{"Nodes", func(o *Options) { o.Nodes = MaxNodes + 1 }},
		{"Actors", func(o *Options) { o.Actors = -1 }},
		{"TTL", func(o *Options) { o.TTL = time.Millisecond }},
		{"For", func(o *Options) { o.For = 0 }},
	} {
		o := good
		c.change(&o)
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("error %v, want %v about %s", err, ErrOptions, c.field)
		}
	}
}

func TestStoreThatCannotBeOpenedIsAnError(t *testing.T) {
	boom := errors.New("boom")
	s := Store{Name: "x", Open: func(context.Context, clock.Clock) (Cluster, error) { return nil, boom }}
	if _, err := Run(t.Context(), Options{Store: s, Nodes: 1, For: time.Second}); !errors.Is(err, boom) {
		t.Errorf("error %v, want %v", err, boom)
	}
}

func TestTheDefaultBuildSaysHowToGetFoundationDB(t *testing.T) {
	for _, s := range Stores() {
		if s.Name != "fdb" {
			continue
		}
		fs := pflag.NewFlagSet("soak", pflag.ContinueOnError)
		s.Flags(fs)
		if err := fs.Parse([]string{"--fdb-cluster", filepath.Join(t.TempDir(), "none")}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Open(t.Context(), clock.System())
		if err == nil || !strings.Contains(err.Error(), "-tags fdb") && !strings.Contains(err.Error(), "--fdb-cluster") {
			t.Errorf("error %v, want one about the tag, or with it about the cluster file", err)
		}
		return
	}
	t.Error("there is no store fdb")
}

// described is a store that says what it is.
type described struct{ memoryCluster }

func (described) String() string { return "a store of the test" }

func TestAStoreMaySayWhatItIs(t *testing.T) {
	s := Store{Name: "described", Open: func(_ context.Context, c clock.Clock) (Cluster, error) {
		return described{memoryCluster{memory.New(memory.Options{Clock: c})}}, nil
	}}
	res, err := Run(t.Context(), Options{Store: s, Nodes: 1, For: 10 * time.Millisecond, TTL: 50 * time.Millisecond})
	if err != nil || res.Described != "a store of the test" {
		t.Errorf("the store is %q, error %v", res.Described, err)
	}
}

func TestAnOutageIsNoHold(t *testing.T) {
	held := &registry.HeldError{Actor: "a"}
	for _, c := range []struct {
		name string
		err  error
		each time.Duration // of an attempt
		want time.Duration // until the time is up
	}{
		{"held", held, time.Second, 11 * time.Second},
		{"held, until the attempt's own time is up", fmt.Errorf("%w (%w)", context.DeadlineExceeded, held), time.Second, 11 * time.Second},
		{"unavailable", store.ErrUnavailable, time.Second, maxOutage + 11*time.Second},
		{"not joined", errNotJoined, time.Second, maxOutage + 11*time.Second},
	} {
		d := deadline{at: 10 * time.Second}
		var now time.Duration
		for now < time.Hour {
			now += c.each
			if d.passed(now-c.each, now, c.err) {
				break
			}
		}
		if now != c.want {
			t.Errorf("%s: the time is up after %v, want %v", c.name, now, c.want)
		}
	}
}
