package linearizability

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// opinions of a history, each by itself.
type opinions struct {
	whole, parts, witness Verdict
	certified             bool
}

func opinionsOf(h *History) opinions {
	c := newChecker()
	c.x.build(h)
	var o opinions
	o.witness = c.witness.run(c.x)
	if o.witness == Ok {
		o.certified = c.x.certify(&c.prover.search, c.witness.order)
	}
	o.whole = c.prover.whole(defaultSteps)
	o.parts, _ = c.prover.parts(defaultSteps)
	return o
}

// disagreement says what is wrong among the opinions, or "".
func (o opinions) disagreement() string {
	switch {
	case o.whole == Unknown:
		return ""
	case o.witness != Unknown && o.witness != o.whole:
		return fmt.Sprintf("porcupine says %s, the witness %s", o.whole, o.witness)
	case o.witness == Ok && !o.certified:
		return "the witness's order is not legal"
	case o.whole == Ok && o.parts == Illegal:
		return "the parts reject what the whole accepts"
	}
	return ""
}

func smallShape(d draw) shape {
	return shape{ops: 1 + d(14), nodes: 1 + d(3), actors: 1 + d(2), width: d(5), openPercent: []int{0, 15, 40}[d(3)]}
}

func TestLegalHistoriesAreAcceptedByAllCheckers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRapid(t)
		h := generate(d, smallShape(d))
		o := opinionsOf(h)
		if o.whole != Ok || o.parts != Ok || (o.witness != Ok && openJoins(h) == 0) || o.witness == Illegal {
			t.Fatalf("%+v\n%s", o, notation(h))
		}
		if text := o.disagreement(); text != "" {
			t.Fatalf("%s\n%s", text, notation(h))
		}
	})
}

func TestMutatedHistoriesGetTheOraclesVerdict(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawRapid(t)
		h := generate(d, smallShape(d))
		for range 1 + d(3) {
			h = mutate(d, h)
		}
		agreesWithOracle(t, h)
	})
}

func TestRandomMutatedHistoriesGetTheOraclesVerdict(t *testing.T) {
	legal, illegal, unsure := 0, 0, 0
	for seed := range uint64(2000) {
		d := drawRand(rand.New(rand.NewPCG(seed, 1)))
		h := generate(d, smallShape(d))
		for range 1 + d(3) {
			h = mutate(d, h)
		}
		switch agreesWithOracle(t, h) {
		case Ok:
			legal++
		case Illegal:
			illegal++
		default: // not decided
		}
		if opinionsOf(h).witness == Unknown {
			unsure++
		}
	}
	t.Logf("%d legal, %d illegal; the witness did not decide %d", legal, illegal, unsure)
	if legal < 50 || illegal < 50 {
		t.Errorf("%d legal and %d illegal histories: the mutations are one-sided", legal, illegal)
	}
}

func agreesWithOracle(t interface{ Fatalf(string, ...any) }, h *History) Verdict {
	o := opinionsOf(h)
	if text := o.disagreement(); text != "" {
		t.Fatalf("%s\n%s", text, notation(h))
	}
	legal, ok := oracleLegal(h, 30_000)
	if !ok {
		return o.whole
	}
	want := Illegal
	if legal {
		want = Ok
	}
	if o.whole != want {
		t.Fatalf("the oracle says %s, porcupine %s, the witness %s\n%s", want, o.whole, o.witness, notation(h))
	}
	return o.whole
}

func openJoins(h *History) int {
	n := 0
	for i := range h.Ops {
		if op := &h.Ops[i]; op.Kind == KindJoin && oracleOpen(op) {
			n++
		}
	}
	return n
}
