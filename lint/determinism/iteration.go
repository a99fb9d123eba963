package determinism

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/printer"
	"go/token"
	"go/types"
	"strings"
)

// iteration is the body of a loop over a map, judged by what it writes and
// reads: does it come to the same whatever the order of the elements?
//
// It does when each thing that outlives one pass is only ever changed in one
// way that commutes, and is not read by the loop:
//
//   - the element of this pass, the one that a map or slice has at its key, or
//     what one of these points to ("own element"): any change, and it may be
//     read;
//   - delete(m, x); clear(m);
//   - integers: +=, -=, ++, --; or |=; or &=, &^=; or ^=; or *=;
//   - booleans: x = x && e; or x = x || e;
//   - x = max(x, e), if e > x { x = e }; or the same with min;
//   - one and the same value, which does not depend on the element;
//   - append to a slice that is sorted next (see sortedAfter).
//
// And when it leaves the loop early in one way only, without a value of the
// element, and has no other effect. Whatever it evaluates must be free of
// effects: operators, conversions, and the functions in pure.go.
type iteration struct {
	info  *types.Info
	fset  *token.FileSet
	node  ast.Node     // the loop; what it declares is new in each pass
	key   types.Object // the variable of the key; nil when there is none
	value types.Object // the variable of the value; nil when there is none
	label types.Object // the loop's label; nil when there is none
	over  place        // what the loop walks; without a root when it has no name

	breakable int // statements around the current one, in the body, that break leaves
	leaving   int // above 0 in a statement list that ends by leaving the loop

	writes   []write
	reads    []place
	exits    []string   // the statement lists that end by leaving the loop
	appended []ast.Expr // slices that have to be sorted
	problem  string     // the first reason why the order can be seen
}

// place is a variable or a part of one.
type place struct {
	root     types.Object
	path     string // the fields from the root on, up to the first index
	text     string // as written, for messages
	own      bool   // within the own element of a pass
	hops     int    // indirections behind the start of the own element
	indexed  bool   // goes through an index
	indirect bool   // may lie outside the root, behind a pointer or in a slice or map
}

// write is a change of a place in a way that commutes with itself.
type write struct {
	place
	mode    string // the way, as a verb for messages
	value   string // of a constant write
	leaving bool   // in a list that ends by leaving the loop
}

// overlaps reports whether one place contains the other.
func (p place) overlaps(q place) bool {
	return p.root == q.root && (under(p.path, q.path) || under(q.path, p.path))
}

func under(path, dir string) bool {
	rest, ok := strings.CutPrefix(path, dir)
	return ok && (rest == "" || rest[0] == '.')
}

// hop returns the place behind one more indirection. What the own element
// points to counts as its own; what is further away may be shared.
func (p place) hop() place {
	p.indirect = true
	p.hops++
	p.own = p.own && p.hops <= 1
	return p
}

func (it *iteration) fail(format string, args ...any) {
	if it.problem == "" {
		it.problem = fmt.Sprintf(format, args...)
	}
}

// local reports whether a variable is new in each pass.
func (it *iteration) local(obj types.Object) bool {
	return it.node != nil && it.node.Pos() <= obj.Pos() && obj.Pos() < it.node.End()
}

// conclude looks for effects that do not commute with each other.
func (it *iteration) conclude() {
	for i, w := range it.writes {
		for _, v := range it.writes[:i] {
			if w.overlaps(v.place) && (w.mode != v.mode || w.value != v.value) {
				it.fail("it %s %s and %s %s", v.mode, v.text, w.mode, w.text)
			}
		}
		for _, r := range it.reads {
			if w.overlaps(r) && (!w.own || !r.own) {
				it.fail("it %s %s and reads %s", w.mode, w.text, r.text)
			}
		}
		if len(it.exits) > 0 && (!w.leaving || w.mode != modeSet) {
			it.fail("it %s %s and may leave early", w.mode, w.text)
		}
	}
	for _, exit := range it.exits {
		if exit != it.exits[0] {
			it.fail("it leaves early in more than one way")
		}
	}
}

func (it *iteration) list(stmts []ast.Stmt) {
	if n := len(stmts); n > 0 && it.exit(stmts[n-1]) {
		it.exits = append(it.exits, it.print(stmts))
		it.leaving++
		defer func() { it.leaving-- }()
	}
	for _, s := range stmts {
		it.stmt(s)
	}
}

