package mutants

import (
	"embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors about mutants and their patches.
var (
	// ErrUnknownMutant: the catalogue has no mutant of that name.
	ErrUnknownMutant = errors.New("mutants: unknown mutant")
	// ErrFormat: a patch file breaks the format.
	ErrFormat = errors.New("mutants: malformed patch")
	// ErrDoesNotApply: a hunk's old lines are not there exactly once. The text
	// names the mutant, the file and the hunk.
	ErrDoesNotApply = errors.New("mutants: patch does not apply")
)

// Mutant is a bug as a patch.
type Mutant struct {
	Name      string   `json:"name"`      // of the patch file, without its suffix
	Title     string   `json:"title"`     // in one line
	Bug       string   `json:"bug"`       // what the code does wrong
	Seen      string   `json:"seen"`      // where the bug was seen
	Shows     string   `json:"shows"`     // by what behaviour it differs from the original
	Scenarios []string `json:"scenarios"` // expected to find it, in the order tried; not empty
	Files     []File   `json:"files"`     // not empty; each path once
}

// File is the changes of one file.
type File struct {
	Path  string `json:"path"`  // slash-separated, relative to the module's root
	Hunks []Hunk `json:"hunks"` // not empty
}

// Hunk is one change.
type Hunk struct {
	Old string `json:"old"` // whole lines, not empty
	New string `json:"new"` // whole lines, or empty
}

//go:embed catalogue/*.txtar
var catalogueFS embed.FS

const (
	catalogueDir = "catalogue"
	patchSuffix  = ".txtar"
)

// catalogue is parsed once. A malformed patch is a broken build: the tests read
// the same bytes.
var catalogue = mustReadCatalogue()

func mustReadCatalogue() []Mutant {
	entries, err := catalogueFS.ReadDir(catalogueDir)
	if err != nil {
		panic(err)
	}
	ms := make([]Mutant, 0, len(entries))
	for _, e := range entries { // sorted by name
		data, err := catalogueFS.ReadFile(catalogueDir + "/" + e.Name())
		if err != nil {
			panic(err)
		}
		m, err := Parse(strings.TrimSuffix(e.Name(), patchSuffix), data)
		if err != nil {
			panic(err)
		}
		ms = append(ms, m)
	}
	return ms
}

// List returns every mutant, in order of name. The caller must not change what
// the slices in it hold.
func List() []Mutant { return slices.Clone(catalogue) }

// Find returns the mutant with the name, or [ErrUnknownMutant] with the names
// that exist.
func Find(name string) (Mutant, error) { return findIn(catalogue, name) }

func findIn(ms []Mutant, name string) (Mutant, error) {
	names := make([]string, 0, len(ms))
	for _, m := range ms {
		if m.Name == name {
			return m, nil
		}
		names = append(names, m.Name)
	}
	return Mutant{}, fmt.Errorf("%w %q; there are: %s", ErrUnknownMutant, name, strings.Join(names, ", "))
}
