package litmus_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/litmus"
)

// TestDocumentListsTheSteps holds the table of docs/conform.md to what the
// programs of each level take.
func TestDocumentListsTheSteps(t *testing.T) {
	text, err := os.ReadFile("../docs/conform.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| step | level |")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := map[litmus.Level][]string{}
	names := regexp.MustCompile("`([a-z-]+)`")
	for line := range strings.SplitSeq(table, "\n") {
		cells := strings.Split(line, " | ")
		if len(cells) < 3 || !strings.Contains(cells[0], "`") {
			continue
		}
		for _, name := range names.FindAllStringSubmatch(cells[0], -1) {
			documented[litmus.Client] = append(documented[litmus.Client], name[1])
			if cells[1] == string(litmus.Port) {
				documented[litmus.Port] = append(documented[litmus.Port], name[1])
			}
		}
	}
	for level, listed := range documented {
		var taken []string
		for _, slow := range []bool{false, true} {
			for seed := range uint64(3000) {
				p := litmus.Generate(litmus.Generation{Level: level, Slow: slow}, seed)
				for i := range p.Steps {
					name, _, _ := strings.Cut(p.Steps[i].String(), " ")
					if !slices.Contains(taken, name) {
						taken = append(taken, name)
					}
				}
			}
		}
		slices.Sort(taken)
		slices.Sort(listed)
		if !slices.Equal(taken, listed) {
			t.Errorf("level %s: programs take\n%q, the document lists\n%q", level, taken, listed)
		}
	}
	if len(documented[litmus.Port]) < 15 {
		t.Errorf("%d steps: the test is not looking", len(documented[litmus.Port]))
	}
}
