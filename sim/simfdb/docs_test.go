package simfdb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentNamesTestsThatExist holds each row of the table of what is modeled
// to its tests.
func TestDocumentNamesTestsThatExist(t *testing.T) {
	document, err := os.ReadFile("../../docs/simfdb.md")
	if err != nil {
		t.Fatal(err)
	}
	known := testNames(t)
	transcripts, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range transcripts {
		known["TestRecordedFacts/"+strings.TrimSuffix(filepath.Base(file), ".txt")] = true
	}
	_, table, _ := strings.Cut(string(document), "\n## Modeled\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := 0
	for _, row := range strings.Split(table, "\n") {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if !strings.HasPrefix(row, "|") || strings.HasPrefix(row, "| **") || strings.HasPrefix(row, "| ---") || cells[0] == "behaviour" {
			continue
		}
		rows++
		if len(cells) != 2 {
			t.Errorf("row without a test: %s", row)
			continue
		}
		for _, name := range strings.Split(cells[1], ", ") {
			if !known[strings.Trim(name, "`")] {
				t.Errorf("%s: there is no %s", cells[0], name)
			}
		}
	}
	if rows < 40 {
		t.Errorf("found %d rows: the test is not looking", rows)
	}
}
