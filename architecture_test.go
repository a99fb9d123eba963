package kelpie_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/kelpie-registry/kelpie"

// A row says what a folder's package, and what it keeps in its internal folder,
// may import. It may also import what those may, so that registry, say, may name
// the types of clock. Test files are free.
type row struct {
	folder   string
	may      []string // folders
	allAbove bool     // may import the folder of every row above
	modules  []string // other modules, or parts of them
}

// table is the order in which data flows: an arrow points up.
var table = []row{
	{folder: "clock", modules: []string{"golang.org/x/sys"}},
	{folder: "network", may: []string{"clock"}},
	{folder: "network/httpnet", may: []string{"network"}},
	{folder: "network/credentials", may: []string{"network"}},
	{folder: "network/credentials/credentialstest"},
	{folder: "host", may: []string{"clock", "network"}},
	{folder: "store", may: []string{"clock"}},
	{folder: "store/optimistic", may: []string{"store"}, modules: []string{"github.com/tidwall/btree"}},
	{folder: "store/memory", may: []string{"store/optimistic"}},
	{folder: "store/disk", may: []string{"store/optimistic"}, modules: []string{
		"github.com/cespare/xxhash/v2", "github.com/gofrs/flock", "go.etcd.io/bbolt",
	}},
	{folder: "store/remote", may: []string{"host", "store"}},
	{folder: "store/storetest", may: []string{"host", "store"}, modules: []string{"pgregory.net/rapid"}}, // host: its tasks contend in the simulator too
	{folder: "store/fdb", may: []string{"store"}, modules: []string{"github.com/apple/foundationdb/bindings/go"}},
	{folder: "registry", may: []string{"host", "store"}},
	{folder: "registry/registrytest", may: []string{"registry"}},
	{folder: "sim", may: []string{"host"}},
	{folder: "sim/simfdb", may: []string{"sim", "store"}},
	{folder: "sim/simstore", may: []string{"sim", "store"}},
	{folder: "faults", may: []string{"sim"}},
	{folder: "faults/plantest", may: []string{"faults"}, modules: []string{"pgregory.net/rapid"}},
	{folder: "linearizability", modules: []string{"github.com/anishathalye/porcupine"}},
	{folder: "litmus", may: []string{"store"}},
	{folder: "litmus/onport", may: []string{"litmus"}},
	{folder: "litmus/onsimfdb", may: []string{"litmus/onport", "sim/simfdb"}},
	{folder: "litmus/onfdb", may: []string{"litmus"}, modules: []string{"github.com/apple/foundationdb/bindings/go"}},
	{folder: "recording", may: []string{"linearizability", "registry"}},
	{folder: "scenario", allAbove: true},
	{folder: "scenario/programtest", may: []string{"scenario"}, modules: []string{"pgregory.net/rapid"}},
	{folder: "scale", may: []string{"linearizability", "registry", "sim/simstore", "store/memory"}},
	{folder: "mutants", modules: []string{"golang.org/x/tools/txtar"}},
	{folder: "cmd"}, // its internal folder: what several commands share
	{folder: "cmd/kelpied/daemon", may: []string{"network/httpnet", "network/credentials", "store/disk", "store/fdb", "store/remote"}, modules: []string{"github.com/spf13/cobra", "github.com/spf13/pflag"}},
	{folder: "cmd/kelpied", may: []string{"cmd/kelpied/daemon"}},
	{folder: "cmd/simrun/command", allAbove: true, modules: []string{
		"github.com/schollz/progressbar/v3", "github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term",
	}},
	{folder: "cmd/simrun", allAbove: true, modules: []string{"github.com/spf13/pflag"}},
	{folder: "lint/determinism", modules: []string{"golang.org/x/tools/go/analysis"}},
	{folder: "cmd/detlint", may: []string{"lint/determinism"}, modules: []string{"golang.org/x/tools/go/analysis"}},
	{folder: "examples/fence", may: []string{"registry", "sim/simstore", "store/memory"}},
	{folder: "examples/counter", may: []string{"registry", "store/memory"}},
	{folder: "."},
}

// production are the folders whose code runs in a user's process. It must not
// pull in the testing package, whose flags it would register; suites are no
// part of it.
var (
	production = []string{"clock", "network", "host", "store", "registry"}
	suites     = []string{"store/storetest", "registry/registrytest"}
)

