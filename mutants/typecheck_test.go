package mutants

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// tree is the packages of the module, as the go command knows them: a changed one is
// type-checked against the export data of those that it imports.
type tree struct {
	root    string
	files   map[string][]string // by folder: its Go files without tests
	exports map[string]string   // by import path: the file of its export data
}

// loadTree has the go command build all packages that are not main ones.
func loadTree(root string) (*tree, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=Dir,ImportPath,Export,GoFiles,Standard", "./...")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	t := &tree{root: root, files: make(map[string][]string), exports: make(map[string]string)}
	for in := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			Dir, ImportPath, Export string
			GoFiles                 []string
			Standard                bool
		}
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			return t, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		t.exports[p.ImportPath] = p.Export
		if folder, err := filepath.Rel(root, p.Dir); err == nil && !p.Standard {
			t.files[filepath.ToSlash(folder)] = p.GoFiles
		}
	}
}

// check type-checks the package in a folder, some of whose files are changed: the paths
// are relative to the root.
func (t *tree) check(folder string, changed map[string][]byte) error {
	if len(t.files[folder]) == 0 {
		return errors.New("the go command knows no such package")
	}
	names := slices.Clone(t.files[folder])
	for p := range changed {
		if name := path.Base(p); path.Dir(p) == folder && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		var text any // nil: the parser reads the file
		if c, ok := changed[path.Join(folder, name)]; ok {
			text = c
		}
		f, err := parser.ParseFile(fset, filepath.Join(t.root, folder, name), text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	config := types.Config{
		Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(t.exports[path]) }),
		Sizes:    types.SizesFor("gc", runtime.GOARCH),
	}
	_, err := config.Check(folder, fset, files, nil)
	return err
}
