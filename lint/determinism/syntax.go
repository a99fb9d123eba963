package determinism

import (
	"go/ast"
	"go/token"
	"go/types"
)

// syntax reports the statements and expressions of Go's own concurrency.
func (c *check) syntax(file *ast.File) {
	info := c.pass.TypesInfo
	inSelect := map[ast.Node]bool{} // operations that a reported select covers
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.report(n, "go statement: start the task through the host")
		case *ast.SelectStmt:
			c.report(n, "select: wait for an event of the host's clock")
			for _, clause := range n.Body.List {
				if comm, ok := clause.(*ast.CommClause).Comm.(ast.Node); ok {
					ast.Inspect(comm, func(n ast.Node) bool { inSelect[n] = true; return true })
				}
			}
		case *ast.SendStmt:
			if !inSelect[n] {
				c.report(n, "channel send: use an event of the host's clock")
			}
		case *ast.UnaryExpr:
			if n.Op == token.ARROW && !inSelect[n] {
				c.report(n, "channel receive: use an event of the host's clock")
			}
		case *ast.RangeStmt:
			if isChan(info.TypeOf(n.X)) {
				c.report(n, "range over a channel: use an event of the host's clock")
			}
		case *ast.CallExpr:
			switch builtinOf(info, n) {
			case "close":
				c.report(n, "close of a channel: use an event of the host's clock")
			case "make":
				if isChan(info.TypeOf(n)) {
					c.report(n, "make of a channel: use an event of the host's clock")
				}
			}
		}
		return true
	})
}

// builtinOf returns the name of the builtin function that a call calls, or "".
func builtinOf(info *types.Info, call *ast.CallExpr) string {
	id, ok := ast.Unparen(call.Fun).(*ast.Ident)
	if !ok {
		return ""
	}
	if b, ok := info.Uses[id].(*types.Builtin); ok {
		return b.Name()
	}
	return ""
}

func isChan(t types.Type) bool {
	return anyUnder(t, func(t types.Type) bool { _, ok := t.(*types.Chan); return ok })
}

func isMap(t types.Type) bool {
	return anyUnder(t, func(t types.Type) bool { _, ok := t.(*types.Map); return ok })
}

// anyUnder reports whether ok holds for the type's underlying type or, for a
// type parameter, for that of any type in its constraint.
func anyUnder(t types.Type, ok func(types.Type) bool) bool {
	if t == nil {
		return false
	}
	constraint, isInterface := t.Underlying().(*types.Interface)
	if !isInterface {
		return ok(t.Underlying())
	}
	for embedded := range constraint.EmbeddedTypes() {
		union, isUnion := embedded.(*types.Union)
		if !isUnion {
			if anyUnder(embedded, ok) {
				return true
			}
			continue
		}
		for term := range union.Terms() {
			if anyUnder(term.Type(), ok) {
				return true
			}
		}
	}
	return false
}
