package linearizability

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// crowd is a legal history that a search must try hard to order: the claims and
// releases of eight nodes overlap, and the order in which they were called is
// the wrong one.
func crowd() string {
	var b strings.Builder
	b.WriteString("0 1 join n0 = ok 1\n2 3 claim n0/1 a = ok 1\n4 5 leave n0/1 = ok\n")
	for i := 8; i >= 1; i-- {
		fmt.Fprintf(&b, "6 7 join n%d = ok 1\n", i)
		fmt.Fprintf(&b, "10 99 claim n%d/1 a = ok %d\n10 99 release n%d/1 a %d = ok\n", i, i+1, i, i+1)
	}
	return b.String()
}

func TestASearchOutOfStepsSaysUnknown(t *testing.T) {
	h := parseHistory(t, crowd())
	c := newChecker()
	c.x.build(h)
	if v := c.prover.whole(defaultSteps); v != Ok {
		t.Fatalf("%s after %d steps", v, c.prover.steps)
	}
	needed := int(c.prover.steps)
	if v := c.prover.whole(needed); v != Ok {
		t.Errorf("%s with exactly the steps it needs", v)
	}
	for _, budget := range []int{1, needed / 2, needed - 1} {
		if v := c.prover.whole(budget); v != Unknown || int(c.prover.steps) != budget {
			t.Errorf("%s after %d steps of %d", v, c.prover.steps, budget)
		}
	}
}

func TestAnIllegalHistoryBeyondTheBudgetIsNotAPass(t *testing.T) {
	h := parseHistory(t, crowd()+"200 201 lookup a = ok n8/1 9\n")
	r := Check(h, Options{Steps: 10})
	if r.Porcupine != Unknown || r.Witness != Illegal || r.Verdict != Illegal {
		t.Errorf("porcupine %s, witness %s, verdict %s", r.Porcupine, r.Witness, r.Verdict)
	}
	// An open join that sessions compete for keeps the witness from deciding.
	h = parseHistory(t, crowd()+"200 201 lookup a = ok n8/1 9\n0 - join n9 replace\n")
	r = Check(h, Options{Steps: 10})
	if r.Verdict != Unknown || !errors.Is(r.Err(), ErrUndecided) {
		t.Errorf("porcupine %s, witness %s, verdict %s: %v", r.Porcupine, r.Witness, r.Verdict, r.Err())
	}
}

func TestAWitnessThatWasReplayedDecidesWhereTheSearchDoesNot(t *testing.T) {
	r := Check(parseHistory(t, crowd()), Options{Steps: 10})
	if r.Porcupine != Unknown || r.Witness != Ok || r.Verdict != Ok || r.Err() != nil {
		t.Errorf("%+v", r)
	}
}

func TestVerdictsCombine(t *testing.T) {
	for _, c := range []struct {
		porcupine Verdict
		whole     bool
		witness   Verdict // Ok means certified
		verdict   Verdict
		agree     bool
	}{
		{Ok, true, Ok, Ok, true},
		{Ok, false, Ok, Ok, true},
		{Ok, true, Unknown, Ok, true},
		{Ok, false, Unknown, Unknown, true},
		{Ok, true, Illegal, Illegal, false},
		{Ok, false, Illegal, Illegal, true},
		{Illegal, true, Ok, Illegal, false},
		{Illegal, false, Ok, Illegal, false},
		{Illegal, true, Unknown, Illegal, true},
		{Illegal, true, Illegal, Illegal, true},
		{Unknown, true, Ok, Ok, true},
		{Unknown, true, Unknown, Unknown, true},
		{Unknown, true, Illegal, Illegal, true},
	} {
		r := Report{Porcupine: c.porcupine, Whole: c.whole, Witness: c.witness}
		if agree := r.decide(c.witness == Ok); agree != c.agree || r.Verdict != c.verdict {
			t.Errorf("%+v: verdict %s, agree %v", c, r.Verdict, agree)
		}
	}
}

func TestALongHistoryIsSearchedInParts(t *testing.T) {
	h := benchmarkHistory(shape{ops: 400, nodes: 4, actors: 6, width: 5})
	r := Check(h, Options{})
	if r.Whole || r.Stats.Searches != 10 || r.Err() != nil {
		t.Errorf("whole %v, %d searches: %v", r.Whole, r.Stats.Searches, r.Err())
	}
	if r := Check(h, Options{WholeMax: 1000}); !r.Whole || r.Stats.Searches != 1 || r.Err() != nil {
		t.Errorf("whole %v, %d searches: %v", r.Whole, r.Stats.Searches, r.Err())
	}
	short := parseHistory(t, twoOwners)
	if r := Check(short, Options{WholeMax: -1}); r.Whole || r.Err() != nil {
		t.Errorf("whole %v: %v", r.Whole, r.Err())
	}
}

