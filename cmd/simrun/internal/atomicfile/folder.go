package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeFolder makes dir, with its parents, unless it is there.
func MakeFolder(dir string) error { return os.MkdirAll(dir, 0o777) }

// CheckFolder looks whether files could be written into dir, which may have to
// be made for it. It leaves nothing behind.
func CheckFolder(dir string) error {
	if dir == "" {
		return errors.New("the folder's name is empty")
	}
	if err := probe(dir); err != nil {
		return fmt.Errorf("cannot write to %q: %w", dir, err)
	}
	return nil
}

// probe makes an entry in dir, or in the nearest of its parents that exists, and
// removes it.
func probe(dir string) error {
	for {
		info, err := os.Stat(dir)
		switch {
		case err == nil && !info.IsDir():
			return fmt.Errorf("%q is not a directory", dir)
		case err == nil:
			tmp, err := os.MkdirTemp(dir, ".simrun-*")
			if err != nil {
				return err
			}
			return os.Remove(tmp)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
		dir = filepath.Dir(dir)
	}
}
