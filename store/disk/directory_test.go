package disk_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/kelpie-registry/kelpie/store/disk"
)

// contents returns the names and contents of all files in a directory.
func contents(t *testing.T, directory string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := filepath.WalkDir(directory, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(name)
		all[name] = string(b)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func write(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

// filled returns a closed data directory that holds a=1.
func filled(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	e := open(t, directory)
	put(t, e, "a", "1")
	closed(t, e)
	return directory
}

const (
	formatFile = "FORMAT"
	dataFile   = "data.bolt"
	markFile   = "acknowledged"
	lockFile   = "lock"
)

// TestOpenRefuses opens what is no data directory, or not one that this program
// may touch, and looks whether it was left as it was.
func TestOpenRefuses(t *testing.T) {
	for _, tc := range []struct {
		name string
		make func(directory string) error // of a data directory
		want error
		text string // in the error
	}{
		{"a directory of another program", func(d string) error {
			return errors.Join(remove(d, formatFile, dataFile, markFile, lockFile), write(filepath.Join(d, "PG_VERSION"), "16\n"))
		}, disk.ErrForeign, "PG_VERSION"},
		{"a format file of another program", func(d string) error {
			return write(filepath.Join(d, formatFile), "16\n")
		}, disk.ErrForeign, formatFile},
		{"a bbolt file of another program", func(d string) error {
			return errors.Join(remove(d, dataFile), otherBolt(filepath.Join(d, dataFile)))
		}, disk.ErrForeign, "bucket"},
		{"a data file of another program", func(d string) error {
			return write(filepath.Join(d, dataFile), "SQLite format 3\x00"+strings.Repeat("x", 50_000))
		}, disk.ErrForeign, "data file"},
		{"a newer format", func(d string) error {
			return errors.Join(write(filepath.Join(d, formatFile), "kelpie data directory\nformat 2\nand more of it\n"), remove(d, dataFile, markFile))
		}, disk.ErrNewerFormat, "format 2"},
		{"a newer header", func(d string) error {
			return setHeader(filepath.Join(d, dataFile), "kelpied\x00\x00\x00\x00\x07and more of it")
		}, disk.ErrNewerFormat, "format 7"},
		{"a header of another program", func(d string) error {
			return setHeader(filepath.Join(d, dataFile), "something else")
		}, disk.ErrForeign, "header"},
		{"no format in the format file", func(d string) error {
			return write(filepath.Join(d, formatFile), "kelpie data directory\n")
		}, disk.ErrCorrupt, formatFile},
		{"a format file that goes on", func(d string) error {
			return write(filepath.Join(d, formatFile), "kelpie data directory\nformat 1\nand more\n")
		}, disk.ErrCorrupt, "and more"},
		{"a restore that was cut off", func(d string) error {
			return write(filepath.Join(d, formatFile), "kelpie data directory\nformat 1\nrestoring\n")
		}, disk.ErrCorrupt, "restore"},
		{"the format file is gone", func(d string) error { return remove(d, formatFile) }, disk.ErrCorrupt, formatFile},
		{"the data file is gone", func(d string) error { return remove(d, dataFile) }, disk.ErrCorrupt, dataFile},
		{"the data file is a directory", func(d string) error {
			return errors.Join(remove(d, dataFile), os.Mkdir(filepath.Join(d, dataFile), 0o700))
		}, disk.ErrCorrupt, dataFile},
		{"the mark is gone", func(d string) error { return remove(d, markFile) }, disk.ErrCorrupt, markFile},
		{"the mark is empty", func(d string) error { return write(filepath.Join(d, markFile), "") }, disk.ErrCorrupt, markFile},
		{"the data file is empty", func(d string) error { return write(filepath.Join(d, dataFile), "") }, disk.ErrCorrupt, "empty"},
		{"zeros in the data file", func(d string) error {
			return errors.Join(truncate(d, 0), truncate(d, 6*4096))
		}, disk.ErrCorrupt, "zeros"},
		{"half of the data file", func(d string) error { return truncate(d, 3*4096) }, disk.ErrCorrupt, "cut off"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			directory := filled(t)
			if err := tc.make(directory); err != nil {
				t.Fatal(err)
			}
			before := contents(t, directory)
			_, err := disk.Open(directory, disk.Options{})
			if !errors.Is(err, tc.want) || !strings.Contains(fmt.Sprint(err), tc.text) || !strings.Contains(fmt.Sprint(err), directory) {
				t.Errorf("Open = %v, want %v that names %s and the directory", err, tc.want, tc.text)
			}
			after := contents(t, directory)
			for _, m := range []map[string]string{before, after} {
				delete(m, filepath.Join(directory, lockFile)) // it names the holder
			}
			if !maps.Equal(before, after) {
				t.Errorf("files %v became %v, or their contents did", slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(after)))
			}
		})
	}
}

func remove(directory string, names ...string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, os.Remove(filepath.Join(directory, name)))
	}
	return errors.Join(errs...)
}

func truncate(directory string, n int64) error {
	return os.Truncate(filepath.Join(directory, dataFile), n)
}

// changeBolt changes a bbolt file, without us.
func changeBolt(name string, change func(tx *bbolt.Tx) error) error {
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{PageSize: 4096})
	if err != nil {
		return err
	}
	return errors.Join(db.Update(change), db.Close())
}

func otherBolt(name string) error {
	return changeBolt(name, func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("other"))
		return err
	})
}

func setHeader(name, value string) error {
	return changeBolt(name, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("kelpie")).Put([]byte("header"), []byte(value))
	})
}

func TestDirectoryIsAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := write(name, "text"); err != nil {
		t.Fatal(err)
	}
	for call, open := range map[string]func() error{
		"Open":    func() error { _, err := disk.Open(name, disk.Options{}); return err },
		"Restore": func() error { return disk.Restore(name, strings.NewReader("")) },
	} {
		if err := open(); !errors.Is(err, disk.ErrForeign) || !strings.Contains(err.Error(), "it is a file") {
			t.Errorf("%s = %v, want %v", call, err, disk.ErrForeign)
		}
	}
	if b, err := os.ReadFile(name); string(b) != "text" || err != nil {
		t.Errorf("the file has %q, %v", b, err)
	}
	if _, err := disk.Open(filepath.Join(name, "below"), disk.Options{}); err == nil {
		t.Error("a directory below a file was opened")
	}
}

// TestRelativeDirectory opens one by a relative name, from which the process
// moves away.
func TestRelativeDirectory(t *testing.T) {
	home := t.TempDir()
	t.Chdir(home)
	if _, err := disk.Open("", disk.Options{}); err == nil || len(contents(t, home)) > 0 {
		t.Errorf("Open of no name = %v, and left %v", err, contents(t, home))
	}
	e := open(t, "a/b/")
	put(t, e, "a", "1")
	t.Chdir(t.TempDir())
	if _, err := e.Stats(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(e.Compact(t.Context()), e.Check(t.Context())); err != nil {
		t.Error(err)
	}
	closed(t, e)
	wantRows(t, open(t, filepath.Join(home, "a", "b")), map[string]string{"a": "1"})
}

// TestFileSystemOfItsOwn: a new file system is not empty.
func TestFileSystemOfItsOwn(t *testing.T) {
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "lost+found"), 0o700); err != nil {
		t.Fatal(err)
	}
	e := open(t, directory)
	put(t, e, "a", "1")
	closed(t, e)
	wantRows(t, open(t, directory), map[string]string{"a": "1"})
}

// TestCreationCutOff leaves what a crash leaves at each step of a creation.
func TestCreationCutOff(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"only the lock":               {lockFile: ""},
		"the format on its way":       {lockFile: "", formatFile + ".new": "kelpie da"},
		"the format":                  {formatFile: "kelpie data directory\nformat 1\ncreating\n"},
		"the data file on its way":    {formatFile: "kelpie data directory\nformat 1\ncreating\n", dataFile: "half a page"},
		"the mark on its way":         {formatFile: "kelpie data directory\nformat 1\ncreating\n", dataFile: "", markFile + ".new": ""},
		"everything but the last bit": {formatFile: "kelpie data directory\nformat 1\ncreating\n", dataFile: "", markFile: "", formatFile + ".new": ""},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			for file, text := range files {
				if err := write(filepath.Join(directory, file), text); err != nil {
					t.Fatal(err)
				}
			}
			e := open(t, directory)
			put(t, e, "a", "1")
			closed(t, e)
			e = open(t, directory)
			wantRows(t, e, map[string]string{"a": "1"})
			closed(t, e)
			var names []string
			for name := range contents(t, directory) {
				names = append(names, filepath.Base(name))
			}
			slices.Sort(names)
			if want := []string{formatFile, markFile, dataFile, lockFile}; !slices.Equal(names, want) {
				t.Errorf("files %v, want %v", names, want)
			}
		})
	}
}

// holdDirectory is a role: it opens a directory and waits for its input to end.
func holdDirectory(args []string, out io.Writer) error {
	e, err := disk.Open(args[0], disk.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "open")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return e.Close()
}

// TestSecondProcessIsRefused opens a directory that another process has open,
// and again once that was killed.
func TestSecondProcessIsRefused(t *testing.T) {
	directory := filled(t)
	other := start(t, command(t, "hold", directory))
	if got := other.line(t); got != "open" {
		t.Fatal(got)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	_, err = disk.Open(directory, disk.Options{})
	if want := fmt.Sprintf("process %d on %s", other.Process.Pid, host); !errors.Is(err, disk.ErrInUse) || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want %v by %s", err, disk.ErrInUse, want)
	}
	if err := disk.Restore(directory, strings.NewReader("")); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("Restore = %v, want %v", err, disk.ErrInUse)
	}
	other.kill()
	e := open(t, directory)
	wantRows(t, e, map[string]string{"a": "1"})

	// The same within one process.
	_, err = disk.Open(directory, disk.Options{})
	if want := fmt.Sprintf("process %d", os.Getpid()); !errors.Is(err, disk.ErrInUse) || !strings.Contains(err.Error(), want) {
		t.Errorf("Open = %v, want %v by %s", err, disk.ErrInUse, want)
	}
	wantRows(t, e, map[string]string{"a": "1"})
}

// TestDataFileLockedByAnotherProgram: one that knows bbolt and not our lock.
func TestDataFileLockedByAnotherProgram(t *testing.T) {
	directory := filled(t)
	db, err := bbolt.Open(filepath.Join(directory, dataFile), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Open(directory, disk.Options{}); !errors.Is(err, disk.ErrInUse) {
		t.Errorf("Open = %v, want %v", err, disk.ErrInUse)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	closed(t, open(t, directory))
}

// openOnce is a role: it opens a directory and says what came of it.
func openOnce(args []string, out io.Writer) error {
	e, err := disk.Open(args[0], disk.Options{})
	if errors.Is(err, fs.ErrPermission) {
		fmt.Fprintln(out, "not permitted:", err)
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(e.Check(context.Background()), e.Close())
}
