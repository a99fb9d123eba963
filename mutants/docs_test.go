package mutants

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the table in docs/mutants.md")

const (
	tableBegins = "<!-- table: go test ./mutants -run Documented -rewrite -->\n"
	tableEnds   = "<!-- end of table -->\n"
)

// table is what docs/mutants.md shows of the catalogue.
func table(ms []Mutant) string {
	var b strings.Builder
	b.WriteString("| mutant | the bug | shows | seen | found by |\n| --- | --- | --- | --- | --- |\n")
	cell := strings.NewReplacer("|", `\|`)
	for _, m := range ms {
		fmt.Fprintf(&b, "| `%s` | **%s.** %s | %s | %s | %s |\n", m.Name,
			cell.Replace(m.Title), cell.Replace(m.Bug), cell.Replace(m.Shows), cell.Replace(m.Seen), strings.Join(m.Scenarios, ", "))
	}
	return b.String()
}

func TestCatalogueIsDocumented(t *testing.T) {
	name := filepath.Join(sourceRoot(t), "docs", "mutants.md")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(data), tableBegins)
	got, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has no table between\n%s\tand\n%s", name, tableBegins, tableEnds)
	}
	want := table(List())
	if got == want {
		return
	}
	if !*rewrite {
		t.Fatalf("the table in %s and the catalogue disagree; after review: go test ./mutants -run Documented -rewrite\ngot:\n%s\nwant:\n%s", name, got, want)
	}
	if err := os.WriteFile(name, []byte(before+tableBegins+want+tableEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
