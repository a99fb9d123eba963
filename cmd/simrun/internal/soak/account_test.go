package soak

import (
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
)

// did is an operation of session n/1 on actor a, which took an instant.
func did(at time.Duration, k linearizability.Kind, token uint64, o linearizability.Outcome) linearizability.Op {
	return linearizability.Op{Kind: k, Node: "n", Incarnation: 1, Actor: "a", Token: token, Call: at, Return: at + 1, Outcome: o}
}

func TestStandingAgainstAHistory(t *testing.T) {
	const (
		ok      = linearizability.OutcomeOK
		unknown = linearizability.OutcomeUnknown
		pending = linearizability.OutcomePending
		valid   = linearizability.OutcomeValid
		claim   = linearizability.KindClaim
		release = linearizability.KindRelease
		use     = linearizability.KindUse
	)
	claimed := did(10, claim, 5, ok)
	transferred := did(20, linearizability.KindTransfer, 5, ok)
	transferred.OwnerNode, transferred.OwnerIncarnation, transferred.NewToken = "m", 2, 8
	guarded := did(20, linearizability.KindGuard, 5, ok)
	owner := func(n registry.NodeID, i registry.Incarnation, t registry.Token) *registry.Owner {
		return &registry.Owner{Node: n, Incarnation: i, Token: t}
	}
	own := owner("n", 1, 5)
	during := did(30, release, 5, ok) // called while nobody could be sure
	during.Call, during.Return = 90, 150
	for _, c := range []struct {
		name    string
		ops     []linearizability.Op
		owner   *registry.Owner // nil: none
		dead    bool            // no session lives
		guarded registry.Token
		says    string
	}{
		{"nothing", nil, nil, false, 0, ""},
		{"a claim that stands", []linearizability.Op{claimed}, own, false, 0, ""},
		{"a claim that is lost", []linearizability.Op{claimed}, nil, false, 0, "the store has no owner"},
		{"a claim of a session that is over", []linearizability.Op{claimed}, nil, true, 0, ""},
		{"a claim that went back", []linearizability.Op{claimed}, owner("m", 2, 4), false, 0, "token 5 was acknowledged"},
		{"a claim that others followed", []linearizability.Op{claimed}, owner("m", 2, 6), false, 0, ""},
		{"a release", []linearizability.Op{claimed, did(20, release, 5, ok)}, nil, false, 0, ""},
		{"a release that is lost", []linearizability.Op{claimed, did(20, release, 5, ok)}, own, false, 0, "was given up"},
		{"a release in doubt, not done", []linearizability.Op{claimed, did(20, release, 5, unknown)}, own, false, 0, ""},
		{"a release in doubt, done", []linearizability.Op{claimed, did(20, release, 5, unknown)}, nil, false, 0, ""},
		{"a release under way at a kill", []linearizability.Op{claimed, did(20, release, 5, pending)}, nil, false, 0, ""},
		{"a release that failed and was done", []linearizability.Op{claimed, did(20, release, 5, linearizability.OutcomeFailed)}, nil, false, 0, "no owner"},
		{"a release while it was read, not yet done", []linearizability.Op{claimed, during}, own, false, 0, ""},
		{"a release while it was read, done", []linearizability.Op{claimed, during}, nil, false, 0, ""},
		{"a release of later", []linearizability.Op{claimed, did(150, release, 5, ok)}, own, false, 0, ""},
		{"a claim of later", []linearizability.Op{did(150, claim, 9, ok)}, nil, false, 0, ""},
		{"a transfer", []linearizability.Op{claimed, transferred}, owner("m", 2, 8), false, 0, ""},
		{"a transfer that is lost", []linearizability.Op{claimed, transferred}, own, false, 0, "was given up"},
		{"a transfer to one who lost it", []linearizability.Op{claimed, transferred}, nil, false, 0, "no owner"},
		{"a guarded write", []linearizability.Op{claimed, guarded}, own, false, 5, ""},
		{"a guarded write that others followed", []linearizability.Op{claimed, guarded}, own, false, 7, ""},
		{"a guarded write that is lost", []linearizability.Op{claimed, guarded}, own, false, 0, "guarded by token 5"},
		{"a handle that is valid all the while", []linearizability.Op{did(50, use, 5, valid), did(150, use, 5, valid)}, own, false, 0, ""},
		{"and the store does not know", []linearizability.Op{did(50, use, 5, valid), did(150, use, 5, valid)}, nil, true, 0, "all the while"},
		{"and the store knows another", []linearizability.Op{did(50, use, 5, valid), did(150, use, 5, valid)}, owner("m", 2, 6), false, 0, "all the while"},
		{"a handle that is valid before", []linearizability.Op{did(50, use, 5, valid)}, nil, true, 0, ""},
		{"a handle that is valid later", []linearizability.Op{did(150, use, 5, valid)}, nil, true, 0, ""},
	} {
		s := Standing{
			From: 100, To: 120, Live: map[registry.Target]bool{{Node: "n", Incarnation: 1}: !c.dead, {Node: "m", Incarnation: 2}: !c.dead},
			Owners: make(map[registry.ActorID]registry.Owner), Guarded: map[registry.ActorID]registry.Token{"a": c.guarded},
		}
		if c.owner != nil {
			s.Owners["a"] = *c.owner
		}
		_, v := s.Judge(&linearizability.History{Ops: c.ops})
		if (v == nil) != (c.says == "") || v != nil && (v.Rule != RuleUnaccounted || !strings.Contains(v.Message, c.says)) {
			t.Errorf("%s: %+v, want %q", c.name, v, c.says)
		}
	}
	s := Standing{From: 100, To: 120, Owners: map[registry.ActorID]registry.Owner{"a": *owner("m", 2, 8)}, Guarded: map[registry.ActorID]registry.Token{"a": 5}}
	n, v := s.Judge(&linearizability.History{Ops: []linearizability.Op{claimed, guarded, transferred}})
	if v != nil || n != (Accounted{Claims: 1, Transfers: 1, Guards: 1}) {
		t.Errorf("%+v, %+v", n, v)
	}
}

// TestAMemberWorksRestsAndRetires plays the nodes of a process in this one.
func TestAMemberWorksRestsAndRetires(t *testing.T) {
	res := memberRun(t)
	if len(res.before.Live) == 0 || len(res.before.Owners) == 0 {
		t.Errorf("at rest: %+v", res.before)
	}
	if n, v := res.before.Judge(res.history); v != nil || n.Claims == 0 || n.Believed != uint64(len(res.before.Owners)) {
		t.Errorf("accounted: %+v, %+v", n, v)
	}
	if len(res.after.Owners) != 0 || len(res.after.Live) != 0 {
		t.Errorf("after all have left: %+v", res.after)
	}
	r := linearizability.Check(res.history, linearizability.Options{})
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	if c := Count(res.history, res.ledger); c.Claims == 0 || c.Leaves == 0 {
		t.Errorf("counted: %+v", c)
	}
}
