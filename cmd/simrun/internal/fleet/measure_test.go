package fleet

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/process"
	"github.com/kelpie-registry/kelpie/linearizability"
)

const (
	ok      = linearizability.OutcomeOK
	unknown = linearizability.OutcomeUnknown
)

// did is an operation of a node's session 1 on actor a, called at a time and done a
// unit later.
func did(node string, k linearizability.Kind, token uint64, at time.Duration, o linearizability.Outcome) linearizability.Op {
	op := linearizability.Op{Kind: k, Node: node, Incarnation: 1, Actor: "a", Token: token, Call: at, Return: at + 1, Outcome: o}
	if o == linearizability.OutcomePending {
		op.Return = linearizability.Open
	}
	return op
}

func TestNodeFailovers(t *testing.T) {
	kill := Fault{Kind: faultKill, Target: "nodes-1", Nodes: []int{0}, At: 100, Until: 150}
	claim := did("node-1", linearizability.KindClaim, 5, 10, ok)
	next := did("node-2", linearizability.KindClaim, 8, 300, ok)
	for _, c := range []struct {
		name string
		ops  []linearizability.Op
		want []time.Duration
	}{
		{"nobody came", []linearizability.Op{claim}, nil},
		{"another came", []linearizability.Op{claim, next}, []time.Duration{201}},
		{"itself came back", []linearizability.Op{claim, did("node-1", linearizability.KindClaim, 7, 250, ok), next}, []time.Duration{151}},
		{"another's actor", []linearizability.Op{did("node-3", linearizability.KindClaim, 5, 10, ok), next}, nil},
		{"it had been released", []linearizability.Op{claim, did("node-1", linearizability.KindRelease, 5, 20, ok), next}, nil},
		{"it may have been released", []linearizability.Op{claim, did("node-1", linearizability.KindRelease, 5, 99, linearizability.OutcomePending), next}, nil},
		{"its session was lost before", []linearizability.Op{claim, did("node-1", linearizability.KindLost, 0, 50, ok), next}, nil},
		{"its session was revoked after", []linearizability.Op{claim, did("node-1", linearizability.KindRevoke, 0, 200, ok), next}, []time.Duration{201}},
		{"an older owner", []linearizability.Op{claim, did("node-3", linearizability.KindClaim, 6, 50, ok), next}, nil},
	} {
		if got := nodeFailovers(&linearizability.History{Ops: c.ops}, []Fault{kill}); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestServerFailovers(t *testing.T) {
	h := &linearizability.History{Ops: []linearizability.Op{
		did("n", linearizability.KindGuard, 5, 99, ok), // it was on its way
		did("n", linearizability.KindClaim, 5, 160, ok),
		did("n", linearizability.KindGuard, 5, 161, unknown),
		did("n", linearizability.KindGuard, 5, 170, ok),
		did("n", linearizability.KindGuard, 5, 165, ok),
	}}
	h.Ops[0].Return = 155
	kill := Fault{Kind: faultKill, Target: serverName, At: 100, Until: 150}
	sinceKill, sinceStart := serverFailovers(h, []Fault{{Kind: faultFreeze, Target: serverName, At: 1}, kill})
	if !slices.Equal(sinceKill, []time.Duration{66}) || !slices.Equal(sinceStart, []time.Duration{16}) {
		t.Errorf("%v after the kill, %v after the start", sinceKill, sinceStart)
	}
}

func TestSpread(t *testing.T) {
	var times []time.Duration
	for i := range 100 {
		times = append(times, time.Duration(100-i)*time.Second)
	}
	want := Spread{N: 100, Min: 0.5, P50: 25.5, P90: 45.5, P99: 50, Max: 50}
	if got := spreadOf(times, 2*time.Second); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := spreadOf(nil, time.Second); got.String() != "none" {
		t.Errorf("%v", got)
	}
}

func TestWhatOutlivesAFreeze(t *testing.T) {
	const ttl = 50
	freeze := Fault{Kind: faultFreeze, Target: "nodes-1", Nodes: []int{0}, At: 100, Until: 150}
	join := did("node-1", linearizability.KindJoin, 0, 10, ok)
	use := func(at time.Duration, o linearizability.Outcome) linearizability.Op {
		return did("node-1", linearizability.KindUse, 5, at, o)
	}
	const valid, invalid = linearizability.OutcomeValid, linearizability.OutcomeInvalid
	short := freeze
	short.Until--
	late := did("node-1", linearizability.KindJoin, 0, 100, ok) // it ends after the freeze
	for _, c := range []struct {
		name   string
		op     linearizability.Op
		join   linearizability.Op
		freeze Fault
		asked  uint64
		broken bool
	}{
		{"valid before", use(90, valid), join, freeze, 0, false},
		{"asked before, answered after", use(99, valid), join, freeze, 0, false},
		{"invalid after", use(150, invalid), join, freeze, 1, false},
		{"valid after", use(150, valid), join, freeze, 1, true},
		{"a write after", did("node-1", linearizability.KindWrite, 5, 160, linearizability.OutcomeRejected), join, freeze, 1, true},
		{"valid after a short freeze", use(150, valid), join, short, 0, false},
		{"valid in a session of later", use(150, valid), late, freeze, 0, false},
		{"valid at another node", did("node-2", linearizability.KindUse, 5, 150, valid), join, freeze, 0, false},
	} {
		got := outlived(&linearizability.History{Ops: []linearizability.Op{c.join, c.op}}, []Fault{c.freeze}, ttl)
		if got.asked != c.asked || (got.broken != "") != c.broken {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestServerUsageIsThatOfTheLongestLife(t *testing.T) {
	sample := func(life int, at time.Duration, memory uint64, descriptors int) usage {
		return usage{life, at, process.Usage{Memory: memory, Descriptors: descriptors}}
	}
	u := serverUsage([]usage{
		sample(1, 0, 900, 90), sample(2, 10, 100, 10), sample(2, 20, 400, 12), sample(2, 30, 300, 11), sample(3, 40, 1, 1),
	}, 3)
	want := ServerUsage{
		Lives: 3, Span: 20, Memory: Course{100, 300, [4]uint64{100, 100, 400, 300}, 300, 400},
		Descriptors: Course{10, 11, [4]uint64{10, 10, 12, 11}, 11, 12},
		MaxMemory:   900, MaxDescriptors: 90,
	}
	if *u != want {
		t.Errorf("%+v\nwant %+v", *u, want)
	}
	if serverUsage(nil, 1) != nil {
		t.Error("usage without samples")
	}
}

func TestABagDrawsEverythingBeforeItDrawsAgain(t *testing.T) {
	f := newFleet(Options{Seed: 1})
	next := bag(f.rand("bag"), strings.Split("abcd", ""))
	for range 5 {
		var round []string
		for range 4 {
			round = append(round, next())
		}
		if slices.Sort(round); !slices.Equal(round, []string{"a", "b", "c", "d"}) {
			t.Errorf("a round of %v", round)
		}
	}
}
