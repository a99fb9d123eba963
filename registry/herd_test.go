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
	value  func(value []byte) bool // which values count; nil: all
	counts *herdCounts
}

func (e *tally) counted(key, value []byte) bool {
	return bytes.Equal(key, e.key) && (e.value == nil || e.value(value))
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
	t.writes = t.writes || t.e.counted(key, value)
	t.Txn.Set(key, value)
}

func (t *tallied) SetStamped(key, value []byte, offset int) {
	t.writes = t.writes || t.e.counted(key, value)
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
	herdWrites
	took    time.Duration // from the death, or the call, to the new owner
	winners int
}

// herdWrites are the writes to the actor's record, and to the session of the node
// "owner": its marks as degraded, and its revocations.
type herdWrites struct{ claims, marks, revocations herdCounts }

func (w *herdWrites) all() int { return w.claims.writes() + w.marks.writes() + w.revocations.writes() }

// isMark reports whether the record of a session is that of one which lives.
func isMark(session []byte) bool { return session[12] == 1 }

// contender is a process with a registry, that has joined with its name and counts
// its writes.
func (w *wire) contender(name string, o registry.Options, n *herdWrites, f func(ctx context.Context, s *registry.Session)) *sim.Process {
	counting := func(e store.Engine) store.Engine {
		owner := []byte("kelpie\x00nowner\x00")
		e = tally{e, []byte("kelpie\x00aa\x00"), nil, &n.claims}
		e = tally{e, owner, isMark, &n.marks}
		return tally{e, owner, func(v []byte) bool { return !isMark(v) }, &n.revocations}
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
	owner := w.contender("owner", o, &herdWrites{}, func(ctx context.Context, s *registry.Session) {
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
			w.contender(string(id), o, &run.herdWrites, func(ctx context.Context, s *registry.Session) {
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

// Many nodes want the actor of a dead node, and know each other as in production: one
// marks its session as degraded, one revokes it, one claims the actor. No more than
// these three write transactions conflict or win, and the winner has the actor within
// the bound. BenchmarkHerd has 1,000 nodes.
func TestHerdOfManyNodes(t *testing.T) {
	for i, way := range []time.Duration{time.Millisecond, time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond} {
		const nodes = 60
		run := herd(t, 3*i, nodes, way, true)
		t.Logf("claims %+v, marks %+v, revocations %+v, taken over %.3f TTL after the death",
			run.claims, run.marks, run.revocations, float64(run.took)/float64(ttl))
		if run.winners != 1 || run.all() > 3 {
			t.Errorf("%d winners, claims %+v, marks %+v, revocations %+v; at most 3 writes expected", run.winners, run.claims, run.marks, run.revocations)
		}
		if most := ttl * 135 / 100; run.took <= 0 || run.took > most {
			t.Errorf("taken over %v after the death, at most %v expected", run.took, most)
		}
	}
}

// The nodes know each other and have no monitors: nobody marks the session, and those
// who wait end it, each by its rank from when it saw the silence begin.
func TestHerdWithoutMonitors(t *testing.T) {
	run := herd(t, 0, 200, time.Millisecond, false)
	if run.winners != 1 || run.claims.writes() > 3 || run.revocations.writes() > 3 || run.marks.writes() > 0 {
		t.Errorf("%d winners, claims %+v, marks %+v, revocations %+v; at most 3 claims and 3 revocations expected", run.winners, run.claims, run.marks, run.revocations)
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
	var writes, marks, revokes, all []int
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		run := herd(b, i, nodes, way, rosters)
		writes = append(writes, run.claims.won+run.claims.conflicted)
		marks = append(marks, run.marks.writes())
		revokes = append(revokes, run.revocations.writes())
		all = append(all, run.all())
		took = append(took, run.took)
	}
	slices.Sort(writes)
	slices.Sort(all)
	slices.Sort(took)
	b.ReportMetric(float64(slices.Max(marks)), "max-marks")
	b.ReportMetric(float64(slices.Max(revokes)), "max-revokes")
	b.ReportMetric(float64(all[len(all)/2]), "p50-all")
	b.ReportMetric(float64(all[len(all)-1]), "max-all")
	b.ReportMetric(float64(writes[len(writes)/2]), "p50-writes")
	b.ReportMetric(float64(writes[len(writes)-1]), "max-writes")
	b.ReportMetric(float64(took[len(took)/2])/float64(ttl), "p50-TTLs")
	b.ReportMetric(float64(took[len(took)-1])/float64(ttl), "max-TTLs")
}
