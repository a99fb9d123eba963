// Command detlint runs the determinism analyzer under go vet:
//
//	go build -o detlint ./cmd/detlint
//	go vet -vettool=$PWD/detlint ./registry
//
// See package determinism for what it reports and how to make an exception.
// Flag -determinism.tests includes _test.go files.
//
// It reports on the named packages and on those packages of the same module
// that they import, so that a listed package cannot lean on an unlisted one.
// Flag -determinism.packages=PATH,PATH,… keeps it to those import paths.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/tools/go/analysis/unitchecker"

	"github.com/kelpie-registry/kelpie/lint/determinism"
)

func main() {
	if unit := os.Args[len(os.Args)-1]; strings.HasSuffix(unit, ".cfg") {
		if err := analyzeDependencies(unit); err != nil {
			fmt.Fprintf(os.Stderr, "detlint: %v\n", err)
			os.Exit(1)
		}
	}
	unitchecker.Main(determinism.Analyzer)
}

// analyzeDependencies makes the analyzer report on a package that go vet wants
// analyzed as a dependency only. unit is the go command's description of the
// package, a file in its work directory.
//
// Go 1.26 caches what is said of a package under one key, whether or not it was
// a dependency. So without this, a package that was once analyzed as a
// dependency has no findings ever after.
func analyzeDependencies(unit string) error {
	data, err := os.ReadFile(unit)
	if err != nil {
		return err
	}
	config := map[string]json.RawMessage{}
	var module struct{ ModulePath, ModuleVersion string }
	for _, into := range []any{&config, &module} {
		if err := json.Unmarshal(data, into); err != nil {
			return fmt.Errorf("%s: %w", unit, err)
		}
	}
	if module.ModulePath == "" || module.ModuleVersion != "" {
		return nil // the standard library, or another module
	}
	config["VetxOnly"] = json.RawMessage("false")
	if data, err = json.Marshal(config); err != nil {
		return err
	}
	return os.WriteFile(unit, data, 0o666)
}
