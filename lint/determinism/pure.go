package determinism

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
)

// purePackages are packages whose functions (not methods) have no effect and
// give one result for one input.
var purePackages = map[string]bool{
	"bytes": true, "cmp": true, "math": true, "math/bits": true, "strconv": true,
	"strings": true, "unicode": true, "unicode/utf8": true,
}

// pureObjects are functions with the same property from other packages.
var pureObjects = map[string]bool{
	"errors.Is": true, "errors.Join": true, "errors.New": true,
	"fmt.Errorf": true, "fmt.Sprint": true, "fmt.Sprintf": true, "fmt.Sprintln": true,
	"maps.Clone": true, "maps.Equal": true,
	"slices.Clone": true, "slices.Compare": true, "slices.Concat": true, "slices.Contains": true,
	"slices.Equal": true, "slices.Index": true, "slices.Max": true, "slices.Min": true,
}

// pureReceivers are types all of whose methods have the same property.
var pureReceivers = map[string]bool{
	"net/netip.Addr": true, "net/netip.AddrPort": true, "net/netip.Prefix": true,
	"time.Duration": true, "time.Month": true, "time.Time": true, "time.Weekday": true,
}

// pure judges an expression that is evaluated in each pass, and records what it
// reads. A nil expression is pure.
func (it *iteration) pure(e ast.Expr) {
	if e == nil {
		return
	}
	if tv, ok := it.info.Types[e]; ok && (tv.IsType() || tv.Value != nil) {
		return
	}
	if where, ok := it.place(e); ok {
		it.reads = append(it.reads, where)
		return
	}
	switch e := e.(type) {
	case *ast.Ident, *ast.BasicLit:
	case *ast.ParenExpr:
		it.pure(e.X)
	case *ast.SelectorExpr:
		if it.info.Selections[e] != nil { // not pkg.Name
			it.pure(e.X)
		}
	case *ast.StarExpr:
		it.pure(e.X)
	case *ast.UnaryExpr:
		if e.Op == token.ARROW {
			it.fail("it receives from a channel")
		}
		it.pure(e.X)
	case *ast.BinaryExpr:
		it.pure(e.X)
		it.pure(e.Y)
	case *ast.IndexExpr:
		it.pure(e.X)
		it.pure(e.Index)
	case *ast.IndexListExpr:
		it.pure(e.X)
	case *ast.SliceExpr:
		it.pure(e.X)
		it.pure(e.Low)
		it.pure(e.High)
		it.pure(e.Max)
	case *ast.TypeAssertExpr:
		it.pure(e.X)
	case *ast.CompositeLit:
		it.literal(e)
	case *ast.CallExpr:
		it.pureCall(e)
	default:
		it.fail("it evaluates %s", types.ExprString(e))
	}
}

func (it *iteration) literal(e *ast.CompositeLit) {
	_, isStruct := it.info.TypeOf(e).Underlying().(*types.Struct)
	for _, elt := range e.Elts {
		kv, ok := elt.(*ast.KeyValueExpr)
		if !ok {
			it.pure(elt)
			continue
		}
		if !isStruct {
			it.pure(kv.Key)
		}
		it.pure(kv.Value)
	}
}

func (it *iteration) pureCall(call *ast.CallExpr) {
	args := call.Args
	switch name := builtinOf(it.info, call); {
	case it.info.Types[call.Fun].IsType():
	case name == "append":
		if where, ok := it.place(args[0]); ok && !where.own && !it.local(where.root) {
			it.fail("it appends to %s", where.text)
		}
	case name == "len" || name == "cap" || name == "min" || name == "max" || name == "new" || name == "make" ||
		name == "complex" || name == "real" || name == "imag":
	default:
		f, ok := calleeOf(it.info, call)
		if !ok || !isPure(f) {
			it.fail("it calls %s, which may have effects", types.ExprString(call.Fun))
			return
		}
		if sel, ok := call.Fun.(*ast.SelectorExpr); ok && !isFunction(f) {
			it.pure(sel.X)
		}
	}
	for _, arg := range args {
		if t := it.info.TypeOf(arg); t != nil {
			if _, ok := t.Underlying().(*types.Signature); ok {
				it.fail("it passes a function to %s", types.ExprString(call.Fun))
			}
		}
		it.pure(arg)
	}
}

func isPure(f *types.Func) bool {
	if f.Pkg() == nil {
		return false
	}
	if isFunction(f) {
		return purePackages[f.Pkg().Path()] || pureObjects[objectName(f)]
	}
	name := objectName(f)
	return pureReceivers[name[:len(name)-len(f.Name())-1]]
}

// invariant judges an expression that must have one value in all passes.
func (it *iteration) invariant(e ast.Expr, what string) {
	if e == nil {
		it.fail("%s a value that depends on the element", what)
		return
	}
	if it.varies(e) {
		it.fail("%s %s, which depends on the element", what, types.ExprString(e))
	}
	it.pure(e)
}

// varies reports whether an expression mentions a variable of one pass.
func (it *iteration) varies(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if v, ok := it.info.Uses[id].(*types.Var); ok && !v.IsField() && it.local(v) {
				found = true
			}
		}
		return !found
	})
	return found
}

// isKey reports whether an expression is the key of the pass, perhaps under
// another type that keeps it as it is.
func (it *iteration) isKey(e ast.Expr) bool {
	e = ast.Unparen(e)
	if call, ok := e.(*ast.CallExpr); ok && it.info.Types[call.Fun].IsType() && len(call.Args) == 1 &&
		types.Identical(it.info.TypeOf(call).Underlying(), it.info.TypeOf(call.Args[0]).Underlying()) {
		e = ast.Unparen(call.Args[0])
	}
	id, ok := e.(*ast.Ident)
	return ok && it.key != nil && it.info.Uses[id] == it.key
}

// place returns the place that an expression denotes, and false when it denotes
// none. Index expressions on the way are judged.
func (it *iteration) place(e ast.Expr) (place, bool) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return it.place(e.X)
	case *ast.Ident:
		v, ok := it.info.ObjectOf(e).(*types.Var)
		if !ok || v.IsField() {
			return place{}, false
		}
		return place{root: v, text: e.Name, own: it.value != nil && v == it.value}, true
	case *ast.StarExpr:
		p, ok := it.place(e.X)
		p.text = "*" + p.text
		return p.hop(), ok
	case *ast.SelectorExpr:
		selection := it.info.Selections[e]
		if selection == nil {
			v, ok := it.info.Uses[e.Sel].(*types.Var)
			return place{root: v, text: types.ExprString(e)}, ok
		}
		p, ok := it.place(e.X)
		if !ok || selection.Kind() != types.FieldVal {
			return place{}, false
		}
		p.text += "." + e.Sel.Name
		if selection.Indirect() {
			p = p.hop()
		}
		if !p.indexed {
			for _, field := range selection.Index() {
				p.path += fmt.Sprintf(".%d", field)
			}
		}
		return p, true
	case *ast.IndexExpr:
		p, ok := it.place(e.X)
		if !ok {
			return place{}, false
		}
		it.pure(e.Index)
		p.text += "[" + types.ExprString(e.Index) + "]"
		p.indexed = true
		if _, array := it.info.TypeOf(e.X).Underlying().(*types.Array); !array {
			p = p.hop()
		}
		if it.isKey(e.Index) {
			p.own, p.hops = true, 0
		}
		return p, true
	}
	return place{}, false
}
