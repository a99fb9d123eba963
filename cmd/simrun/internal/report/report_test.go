package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/scenario"
)

// sample returns the report of a batch in which one seed of ten fails, one
// stays undecided, and one declared event never happens.
func sample(t *testing.T) *Report {
	t.Helper()
	r := &Report{Command: "run", Workers: 2}
	run := func(c scenario.Config) (scenario.Result, error) {
		res := scenario.Result{
			Scenario: "fake", Store: scenario.StoreMemory, Seed: c.Seed, Events: 1000, Operations: 10, Virtual: time.Minute,
			Sometimes: []scenario.Count{{Name: "seen", N: 2}, {Name: "unseen"}}, Faults: []scenario.Count{{Name: "crash", N: 1}},
		}
		switch c.Seed {
		case 3:
			res.Failure = &scenario.Failure{Rule: "rule", Signature: "rule: here", Message: "what\nhappened", Process: "node-1", Task: "worker-0", At: time.Second, Event: 7}
		case 4:
			res.Unknown = "too many steps"
		}
		return res, nil
	}
	tally, err := batch.Run(t.Context(), batch.Options{
		Subjects: []batch.Subject{{Name: "fake", Sometimes: []string{"seen", "unseen"}, MinSeeds: 5, Run: run}},
		Jobs:     func(i uint64) (batch.Job, bool) { return batch.Job{Seed: i}, i < 10 },
		Workers:  2,
		OnResult: func(_ *batch.Subject, res *scenario.Result) {
			switch {
			case res.Failure != nil:
				r.Failures.Add(EntryOf(res))
			case res.Unknown != "":
				r.Unknowns.Add(EntryOf(res))
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Tally = tally
	return r
}

func TestTextSaysWhatFailedAndWhatNeverHappened(t *testing.T) {
	var b bytes.Buffer
	if err := sample(t).WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"SCENARIO", "fake", "1/2 MISSING", "1 failed", "crash 10", "seen 20, unseen 0", "trace hash ",
		"VIOLATION: rule: here", "seed 3", "event 7, process node-1, task worker-0", "  what\n  happened\n",
		"UNKNOWN: unknown: too many steps", `fake on memory: "unseen" never happened in 10 seeds`,
		"1 of 10 runs failed, in 1 way", "unknown is not passed",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text does not say %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "all held") {
		t.Errorf("the text says that all held:\n%s", b.String())
	}
}

func TestJSONHasTheFieldsOfItsContract(t *testing.T) {
	var b bytes.Buffer
	if err := sample(t).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(b.Bytes(), &m); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"seeds": 10.0, "passed": 8.0, "failed": 1.0, "unknown": 1.0, "operations": 100.0, "events": 10_000.0,
		"virtual_seconds": 600.0, "sometimes": map[string]any{"seen": 20.0, "unseen": 0.0}, "faults": map[string]any{"crash": 10.0},
	} {
		if got := m[key]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if s, _ := m["trace_hash"].(string); len(s) != 32 {
		t.Errorf("trace_hash is %v, want 32 digits", m["trace_hash"])
	}
	if w, _ := m["wall_seconds"].(float64); w <= 0 {
		t.Errorf("wall_seconds is %v, want above 0", m["wall_seconds"])
	}
	for _, list := range []string{"failures", "unknowns", "signatures", "missing", "scenarios"} {
		if l, ok := m[list].([]any); !ok || len(l) != 1 {
			t.Errorf("%s is %v, want a list of 1", list, m[list])
		}
	}
}

func TestListsOfAnEmptyReportAreNotNull(t *testing.T) {
	tally, err := batch.Run(t.Context(), batch.Options{Jobs: func(uint64) (batch.Job, bool) { return batch.Job{}, false }, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	r := Report{Tally: tally}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "null") {
		t.Errorf("null in\n%s", b.String())
	}
	if !r.Held() {
		t.Error("an empty batch did not hold")
	}
}

func TestHeldNeedsEverything(t *testing.T) {
	if sample(t).Held() {
		t.Error("held, although a run failed")
	}
	onlyMissing := sample(t)
	onlyMissing.Tally.Failed, onlyMissing.Tally.Unknown = 0, 0
	if onlyMissing.Held() {
		t.Error("held, although a declared event never happened")
	}
	onlyMissing.AnyPlan = true
	if !onlyMissing.Held() {
		t.Error("with faults that were given nothing has to happen sometimes")
	}
	unknown := sample(t)
	unknown.AnyPlan, unknown.Tally.Failed = true, 0
	if unknown.Held() {
		t.Error("held, although a run is undecided")
	}
}

func TestFailuresAreBoundedAndCounted(t *testing.T) {
	var f Failures
	for i := range 2 * MaxListed {
		f.Add(Entry{Scenario: "fake", Seed: uint64(i), Signature: "one"})
	}
	for i := range MaxSignatures {
		f.Add(Entry{Signature: fmt.Sprint(i)})
	}
	if len(f.Listed) != MaxListed || f.Omitted != uint64(MaxListed+MaxSignatures) || len(f.Groups) != MaxSignatures {
		t.Errorf("%d listed, %d omitted, %d groups", len(f.Listed), f.Omitted, len(f.Groups))
	}
	g := f.Groups[0]
	if g.Count != 2*MaxListed || len(g.Seeds) != maxSeedsShown {
		t.Errorf("the first group counts %d and shows %d seeds", g.Count, len(g.Seeds))
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100: "100"} {
		if got := Grouped(n); got != want {
			t.Errorf("Grouped(%d) = %q, want %q", n, got, want)
		}
	}
	if got := Plural(1, "seed") + " " + Plural(2000, "seed"); got != "1 seed 2,000 seeds" {
		t.Errorf("Plural: %q", got)
	}
}

func TestLongMessagesAreCutOnTheTerminal(t *testing.T) {
	text := indented(strings.Repeat("line\n", 100))
	if n := strings.Count(text, "\n"); n != maxMessageLines+1 || !strings.Contains(text, "80 lines more") {
		t.Errorf("%d lines:\n%s", n, text)
	}
}