// An arrow is an import in a file that is not a test.
type arrow struct {
	folder string // of the importing package
	path   string // the import path
	file   string
}

func TestImportsFollowTheTable(t *testing.T) {
	arrows, err := readArrows(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	if len(arrows) < 50 {
		t.Fatalf("found %d imports in the whole tree: the test is not looking", len(arrows))
	}
	for _, a := range arrows {
		if err := allowed(table, a); err != nil {
			t.Error(err)
		}
	}
}

func TestTableRejects(t *testing.T) {
	for _, c := range []struct {
		folder, imports string
		want            string // in the error; "" when the arrow is fine
	}{
		{"registry", "sim", "may not import"},
		{"store", "sim", "may not import"},
		{"clock", "sim", "may not import"},
		{"network", "sim", "may not import"},
		{"network/httpnet", "sim", "may not import"},
		{"host", "sim", "may not import"},
		{"host", "store", "may not import"},
		{"clock", "network", "may not import"},
		{"store", "store/memory", "may not import"},
		{"store/fdb", "sim/simfdb", "may not import"},
		{"registry", "registry/registrytest", "may not import"},
		{"store", "store/optimistic", "may not import"},
		{"store/memory", "github.com/tidwall/btree", "may not import"},
		{"store/memory", "host", "may not import"},
		{"store/remote", "sim", "may not import"},
		{"store/remote", "network/httpnet", "may not import"},
		{"store/remote", "store/memory", "may not import"},
		{"registry", "store/memory", "may not import"},
		{"registry", "store/disk", "may not import"},
		{"store/disk", "store/memory", "may not import"},
		{"registry", "network/httpnet", "may not import"},
		{"network/httpnet", "network/credentials", "may not import"},
		{"cmd/kelpied/daemon", "sim", "may not import"},
		{"sim", "registry", "may not import"},
		{"sim", "store", "may not import"},
		{"sim/simfdb", "registry", "may not import"},
		{"faults", "registry", "may not import"},
		{"linearizability", "clock", "may not import"},
		{"mutants", "scenario", "may not import"},
		{"scenario", "cmd/simrun", "may not import"},
		{"scenario", "mutants", "may not import"},
		{"litmus", "sim/simfdb", "may not import"},
		{"litmus", "litmus/onport", "may not import"},
		{"litmus/onport", "store/memory", "may not import"},
		{".", "registry", "may not import"},
		{"sim/internal/heap", "registry", "may not import"},
		{"cmd/detlint", "cmd/simrun/internal/batch", "may not import"},
		{"util", "clock", "no row"},
		{"registry", "unheard/of", "may not import"},
		{"registry", "github.com/spf13/cobra", "may not import"},
		{"linearizability", "github.com/anishathalye/porcupines", "may not import"},
		{"registry", "testing", "testing"},
		{"store/memory", "testing", "testing"},

		{"registry", "host", ""},
		{"registry", "store", ""},
		{"registry", "clock", ""},
		{"registry", "network", ""},
		{"network", "time", ""},
		{"sim", "testing", ""},
		{"sim", "network", ""},
		{"sim/simfdb", "clock", ""},
		{"scenario", "registry", ""},
		{"scenario", "linearizability", ""},
		{"cmd/simrun", "mutants", ""},
		{"cmd/simrun", "cmd/simrun/internal/batch", ""},
		{"cmd/simrun", "cmd/simrun/command", ""},
		{"cmd/simrun/command", "cmd/simrun/internal/batch", ""},
		{"cmd/simrun/internal/batch", "cmd/simrun/internal/report", ""},
		{"cmd/simrun/internal/batch", "scenario", ""},
		{"clock", "golang.org/x/sys/unix", ""},
		{"linearizability", "github.com/anishathalye/porcupine", ""},
		{"cmd/detlint", "golang.org/x/tools/go/analysis/unitchecker", ""},
	} {
		imports := c.imports
		if first, _, _ := strings.Cut(imports, "/"); !strings.Contains(first, ".") && !isStandard(imports) {
			imports = path.Join(module, imports)
		}
		err := allowed(table, arrow{c.folder, imports, c.folder + "/x.go"})
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s -> %s: %v, want none", c.folder, c.imports, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s -> %s: error %v, want one with %q", c.folder, c.imports, err, c.want)
		}
	}
}

func isStandard(p string) bool { return p == "testing" || p == "time" }

