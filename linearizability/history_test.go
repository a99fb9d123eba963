package linearizability

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRecorderKeepsCallsAndReturns(t *testing.T) {
	r := NewRecorder(Header{Scenario: "mixed", Seed: 7}, 2)
	join := r.Invoke(10, Op{Client: "c1", Kind: KindJoin, Node: "n1"})
	r.Return(12, join, Result{Outcome: OutcomeOK, Incarnation: 5})
	claim := r.Invoke(13, Op{Client: "c1", Kind: KindClaim, Node: "n1", Incarnation: 5, Actor: "a"})
	open := r.Invoke(14, Op{Client: "c2", Kind: KindRevoke, Node: "n1", Incarnation: 5})
	r.Return(15, claim, Result{Outcome: OutcomeOK, Token: 6, Version: 6})
	r.Note(16, Op{Client: "c1", Kind: KindLost, Node: "n1", Incarnation: 5}, Result{Outcome: OutcomeOK})

	h := r.History()
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	want := []Op{
		{ID: join, Client: "c1", Kind: KindJoin, Node: "n1", Incarnation: 5, Call: 10, Return: 12, Outcome: OutcomeOK},
		{
			ID: claim, Client: "c1", Kind: KindClaim, Node: "n1", Incarnation: 5, Actor: "a", Token: 6, Version: 6,
			Call: 13, Return: 15, Outcome: OutcomeOK,
		},
		{ID: open, Client: "c2", Kind: KindRevoke, Node: "n1", Incarnation: 5, Call: 14, Return: Open},
		{ID: 3, Client: "c1", Kind: KindLost, Node: "n1", Incarnation: 5, Call: 16, Return: 16, Outcome: OutcomeOK},
	}
	for i := range want {
		if h.Ops[i] != want[i] {
			t.Errorf("operation %d is %+v, want %+v", i, h.Ops[i], want[i])
		}
	}
	r.Reset(Header{Seed: 8})
	if h := r.History(); len(h.Ops) != 0 || h.Seed != 8 || r.Len() != 0 {
		t.Errorf("after Reset: %+v", h)
	}
}

func TestRecorderRefusesReturnsThatMakeNoSense(t *testing.T) {
	r := NewRecorder(Header{}, 0)
	id := r.Invoke(1, Op{Client: "c", Kind: KindLookup, Actor: "a"})
	r.Return(2, id, Result{Outcome: OutcomeUnowned})
	for name, bad := range map[string]int{"twice": id, "unknown": 7, "negative": -1} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			r.Return(3, bad, Result{Outcome: OutcomeUnowned})
		})
	}
}

func TestRecorderIsSafeForSeveralTasks(t *testing.T) {
	r := NewRecorder(Header{}, 0)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 100 {
				id := r.Invoke(time.Duration(i), Op{Client: "c", Kind: KindLookup, Actor: "a"})
				r.Return(time.Duration(i), id, Result{Outcome: OutcomeUnowned})
			}
		})
	}
	wg.Wait()
	if r.Len() != 800 {
		t.Errorf("%d operations", r.Len())
	}
	if err := r.History().Validate(); err != nil {
		t.Error(err)
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	good := Op{
		ID: 1, Client: "c", Kind: KindClaim, Node: "n1", Incarnation: 5, Actor: "a", Call: 1, Return: 2,
		Outcome: OutcomeHeld, OwnerNode: "n2", OwnerIncarnation: 6, Token: 7,
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", MaxIDBytes+1)
	for _, c := range []struct {
		want   string
		damage func(o *Op)
	}{
		{"id is -1", func(o *Op) { o.ID = -1 }},
		{"unknown kind", func(o *Op) { o.Kind = 0 }},
		{"unknown kind", func(o *Op) { o.Kind = kindCount }},
		{"call time", func(o *Op) { o.Call = -1 }},
		{"call time", func(o *Op) { o.Call = MaxTime + 1 }},
		{"return time", func(o *Op) { o.Return = 0 }},
		{"return time", func(o *Op) { o.Return = Open }},
		{"missing client", func(o *Op) { o.Client = "" }},
		{"client is 1025 bytes", func(o *Op) { o.Client = long }},
		{"node is not valid UTF-8", func(o *Op) { o.Node = "\xff" }},
		{"owner is not valid UTF-8", func(o *Op) { o.OwnerNode = "\xff" }},
		{"missing node", func(o *Op) { o.Node = "" }},
		{"missing inc", func(o *Op) { o.Incarnation = 0 }},
		{"missing actor", func(o *Op) { o.Actor = "" }},
		{"missing token", func(o *Op) { o.Token = 0 }},
		{"missing owner", func(o *Op) { o.OwnerNode = "" }},
		{"missing owner_inc", func(o *Op) { o.OwnerIncarnation = 0 }},
		{"must not have version", func(o *Op) { o.Version = 3 }},
		{"must not have replace", func(o *Op) { o.Replace = true }},
		{"cannot end with valid", func(o *Op) { o.Outcome = OutcomeValid }},
		{"cannot end with outcome(77)", func(o *Op) { o.Outcome = 77 }},
		{"is pending but returned", func(o *Op) { o.Outcome = OutcomePending }},
		{"is pending but has token", func(o *Op) { o.Outcome, o.Return = OutcomePending, Open }},
	} {
		o := good
		c.damage(&o)
		if err := o.Validate(); !errors.Is(err, ErrOp) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
	h := History{Ops: []Op{good, good}}
	if err := h.Validate(); !errors.Is(err, ErrOp) || !strings.Contains(err.Error(), "twice") {
		t.Errorf("duplicate id: %v", err)
	}
	give := Op{
		Client: "c", Kind: KindTransfer, Node: "n1", Incarnation: 5, Actor: "a", Token: 7, Return: 2,
		Outcome: OutcomeOK, OwnerNode: "n1", OwnerIncarnation: 5, NewToken: 8,
	}
	if err := give.Validate(); !errors.Is(err, ErrOp) || !strings.Contains(err.Error(), "the session that gives") {
		t.Errorf("a transfer to itself: %v", err)
	}
	give.OwnerIncarnation, give.NewToken = 6, 0
	if err := give.Validate(); !errors.Is(err, ErrOp) || !strings.Contains(err.Error(), "missing new_token") {
		t.Errorf("a transfer without a token: %v", err)
	}
	join := Op{Client: "c", Kind: KindJoin, Node: "n1", Outcome: OutcomeInUse, OwnerNode: "n2", OwnerIncarnation: 3}
	if err := join.Validate(); !errors.Is(err, ErrOp) || !strings.Contains(err.Error(), "owner is") {
		t.Errorf("in-use by another node: %v", err)
	}
}

func TestNamesOfKindsAndOutcomesParseBack(t *testing.T) {
	for k := kindNone + 1; k < kindCount; k++ {
		if got, err := ParseKind(k.String()); err != nil || got != k {
			t.Errorf("%v: %v, %v", k, got, err)
		}
	}
	for o := OutcomePending + 1; o < outcomeCount; o++ {
		if got, err := ParseOutcome(o.String()); err != nil || got != o {
			t.Errorf("%v: %v, %v", o, got, err)
		}
	}
	if _, err := ParseKind("steal"); !errors.Is(err, ErrOp) {
		t.Error(err)
	}
	if _, err := ParseOutcome("pending"); !errors.Is(err, ErrOp) {
		t.Error(err)
	}
}