func (it *iteration) print(stmts []ast.Stmt) string {
	var b bytes.Buffer
	for _, s := range stmts {
		if err := printer.Fprint(&b, it.fset, s); err != nil {
			it.fail("it leaves early with a statement that cannot be printed: %v", err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// exit reports whether a statement leaves the loop.
func (it *iteration) exit(s ast.Stmt) bool {
	switch s := s.(type) {
	case *ast.ReturnStmt:
		return true
	case *ast.BranchStmt:
		switch {
		case s.Tok == token.GOTO:
			return true
		case s.Label == nil:
			return s.Tok == token.BREAK && it.breakable == 0
		}
		label := it.info.Uses[s.Label]
		if label == it.label && s.Tok == token.CONTINUE {
			return false
		}
		return label == nil || !it.local(label)
	case *ast.ExprStmt:
		call, ok := s.X.(*ast.CallExpr)
		return ok && builtinOf(it.info, call) == "panic"
	}
	return false
}

func (it *iteration) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case nil, *ast.EmptyStmt:
	case *ast.AssignStmt:
		it.assign(s)
	case *ast.IncDecStmt:
		it.combine(s.X, s.Tok, nil)
	case *ast.ExprStmt:
		it.call(s)
	case *ast.DeclStmt:
		it.declare(s)
	case *ast.BlockStmt:
		it.list(s.List)
	case *ast.LabeledStmt:
		it.list([]ast.Stmt{s.Stmt})
	case *ast.IfStmt:
		if it.extremum(s) {
			return
		}
		it.stmt(s.Init)
		it.pure(s.Cond)
		it.list(s.Body.List)
		if s.Else != nil {
			it.stmt(s.Else)
		}
	case *ast.SwitchStmt:
		it.stmt(s.Init)
		it.pure(s.Tag)
		it.clauses(s.Body)
	case *ast.TypeSwitchStmt:
		it.stmt(s.Init)
		switch a := s.Assign.(type) {
		case *ast.AssignStmt:
			it.pure(a.Rhs[0])
		case *ast.ExprStmt:
			it.pure(a.X)
		}
		it.clauses(s.Body)
	case *ast.ForStmt:
		it.stmt(s.Init)
		it.pure(s.Cond)
		it.stmt(s.Post)
		it.loop(s.Body)
	case *ast.RangeStmt:
		it.inner(s)
	case *ast.ReturnStmt:
		for _, e := range s.Results {
			it.invariant(e, "it returns")
		}
	case *ast.BranchStmt:
		if s.Tok == token.GOTO {
			it.fail("it has a goto")
		}
	default:
		it.fail("it has a statement of its own kind (%s)", strings.TrimPrefix(fmt.Sprintf("%T", s), "*ast."))
	}
}

func (it *iteration) clauses(body *ast.BlockStmt) {
	it.breakable++
	for _, c := range body.List {
		clause := c.(*ast.CaseClause)
		for _, e := range clause.List {
			it.pure(e)
		}
		it.list(clause.Body)
	}
	it.breakable--
}

func (it *iteration) loop(body *ast.BlockStmt) {
	it.breakable++
	it.list(body.List)
	it.breakable--
}

// inner judges a loop within the body. When it goes over a map too, it is also
// judged on its own.
func (it *iteration) inner(s *ast.RangeStmt) {
	it.pure(s.X)
	if s.Tok == token.ASSIGN {
		for _, e := range []ast.Expr{s.Key, s.Value} {
			if e != nil {
				it.set(e, nil)
			}
		}
	}
	it.loop(s.Body)
}

func (it *iteration) declare(s *ast.DeclStmt) {
	decl, ok := s.Decl.(*ast.GenDecl)
	if !ok {
		return
	}
	for _, spec := range decl.Specs {
		if v, ok := spec.(*ast.ValueSpec); ok {
			for _, e := range v.Values {
				it.pure(e)
			}
		}
	}
}

// call judges a call that stands alone.
func (it *iteration) call(s *ast.ExprStmt) {
	call, ok := ast.Unparen(s.X).(*ast.CallExpr)
	if !ok {
		it.fail("it evaluates %s", types.ExprString(s.X))
		return
	}
	name := builtinOf(it.info, call)
	if name == "" {
		if f, ok := calleeOf(it.info, call); ok && sortsByValue[objectName(f)] {
			name = "sort"
		}
	}
	switch name {
	case "panic":
		it.invariant(call.Args[0], "it panics with")
		return
	case "clear", "delete", "sort":
	default:
		it.fail("it calls %s, which may have effects", types.ExprString(call.Fun))
		return
	}
	where, ok := it.place(call.Args[0])
	if !ok {
		it.fail("it calls %s on %s", name, types.ExprString(call.Args[0]))
		return
	}
	where = where.hop()
	switch name {
	case "clear":
		it.write(where, "clears", "")
	case "delete":
		it.pure(call.Args[1])
		where.own = where.own || it.isKey(call.Args[1])
		it.write(where, "deletes from", "")
	case "sort":
		if !where.own {
			it.fail("it sorts %s", where.text)
		}
		it.write(where, "sorts", "")
	}
}

// write records an effect. Within the own element any effect will do.
func (it *iteration) write(where place, mode, value string) {
	if where.own {
		mode, value = "changes", ""
		if where.root == it.value && it.over.root != nil {
			where.root, where.path = it.over.root, it.over.path
		}
	}
	it.writes = append(it.writes, write{place: where, mode: mode, value: value, leaving: it.leaving > 0})
}
