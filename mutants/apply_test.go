package mutants

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestApplyChangesWholeLinesFoundOnce(t *testing.T) {
	const text = "a\n\tb\nb\nc\n\nd\n"
	for name, c := range map[string]struct {
		hunks []Hunk
		want  string // the file, when it applies
		says  string // in the error, when it does not
	}{
		"one":              {hunks: []Hunk{{"\tb\n", "x\ny\n"}}, want: "a\nx\ny\nb\nc\n\nd\n"},
		"a whole line":     {hunks: []Hunk{{"b\n", "x\n"}}, want: "a\n\tb\nx\nc\n\nd\n"},
		"removed":          {hunks: []Hunk{{"b\nc\n", ""}}, want: "a\n\tb\n\nd\n"},
		"blank line":       {hunks: []Hunk{{"c\n\nd\n", "e\n"}}, want: "a\n\tb\nb\ne\n"},
		"first and last":   {hunks: []Hunk{{"a\n", "A\n"}, {"d\n", "D\n"}}, want: "A\n\tb\nb\nc\n\nD\n"},
		"in any order":     {hunks: []Hunk{{"d\n", "D\n"}, {"a\n", "A\n"}}, want: "A\n\tb\nb\nc\n\nD\n"},
		"side by side":     {hunks: []Hunk{{"b\n", "B\n"}, {"c\n", "C\n"}}, want: "a\n\tb\nB\nC\n\nd\n"},
		"not its own text": {hunks: []Hunk{{"a\n", "c\n"}, {"c\n", "a\n"}}, want: "c\n\tb\nb\na\n\nd\n"},
		"absent":           {hunks: []Hunk{{"a\n", "x\n"}, {"nope\nc\n", "x\n"}}, says: `hunk 2: its old lines are there 0 times, exactly once is needed; line 1, "nope", does not follow`},
		"partly there":     {hunks: []Hunk{{"b\nc\nd\n", "x\n"}}, says: `hunk 1: its old lines are there 0 times, exactly once is needed; line 3, "d", does not follow`},
		"other blanks":     {hunks: []Hunk{{"  b\n", "x\n"}}, says: "there 0 times"},
		"trailing blank":   {hunks: []Hunk{{"b \n", "x\n"}}, says: "there 0 times"},
		"overlap":          {hunks: []Hunk{{"b\nc\n", "x\n"}, {"c\n\n", "y\n"}}, says: "hunk 2: it overlaps hunk 1"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := File{Path: "p/f.go", Hunks: c.hunks}.apply("the-mutant", text)
			if c.says == "" {
				if err != nil || got != c.want {
					t.Errorf("got %q, %v; want %q", got, err, c.want)
				}
				return
			}
			if !errors.Is(err, ErrDoesNotApply) {
				t.Fatalf("got %v", err)
			}
			for _, want := range []string{c.says, `"the-mutant"`, `"p/f.go"`} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
		})
	}
}

func TestApplyRefusesOldLinesThatAreThereTwice(t *testing.T) {
	for _, text := range []string{"x\na\nx\n", "x\nx\n", "x\n\tx\nx\n"} {
		_, err := File{Path: "f.go", Hunks: []Hunk{{"x\n", "y\n"}}}.apply("m", text)
		if !errors.Is(err, ErrDoesNotApply) || !strings.Contains(err.Error(), "are there 2 times") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

// Old lines that overlap themselves are there twice.
func TestApplySeesOccurrencesThatOverlap(t *testing.T) {
	_, err := File{Path: "f.go", Hunks: []Hunk{{"x\nx\n", "y\n"}}}.apply("m", "x\nx\nx\n")
	if !errors.Is(err, ErrDoesNotApply) {
		t.Errorf("got %v", err)
	}
}

func TestApplyReportsEveryHunkThatDoesNotApply(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte("a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	bad := []Hunk{{"one\n", ""}, {"two\n", ""}}
	got, err := Apply(Mutant{Name: "m", Files: []File{{"a.go", bad}, {"gone.go", bad}}}, root)
	if got != nil || !errors.Is(err, ErrDoesNotApply) || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v, %v", got, err)
	}
	for _, want := range []string{`"a.go", hunk 1`, `"a.go", hunk 2`, "gone.go"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}
