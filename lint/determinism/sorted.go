package determinism

import (
	"go/ast"
	"go/types"
)

// sortedAfter reports whether a slice is sorted, in the same function, after
// the statement in which stack ends and before anything else looks at more than
// its length. The sort must not be conditional.
func (c *check) sortedAfter(stack []ast.Node, slice ast.Expr) bool {
	s := &sortSearch{info: c.pass.TypesInfo, text: types.ExprString(slice)}
	where, ok := s.place(slice)
	if !ok {
		return false
	}
	s.slice = where
	s.escapes = !declaredIn(bodyOf(stack), slice, where.root)
	for i := len(stack) - 1; i > 0; i-- {
		before, after := siblings(stack[i-1], stack[i])
		for _, stmt := range after {
			if s.sorts(stmt) {
				return true
			}
			if s.mentions(stmt) {
				return false
			}
		}
		switch parent := stack[i-1].(type) {
		case *ast.FuncDecl, *ast.FuncLit:
			return false
		case *ast.BlockStmt:
			// The next round of an enclosing loop sees what this one left.
			if isLoop(stack[max(i-2, 0)]) {
				for _, stmt := range before {
					if s.mentions(stmt) {
						return false
					}
				}
			}
		case *ast.ForStmt:
			if s.mentions(parent.Cond) || s.mentions(parent.Post) {
				return false
			}
		}
	}
	return false
}

// sortsByValue are the functions that sort a slice by what it holds alone.
var sortsByValue = map[string]bool{
	"slices.Sort": true, "sort.Float64s": true, "sort.Ints": true, "sort.Strings": true,
}

// sortsByFunction are the functions that sort a slice as a function or a method
// says.
var sortsByFunction = map[string]bool{
	"slices.SortFunc": true, "slices.SortStableFunc": true,
	"sort.Slice": true, "sort.SliceStable": true, "sort.Sort": true, "sort.Stable": true,
}

// sortSearch looks for the sort of one slice.
type sortSearch struct {
	info    *types.Info
	text    string // the slice as written
	slice   place
	escapes bool // whoever called the function can see the slice
}

func (s *sortSearch) place(e ast.Expr) (place, bool) {
	it := &iteration{info: s.info}
	return it.place(e)
}

// sorts reports whether the statement does nothing but sort the slice.
func (s *sortSearch) sorts(stmt ast.Stmt) bool {
	expr, ok := stmt.(*ast.ExprStmt)
	if !ok {
		return false
	}
	call, ok := expr.X.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return false
	}
	f, ok := calleeOf(s.info, call)
	if !ok {
		return false
	}
	if name := objectName(f); !sortsByValue[name] && !sortsByFunction[name] {
		return false
	}
	arg := ast.Unparen(call.Args[0])
	for {
		inner, ok := arg.(*ast.CallExpr) // a conversion to sort.Interface, or sort.Reverse
		if !ok || len(inner.Args) != 1 {
			return types.ExprString(arg) == s.text
		}
		arg = ast.Unparen(inner.Args[0])
	}
}

// mentions reports whether anything in n may see the order of the slice. Its
// length may be read.
func (s *sortSearch) mentions(n ast.Node) bool {
	found := false
	if n == nil || isNilNode(n) {
		return false
	}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ReturnStmt:
			found = found || s.escapes
		case *ast.CallExpr:
			if b := builtinOf(s.info, n); (b == "len" || b == "cap") && types.ExprString(n.Args[0]) == s.text {
				return false
			}
		case ast.Expr:
			if p, ok := s.place(n); ok && p.overlaps(s.slice) {
				found = true
			} else if ok && p.root == s.slice.root {
				return false // another field of the same variable
			}
		}
		return !found
	})
	return found
}

// isNilNode reports whether a node is a nil statement or expression of an
// optional part.
func isNilNode(n ast.Node) bool {
	switch n := n.(type) {
	case ast.Expr:
		return n == nil
	case ast.Stmt:
		return n == nil
	}
	return false
}

// siblings returns the statements around child in the statement list of parent.
func siblings(parent, child ast.Node) (before, after []ast.Stmt) {
	var list []ast.Stmt
	switch p := parent.(type) {
	case *ast.BlockStmt:
		list = p.List
	case *ast.CaseClause:
		list = p.Body
	case *ast.CommClause:
		list = p.Body
	}
	for i, stmt := range list {
		if stmt == child {
			return list[:i], list[i+1:]
		}
	}
	return nil, nil
}

func isLoop(n ast.Node) bool {
	switch n.(type) {
	case *ast.ForStmt, *ast.RangeStmt:
		return true
	}
	return false
}

// bodyOf returns the body of the innermost function in the stack.
func bodyOf(stack []ast.Node) *ast.BlockStmt {
	for i := len(stack) - 1; i >= 0; i-- {
		switch f := stack[i].(type) {
		case *ast.FuncDecl:
			return f.Body
		case *ast.FuncLit:
			return f.Body
		}
	}
	return nil
}

// declaredIn reports whether e is a plain variable that body declares.
func declaredIn(body *ast.BlockStmt, e ast.Expr, root types.Object) bool {
	_, plain := ast.Unparen(e).(*ast.Ident)
	return plain && body != nil && body.Pos() <= root.Pos() && root.Pos() < body.End()
}
