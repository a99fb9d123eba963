package registry_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
)

func candidates(owned ...int64) []registry.Node {
	nodes := make([]registry.Node, len(owned))
	for i, n := range owned {
		nodes[i] = registry.Node{ID: registry.NodeID(fmt.Sprintf("node-%02d", i+1)), State: registry.NodeActive, Owned: n}
	}
	return nodes
}

func withCapacity(nodes []registry.Node, capacity ...int64) []registry.Node {
	for i := range capacity {
		nodes[i].Capacity = capacity[i]
	}
	return nodes
}

func choice(t *testing.T, s registry.Strategy, actor registry.ActorID, nodes []registry.Node, r *rand.Rand) registry.NodeID {
	t.Helper()
	id, err := s.Choose(actor, nodes, r)
	if err != nil {
		t.Fatalf("%T: %v", s, err)
	}
	if !slices.ContainsFunc(nodes, func(n registry.Node) bool { return n.ID == id }) {
		t.Fatalf("%T chose %q, which is no candidate", s, id)
	}
	return id
}

func seeded() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

func TestStrategiesChooseTheOnlyCandidate(t *testing.T) {
	only := candidates(7)
	for _, s := range []registry.Strategy{
		registry.LeastLoaded{}, registry.PowerOfTwo{}, registry.Random{}, &registry.RoundRobin{}, registry.Rendezvous{}, registry.Affinity{},
	} {
		for range 3 {
			if id := choice(t, s, "actor", only, seeded()); id != "node-01" {
				t.Errorf("%T: %q", s, id)
			}
		}
	}
}