func TestTheFailingPartIsNamedWhenOnlyTheSearchKnows(t *testing.T) {
	c := newChecker()
	c.x.build(parseHistory(t, twoOwners+"8 9 lookup b = unowned\n10 11 lookup a = unowned"))
	v, at := c.prover.parts(defaultSteps)
	if v != Illegal || c.x.unexplained(at).Actor != "a" {
		t.Errorf("%s at %+v", v, c.x.unexplained(at))
	}
	c.x.build(parseHistory(t, "0 1 join n1 = ok 1\n2 3 join n1 = ok 2"))
	v, at = c.prover.parts(defaultSteps)
	if text := c.x.unexplained(at).Explanation; v != Illegal || !strings.Contains(text, `"n1"`) {
		t.Errorf("%s: %s", v, text)
	}
}

func TestAMalformedHistoryIsNotJudged(t *testing.T) {
	h := parseHistory(t, twoOwners)
	h.Ops[3].ID = h.Ops[2].ID
	r := Check(h, Options{})
	if r.Verdict != Unknown || !hasRule(r.Violations, RuleMalformed) || r.Err() == nil {
		t.Errorf("%+v", r)
	}
}

func TestAnEmptyHistoryIsLegal(t *testing.T) {
	r := Check(&History{}, Options{})
	if r.Err() != nil || r.Verdict != Ok {
		t.Errorf("%+v", r)
	}
}

// A checker keeps its memory from one history to the next; nothing of the
// history may stay in it.
func TestReportsDoNotDependOnWhatWasCheckedBefore(t *testing.T) {
	var histories []*History
	var want []Report
	for seed := range uint64(60) {
		d := drawRand(rand.New(rand.NewPCG(seed, 3)))
		h := generate(d, shape{ops: 5 + d(60), nodes: 1 + d(5), actors: 1 + d(5), width: d(6), openPercent: 20})
		if seed%2 == 0 {
			h = mutate(d, h)
		}
		histories = append(histories, h)
		want = append(want, newChecker().check(h, Options{WholeMax: 30}))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i, h := range histories {
				if got := Check(h, Options{WholeMax: 30}); !reflect.DeepEqual(got, want[i]) {
					t.Errorf("history %d: %+v, want %+v", i, got, want[i])
				}
			}
		})
	}
	wg.Wait()
}

func TestACheckDoesNotChangeItsHistory(t *testing.T) {
	h := benchmarkHistory(shape{ops: 60, nodes: 3, actors: 2, width: 4, openPercent: 10})
	before := notation(h)
	Check(h, Options{})
	if notation(h) != before {
		t.Error("it did")
	}
}

func TestAnOrderThatIsNotLegalIsNotCertified(t *testing.T) {
	c := newChecker()
	c.x.build(parseHistory(t, twoOwners+"8 9 lookup a = ok n2/2 4"))
	if v := c.witness.run(c.x); v != Ok {
		t.Fatal(v)
	}
	order := append([]int32(nil), c.witness.order...)
	if !c.x.certify(&c.prover.search, order) {
		t.Fatal("the witness's own order is refused")
	}
	last := len(order) - 1
	if c.x.certify(&c.prover.search, order[:last]) {
		t.Error("an order that lacks an operation is certified")
	}
	if c.x.certify(&c.prover.search, append(order[:last:last], order[last-1], order[last])) {
		t.Error("an order that has an effect twice is certified")
	}
	order[0], order[1] = order[1], order[0] // the joins overlap
	if !c.x.certify(&c.prover.search, order) {
		t.Error("an order that swaps what overlaps is refused")
	}
	order[2], order[3] = order[3], order[2]
	if c.x.certify(&c.prover.search, order) {
		t.Error("an order that swaps a claim and a later revocation is certified")
	}

	c.x.build(parseHistory(t, "0 1 join n1 = ok 1\n2 3 join n2 = ok 2"))
	if !c.x.certify(&c.prover.search, []int32{0, 1}) || c.x.certify(&c.prover.search, []int32{1, 0}) {
		t.Error("an order that is against real time is certified")
	}
}
