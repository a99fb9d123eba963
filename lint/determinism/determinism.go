// Package determinism is a go/analysis analyzer that keeps code fit for the
// simulator: it reports what would let two runs of one seed differ.
//
// # What it forbids
//
//   - Real time: time.Now, Since, Until, Sleep, After, AfterFunc, NewTimer,
//     NewTicker, Tick.
//   - Real concurrency: go statements, channel operations, select, the
//     functions of package context that start a timer or a goroutine,
//     sync.WaitGroup, sync.Cond, iter.Pull, and the functions of package
//     runtime that look at the scheduler or the collector.
//   - Real chance: the global functions of math/rand and math/rand/v2,
//     crypto/rand, hash/maphash, addresses turned into numbers or text.
//   - The outside: imports of os, net, syscall and their like.
//   - An iteration over a map whose order can be seen. Accepted is one whose
//     effects come out the same in every order, as far as the analyzer can tell
//     without leaving the function: the rules stand in iteration.go.
//
// A function counts however it is reached: under another import name, through
// a dot import, as a value that is not called, as a promoted method.
//
// # What it accepts with a reason
//
// A comment on the line of the finding, or in the comment that ends on the
// line above it, lets one line be:
//
//	//determinism:allow REASON
//
// A comment before the package clause lets a whole file be, one that belongs to
// the real side of a port and is never called in the simulator:
//
//	//determinism:real REASON
//
// A directive without a reason, of an unknown kind, in the wrong place, or that
// suppresses nothing is itself reported, so that none outlives its cause.
//
// # What it does not see
//
// It looks at one package at a time: a function in a package that it does not
// run on may do anything. It does not follow pointers, so two names for one map
// or one variable count as two. A sort is believed to order its elements
// totally. sync.Pool is accepted: code must not depend on what Get returns.
package determinism

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
)

// Analyzer reports what would make two runs of one seed differ. By default it
// leaves _test.go files alone; its flag "tests" makes it check them too. Its
// flag "packages", a list of import paths with commas, keeps it to those.
var Analyzer = New()

// New returns an analyzer with flags of its own.
func New() *analysis.Analyzer {
	var o options
	a := &analysis.Analyzer{
		Name: "determinism",
		Doc:  "report what would make two simulated runs of one seed differ",
		URL:  "https://pkg.go.dev/github.com/kelpie-registry/kelpie/lint/determinism",
		Run:  o.run,
	}
	a.Flags.BoolVar(&o.tests, "tests", false, "check _test.go files too")
	a.Flags.StringVar(&o.packages, "packages", "", "check only the packages with these `paths`, separated by commas")
	return a
}

// options are the analyzer's flags.
type options struct {
	tests    bool
	packages string
}

func (o *options) run(pass *analysis.Pass) (any, error) {
	if pass.Pkg.Name() == "main" && strings.HasSuffix(pass.Pkg.Path(), ".test") {
		return nil, nil // the main package that the go command writes for a test
	}
	if o.packages != "" && !slices.Contains(strings.Split(o.packages, ","), pass.Pkg.Path()) {
		return nil, nil
	}
	for _, file := range pass.Files {
		name := pass.Fset.File(file.FileStart).Name()
		if !o.tests && strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := pass.ReadFile(name)
		if err != nil {
			return nil, err
		}
		c := &check{pass: pass}
		c.imports(file)
		c.uses(file)
		c.syntax(file)
		c.mapOrder(file)
		for _, f := range readDirectives(pass.Fset, file, src).filter(pass.Fset, c.findings) {
			pass.Report(analysis.Diagnostic{Pos: f.pos, Message: f.message})
		}
	}
	return nil, nil
}

// check gathers the findings of one file, before the directives are applied.
type check struct {
	pass     *analysis.Pass
	findings []finding
}

type finding struct {
	pos     token.Pos
	message string
}

func (c *check) report(n ast.Node, message string) {
	c.findings = append(c.findings, finding{n.Pos(), message})
}
