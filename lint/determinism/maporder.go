package determinism

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
)

// mapOrder reports the iterations over maps whose order can be seen.
func (c *check) mapOrder(file *ast.File) {
	var stack []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		stack = append(stack, n)
		switch n := n.(type) {
		case *ast.RangeStmt:
			c.rangeOverMap(n, stack)
		case *ast.Ident:
			c.mapIterator(n, stack)
		}
		return true
	})
}

// rangeOverMap checks a range over a map, or over one of the iterators of
// package maps. stack ends in the statement.
func (c *check) rangeOverMap(n *ast.RangeStmt, stack []ast.Node) {
	info := c.pass.TypesInfo
	key, value := n.Key, n.Value
	if !isMap(info.TypeOf(n.X)) {
		switch name := c.mapIteratorCall(n.X); name {
		case "Keys", "All":
		case "Values":
			key, value = nil, n.Key
		default:
			return
		}
	}
	if isBlank(n.Key) && isBlank(n.Value) {
		return // every pass of the body is the same
	}
	it := &iteration{info: info, fset: c.pass.Fset, node: n}
	if len(stack) > 1 {
		if labeled, ok := stack[len(stack)-2].(*ast.LabeledStmt); ok {
			it.label = info.Defs[labeled.Label]
		}
	}
	if id, ok := key.(*ast.Ident); ok {
		it.key = info.Defs[id]
	}
	if id, ok := value.(*ast.Ident); ok {
		it.value = info.Defs[id]
	}
	if n.Tok == token.ASSIGN {
		it.fail("it leaves its last element in a variable")
	}
	if ranged, ok := it.place(n.X); ok {
		ranged.own = true // changes of other elements would decide what the loop sees
		it.over, it.reads = ranged, append(it.reads, ranged)
	}
	it.list(n.Body.List)
	it.conclude()
	for _, slice := range it.appended {
		if !c.sortedAfter(stack, slice) {
			it.fail("it appends to %s, which is not sorted before it is used", types.ExprString(slice))
		}
	}
	if it.problem != "" {
		c.report(n, "range over a map whose order can be seen: "+it.problem)
	}
}

// mapIteratorCall returns which of maps.Keys, Values and All an expression
// calls, or "".
func (c *check) mapIteratorCall(e ast.Expr) string {
	call, ok := ast.Unparen(e).(*ast.CallExpr)
	if !ok {
		return ""
	}
	if f, ok := calleeOf(c.pass.TypesInfo, call); ok {
		return mapIteratorName(f)
	}
	return ""
}

func mapIteratorName(obj types.Object) string {
	switch name := objectName(obj); name {
	case "maps.Keys", "maps.Values", "maps.All":
		return obj.Name()
	}
	return ""
}

// mapIterator checks a mention of a function of package maps that walks a map.
// stack ends in the identifier.
func (c *check) mapIterator(id *ast.Ident, stack []ast.Node) {
	f, ok := c.pass.TypesInfo.Uses[id].(*types.Func)
	if !ok || f.Pkg() == nil || f.Pkg().Path() != "maps" {
		return
	}
	switch f.Name() {
	case "Keys", "Values", "All", "DeleteFunc", "EqualFunc":
	default:
		return
	}
	i := len(stack) - 1
	for ; i > 0; i-- {
		switch parent := stack[i-1].(type) {
		case *ast.SelectorExpr, *ast.ParenExpr:
			continue
		case *ast.IndexExpr:
			if parent.X == stack[i] {
				continue
			}
		case *ast.IndexListExpr:
			if parent.X == stack[i] {
				continue
			}
		}
		break
	}
	call, ok := stack[i-1].(*ast.CallExpr)
	if !ok || call.Fun != stack[i] {
		c.report(id, fmt.Sprintf("maps.%s used as a value: what calls it sees the order of a map", f.Name()))
		return
	}
	stack = stack[:i] // ends in the call
	if mapIteratorName(f) == "" {
		c.mapPredicate(f, call)
		return
	}
	if !c.orderlyUse(call, stack[:len(stack)-1]) {
		c.report(id, fmt.Sprintf("maps.%s shows the order of a map: pass it to slices.Sorted", f.Name()))
	}
}

// mapPredicate accepts a function literal that is one expression without
// effects for maps.DeleteFunc and maps.EqualFunc.
func (c *check) mapPredicate(f *types.Func, call *ast.CallExpr) {
	why := "it is not a function literal of one return statement"
	lit, ok := ast.Unparen(call.Args[len(call.Args)-1]).(*ast.FuncLit)
	if ok && len(lit.Body.List) == 1 {
		if ret, ok := lit.Body.List[0].(*ast.ReturnStmt); ok && len(ret.Results) == 1 {
			it := &iteration{info: c.pass.TypesInfo, fset: c.pass.Fset, node: lit}
			it.pure(ret.Results[0])
			if m, ok := it.place(call.Args[0]); ok && f.Name() == "DeleteFunc" {
				it.writes = append(it.writes, write{place: m, mode: "deletes from"})
			}
			it.conclude()
			why = it.problem
		}
	}
	if why != "" {
		c.report(call, fmt.Sprintf("maps.%s calls its function in the order of a map: %s", f.Name(), why))
	}
}

// orderlyUse reports whether what surrounds an iterator over a map hides its
// order. stack ends in the parent of the call.
func (c *check) orderlyUse(call *ast.CallExpr, stack []ast.Node) bool {
	switch parent := stack[len(stack)-1].(type) {
	case *ast.RangeStmt:
		return parent.X == ast.Expr(call) // rangeOverMap judges it
	case *ast.CallExpr:
		f, ok := calleeOf(c.pass.TypesInfo, parent)
		if !ok {
			return false
		}
		switch objectName(f) {
		case "slices.Sorted", "slices.SortedFunc", "slices.SortedStableFunc", "maps.Collect", "maps.Insert":
			return true
		case "slices.Collect", "slices.AppendSeq":
			if len(stack) < 2 {
				return false
			}
			assign, ok := stack[len(stack)-2].(*ast.AssignStmt)
			return ok && len(assign.Lhs) == 1 && c.sortedAfter(stack[:len(stack)-1], assign.Lhs[0])
		}
	}
	return false
}

func isBlank(e ast.Expr) bool {
	if e == nil {
		return true
	}
	id, ok := e.(*ast.Ident)
	return ok && id.Name == "_"
}