func TestLeastLoaded(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []registry.Node
		want  registry.NodeID
	}{
		{"by number", candidates(3, 1, 2), "node-02"},
		{"a missing load is none", candidates(1, -4, 2), "node-02"},
		{"relative to capacity", withCapacity(candidates(3, 2, 40), 4, 3, 100), "node-03"},
		{"by number unless all have a capacity", withCapacity(candidates(3, 2, 40), 4, 3), "node-02"},
		{"without rounding", withCapacity(candidates(1<<40-1, 1<<40-2), 1<<40, 1<<40-1), "node-02"},
		{"beyond 64 bits", withCapacity(candidates(1<<39, 1<<40), 1<<40, 1<<40), "node-01"},
	} {
		for range 20 {
			if got := choice(t, registry.LeastLoaded{}, "actor", c.nodes, seeded()); got != c.want {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
	}
}

// spread returns how often each candidate was chosen.
func spread(t *testing.T, s registry.Strategy, nodes []registry.Node, n int) map[registry.NodeID]int {
	t.Helper()
	r, times := seeded(), make(map[registry.NodeID]int)
	for i := range n {
		times[choice(t, s, registry.ActorID(fmt.Sprintf("actor-%d", i)), nodes, r)]++
	}
	return times
}

func TestEqualNodesAreChosenEquallyOften(t *testing.T) {
	const nodes, n = 10, 10_000
	// 5 standard deviations of a binomial with 10,000 draws of 1/10.
	const most = 150
	for _, s := range []registry.Strategy{
		registry.LeastLoaded{}, registry.PowerOfTwo{}, registry.Random{}, &registry.RoundRobin{}, registry.Rendezvous{}, registry.Affinity{},
	} {
		times := spread(t, s, candidates(make([]int64, nodes)...), n)
		if len(times) != nodes {
			t.Errorf("%T chose %d nodes of %d", s, len(times), nodes)
		}
		for _, k := range times {
			if k < n/nodes-most || k > n/nodes+most {
				t.Errorf("%T: %v, want %d±%d each", s, times, n/nodes, most)
				break
			}
		}
	}
}

// fill places n actors on nodes whose loads the strategy sees as they were up to
// stale placements ago, and returns the difference between the fullest and the
// emptiest.
func fill(t *testing.T, s registry.Strategy, nodes, n, stale int) int64 {
	t.Helper()
	r, now, seen := seeded(), candidates(make([]int64, nodes)...), candidates(make([]int64, nodes)...)
	for i := range n {
		if i%stale == 0 {
			copy(seen, now)
		}
		id := choice(t, s, "actor", seen, r)
		at := slices.IndexFunc(now, func(m registry.Node) bool { return m.ID == id })
		now[at].Owned++
	}
	least, most := now[0].Owned, now[0].Owned
	for _, m := range now {
		least, most = min(least, m.Owned), max(most, m.Owned)
	}
	return most - least
}

func TestLoadsAreLevelledOut(t *testing.T) {
	const nodes, n = 50, 5000
	fresh := map[string]int64{
		"least": fill(t, registry.LeastLoaded{}, nodes, n, 1),
		"two":   fill(t, registry.PowerOfTwo{}, nodes, n, 1),
		"any":   fill(t, registry.Random{}, nodes, n, 1),
	}
	if fresh["least"] != 0 || fresh["two"] > 8 || fresh["any"] < 3*fresh["two"] {
		t.Errorf("with fresh loads: %v", fresh)
	}
	stale := map[string]int64{
		"least": fill(t, registry.LeastLoaded{}, nodes, n, 500),
		"two":   fill(t, registry.PowerOfTwo{}, nodes, n, 500),
	}
	if stale["two"] > stale["least"] {
		t.Errorf("with loads of 500 placements ago: %v", stale)
	}
}

func TestRoundRobinFollowsTheNodesThatThereAre(t *testing.T) {
	all := candidates(0, 0, 0, 0)
	s := &registry.RoundRobin{}
	var got []string
	for _, nodes := range [][]registry.Node{all, all, all[2:], all[:2], all[3:], all, all[1:3]} {
		got = append(got, strings.TrimPrefix(string(choice(t, s, "actor", nodes, seeded())), "node-"))
	}
	if text := strings.Join(got, " "); text != "01 02 03 01 04 01 02" {
		t.Errorf("chose %s", text)
	}
}

func TestRendezvousMovesOnlyWhatItMust(t *testing.T) {
	all := candidates(0, 0, 0, 0, 0, 0, 0, 0)
	for gone := range all {
		less := slices.Delete(slices.Clone(all), gone, gone+1)
		for i := range 500 {
			actor := registry.ActorID(fmt.Sprintf("actor-%d", i))
			was, is := choice(t, registry.Rendezvous{}, actor, all, seeded()), choice(t, registry.Rendezvous{}, actor, less, seeded())
			if was != is && was != all[gone].ID {
				t.Fatalf("%q went from %q to %q because %q left", actor, was, is, all[gone].ID)
			}
		}
	}
	// Processes of all versions must agree: these are fixed for good.
	for actor, want := range map[registry.ActorID]registry.NodeID{"a": "node-01", "b": "node-02", "player/42": "node-01"} {
		if got := choice(t, registry.Rendezvous{}, actor, all, seeded()); got != want {
			t.Errorf("%q is at %q, was always at %q", actor, got, want)
		}
	}
}

func TestAffinity(t *testing.T) {
	nodes := candidates(5, 4, 3, 2)
	nodes[0].Labels = map[string]string{"zone": "a", "disk": "fast"}
	nodes[1].Labels = map[string]string{"zone": "b", "disk": "slow"}
	nodes[2].Labels = map[string]string{"zone": "b", "spot": ""}
	in := func(key string, values ...string) registry.LabelRule {
		return registry.LabelRule{Key: key, Values: values}
	}
	avoid := func(r registry.LabelRule) registry.LabelRule { r.Avoid = true; return r }
	required := func(r registry.LabelRule) registry.LabelRule { r.Required = true; return r }
	first := registry.StrategyFunc(func(_ registry.ActorID, candidates []registry.Node, _ *rand.Rand) (registry.NodeID, error) {
		return candidates[0].ID, nil
	})
	for _, c := range []struct {
		name  string
		rules []registry.LabelRule
		then  registry.Strategy
		want  registry.NodeID
		err   error
	}{
		{name: "no rule", want: "node-04"},
		{name: "one value", rules: []registry.LabelRule{in("zone", "a")}, want: "node-01"},
		{name: "two values", rules: []registry.LabelRule{in("zone", "a", "b")}, want: "node-03"},
		{name: "any value", rules: []registry.LabelRule{in("disk")}, want: "node-02"},
		{name: "an empty value is one", rules: []registry.LabelRule{in("spot")}, want: "node-03"},
		{name: "avoid", rules: []registry.LabelRule{in("zone", "b"), avoid(in("spot"))}, want: "node-02"},
		{name: "a wish that nobody fulfils", rules: []registry.LabelRule{in("zone", "b"), in("zone", "c"), in("disk", "slow")}, want: "node-02"},
		{name: "a demand that nobody fulfils", rules: []registry.LabelRule{required(in("zone", "c"))}, err: registry.ErrNoNode},
		{name: "a demand that the rules before exclude", rules: []registry.LabelRule{in("zone", "a"), required(in("spot"))}, err: registry.ErrNoNode},
		{name: "another strategy", rules: []registry.LabelRule{in("zone", "b")}, then: first, want: "node-02"},
		{name: "nested", rules: []registry.LabelRule{in("zone", "b")}, then: registry.Affinity{Rules: []registry.LabelRule{in("disk")}}, want: "node-02"},
		{name: "a demand within", rules: []registry.LabelRule{in("zone", "a")}, then: registry.Affinity{Rules: []registry.LabelRule{required(in("spot"))}}, err: registry.ErrNoNode},
		{name: "a strategy out of its candidates", rules: []registry.LabelRule{in("zone", "b")}, then: fixed("node-01"), err: registry.ErrInvalid},
		{name: "an empty key", rules: []registry.LabelRule{in("zone"), in("")}, err: registry.ErrInvalid},
		{name: "a long key", rules: []registry.LabelRule{in(strings.Repeat("k", registry.MaxLabelKeyBytes+1))}, err: registry.ErrInvalid},
		{name: "many rules", rules: slices.Repeat([]registry.LabelRule{in("zone")}, registry.MaxLabelRules+1), err: registry.ErrInvalid},
	} {
		got, err := registry.Affinity{Rules: c.rules, Then: c.then}.Choose("actor", nodes, seeded())
		if !errors.Is(err, c.err) || got != c.want {
			t.Errorf("%s: %q, %v, want %q, %v", c.name, got, err, c.want, c.err)
		}
	}
}

// fixed is a strategy that always chooses one node.
type fixed registry.NodeID

func (f fixed) Choose(registry.ActorID, []registry.Node, *rand.Rand) (registry.NodeID, error) {
	return registry.NodeID(f), nil
}
