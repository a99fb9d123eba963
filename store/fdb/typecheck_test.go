package fdb

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/build/constraint"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/analysis/checker"
	"golang.org/x/tools/go/analysis/passes/assign"
	"golang.org/x/tools/go/analysis/passes/bools"
	"golang.org/x/tools/go/analysis/passes/copylock"
	"golang.org/x/tools/go/analysis/passes/defers"
	"golang.org/x/tools/go/analysis/passes/errorsas"
	"golang.org/x/tools/go/analysis/passes/lostcancel"
	"golang.org/x/tools/go/analysis/passes/nilfunc"
	"golang.org/x/tools/go/analysis/passes/printf"
	"golang.org/x/tools/go/analysis/passes/testinggoroutine"
	"golang.org/x/tools/go/analysis/passes/unreachable"
	"golang.org/x/tools/go/analysis/passes/unusedresult"
	"golang.org/x/tools/go/packages"
)

// The binding is cgo over FoundationDB's C library, which few machines have. So
// these tests compile the module with the tag fdb as far as that goes without
// it: the compiler takes the packages that do not need the binding, and go/types
// takes the others, from source, with the C library faked (FakeImportC). What
// the fake leaves wrong in the binding's own files is passed over; in ours,
// nothing is.

const (
	moduleRoot = "../.."
	modulePath = "github.com/kelpie-registry/kelpie"
	bindings   = "github.com/apple/foundationdb/bindings/go/"
)

func TestTheModuleCompilesWithTheTag(t *testing.T) {
	m := listModule(t)
	checked := map[string]bool{} // files
	var sourced int
	for _, p := range m.sorted() {
		switch {
		case p.Error != nil && !m.needsBinding(p):
			t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		case m.needsBinding(p) && p.ours() && !strings.HasSuffix(p.ImportPath, ".test"):
			sourced++
			c, err := m.universe(p.ForTest).check(p)
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range append(c.errs, vet(c)...) {
				t.Errorf("%s: %v", p.ImportPath, err)
			}
		}
		for _, name := range p.files() {
			checked[name] = true
		}
	}
	if sourced < 4 { // this package and simrun's, and their tests
		t.Errorf("%d packages need the binding: the test is not looking", sourced)
	}
	for _, name := range taggedFiles(t) {
		if !checked[name] {
			t.Errorf("%s is built with the tag only, and was not checked", name)
		}
	}
}

func TestTypeCheckRejects(t *testing.T) {
	m := listModule(t)
	const head = "package p\n\nimport (\n\t\"fmt\"\n\tapple \"" + bindings + "src/fdb\"\n\t\"" + modulePath + "/store/fdb\"\n)\n\n" +
		"var _ = fmt.Sprint\nvar _ fdb.Options\nvar _ apple.Key\n\n"
	for _, c := range []struct {
		body string
		want string // in the only error; "" when there is none
	}{
		{"func f(tr apple.Transaction) ([]byte, error) { return tr.Get(apple.Key(\"a\")).Get() }", ""},
		{"func f(tr apple.Transaction) { tr.Get(42) }", "42"},
		{"func f(tr apple.Transaction) error { return tr.Commit() }", "error"},
		{"func f(tr apple.Transaction) { tr.Snapshot().Set(apple.Key(\"a\"), nil) }", "Set"},
		{"func f() { apple.OpenDatabase() }", "not enough arguments"},
		{"func f(o apple.TransactionOptions) { o.SetTimeout(\"1s\") }", "int64"},
		{"func f() { fdb.Open(1, fdb.Options{}) }", "context.Context"},
		{"func f() { fdb.Close() }", "Close"},
		{"func f(e fdb.Error) { fmt.Printf(\"%d\\n\", e.Error()) }", "Printf"},
	} {
		file, err := parser.ParseFile(m.fset, "p.go", head+c.body, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		p := m.universe("").checkFiles("p", []*ast.File{file})
		errs := p.errs
		if len(errs) == 0 {
			errs = vet(p)
		}
		switch {
		case c.want == "" && len(errs) > 0:
			t.Errorf("%s: %v, want none", c.body, errs)
		case c.want != "" && (len(errs) != 1 || !strings.Contains(errs[0].Error(), c.want)):
			t.Errorf("%s: %v, want one with %q", c.body, errs, c.want)
		}
	}
}

// listed is a package as go list has it.
type listed struct {
	ImportPath, Dir   string
	GoFiles, CgoFiles []string
	Imports           []string
	Export            string // file of the compiled package's types
	ForTest           string // the package whose tests this one is a part of
	Error             *struct{ Err string }
}

func (p *listed) ours() bool { return strings.HasPrefix(p.ImportPath, modulePath) }

func (p *listed) files() []string {
	var names []string
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		names = append(names, filepath.Join(p.Dir, name))
	}
	return names
}

// sources is the module with all that it imports, tests included.
type sources struct {
	fset      *token.FileSet
	listed    map[string]*listed // by import path, "p [q.test]" for one of q's tests
	needs     map[string]bool    // see needsBinding
	universes map[string]*universe
}

func listModule(t *testing.T) *sources {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-export", "-deps", "-test", "-tags=fdb",
		"-json=ImportPath,Dir,GoFiles,CgoFiles,Imports,Export,ForTest,Error", "./...")
	cmd.Dir = moduleRoot
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaints.Bytes())
	}
	m := &sources{token.NewFileSet(), map[string]*listed{}, map[string]bool{}, map[string]*universe{}}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(listed)
		err := d.Decode(p)
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if strings.HasPrefix(p.ImportPath, bindings) {
			// Where there is no C compiler, go list leaves out what needs cgo.
			with := build.Default
			with.CgoEnabled = true
			all, err := with.ImportDir(p.Dir, 0)
			if err != nil {
				t.Fatal(err)
			}
			p.GoFiles, p.CgoFiles = all.GoFiles, all.CgoFiles
		}
		m.listed[p.ImportPath] = p
	}
}