func TestReadArrows(t *testing.T) {
	tree := fstest.MapFS{
		"a/a.go":             {Data: []byte("package a\n\nimport (\n\tx \"b\"\n\t_ \"c/d\"\n)\n")},
		"a/tagged.go":        {Data: []byte("//go:build never\n\npackage a\n\nimport \"e\"\n")},
		"a/a_test.go":        {Data: []byte("package a\n\nimport \"testing\"\n")},
		"a/testdata/x.go":    {Data: []byte("not Go")},
		"nested/go.mod":      {Data: []byte("module nested\n")},
		"nested/n.go":        {Data: []byte("package nested\n\nimport \"f\"\n")},
		".hidden/h.go":       {Data: []byte("not Go")},
		"root.go":            {Data: []byte("package root\n\nimport \"g\"\n")},
		"a/inner/readme.txt": {Data: []byte("import \"h\"")},
	}
	got, err := readArrows(tree)
	want := []arrow{{"a", "b", "a/a.go"}, {"a", "c/d", "a/a.go"}, {"a", "e", "a/tagged.go"}, {".", "g", "root.go"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("readArrows: %v, error %v, want %v", got, err, want)
	}
	tree["a/broken.go"] = &fstest.MapFile{Data: []byte("import")}
	if _, err := readArrows(tree); err == nil {
		t.Error("readArrows of a file that is not Go: no error")
	}
}

// allowed returns an error when the table has no place for an arrow.
func allowed(table []row, a arrow) error {
	from, _, _ := strings.Cut(a.folder, "/internal/")
	if !slices.ContainsFunc(table, func(r row) bool { return r.folder == from }) {
		return fmt.Errorf("%s: folder %s has no row in the table", a.file, a.folder)
	}
	if top, _, _ := strings.Cut(from, "/"); a.path == "testing" && slices.Contains(production, top) && !slices.Contains(suites, from) {
		return fmt.Errorf("%s: production code may not import testing", a.file)
	}
	if first, _, _ := strings.Cut(a.path, "/"); !strings.Contains(first, ".") {
		return nil // the standard library
	}
	to, inside := strings.CutPrefix(a.path, module+"/")
	owner, _, private := strings.Cut(to, "/internal/") // Go itself keeps others out
	if inside && (private && (owner == from || strings.HasPrefix(from, owner+"/")) || slices.Contains(reachable(table, from), to)) {
		return nil
	}
	for _, r := range table {
		if r.folder != from {
			continue
		}
		for _, m := range r.modules {
			if a.path == m || strings.HasPrefix(a.path, m+"/") {
				return nil
			}
		}
	}
	return fmt.Errorf("%s: %s may not import %s", a.file, a.folder, a.path)
}

// reachable returns the folders that a folder may import.
func reachable(table []row, folder string) []string {
	var found []string
	for i, r := range table {
		if r.folder != folder {
			continue
		}
		may := r.may
		if r.allAbove {
			may = nil
			for _, above := range table[:i] {
				may = append(may, above.folder)
			}
		}
		for _, m := range may {
			found = append(found, m)
			found = append(found, reachable(table, m)...)
		}
	}
	return found
}

// readArrows returns the imports of a module's files, in the order of the
// files. It reads no test files, testdata, hidden folders or nested modules,
// and reads files whatever their build constraints.
func readArrows(tree fs.FS) ([]arrow, error) {
	var arrows []arrow
	err := walkModule(tree, func(name string) error {
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.Contains("/"+name, "/testdata/") {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
			}
			arrows = append(arrows, arrow{path.Dir(name), p, name})
		}
		return nil
	})
	return arrows, err
}

// walkModule calls visit for each file of the module, but for those in hidden
// folders other than .ci and .github, and in nested modules.
func walkModule(tree fs.FS, visit func(name string) error) error {
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return visit(name)
		}
		base := path.Base(name)
		if name == "." || base == ".ci" || base == ".github" {
			return nil
		}
		if strings.HasPrefix(base, ".") || slices.Contains(ignoredFolders, name) {
			return fs.SkipDir
		}
		if _, err := fs.Stat(tree, path.Join(name, "go.mod")); err == nil {
			return fs.SkipDir
		}
		return nil
	})
}

// ignoredFolders hold what programs write; see .gitignore.
var ignoredFolders = []string{"bin", "simrun-out"}
