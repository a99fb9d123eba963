package mutants

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// module is the path of the module whose source the mutants change.
const module = "github.com/kelpie-registry/kelpie"

// Errors about where mutants are built.
var (
	// ErrNoSource: there is no source tree of the module to change.
	ErrNoSource = errors.New("mutants: no source tree of " + module)
	// ErrNoToolchain: there is no go command in the path.
	ErrNoToolchain = errors.New("mutants: no go command to build with")
)

// FindRoot returns the absolute path of the module's root: dir or the nearest
// directory above it that holds the module's go.mod. The error wraps
// [ErrNoSource].
func FindRoot(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoSource, err)
	}
	for at := start; ; at = filepath.Dir(at) {
		text, err := os.ReadFile(filepath.Join(at, "go.mod"))
		switch {
		case err == nil && moduleOf(text) == module:
			return at, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("%w: %w", ErrNoSource, err)
		case at == filepath.Dir(at):
			return "", fmt.Errorf("%w in %s or above it; run it from a clone of the repository", ErrNoSource, start)
		}
	}
}

// moduleOf returns the module path of a go.mod file, or "".
func moduleOf(gomod []byte) string {
	for s := bufio.NewScanner(bytes.NewReader(gomod)); s.Scan(); {
		if f := strings.Fields(s.Text()); len(f) >= 2 && f[0] == "module" {
			return strings.Trim(f[1], `"`)
		}
	}
	return ""
}

func findGo() (string, error) {
	path, err := exec.LookPath("go")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoToolchain, err)
	}
	return path, nil
}
