package mutants

import (
	"fmt"
	"go/token"
	"path"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

// The lines that mark a hunk's parts.
const (
	markOld = "<<<<<<<"
	markNew = "======="
	markEnd = ">>>>>>>"
)

// Parse reads a patch file; see the package comment for the format. The error
// wraps [ErrFormat] and names the mutant and the place.
func Parse(name string, data []byte) (Mutant, error) {
	m := Mutant{Name: name}
	a := txtar.Parse(data)
	if err := m.parseHeader(string(a.Comment)); err != nil {
		return Mutant{}, fmt.Errorf("%w %q: %w", ErrFormat, name, err)
	}
	if len(a.Files) == 0 {
		return Mutant{}, fmt.Errorf("%w %q: it changes no file", ErrFormat, name)
	}
	for _, f := range a.Files {
		hunks, err := parseHunks(string(f.Data))
		if err == nil {
			err = m.checkPath(f.Name)
		}
		if err != nil {
			return Mutant{}, fmt.Errorf("%w %q: file %q: %w", ErrFormat, name, f.Name, err)
		}
		m.Files = append(m.Files, File{Path: f.Name, Hunks: hunks})
	}
	return m, nil
}

// checkPath accepts a Go source file inside the module that has no section yet.
func (m *Mutant) checkPath(p string) error {
	switch {
	case path.Clean(p) != p, path.IsAbs(p), p == "..", strings.HasPrefix(p, "../"), strings.ContainsAny(p, `\:`):
		return fmt.Errorf("not a clean path inside the module")
	case path.Ext(p) != ".go":
		return fmt.Errorf("not a Go file")
	case slices.ContainsFunc(m.Files, func(f File) bool { return f.Path == p }):
		return fmt.Errorf("has two sections")
	}
	return nil
}

// parseHeader reads the title and the fields.
func (m *Mutant) parseHeader(text string) error {
	title, rest, _ := strings.Cut(text, "\n")
	if m.Title = strings.TrimSpace(title); m.Title == "" {
		return fmt.Errorf("the first line, the title, is empty")
	}
	var scenarios string
	fields := []struct {
		key   string
		value *string
	}{{"Bug", &m.Bug}, {"Seen", &m.Seen}, {"Shows", &m.Shows}, {"Scenarios", &scenarios}}
	var current *string
	for i, line := range strings.Split(rest, "\n") {
		n := i + 2
		key, value, colon := strings.Cut(line, ":")
		switch {
		case strings.TrimSpace(line) == "":
			current = nil
		case line[0] == ' ' || line[0] == '\t':
			if current == nil {
				return fmt.Errorf("line %d goes on with no field", n)
			}
			*current += " " + strings.TrimSpace(line)
		case !colon:
			return fmt.Errorf("line %d is neither a field nor indented", n)
		default:
			current = nil
			for _, f := range fields {
				if f.key == key {
					current = f.value
				}
			}
			if current == nil {
				return fmt.Errorf("line %d: unknown field %q", n, key)
			}
			if *current != "" {
				return fmt.Errorf("line %d: field %q is there twice", n, key)
			}
			*current = strings.TrimSpace(value)
		}
	}
	for _, f := range fields {
		if *f.value = strings.TrimSpace(*f.value); *f.value == "" {
			return fmt.Errorf("field %q is missing or empty", f.key)
		}
	}
	return m.parseScenarios(scenarios)
}

func (m *Mutant) parseScenarios(list string) error {
	for s := range strings.SplitSeq(list, ",") {
		s = strings.TrimSpace(s)
		if !validName(s) {
			return fmt.Errorf("field \"Scenarios\": %q is not a name", s)
		}
		if slices.Contains(m.Scenarios, s) {
			return fmt.Errorf("field \"Scenarios\": %q is there twice", s)
		}
		m.Scenarios = append(m.Scenarios, s)
	}
	return nil
}

// validName accepts words of letters and digits joined by hyphens, so that a
// name can never be taken for a flag.
func validName(s string) bool {
	for word := range strings.SplitSeq(s, "-") {
		if word == "" || !token.IsIdentifier("a"+word) {
			return false
		}
	}
	return true
}

// parseHunks reads the blocks of one section.
func parseHunks(text string) ([]Hunk, error) {
	var (
		hunks []Hunk
		h     Hunk
		part  = "" // the mark that began the part we are in; empty between hunks
	)
	text = strings.TrimSuffix(text, "\n")
	for i, line := range strings.Split(text, "\n") {
		unexpected := fmt.Errorf("line %d: unexpected %q", i+1, line)
		switch {
		case line == markOld:
			if part != "" {
				return nil, unexpected
			}
			part, h = markOld, Hunk{}
		case line == markNew:
			if part != markOld {
				return nil, unexpected
			}
			part = markNew
		case line == markEnd:
			if part != markNew {
				return nil, unexpected
			}
			if h.Old == "" {
				return nil, fmt.Errorf("hunk %d has no old lines", len(hunks)+1)
			}
			if h.Old == h.New {
				return nil, fmt.Errorf("hunk %d changes nothing", len(hunks)+1)
			}
			part, hunks = "", append(hunks, h)
		case part == markOld:
			h.Old += line + "\n"
		case part == markNew:
			h.New += line + "\n"
		case strings.TrimSpace(line) != "":
			return nil, unexpected
		}
	}
	if part != "" {
		return nil, fmt.Errorf("hunk %d does not end with %s", len(hunks)+1, markEnd)
	}
	if len(hunks) == 0 {
		return nil, fmt.Errorf("no hunk")
	}
	return hunks, nil
}
