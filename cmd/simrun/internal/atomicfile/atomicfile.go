// Package atomicfile writes a file whole or not at all: to a temporary name in
// the same folder, which then takes the place of the file in one step. Whoever
// reads the file sees the old content or the new one, never a part.
//
// A path that names a device or a pipe is written to as it is: it must not be
// replaced by a file.
package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Write gives the file at path the content that f writes. When f or the file
// system fails, path is left as it was and the temporary file is removed.
func Write(path string, f func(w io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return writeTo(path, f)
	}
	tmp, err := createBeside(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	w := bufio.NewWriterSize(tmp, 1<<16)
	if err := errors.Join(f(w), w.Flush()); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	return os.Rename(tmp.Name(), path)
}

// writeTo writes to what is not a file.
func writeTo(path string, f func(w io.Writer) error) error {
	out, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("cannot write %q: %w", path, err)
	}
	w := bufio.NewWriterSize(out, 1<<16)
	return errors.Join(f(w), w.Flush(), out.Close())
}

// Check looks whether a file could be written at path, without leaving
// anything behind.
func Check(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("cannot write %q: it is a directory", path)
	case err == nil && !info.Mode().IsRegular():
		return nil
	}
	tmp, err := createBeside(path)
	if err != nil {
		return err
	}
	return errors.Join(tmp.Close(), os.Remove(tmp.Name()))
}

// createBeside makes the temporary file for path.
func createBeside(path string) (*os.File, error) {
	if path == "" {
		return nil, errors.New("cannot write a file with an empty name")
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("cannot write %q: %w", path, err)
	}
	return tmp, nil
}
