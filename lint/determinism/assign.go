package determinism

import (
	"go/ast"
	"go/token"
	"go/types"
)

// modeSet is the mode of writes of one and the same value.
const modeSet = "sets"

// combiners maps an operator to the mode of writes that combine with it, and to
// what it must be applied to for them to commute.
var combiners = map[token.Token]struct {
	mode string
	on   types.BasicInfo
}{
	token.ADD: {"adds to", types.IsInteger}, token.ADD_ASSIGN: {"adds to", types.IsInteger}, token.INC: {"adds to", types.IsInteger},
	token.SUB: {"adds to", types.IsInteger}, token.SUB_ASSIGN: {"adds to", types.IsInteger}, token.DEC: {"adds to", types.IsInteger},
	token.OR: {"sets bits of", types.IsInteger}, token.OR_ASSIGN: {"sets bits of", types.IsInteger},
	token.AND: {"clears bits of", types.IsInteger}, token.AND_ASSIGN: {"clears bits of", types.IsInteger},
	token.AND_NOT: {"clears bits of", types.IsInteger}, token.AND_NOT_ASSIGN: {"clears bits of", types.IsInteger},
	token.XOR: {"flips bits of", types.IsInteger}, token.XOR_ASSIGN: {"flips bits of", types.IsInteger},
	token.MUL: {"multiplies", types.IsInteger}, token.MUL_ASSIGN: {"multiplies", types.IsInteger},
	token.LOR: {"ors", types.IsBoolean}, token.LAND: {"ands", types.IsBoolean},
}

func (it *iteration) assign(s *ast.AssignStmt) {
	switch {
	case s.Tok != token.ASSIGN && s.Tok != token.DEFINE:
		it.combine(s.Lhs[0], s.Tok, s.Rhs[0])
	case len(s.Lhs) == len(s.Rhs):
		for i, e := range s.Lhs {
			it.set(e, s.Rhs[i])
		}
	default:
		it.pure(s.Rhs[0])
		for _, e := range s.Lhs {
			it.set(e, nil)
		}
	}
}

// target returns the place that an assignment changes, and whether the change
// outlives the pass.
func (it *iteration) target(e ast.Expr) (where place, outlives bool) {
	if isBlank(e) {
		return place{}, false
	}
	where, ok := it.place(e)
	if !ok {
		it.fail("it assigns to %s", types.ExprString(e))
		return place{}, false
	}
	if it.key != nil && where.root == it.key {
		it.fail("it changes its key")
	}
	return where, !it.local(where.root) || where.indirect
}

// set judges lhs = rhs; a nil rhs stands for one of several results.
func (it *iteration) set(lhs, rhs ast.Expr) {
	where, outlives := it.target(lhs)
	if !outlives || where.own {
		it.pure(rhs)
		if outlives {
			it.write(where, "changes", "")
		}
		return
	}
	switch rhs := ast.Unparen(rhs).(type) {
	case *ast.CallExpr:
		if it.accumulate(where, lhs, rhs) {
			return
		}
	case *ast.BinaryExpr:
		if _, ok := combiners[rhs.Op]; ok && types.ExprString(rhs.X) == types.ExprString(lhs) {
			it.combine(lhs, rhs.Op, rhs.Y)
			return
		}
	}
	it.invariant(rhs, "it sets "+where.text+" to")
	if rhs != nil {
		it.write(where, modeSet, types.ExprString(rhs))
	}
}

// accumulate judges x = append(x, …), x = max(x, …) and x = min(x, …), and
// reports whether the assignment was one of them.
func (it *iteration) accumulate(where place, lhs ast.Expr, call *ast.CallExpr) bool {
	name, text := builtinOf(it.info, call), types.ExprString(lhs)
	if name != "append" && name != "max" && name != "min" {
		return false
	}
	self := -1
	for i, arg := range call.Args {
		if types.ExprString(arg) == text && (i == 0 || name != "append") {
			self = i
			break
		}
	}
	if self < 0 {
		return false
	}
	for i, arg := range call.Args {
		if i != self {
			it.pure(arg)
		}
	}
	if name != "append" {
		it.write(where, "takes the "+name+" of", "")
		return true
	}
	if it.varies(lhs) {
		it.fail("it appends to %s, of which there are several", text)
	}
	it.write(where, "appends to", "")
	it.appended = append(it.appended, lhs)
	return true
}

// combine judges lhs op= rhs; rhs is nil for ++ and --.
func (it *iteration) combine(lhs ast.Expr, op token.Token, rhs ast.Expr) {
	it.pure(rhs)
	where, outlives := it.target(lhs)
	if !outlives {
		return
	}
	if where.own {
		it.write(where, "changes", "")
		return
	}
	by, ok := combiners[op]
	basic, isBasic := it.info.TypeOf(lhs).Underlying().(*types.Basic)
	switch {
	case !ok:
		it.fail("it applies %s to %s, which does not commute", op, where.text)
	case !isBasic || basic.Info()&by.on == 0:
		it.fail("it applies %s to %s, which does not commute for %s", op, where.text, it.info.TypeOf(lhs))
	default:
		it.write(where, by.mode, "")
	}
}

// extremum judges if e > x { x = e } and its like for integers and strings, and
// reports whether the statement was one.
func (it *iteration) extremum(s *ast.IfStmt) bool {
	cond, ok := ast.Unparen(s.Cond).(*ast.BinaryExpr)
	if !ok || s.Init != nil || s.Else != nil || len(s.Body.List) != 1 {
		return false
	}
	assign, ok := s.Body.List[0].(*ast.AssignStmt)
	if !ok || assign.Tok != token.ASSIGN || len(assign.Lhs) != 1 || len(assign.Rhs) != 1 {
		return false
	}
	lhs, rhs := assign.Lhs[0], assign.Rhs[0]
	basic, ok := it.info.TypeOf(lhs).Underlying().(*types.Basic)
	if !ok || basic.Info()&(types.IsInteger|types.IsString) == 0 {
		return false
	}
	greater := false // rhs > lhs
	x, y := types.ExprString(cond.X), types.ExprString(cond.Y)
	switch a, b := types.ExprString(lhs), types.ExprString(rhs); {
	case x == b && y == a:
		greater = cond.Op == token.GTR || cond.Op == token.GEQ
	case x == a && y == b:
		greater = cond.Op == token.LSS || cond.Op == token.LEQ
	default:
		return false
	}
	switch cond.Op {
	case token.GTR, token.GEQ, token.LSS, token.LEQ:
	default:
		return false
	}
	where, outlives := it.target(lhs)
	if !outlives || where.own || it.varies(lhs) {
		return false
	}
	it.pure(rhs)
	mode := "takes the min of"
	if greater {
		mode = "takes the max of"
	}
	it.write(where, mode, "")
	return true
}
