package kelpie_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// simulated is what lint/simulated.txt says.
type simulated struct {
	check []string
	skip  map[string]string // folder to reason
	real  []string          // files
}

// simulatedRoots are the folders at and below which each package runs in the
// simulator, unless the list skips it with a reason.
var simulatedRoots = []string{
	"clock", "faults", "host", "linearizability", "network", "registry", "scenario", "sim", "store",
}

const simulatedList = "lint/simulated.txt"

func TestDeterminismLinterCoversWhatRunsInTheSimulator(t *testing.T) {
	for _, problem := range simulatedProblems(t, os.DirFS(".")) {
		t.Error(problem)
	}
}

func TestSimulatedListRejects(t *testing.T) {
	code := func(imports ...string) *fstest.MapFile {
		text := "package p\n"
		for _, p := range imports {
			text += fmt.Sprintf("import _ %q\n", module+"/"+p)
		}
		return &fstest.MapFile{Data: []byte(text)}
	}
	list := func(lines ...string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.Join(lines, "\n"))}
	}
	marked := &fstest.MapFile{Data: []byte("//determinism:real it is\n\npackage p\nimport _ \"" + module + "/other\"\n")}
	for _, c := range []struct {
		name string
		tree fstest.MapFS
		want string // in the only problem; "" when there is none
	}{
		{"complete", fstest.MapFS{simulatedList: list("# x", "", "check sim"), "sim/a.go": code()}, ""},
		{"skipped", fstest.MapFS{simulatedList: list("skip sim because"), "sim/a.go": code()}, ""},
		{"a real file", fstest.MapFS{simulatedList: list("check sim", "real sim/r.go"), "sim/a.go": code(), "sim/r.go": marked}, ""},
		{"only tests", fstest.MapFS{simulatedList: list(), "sim/a_test.go": code()}, ""},

		{"package left out", fstest.MapFS{simulatedList: list("check sim"), "sim/a.go": code(), "sim/deep/b.go": code()}, "sim/deep"},
		{"import left out", fstest.MapFS{simulatedList: list("check sim"), "sim/a.go": code("other"), "other/b.go": code()}, "imports other"},
		{"import skipped", fstest.MapFS{
			simulatedList: list("check sim", "skip sim/deep because"), "sim/a.go": code("sim/deep"), "sim/deep/b.go": code(),
		}, "imports sim/deep"},
		{"no such package", fstest.MapFS{simulatedList: list("check sim", "check gone"), "sim/a.go": code()}, "gone"},
		{"no such skip", fstest.MapFS{simulatedList: list("skip gone because")}, "gone"},
		{"skip without a reason", fstest.MapFS{simulatedList: list("skip sim"), "sim/a.go": code()}, "reason"},
		{"real file left out", fstest.MapFS{simulatedList: list("check sim"), "sim/a.go": code(), "sim/r.go": marked}, "sim/r.go"},
		{"real file not marked", fstest.MapFS{simulatedList: list("check sim", "real sim/a.go"), "sim/a.go": code()}, "sim/a.go"},
		{"unknown word", fstest.MapFS{simulatedList: list("check sim", "chekc sim/deep"), "sim/a.go": code()}, "chekc"},
		{"twice", fstest.MapFS{simulatedList: list("check sim", "check sim"), "sim/a.go": code()}, "twice"},
	} {
		problems := simulatedProblems(t, c.tree)
		switch {
		case c.want == "" && len(problems) > 0:
			t.Errorf("%s: %q, want none", c.name, problems)
		case c.want != "" && (len(problems) != 1 || !strings.Contains(problems[0], c.want)):
			t.Errorf("%s: %q, want one with %q", c.name, problems, c.want)
		}
	}
}

// simulatedProblems compares the list with the tree.
func simulatedProblems(t *testing.T, tree fs.FS) []string {
	t.Helper()
	list, problems := readSimulated(t, tree)
	arrows, err := readArrows(tree)
	if err != nil {
		t.Fatal(err)
	}
	folders, marked := map[string]bool{}, map[string]bool{}
	err = walkModule(tree, func(name string) error {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.Contains("/"+name, "/testdata/") {
			return nil
		}
		folders[path.Dir(name)] = true
		src, err := fs.ReadFile(tree, name)
		if err == nil && (bytes.HasPrefix(src, []byte("//determinism:real")) || bytes.Contains(src, []byte("\n//determinism:real"))) {
			marked[name] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range sortedKeys(folders) {
		root, _, _ := strings.Cut(folder, "/")
		if _, skipped := list.skip[folder]; slices.Contains(simulatedRoots, root) && !skipped && !slices.Contains(list.check, folder) {
			problems = append(problems, folder+" can run in the simulator and is not listed")
		}
	}
	for _, folder := range slices.Concat(list.check, sortedKeys(list.skip)) {
		if !folders[folder] {
			problems = append(problems, folder+" is listed and does not exist")
		}
	}
	for _, a := range arrows {
		to, inside := strings.CutPrefix(a.path, module+"/")
		if inside && slices.Contains(list.check, a.folder) && !marked[a.file] && !slices.Contains(list.check, to) {
			problems = append(problems, fmt.Sprintf("%s is checked and imports %s, which is not", a.file, to))
		}
	}
	for _, name := range sortedKeys(marked) {
		if !slices.Contains(list.real, name) && slices.Contains(list.check, path.Dir(name)) {
			problems = append(problems, name+" is marked as real and is not listed")
		}
	}
	for _, name := range list.real {
		if !marked[name] {
			problems = append(problems, name+" is listed as real and is not marked so")
		}
	}
	return problems
}

func readSimulated(t *testing.T, tree fs.FS) (list simulated, problems []string) {
	t.Helper()
	data, err := fs.ReadFile(tree, simulatedList)
	if err != nil {
		t.Fatal(err)
	}
	list.skip = map[string]string{}
	seen := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		name, reason, _ := strings.Cut(rest, " ")
		known := word == "check" || word == "skip" || word == "real"
		switch {
		case known && seen[name]:
			problems = append(problems, name+" is listed twice")
		case word == "check":
			list.check = append(list.check, name)
		case word == "real":
			list.real = append(list.real, name)
		case word == "skip":
			list.skip[name] = reason
			if reason == "" {
				problems = append(problems, name+" is skipped without a reason")
			}
		default:
			problems = append(problems, "unknown word "+word)
		}
		seen[name] = true
	}
	return list, problems
}
