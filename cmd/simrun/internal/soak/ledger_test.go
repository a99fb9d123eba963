package soak

import (
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/linearizability"
)

func TestGiftsComeWithTheirPayload(t *testing.T) {
	g := newGifts()
	g.send("first", owning{"a", 7})
	g.send("second", owning{"a", 9})
	g.send("other", owning{actor: "b"})
	for _, c := range []struct {
		name    string
		o       owning
		payload string
		says    string
	}{
		{"no gift", owning{"a", 8}, "", ""},
		{"a gift", owning{"a", 10}, "second", ""},
		{"of another actor", owning{"a", 11}, "other", "not sent with it"},
		{"a placement", owning{"b", 11}, "other", ""},
		{"never sent", owning{"a", 12}, "x", "not sent with it"},
		{"from a later ownership", owning{"a", 6}, "first", "not sent with it"},
	} {
		if got := g.opened(c.o, c.payload); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.says)
		}
	}
	// What is known only later counts as well, and the other way round.
	if got := g.made(owning{"a", 10}, "first"); !strings.Contains(got, "want") {
		t.Errorf("a payload swapped before: got %q", got)
	}
	if got := g.made(owning{"a", 20}, "first"); got != "" {
		t.Errorf("a gift under way: got %q", got)
	}
	if got := g.opened(owning{"a", 20}, ""); !strings.Contains(got, "want") {
		t.Errorf("a payload lost: got %q", got)
	}
}

func TestALedgerAddsUpAndKeepsTheFirstDefect(t *testing.T) {
	l := NewLedger()
	for _, n := range []Note{
		{Kind: NoteCount, Count: CountGiven, N: 2},
		{Kind: NoteCount, Count: CountGiven, N: 1},
		{Kind: NoteCount, Count: CountPlace, N: 1},
		{Kind: NoteDegrade},
		{Kind: NoteSent, Actor: "a", Token: 1, Payload: "p"},
		{Kind: NoteMade, Actor: "a", Token: 2, Payload: "p"},
	} {
		l.Take(n)
	}
	if v := l.Defect(); v != nil {
		t.Errorf("nothing was wrong, and yet %+v", *v)
	}
	c := Counts{Lookups: 5}
	if l.fill(&c); c.Given != 3 || c.Degraded != 1 || c.Places != 1 || c.Lookups != 4 {
		t.Errorf("counted: %+v", c)
	}
	l.Take(Note{Kind: NoteOpened, Actor: "a", Token: 2, Payload: "q"})
	l.Take(Note{Kind: NoteDefect, Rule: RuleGivenTwice, Message: "two"})
	if v := l.Defect(); v == nil || v.Rule != RuleWrongPayload {
		t.Errorf("got %+v, want %s", v, RuleWrongPayload)
	}
	l = NewLedger()
	l.Take(Note{Kind: "news"})
	if v := l.Defect(); v == nil || v.Rule != RuleUnknownNote {
		t.Errorf("got %+v, want %s", v, RuleUnknownNote)
	}
}

func TestCountsOfAHistory(t *testing.T) {
	op := func(client string, k linearizability.Kind, node string, token uint64, o linearizability.Outcome) linearizability.Op {
		return linearizability.Op{Client: client, Kind: k, Node: node, Actor: "a", Token: token, Outcome: o}
	}
	const ok = linearizability.OutcomeOK
	h := &linearizability.History{Ops: []linearizability.Op{
		op("n/0", linearizability.KindClaim, "n", 1, ok),
		op("m/0", linearizability.KindClaim, "m", 2, ok), // a fail-over
		op("m/0", linearizability.KindRelease, "m", 2, linearizability.OutcomePending),
		op("n/0", linearizability.KindClaim, "n", 3, ok), // it may have been released
		op("n/registry", linearizability.KindRevoke, "m", 0, ok),
		op("m/keeper", linearizability.KindLost, "m", 0, ok),
		op("n/0", linearizability.KindWrite, "n", 3, linearizability.OutcomeRejected),
		op("n/registry", linearizability.KindClaim, "n", 4, ok),
	}}
	var c Counts
	c.addHistory(h)
	want := Counts{Claims: 3, Releases: 1, Writes: 1, RefusedWrites: 1, Revoked: 1, Lost: 1, Failovers: 1}
	if c != want {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
}
