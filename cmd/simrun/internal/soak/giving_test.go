package soak

import (
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
)

func TestGiftsComeWithTheirPayload(t *testing.T) {
	g := newGifts()
	first, second := g.send(gift{"a", 7}), g.send(gift{"a", 9})
	other := g.send(gift{actor: "b"})
	for _, c := range []struct {
		name    string
		o       owning
		payload []byte
		says    string
	}{
		{"no gift", owning{"a", 8}, nil, ""},
		{"a gift", owning{"a", 10}, second, ""},
		{"of another actor", owning{"a", 11}, other, "not sent with it"},
		{"a placement", owning{"b", 11}, other, ""},
		{"never sent", owning{"a", 12}, []byte("x"), "not sent with it"},
		{"from a later ownership", owning{"a", 6}, first, "not sent with it"},
	} {
		if got := g.opened(c.o, c.payload); (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.says)
		}
	}
	// What is known only later counts as well, and the other way round.
	if got := g.arrived(owning{"a", 10}, first); !strings.Contains(got, "want") {
		t.Errorf("a payload swapped before: got %q", got)
	}
	if got := g.arrived(owning{"a", 20}, first); got != "" {
		t.Errorf("a gift under way: got %q", got)
	}
	if got := g.opened(owning{"a", 20}, nil); !strings.Contains(got, "want") {
		t.Errorf("a payload lost: got %q", got)
	}
}

func TestTheFirstViolationIsKept(t *testing.T) {
	var r run
	r.demand(RuleGivenTwice, "")
	if r.violation != nil {
		t.Error("nothing was wrong")
	}
	r.demand(RuleWrongPayload, "one")
	r.demand(RuleGivenTwice, "two")
	if v := r.violation; v == nil || v.Rule != RuleWrongPayload || v.Message != "one" {
		t.Errorf("got %+v", v)
	}
}

func TestNewestSessionOfANode(t *testing.T) {
	g := newGifts()
	if _, ok := g.session("n"); ok {
		t.Error("there is none")
	}
	g.sessions["n"] = registry.Target{Node: "n", Incarnation: 3}
	if got, ok := g.session("n"); !ok || got.Incarnation != 3 {
		t.Errorf("got %v, %v", got, ok)
	}
}
