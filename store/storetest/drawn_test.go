package storetest

import (
	"flag"
	"os"
	"strings"
	"testing"
)

// TestMain sets rapid's flags, unless they are given: a wrong engine is to leave
// no file behind, is not worth a long search for its smallest script, and is
// found in every run or in none.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.nofailfile": "true", "rapid.shrinktime": "200ms", "rapid.seed": "1"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	os.Exit(m.Run())
}

// TestDrawnFailureComesWithItsScript demands that the error of a drawn history
// holds what it takes to understand it.
func TestDrawnFailureComesWithItsScript(t *testing.T) {
	for _, b := range conflictBugs {
		if b.name != "get adds no conflict" {
			continue
		}
		h := simulatedHarness(b.make)
		err := h.judgeDrawn(t)
		if err == nil {
			t.Fatal("not rejected")
		}
		for _, want := range []string{"what it read had changed", "of the script", "client 0, transaction 0", "client 1, transaction 0", "tx.Get("} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not say %q:\n%v", want, err)
			}
		}
		return
	}
	t.Fatal("there is no such bug")
}

// TestDrawnHistoriesAreSoMany demands that as many are played as the harness
// says.
func TestDrawnHistoriesAreSoMany(t *testing.T) {
	h := simulatedHarness(nil)
	h.Histories = 7
	worlds := 0
	whole := h.New
	h.New = func(tb testing.TB, seed uint64) World {
		worlds++
		return whole(tb, seed)
	}
	if err := h.judgeDrawn(t); err != nil || worlds != 7 {
		t.Errorf("%d worlds, %v", worlds, err)
	}
}

// TestFailureWithoutAScriptIsAnError demands that nothing which rapid says is
// dropped.
func TestFailureWithoutAScriptIsAnError(t *testing.T) {
	f := &finding{TB: t}
	f.Errorf("only generated 3 valid tests from 100 total")
	if f.result() == nil {
		t.Error("dropped")
	}
}
