package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// tally counts the transactions that wrote a key, by what became of their commit.
type tally struct {
	store.Engine
	key    []byte
	counts *herdCounts
}

type herdCounts struct{ won, conflicted, other int }

func (c *herdCounts) writes() int { return c.won + c.conflicted + c.other }

func (e tally) Begin(ctx context.Context) store.Txn { return &tallied{Txn: e.Engine.Begin(ctx), e: e} }

type tallied struct {
	store.Txn
	e      tally
	writes bool
}

func (t *tallied) Set(key, value []byte) {
	t.writes = t.writes || bytes.Equal(key, t.e.key)
	t.Txn.Set(key, value)
}

func (t *tallied) SetStamped(key, value []byte, offset int) {
	t.writes = t.writes || bytes.Equal(key, t.e.key)
	t.Txn.SetStamped(key, value, offset)
}

func (t *tallied) Commit() error {
	err := t.Txn.Commit()
	switch c := t.e.counts; {
	case !t.writes:
	case err == nil:
		c.won++
	case errors.Is(err, store.ErrConflict):
		c.conflicted++
	default:
		c.other++
	}
	return err
}

// herdRun is what becomes of an actor that many nodes want.
type herdRun struct {
	claims, revocations herdCounts
	took                time.Duration // from the death, or the call, to the new owner
	winners             int
}

// contender is a process with a registry, that has joined with its name. What it does
// to the actor's record is counted in claims, and to the session of the node "owner" in
// revocations.
func (w *wire) contender(name string, o registry.Options, claims, revocations *herdCounts, f func(ctx context.Context, s *registry.Session)) *sim.Process {
	counting := func(e store.Engine) store.Engine {
		return tally{tally{e, []byte("kelpie\x00aa\x00"), claims}, []byte("kelpie\x00nowner\x00"), revocations}
	}
	return w.nodeOver(counting, name, 0, o, func(ctx context.Context, _ *sim.Host, _ *registry.Registry, s *registry.Session) { f(ctx, s) })
}

// herd kills the owner of an actor that all nodes wait for, a message taking up to
// way. rosters: the nodes follow one another as they do in production, and monitors
// end the session; otherwise each is told of the others, and those who wait end it.
// Each round has other nodes, with other ranks, and another phase of the renewals.
func herd(t testing.TB, round, nodes int, way time.Duration, rosters bool) (run herdRun) {
	t.Helper()
	w := newWire(t, way)
	o := registry.Options{TTL: ttl}
	if !rosters {
		o.Monitors = -1
	}
	var before herdCounts
	owner := w.contender("owner", o, &before, &before, func(ctx context.Context, s *registry.Session) {
		if _, err := s.Claim(ctx, "a"); err != nil {
			t.Error(err)
		}
	})
	w.until(ttl / 2)
	ids := []registry.NodeID{"owner"}
	for i := range nodes {
		ids = append(ids, registry.NodeID(fmt.Sprintf("node-%d-%d", round, i)))
	}
	var died, got time.Duration
	start := w.world.Rand("arrivals")
	for _, id := range ids[1:] {
		late := time.Duration(start.Int64N(int64(ttl / 3)))
		w.world.After(late, "start", func() {
			w.contender(string(id), o, &run.claims, &run.revocations, func(ctx context.Context, s *registry.Session) {
				if !rosters {
					s.RankAmong(ids)
				}
				if _, err := s.ClaimWait(ctx, "a"); err == nil {
					got = w.world.Now()
					run.winners++
				}
			})
		})
	}
	w.until(2*ttl + time.Duration(round%20)*ttl/20)
	died = w.world.Now()
	owner.Crash()
	for got == 0 && w.world.Now() < died+5*ttl {
		w.until(w.world.Now() + ttl/10)
	}
	w.until(w.world.Now() + ttl/2) // who comes late
	run.took = got - died
	return run
}

// Many nodes want the actor of a dead node. At most three transactions that
// write its record conflict or win, and as many that revoke its owner; the winner
// has it within the bound, which is below 1.35 TTL. So it is with rosters and monitors,
// among fewer nodes because these follow each other's joins. BenchmarkHerd has 1,000.
func TestHerdOfManyNodes(t *testing.T) {
	const way = time.Millisecond
	for i, nodes := range []int{200, 60} {
		rosters := i == 1
		run := herd(t, 3*i, nodes, way, rosters)
		t.Logf("%d nodes, rosters %v: claims %+v, revocations %+v, taken over %.3f TTL after the death",
			nodes, rosters, run.claims, run.revocations, float64(run.took)/float64(ttl))
		if run.winners != 1 || run.claims.writes() > 3 || run.revocations.writes() > 3 {
			t.Errorf("%d winners, claims %+v, revocations %+v; at most 3 writes of each expected", run.winners, run.claims, run.revocations)
		}
		if most := ttl * 135 / 100; run.took <= 0 || run.took > most {
			t.Errorf("taken over %v after the death, at most %v expected", run.took, most)
		}
	}
}

// A store of which every read and commit takes up to TTL/42 is as slow as it may be for
// the promise: a turn is no longer than TTL/14, and has to be three calls long.
func TestHerdOnASlowStore(t *testing.T) {
	const way = ttl / 42 / 2
	for round := range 6 {
		run := herd(t, round, 100, way, false)
		if run.winners != 1 || run.claims.writes() > 3 {
			t.Errorf("round %d: %d winners, claims %+v; at most 3 writes expected", round, run.winners, run.claims)
		}
	}
}

// BenchmarkHerd reports how many write transactions a take-over costs, and how long it
// takes in multiples of the TTL, by the number of nodes that want the actor and by what
// a message takes: a fifteenth of a Stagger, two thirds of one, or more than two.
func BenchmarkHerd(b *testing.B) {
	for _, rosters := range []bool{false, true} {
		for _, way := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 35 * time.Millisecond} {
			for _, nodes := range []int{10, 100, 1000} {
				b.Run(fmt.Sprintf("rosters=%v/way=%v/nodes=%d", rosters, way, nodes), func(b *testing.B) { benchmarkHerd(b, nodes, way, rosters) })
			}
		}
	}
}

func benchmarkHerd(b *testing.B, nodes int, way time.Duration, rosters bool) {
	b.Helper()
	var writes, revokes []int
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		run := herd(b, i, nodes, way, rosters)
		writes = append(writes, run.claims.won+run.claims.conflicted)
		revokes = append(revokes, run.revocations.writes())
		took = append(took, run.took)
	}
	slices.Sort(writes)
	slices.Sort(took)
	slices.Sort(revokes)
	b.ReportMetric(float64(revokes[len(revokes)-1]), "max-revokes")
	b.ReportMetric(float64(writes[len(writes)/2]), "p50-writes")
	b.ReportMetric(float64(writes[len(writes)-1]), "max-writes")
	b.ReportMetric(float64(took[len(took)/2])/float64(ttl), "p50-TTLs")
	b.ReportMetric(float64(took[len(took)-1])/float64(ttl), "max-TTLs")
}
