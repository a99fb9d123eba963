package kelpie_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// edit is a command in a document that changes a file.
var edit = regexp.MustCompile(`(?m)^\$ sed -i\.bak 's/([^/]+)/([^/]+)/' (\S+)$`)

func TestReadmeChangesALineThatIsThere(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	edits := edit.FindAllStringSubmatch(string(readme), -1)
	if len(edits) != 1 {
		t.Fatalf("the README changes %d lines of code, want the one of its failing seed", len(edits))
	}
	old, file := edits[0][1], edits[0][3]
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(code), old); n != 1 {
		t.Errorf("%q is %d times in %s, want once: a visitor who follows the README finds nothing", old, n, file)
	}
}
