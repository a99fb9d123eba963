//go:build linux

package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/disk"
)

func init() { roles["fill"] = fillDisk }

// TestNotWritable opens directories that the user may not write.
func TestNotWritable(t *testing.T) {
	directory := filled(t)
	for _, tc := range []struct {
		name string
		path string
		make func() error
	}{
		{"a new one below one that is not ours", filepath.Join(directory, "new", "data"), func() error {
			return os.Mkdir(filepath.Join(directory, "new"), 0o555)
		}},
		{"the directory", directory, func() error { return os.Chmod(directory, 0o555) }},
		{"the files", directory, func() error {
			return errors.Join(os.Chmod(directory, 0o777), os.Chmod(filepath.Join(directory, lockFile), 0o666))
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := tc.make(); err != nil {
				t.Fatal(err)
			}
			out, err := asNobody(t, command(t, "open", tc.path)).Output()
			if err != nil || !strings.HasPrefix(string(out), "not permitted:") || !strings.Contains(string(out), tc.path) {
				t.Errorf("%q, %v, want an error of permission that names %s", out, err, tc.path)
			}
		})
	}
	if err := os.Chmod(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	e := open(t, directory)
	wantRows(t, e, map[string]string{"a": "1"})
}

// asNobody makes a command run as a user to whom permissions apply, when this
// process is root. That user must be able to reach the program, and the
// directories of the test.
func asNobody(t *testing.T, c *exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		return c
	}
	program := filepath.Join(t.TempDir(), "program")
	if err := errors.Join(copyFile(c.Path, program), os.Chmod(program, 0o755)); err != nil {
		t.Fatal(err)
	}
	c.Path = program
	c.Dir = filepath.Dir(program)
	reachable(t, c.Dir)
	reachable(t, filepath.Dir(c.Args[1]))
	const nobody = 65534
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return c
}

// reachable lets others into a directory of the test.
func reachable(t *testing.T, directory string) {
	t.Helper()
	for d := directory; d != filepath.Clean(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		if info, err := os.Stat(d); err == nil && info.Mode().Perm()&0o055 == 0 {
			if err := os.Chmod(d, info.Mode().Perm()|0o055); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}

// fillDisk is a role: it commits until the disk is full, prints what it
// acknowledged, and then what became of the rest.
func fillDisk(args []string, out io.Writer) error {
	if len(args) > 1 {
		limit, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil {
			return err
		}
		signal.Ignore(syscall.SIGXFSZ)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
	}
	e, err := disk.Open(args[0], disk.Options{})
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		tx := e.Begin(context.Background())
		for part := range killParts {
			tx.Set(fmt.Appendf(nil, "%d/%d", i, part), bytes.Repeat([]byte("v"), 50_000))
		}
		err := tx.Commit()
		if err == nil {
			fmt.Fprintln(out, "acknowledged", i)
			continue
		}
		later := e.Begin(context.Background())
		_, lerr := later.Get([]byte("0/0"))
		fmt.Fprintln(out, "failed", i, errors.Is(err, store.ErrCommitUnknown), errors.Is(err, disk.ErrFailed), errors.Is(lerr, disk.ErrFailed), err)
		return e.Close()
	}
}

// TestFullDisk fills a disk, once a real one and once what the system lets a
// process have of it. Nothing that was acknowledged is lost, and with more room
// the store goes on.
func TestFullDisk(t *testing.T) {
	const size = 24 << 20 // bytes
	for _, tc := range []struct {
		name  string
		args  []string
		mount bool
	}{
		{"a file system", nil, true},
		{"a limit", []string{strconv.Itoa(size)}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			directory := t.TempDir()
			if tc.mount {
				if err := syscall.Mount("tmpfs", directory, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
					t.Skipf("no file system of our own: %v", err)
				}
				t.Cleanup(func() {
					if err := syscall.Unmount(directory, 0); err != nil {
						t.Error(err)
					}
				})
			}
			c := start(t, command(t, "fill", append([]string{filepath.Join(directory, "data")}, tc.args...)...))
			acknowledged, last := 0, ""
			for c.lines.Scan() {
				last = c.lines.Text()
				if strings.HasPrefix(last, "acknowledged") {
					acknowledged++
				}
			}
			if want := fmt.Sprintf("failed %d true true true", acknowledged); !strings.HasPrefix(last, want) || acknowledged < 20 {
				t.Fatalf("%d were acknowledged, and then: %s; want %s", acknowledged, last, want)
			}
			t.Log(last)
			c.kill()
			if tc.mount { // more room
				if err := syscall.Mount("tmpfs", directory, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", 4*size)); err != nil {
					t.Fatal(err)
				}
			}
			e := open(t, filepath.Join(directory, "data"))
			parts := map[string]int{}
			for k := range rowsOf(t, e) {
				name, _, _ := strings.Cut(k, "/")
				parts[name]++
			}
			for i := range acknowledged {
				if n := parts[strconv.Itoa(i)]; n != killParts {
					t.Errorf("transaction %d has %d parts of %d", i, n, killParts)
				}
			}
			if n := parts[strconv.Itoa(acknowledged)]; n != 0 && n != killParts {
				t.Errorf("the transaction that failed has %d parts", n)
			}
			put(t, e, "more", "room")
			closed(t, e)
		})
	}
}
