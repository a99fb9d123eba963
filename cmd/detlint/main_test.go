package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A package that go vet has seen as a dependency must still be reported on when
// it is vetted itself, and the other way round, although go vet caches.
func TestGoVetReportsWhateverWasVettedBefore(t *testing.T) {
	tool := filepath.Join(t.TempDir(), "detlint")
	run(t, ".", "go", "build", "-o", tool, ".")
	module := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":   "module example.com/m\n\ngo 1.26\n",
		"a/a.go":   "package a\n\nimport \"example.com/m/b\"\n\nvar A = b.B\n",
		"b/b.go":   "package b\n\nvar B = make(chan int)\n",
		"c/c.go":   "package c\n\nvar C = 1\n",
		"d/d.go":   "package d\n\nvar D = make(chan int)\n",
		"bad/f.go": "package bad\n\nvar F int = \"\"\n",
	} {
		path := filepath.Join(module, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const finding = "make of a channel"
	for _, c := range []struct {
		name string
		args []string
		want string // in the output; "" wants success and no output
	}{
		{"b as a dependency of a", []string{"./a"}, finding},
		{"b after that", []string{"./b"}, finding},
		{"b once more", []string{"./b"}, finding},
		{"a after that", []string{"./a"}, finding},
		{"only a", []string{"-determinism.packages=example.com/m/a", "./a"}, ""},
		{"b after a alone", []string{"./b"}, finding},
		{"a clean package", []string{"./c"}, ""},
		{"a package on its own", []string{"./c", "./d"}, finding},
		{"a package that does not compile", []string{"./bad"}, "cannot use"},
	} {
		args := append([]string{"vet", "-vettool=" + tool}, c.args...)
		out, err := command(module, "go", args...)
		if failed := err != nil; failed != (c.want != "") || !strings.Contains(out, c.want) || c.want == "" && out != "" {
			t.Errorf("%s: go %s: error %v, want one: %t; output %q, want %q in it",
				c.name, strings.Join(args, " "), err, c.want != "", out, c.want)
		}
	}
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	if out, err := command(dir, name, args...); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func command(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	return string(out), err
}
