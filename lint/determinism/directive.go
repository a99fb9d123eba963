package determinism

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// A directive is a comment to the analyzer.
type directive struct {
	pos      token.Pos
	kind     string // "allow" or "real"
	reason   string
	lines    []int // the lines that an allow covers
	suppress int   // how many findings it has suppressed
	problem  string
}

type directives []*directive

// readDirectives returns the directives of one file in the order of their
// places.
func readDirectives(fset *token.FileSet, file *ast.File, src []byte) directives {
	var ds directives
	for _, group := range file.Comments {
		for _, comment := range group.List {
			d := parseDirective(comment.Text)
			if d == nil {
				continue
			}
			d.pos = comment.Pos()
			line := fset.Position(comment.Pos()).Line
			if trails(fset, comment, src) {
				d.lines = []int{line}
			} else {
				d.lines = []int{fset.Position(group.End()).Line + 1}
			}
			if d.kind == "real" && comment.Pos() > file.Package {
				d.problem = "//determinism:real must stand before the package clause"
			}
			ds = append(ds, d)
		}
	}
	return ds
}

// parseDirective returns the directive in the text of one comment, nil when it
// is none. What follows a further "//" is not part of the reason.
func parseDirective(text string) *directive {
	if rest, ok := strings.CutPrefix(text, "// "); ok && strings.HasPrefix(rest, "determinism:") {
		return &directive{problem: "a directive has no space after the slashes: //determinism:…"}
	}
	rest, ok := strings.CutPrefix(text, "//determinism:")
	if !ok {
		return nil
	}
	kind, reason, _ := strings.Cut(rest, " ")
	reason, _, _ = strings.Cut(" "+reason, " //")
	d := &directive{kind: kind, reason: strings.TrimSpace(reason)}
	switch {
	case kind != "allow" && kind != "real":
		d.problem = fmt.Sprintf("unknown directive //determinism:%s", kind)
	case d.reason == "":
		d.problem = fmt.Sprintf("//determinism:%s without a reason", kind)
	}
	return d
}

// trails reports whether code stands before the comment on its line.
func trails(fset *token.FileSet, comment *ast.Comment, src []byte) bool {
	at := fset.PositionFor(comment.Pos(), false)
	start := at.Offset - (at.Column - 1)
	if start < 0 || at.Offset > len(src) {
		return false
	}
	return len(bytes.TrimSpace(src[start:at.Offset])) > 0
}

// filter returns the findings that no directive suppresses, and one for each
// directive that is wrong or suppresses nothing. A wrong directive suppresses
// all the same: one mistake, one finding.
func (ds directives) filter(fset *token.FileSet, found []finding) []finding {
	var left []finding
	for _, f := range found {
		if d := ds.covering(fset.Position(f.pos).Line); d != nil {
			d.suppress++
		} else {
			left = append(left, f)
		}
	}
	for _, d := range ds {
		switch {
		case d.problem != "":
			left = append(left, finding{d.pos, d.problem})
		case d.suppress == 0:
			left = append(left, finding{d.pos, fmt.Sprintf("//determinism:%s suppresses nothing", d.kind)})
		}
	}
	slices.SortStableFunc(left, func(a, b finding) int { return cmp.Compare(a.pos, b.pos) })
	return left
}

// covering returns the directive that suppresses findings on a line. The ones
// for a single line come first, so that they do not look unused in a real file.
func (ds directives) covering(line int) *directive {
	for _, d := range ds {
		if d.kind == "allow" && slices.Contains(d.lines, line) {
			return d
		}
	}
	for _, d := range ds {
		if d.kind == "real" && !strings.Contains(d.problem, "package clause") {
			return d
		}
	}
	return nil
}