func (m *sources) sorted() []*listed {
	return slices.SortedFunc(maps.Values(m.listed), func(a, b *listed) int { return cmp.Compare(a.ImportPath, b.ImportPath) })
}

// needsBinding reports whether the package is the binding, or imports one that
// needs it.
func (m *sources) needsBinding(p *listed) bool {
	needs, known := m.needs[p.ImportPath]
	if !known {
		needs = strings.HasPrefix(p.ImportPath, bindings)
		for _, i := range p.Imports {
			needs = needs || m.listed[i] != nil && m.needsBinding(m.listed[i])
		}
		m.needs[p.ImportPath] = needs
	}
	return needs
}

// universe holds the packages as the tests of one package see them: those that
// import it are compiled once more, against it with its test files.
type universe struct {
	m        *sources
	forTest  string // "": none
	compiled types.Importer
	checked  map[string]*checkedPackage
}

// checkedPackage is a package that was checked from source.
type checkedPackage struct {
	fset  *token.FileSet
	pkg   *types.Package
	files []*ast.File
	info  *types.Info
	errs  []error // none of them in the binding's files
}

func (m *sources) universe(forTest string) *universe {
	if u := m.universes[forTest]; u != nil {
		return u
	}
	u := &universe{m: m, forTest: forTest, checked: map[string]*checkedPackage{}}
	u.compiled = importer.ForCompiler(m.fset, "gc", func(path string) (io.ReadCloser, error) {
		p := u.find(path)
		if p == nil || p.Export == "" {
			return nil, fmt.Errorf("package %s was not compiled", path)
		}
		return os.Open(p.Export)
	})
	m.universes[forTest] = u
	return u
}

func (u *universe) find(path string) *listed {
	if p := u.m.listed[path+" ["+u.forTest+".test]"]; p != nil {
		return p
	}
	return u.m.listed[path]
}

// Import implements types.Importer.
func (u *universe) Import(path string) (*types.Package, error) {
	p := u.find(path)
	if p == nil || !u.m.needsBinding(p) {
		return u.compiled.Import(path)
	}
	c, err := u.check(p)
	if err != nil {
		return nil, err
	}
	return c.pkg, nil
}

// check checks a package from source.
func (u *universe) check(p *listed) (*checkedPackage, error) {
	if c := u.checked[p.ImportPath]; c != nil {
		return c, nil
	}
	var files []*ast.File
	for _, name := range p.files() {
		f, err := parser.ParseFile(u.m.fset, name, nil, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	path, _, _ := strings.Cut(p.ImportPath, " ")
	c := u.checkFiles(path, files)
	u.checked[p.ImportPath] = c
	return c, nil
}

func (u *universe) checkFiles(path string, files []*ast.File) *checkedPackage {
	c := &checkedPackage{fset: u.m.fset, files: files, info: &types.Info{
		Types: map[ast.Expr]types.TypeAndValue{}, Instances: map[*ast.Ident]types.Instance{},
		Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
		Implicits: map[ast.Node]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{},
		Scopes: map[ast.Node]*types.Scope{}, FileVersions: map[*ast.File]string{},
	}}
	config := types.Config{
		Importer: u, FakeImportC: true, Sizes: types.SizesFor("gc", runtime.GOARCH),
		Error: func(err error) {
			if !strings.HasPrefix(path, bindings) {
				c.errs = append(c.errs, err)
			}
		},
	}
	c.pkg, _ = config.Check(path, u.m.fset, files, c.info) // the errors went to Error
	return c
}

// analyzers are those of go vet that need no facts about other packages, or do
// without.
var analyzers = []*analysis.Analyzer{
	assign.Analyzer, bools.Analyzer, copylock.Analyzer, defers.Analyzer, errorsas.Analyzer, lostcancel.Analyzer,
	nilfunc.Analyzer, printf.Analyzer, testinggoroutine.Analyzer, unreachable.Analyzer, unusedresult.Analyzer,
}

// vet returns what go vet would say of a package that has no type errors.
func vet(c *checkedPackage) []error {
	if len(c.errs) > 0 {
		return nil
	}
	graph, err := checker.Analyze(analyzers, []*packages.Package{{
		ID: c.pkg.Path(), PkgPath: c.pkg.Path(), Name: c.pkg.Name(), Types: c.pkg, Fset: c.fset,
		Syntax: c.files, TypesInfo: c.info, TypesSizes: types.SizesFor("gc", runtime.GOARCH), Module: &packages.Module{},
	}}, nil)
	if err != nil {
		return []error{err}
	}
	var errs []error
	for _, action := range graph.Roots {
		if action.Err != nil {
			errs = append(errs, action.Err)
		}
		for _, d := range action.Diagnostics {
			errs = append(errs, fmt.Errorf("%v: %s", c.fset.Position(d.Pos), d.Message))
		}
	}
	return errs
}

// taggedFiles returns the module's files that the tag fdb adds, by absolute path.
func taggedFiles(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			if name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || err == nil) {
				return fs.SkipDir
			}
			return nil
		case filepath.Ext(name) != ".go":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			if !constraint.IsGoBuild(line) {
				continue
			}
			expr, err := constraint.Parse(strings.TrimSpace(line))
			if err != nil {
				return err
			}
			with := func(tag string) bool { return tag == "fdb" || tag == runtime.GOOS || tag == runtime.GOARCH }
			without := func(tag string) bool { return tag != "fdb" && with(tag) }
			if expr.Eval(with) && !expr.Eval(without) {
				names = append(names, name)
			}
			break
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
