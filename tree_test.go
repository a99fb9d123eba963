package kelpie_test

import (
	"bytes"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// maxLines is how long a Go file may be, in lines.
const maxLines = 600

// longFiles maps a file that is longer to the reason why it stays whole.
var longFiles = map[string]string{}

// emptyNames are names of folders that do not say what is in them.
var emptyNames = []string{"common", "helper", "helpers", "impl", "misc", "type", "types", "util", "utils"}

// The words are written in two halves so that this file is not found guilty.
var (
	leftOpen     = regexp.MustCompile(`(^|[^.\w])(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	machinePath  = regexp.MustCompile(`(^|[^\w./}])/(wo` + `rk|ro` + `ot|ho` + `me|Us` + `ers|tmp/sp` + `ec|tmp/bash_jo` + `bs)/`)
	proxyAddress = regexp.MustCompile(`(?i)\b(GOPR` + `OXY|GOSUM` + `DB|GONOSUM` + `DB|https?_pr` + `oxy)\s*[=:]|https?://(10|172|192|100)\.\d+\.\d+\.\d+`)
	textFile     = regexp.MustCompile(`(?i)(\.(go|md|txt|sh|ya?ml|mod|json|txtar|patch|diff|html)|/?Makefile|\.ci/run|\.gitignore)$`)
)

func TestTreeIsFitForVisitors(t *testing.T) {
	problems, files := treeProblems(t, os.DirFS("."))
	for _, problem := range problems {
		t.Error(problem)
	}
	if files < 30 {
		t.Fatalf("found %d files in the whole tree: the test is not looking", files)
	}
}

func TestTreeRejects(t *testing.T) {
	long := "// Package p is long.\npackage p\n" + strings.Repeat("// and so on\n", maxLines)
	for _, c := range []struct {
		file, text string
		want       string // in the only problem; "" when there is none
	}{
		{"p/p.go", long, "lines"},
		{"p/p.go", "package p\n", "package comment"},
		{"p/p.go", "// Something else.\npackage p\n", "package comment"},
		{"cmd/p/main.go", "// Package main is a command.\npackage main\n", "package comment"},
		{"p/util/p.go", "// Package util is empty words.\npackage util\n", "name"},
		{"p/types/p.go", "// Package types is empty words.\npackage types\n", "name"},
		{"p/p.go", "// Package p is open.\npackage p\n\n// TO" + "DO: later\n", "left open"},
		{"p/p_test.go", "package p\n\n// FIX" + "ME\n", "left open"},
		{"Makefile", "run: ; cd /ro" + "ot/x && make\n", "machine"},
		{"docs/a.md", "see `/ho" + "me/me/file`\n", "machine"},
		{".github/workflows/a.yml", "env:\n  GOPR" + "OXY: https://example.com\n", "address"},
		{"a/testdata/x.txt", "http://10." + "0.0.1:80/\n", "address"},

		{"p/p.go", "// Package p is fine, like /var/lib/root/x or a://work/.\npackage p\n", ""},
		{"cmd/p/main.go", "// Command p runs.\npackage main\n", ""},
		{"p/p_test.go", "package p_test\n", ""},
		{"p/testdata/long.go", long, ""},
		{"bin/x.txt", "/ro" + "ot/x\n", ""},
		{"go.sum", "http://10." + "0.0.1/\n", ""},
	} {
		problems, _ := treeProblems(t, fstest.MapFS{c.file: {Data: []byte(c.text)}})
		switch {
		case c.want == "" && len(problems) > 0:
			t.Errorf("%s %.40q: %q, want none", c.file, c.text, problems)
		case c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0], c.want)):
			t.Errorf("%s %.40q: %q, want one with %q", c.file, c.text, problems, c.want)
		}
	}
}

// treeProblems returns what a visitor would stumble over, and the number of
// files it looked at.
func treeProblems(t *testing.T, tree fs.FS) (problems []string, files int) {
	t.Helper()
	complain := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	commented := map[string]bool{} // by folder; false: a package without a comment
	unusedLong := maps.Clone(longFiles)
	err := walkModule(tree, func(name string) error {
		if !textFile.MatchString(name) {
			return nil
		}
		files++
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		for i, line := range bytes.Split(src, []byte("\n")) {
			if machinePath.Match(line) {
				complain("%s:%d: a path of somebody's machine: %s", name, i+1, line)
			}
			if proxyAddress.Match(line) {
				complain("%s:%d: an address of somebody's network: %s", name, i+1, line)
			}
			if leftOpen.Match(line) && path.Ext(name) != ".md" {
				complain("%s:%d: left open: %s", name, i+1, line)
			}
		}
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			return nil
		}
		delete(unusedLong, name)
		lines := bytes.Count(src, []byte("\n"))
		switch reason, listed := longFiles[name]; {
		case lines > maxLines && !listed:
			complain("%s has %d lines, over %d", name, lines, maxLines)
		case lines <= maxLines && listed:
			complain("%s is no longer over %d lines, and has the reason %q", name, maxLines, reason)
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		has, err := hasPackageComment(name, src)
		commented[path.Dir(name)] = commented[path.Dir(name)] || has
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range sortedKeys(commented) {
		if !commented[folder] {
			complain("%s has no package comment", folder)
		}
		for part := range strings.SplitSeq(folder, "/") {
			if slices.Contains(emptyNames, part) {
				complain("%s: the name %s does not say what is in it", folder, part)
			}
		}
	}
	if _, whole := tree.(fstest.MapFS); !whole {
		for _, name := range sortedKeys(unusedLong) {
			complain("%s may be long and does not exist", name)
		}
	}
	return problems, files
}

// hasPackageComment reports whether a file introduces its package, as godoc
// has it: "Package name …", or "Command name …" for a command.
func hasPackageComment(name string, src []byte) (bool, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.PackageClauseOnly|parser.ParseComments)
	if err != nil {
		return false, err
	}
	start := "Package " + file.Name.Name + " "
	if file.Name.Name == "main" {
		start = "Command " + path.Base(path.Dir(name)) + " "
	}
	return strings.HasPrefix(strings.ReplaceAll(file.Doc.Text(), "\n", " "), start), nil
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
