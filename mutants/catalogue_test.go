package mutants

import (
	"bytes"
	"errors"
	"go/format"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sourceRoot is the root of the module under test.
func sourceRoot(t *testing.T) string {
	t.Helper()
	root, err := FindRoot(".")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// A mutant's changed files are formatted like all code, and their packages pass the type
// checker: what is scored is a bug, not a broken build. simrun mutants builds them all.
func TestEveryMutantAppliesAndIsWellTyped(t *testing.T) {
	root := sourceRoot(t)
	tree, err := loadTree(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range List() {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			changed, err := Apply(m, root)
			if err != nil {
				t.Fatal(err)
			}
			folders := make(map[string]bool)
			for p, text := range changed {
				formatted, err := format.Source(text)
				if err != nil {
					t.Fatalf("%s: %v", p, err)
				}
				if !bytes.Equal(formatted, text) {
					t.Errorf("%s is not formatted", p)
				}
				folders[path.Dir(p)] = true
			}
			for folder := range folders {
				if err := tree.check(folder, changed); err != nil {
					t.Errorf("package in %s: %v", folder, err)
				}
			}
		})
	}
}

func TestTypeErrorsAreFound(t *testing.T) {
	root := sourceRoot(t)
	tree, err := loadTree(root)
	if err != nil {
		t.Fatal(err)
	}
	const file = "store/guess.go"
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
	if err != nil {
		t.Fatal(err)
	}
	for more, well := range map[string]bool{
		"":                                     true,
		"var more int = 1":                     true,
		"var broken int = `text`":              false,
		"func broken() { unused := 1 }":        false,
		"func broken() { nowhere() }":          false,
		"func Open() {}":                       false, // there is one
		"var broken = database{}.nothingOfThe": false,
	} {
		err := tree.check("store", map[string][]byte{file: slices.Concat(text, []byte("\n"+more+"\n"))})
		if (err == nil) != well {
			t.Errorf("with %q: %v", more, err)
		}
	}
	if err := tree.check("store", map[string][]byte{"store/new.go": []byte("package store\n\nimport \"os\"\n")}); err == nil {
		t.Error("a new file that imports what it does not use is well typed")
	}
}

// Two mutants with the same changes would count one bug twice.
func TestMutantsDiffer(t *testing.T) {
	root := sourceRoot(t)
	seen := make(map[string]string)
	for _, m := range List() {
		changed, err := Apply(m, root)
		if err != nil {
			t.Fatal(err)
		}
		var all strings.Builder
		for _, f := range m.Files {
			all.WriteString(f.Path + "\n")
			all.Write(changed[f.Path])
		}
		if other, ok := seen[all.String()]; ok {
			t.Errorf("%s and %s are the same change", m.Name, other)
		}
		seen[all.String()] = m.Name
	}
}

func TestCatalogueIsInOrderAndFound(t *testing.T) {
	ms := List()
	if len(ms) < 20 {
		t.Fatalf("only %d mutants", len(ms))
	}
	names := make([]string, 0, len(ms))
	for _, m := range ms {
		names = append(names, m.Name)
		if !validName(m.Name) {
			t.Errorf("%q is not a name", m.Name)
		}
		got, err := Find(m.Name)
		if err != nil || got.Title != m.Title {
			t.Errorf("Find(%q) = %q, %v", m.Name, got.Title, err)
		}
	}
	if !slices.IsSorted(names) {
		t.Errorf("not in order: %v", names)
	}
	ms[0].Name = "changed by the caller"
	if List()[0].Name != names[0] {
		t.Error("List hands out its own slice")
	}
}

// The source tree and the binary must hold the same patches.
func TestCatalogueIsEmbeddedWhole(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(catalogueDir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(List()) {
		t.Fatalf("%d files in the catalogue, %d mutants embedded", len(files), len(List()))
	}
	for _, f := range files {
		onDisk, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		embedded, err := catalogueFS.ReadFile(filepath.ToSlash(f))
		if err != nil || !bytes.Equal(onDisk, embedded) {
			t.Errorf("%s is not embedded as it is: %v", f, err)
		}
	}
}

func TestFindNamesTheMutantsThereAre(t *testing.T) {
	_, err := Find("no-such-bug")
	if !errors.Is(err, ErrUnknownMutant) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{`"no-such-bug"`, List()[0].Name, List()[len(List())-1].Name} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}
