package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Apply returns the changed files of the module at root, whole, by their paths
// in the module. It writes nothing. The error wraps [ErrDoesNotApply] for each
// hunk that does not, and is that of reading the file when there is none.
func Apply(m Mutant, root string) (map[string][]byte, error) {
	changed := make(map[string][]byte, len(m.Files))
	var errs []error
	for _, f := range m.Files {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.Path)))
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: mutant %q: %w", ErrDoesNotApply, m.Name, err))
			continue
		}
		out, err := f.apply(m.Name, string(text))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		changed[f.Path] = []byte(out)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return changed, nil
}

// place is where a hunk's old text stands.
type place struct {
	begin, end int
	text       string // in its stead
	number     int    // of the hunk, from 1
}

func (f File) apply(mutant, text string) (string, error) {
	var (
		places []place
		errs   []error
	)
	refuse := func(hunk int, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: mutant %q, file %q, hunk %d: %s",
			ErrDoesNotApply, mutant, f.Path, hunk, fmt.Sprintf(format, args...)))
	}
	for i, h := range f.Hunks {
		at := findLines(text, h.Old)
		switch {
		case len(at) == 0:
			line, number := firstStranger(text, h.Old)
			refuse(i+1, "its old lines are there 0 times, exactly once is needed; line %d, %q, does not follow", number, line)
			continue
		case len(at) > 1:
			refuse(i+1, "its old lines are there %d times, exactly once is needed", len(at))
			continue
		}
		places = append(places, place{at[0], at[0] + len(h.Old), h.New, i + 1})
	}
	slices.SortFunc(places, func(a, b place) int { return a.begin - b.begin })
	var (
		out  strings.Builder
		done int
	)
	for i, p := range places {
		if p.begin < done {
			refuse(p.number, "it overlaps hunk %d", places[i-1].number)
			continue
		}
		out.WriteString(text[done:p.begin])
		out.WriteString(p.text)
		done = p.end
	}
	out.WriteString(text[done:])
	return out.String(), errors.Join(errs...)
}

// findLines returns where old, which is whole lines, stands in text as whole
// lines.
func findLines(text, old string) (at []int) {
	for from := 0; ; {
		i := strings.Index(text[from:], old)
		if i < 0 {
			return at
		}
		i += from
		if i == 0 || text[i-1] == '\n' {
			at = append(at, i)
		}
		from = i + 1
	}
}

// firstStranger returns the first of the old lines up to which they are not in
// text, and its number from 1.
func firstStranger(text, old string) (line string, number int) {
	end := 0
	for line := range strings.Lines(old) {
		number++
		end += len(line)
		if findLines(text, old[:end]) == nil {
			return strings.TrimSuffix(line, "\n"), number
		}
	}
	return "", number
}

// overlay is the file that go build -overlay reads.
type overlay struct {
	Replace map[string]string
}

// writeOverlay writes the changed files of the module at root into dir, which
// must be there, and an overlay that puts them in place. It returns the
// overlay's path.
func writeOverlay(dir, root string, changed map[string][]byte) (string, error) {
	o := overlay{Replace: make(map[string]string, len(changed))}
	for p, text := range changed {
		to := filepath.Join(dir, "src", filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return "", err
		}
		o.Replace[filepath.Join(root, filepath.FromSlash(p))] = to
	}
	data, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, "overlay.json")
	return name, os.WriteFile(name, data, 0o644)
}
