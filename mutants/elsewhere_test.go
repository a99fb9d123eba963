package mutants

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/scenario"
)

var (
	quoted   = regexp.MustCompile("`([^`]+)`")
	function = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
)

// What the page of bugs elsewhere says to show one must exist.
func TestBugsElsewhereAreShownByWhatExists(t *testing.T) {
	text, err := os.ReadFile("../docs/bugs-elsewhere.md")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"simrun bench load": true}
	for _, s := range scenario.All() {
		known[s.Name] = true
	}
	for _, m := range List() {
		known[m.Name] = true
	}
	for _, folder := range []string{"../registry", "../scale"} {
		files, err := filepath.Glob(folder + "/*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range function.FindAllSubmatch(code, -1) {
				known[string(m[1])] = true
			}
		}
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.HasPrefix(strings.TrimSpace(cells[1]), "---") || strings.TrimSpace(cells[1]) == "there" {
			continue
		}
		rows++
		names := quoted.FindAllStringSubmatch(cells[4], -1)
		if len(names) == 0 {
			t.Errorf("nothing shows %s", cells[1])
		}
		for _, n := range names {
			if !known[n[1]] {
				t.Errorf("%s is said to be shown by %q, which does not exist", cells[1], n[1])
			}
		}
	}
	if rows < 12 {
		t.Errorf("the page has %d rows: the test is not looking", rows)
	}
}
