package kelpie_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// decoderName is what a function is called that reads bytes which somebody else
// may have written.
var decoderName = regexp.MustCompile(`^(?i:decode|parse|unmarshal)`)

// notFuzzed are decoders without a fuzz target, and why.
var notFuzzed = map[string]string{
	"lint/determinism parseDirective": "reads comments of Go files that the compiler has accepted",
}

// TestEveryDecoderIsFuzzed demands that each decoder is reached from a fuzz
// target of its own package. .ci/decoders runs them all.
func TestEveryDecoderIsFuzzed(t *testing.T) {
	total := 0
	for _, module := range []string{".", "store/etcd"} {
		problems, decoders := decoderProblems(t, os.DirFS(module))
		for _, p := range problems {
			t.Errorf("module in %s: %s", module, p)
		}
		total += decoders
	}
	if total < 30 {
		t.Errorf("%d decoders were looked at", total)
	}
}

func TestDecoderRuleRejects(t *testing.T) {
	for _, tc := range []struct{ name, code, test, want string }{
		{"no test", "func decodeA() {}", "", "a: decodeA"},
		{"a test that is no fuzz target", "func decodeA() {}", "func TestA() { decodeA() }", "a: decodeA"},
		{"a target of another decoder", "func decodeA() {}; func ParseB() {}", "func FuzzA() { decodeA() }", "a: ParseB"},
		{"a method", "type t int; func (t) UnmarshalText() {}", "func FuzzA() {}", "a: UnmarshalText"},
		{"a target", "func decodeA() {}", "func FuzzA() { decodeA() }", ""},
		{"a target by way of others", "func read() { parseA() }; func parseA() {}", "func FuzzA() { helped() }; func helped() { read() }", ""},
		{"no decoder", "func reparse() {}", "", ""},
	} {
		tree := fstest.MapFS{"a/a.go": {Data: []byte("package a\n" + tc.code)}}
		if tc.test != "" {
			tree["a/a_test.go"] = &fstest.MapFile{Data: []byte("package a\n" + tc.test)}
		}
		problems, _ := decoderProblems(t, tree)
		if got := strings.Join(problems, "; "); !strings.HasPrefix(got, tc.want) || (tc.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// functions are those of a folder, by what they mention. Functions and methods
// of one name count as one.
type functions struct {
	mentions map[string][]string
	decoders []string
	targets  []string
}

// decoderProblems returns the decoders that no fuzz target reaches, and the
// number of all decoders.
func decoderProblems(t *testing.T, tree fs.FS) (problems []string, decoders int) {
	t.Helper()
	folders := map[string]*functions{}
	if err := walkModule(tree, func(name string) error {
		if path.Ext(name) != ".go" || strings.Contains("/"+name, "/testdata/") {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder := path.Dir(name)
		if folders[folder] == nil {
			folders[folder] = &functions{mentions: map[string][]string{}}
		}
		folders[folder].read(file, strings.HasSuffix(name, "_test.go"))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, folder := range sortedKeys(folders) {
		f := folders[folder]
		decoders += len(f.decoders)
		reached := f.reached()
		for _, d := range f.decoders {
			if _, excused := notFuzzed[folder+" "+d]; !excused && !reached[d] {
				problems = append(problems, fmt.Sprintf("%s: %s is reached by no fuzz target", folder, d))
			}
		}
	}
	return problems, decoders
}

// read notes the functions of a file.
func (f *functions) read(file *ast.File, test bool) {
	for _, d := range file.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		name := fn.Name.Name
		switch {
		case test && strings.HasPrefix(name, "Fuzz"):
			f.targets = append(f.targets, name)
		case !test && decoderName.MatchString(name) && !slices.Contains(f.decoders, name):
			f.decoders = append(f.decoders, name)
		}
		ast.Inspect(fn.Body, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				f.mentions[name] = append(f.mentions[name], id.Name)
			}
			return true
		})
	}
}

// reached returns the names that fuzz targets mention, and those that these do.
func (f *functions) reached() map[string]bool {
	reached := map[string]bool{}
	for next := slices.Clone(f.targets); len(next) > 0; {
		name := next[len(next)-1]
		next = next[:len(next)-1]
		for _, mentioned := range f.mentions[name] {
			if !reached[mentioned] {
				reached[mentioned] = true
				next = append(next, mentioned)
			}
		}
	}
	return reached
}
