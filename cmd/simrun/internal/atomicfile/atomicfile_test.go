package atomicfile_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
)

func TestWriteReplacesTheWholeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	for _, want := range []string{"a long first content", "short"} {
		err := atomicfile.Write(path, func(w io.Writer) error {
			_, err := io.WriteString(w, want)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Fatalf("content %q, %v; want %q", got, err, want)
		}
	}
}

func TestFailedWriteLeavesTheOldFileAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "x")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := atomicfile.Write(path, func(w io.Writer) error {
		if _, err := io.WriteString(w, "new"); err != nil {
			return err
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Fatalf("error %v, want %v", err, boom)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Fatalf("content %q, %v; want the old one", got, err)
	}
	onlyEntry(t, dir, "x")
}

func TestCheckLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := atomicfile.Check(filepath.Join(dir, "x")); err != nil {
		t.Fatal(err)
	}
	onlyEntry(t, dir, "")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "no-such-folder", "x"), filepath.Join(file, "x"), ""} {
		if err := atomicfile.Check(path); err == nil {
			t.Errorf("Check(%q) accepts a path that cannot be written", path)
		}
	}
}

// onlyEntry fails the test unless dir holds just the file name, or nothing when
// name is empty.
func onlyEntry(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != name {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

func TestDevicesAreNotReplaced(t *testing.T) {
	if err := atomicfile.Check(os.DevNull); err != nil {
		t.Fatal(err)
	}
	err := atomicfile.Write(os.DevNull, func(w io.Writer) error {
		_, err := io.WriteString(w, "gone")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Fatalf("the device has become %v, %v", info, err)
	}
}

func TestWriteGoesThroughALink(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	err := atomicfile.Write(link, func(w io.Writer) error {
		_, err := io.WriteString(w, "new")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "new" {
		t.Fatalf("content %q, %v; want the new one", got, err)
	}
}

func TestCheckFolderFindsWhatCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	if err := atomicfile.CheckFolder(filepath.Join(dir, "a", "b")); err != nil {
		t.Fatal(err)
	}
	onlyEntry(t, dir, "")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", file, filepath.Join(file, "x")} {
		if err := atomicfile.CheckFolder(bad); err == nil {
			t.Errorf("CheckFolder(%q) accepts a folder that cannot be made", bad)
		}
	}
}
