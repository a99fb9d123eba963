package linearizability

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

func historyDocument(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/history.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheExampleOfTheDocumentIsAHistory(t *testing.T) {
	_, rest, ok := strings.Cut(historyDocument(t), "```jsonl\n")
	example, _, ends := strings.Cut(rest, "```")
	if !ok || !ends {
		t.Fatal("no example")
	}
	h, err := Decode(strings.NewReader(example), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if r := Check(h, Options{}); r.Err() != nil || r.Stats.Operations != 9 {
		t.Errorf("%+v", r)
	}
	var again bytes.Buffer
	if err := h.Encode(&again); err != nil {
		t.Fatal(err)
	}
	if again.String() != example {
		t.Errorf("the example is not what the encoder writes:\n%s", again.String())
	}
}

func TestTheDocumentHasTheTableOfKindsAndOutcomes(t *testing.T) {
	cell := func(must, may field) string {
		var names []string
		for _, f := range fieldNames {
			if must&f.bit != 0 {
				names = append(names, f.name)
			}
		}
		for _, f := range fieldNames {
			if may&f.bit != 0 {
				names = append(names, "["+f.name+"]")
			}
		}
		if names == nil {
			return " "
		}
		return " " + strings.Join(names, ", ") + " "
	}
	var b strings.Builder
	for k := kindNone + 1; k < kindCount; k++ {
		row := fmt.Sprintf("| `%v` |%s|", k, cell(kinds[k].invoke.must, kinds[k].invoke.may))
		for o := range outcomeCount {
			if r := kinds[k].results[o]; r.allowed {
				fmt.Fprintf(&b, "%s `%v` |%s|\n", row, o, cell(r.must, r.may))
				row = "| | |"
			}
		}
	}
	table := b.String()
	if !strings.Contains(historyDocument(t), table) {
		t.Errorf("docs/history.md must contain\n%s", table)
	}
}

func TestTheDocumentNamesEveryRule(t *testing.T) {
	text := historyDocument(t)
	rules := append(RealTimeRules(), RuleIncarnationReused, RuleTokenReused, RuleEndedTwice, RuleHeldByItself,
		RuleSessionUnknown, RuleSessionOver, RuleTokenUnknown, RuleOwnerNotEnded, RuleOwnerSeenLater, RuleCircular, RuleTransferNotNext,
		RuleNoOrder, RuleDisagree, RuleMalformed,
		RuleTwoValidHandles, RuleStaleWriteAccepted, RuleLostNodeActs, RuleEndedSessionValid)
	for _, rule := range rules {
		if !strings.Contains(text, "`"+string(rule)+"`") {
			t.Errorf("docs/history.md lacks %s", rule)
		}
	}
}
