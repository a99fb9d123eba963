package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"

	"github.com/kelpie-registry/kelpie/store"
)

// Names of the files in a data directory, and of those that are about to become
// one.
const (
	formatName = "FORMAT"
	dataName   = "data.bolt"
	markName   = "acknowledged"
	lockName   = "lock"
	newSuffix  = ".new"
)

// state is what a directory is found to be.
type state int

const (
	stateEmpty     state = iota // nothing there but perhaps a lock
	stateCreating               // its creation was cut off: it has never been open
	stateRestoring              // a restore was cut off: it lacks what it was to hold
	stateReady
)

// inspect tells what a directory is, and changes nothing. It returns
// [ErrForeign], [ErrNewerFormat] or [ErrCorrupt].
func inspect(directory string) (state, error) {
	info, err := os.Stat(directory)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stateEmpty, nil
	case err != nil:
		return 0, fmt.Errorf("disk: %w", err)
	case !info.IsDir():
		return 0, fmt.Errorf("%w: it is a file", ErrForeign)
	}
	b, err := readSmall(filepath.Join(directory, formatName))
	if errors.Is(err, fs.ErrNotExist) {
		return stateEmpty, inspectUnnamed(directory)
	}
	if err != nil {
		return 0, fmt.Errorf("disk: %w", err)
	}
	if s, err := decodeFormat(b); err != nil || s != stateReady {
		return s, err
	}
	for _, name := range []string{dataName, markName} {
		info, err := os.Stat(filepath.Join(directory, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return 0, fmt.Errorf("%w: the file %s is missing", ErrCorrupt, name)
		case err != nil:
			return 0, fmt.Errorf("disk: %w", err)
		case !info.Mode().IsRegular():
			return 0, fmt.Errorf("%w: %s is no file", ErrCorrupt, name)
		}
	}
	return stateReady, nil
}

// inspectUnnamed returns an error unless a directory without a format file is
// empty.
func inspectUnnamed(directory string) error {
	entries, err := os.ReadDir(directory)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	for _, e := range entries {
		switch e.Name() {
		case lockName, formatName + newSuffix, "lost+found": // the last is in every new file system of some kinds
		case dataName, markName:
			return fmt.Errorf("%w: the file %s is missing", ErrCorrupt, formatName)
		default:
			return fmt.Errorf("%w: there is a file %s", ErrForeign, e.Name())
		}
	}
	return nil
}

// readSmall reads a file of which a kilobyte says it all.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // what was only read cannot be lost
	return io.ReadAll(io.LimitReader(f, 1024))
}

// create makes the files of a new data directory; fill makes the data file. A
// crash leaves a directory that is in the state unready.
func create(directory string, unready state, o Options, fill func(name string) (header, error)) error {
	if err := replace(filepath.Join(directory, formatName), encodeFormat(unready), o); err != nil {
		return err
	}
	name := filepath.Join(directory, dataName)
	if err := remove(name, name+newSuffix); err != nil {
		return err
	}
	head, err := fill(name)
	if err != nil {
		return err
	}
	if err := replace(filepath.Join(directory, markName), encodeMark(head.version), o); err != nil {
		return err
	}
	return replace(filepath.Join(directory, formatName), encodeFormat(stateReady), o)
}

// makeDirectory makes a directory, and those above it, unless they are there.
// Each is durable in the one above it before anything is made in it. That of one
// that was there is made so as well: who made it may have been killed before.
func makeDirectory(directory string, o Options) error {
	above := filepath.Dir(directory)
	if _, err := os.Stat(directory); errors.Is(err, fs.ErrNotExist) && above != directory {
		if err := makeDirectory(above, o); err != nil {
			return err
		}
		if err := os.Mkdir(directory, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("disk: %w", err)
		}
	}
	if err := syncDirectory(above, o); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // A directory that we may not read was hardly the one that we made this one in.
}

// createData makes the data file of an empty store.
func createData(name string, o Options) (header, error) {
	fast := o
	fast.NoSync = true // once at the end is enough
	db, err := openBolt(name, fast)
	if err != nil {
		return header{}, err
	}
	head := header{version: firstVersion}
	err = guarded(func() error {
		return errors.Join(db.Update(func(tx *bbolt.Tx) error {
			if _, err := tx.CreateBucket(rowsBucket); err != nil {
				return err
			}
			b, err := tx.CreateBucket(headerBucket)
			if err != nil {
				return err
			}
			return b.Put(headerKey, head.encode())
		}), syncBolt(db, o), db.Close())
	})
	if err != nil {
		return header{}, fmt.Errorf("disk: creating %s: %w", name, err)
	}
	return head, nil
}

// firstVersion is that of an empty store.
const firstVersion store.Version = 1

// load verifies the files of a data directory and opens them.
func load(directory string, o Options) (*file, error) {
	name := filepath.Join(directory, dataName)
	if err := remove(name+newSuffix, filepath.Join(directory, formatName+newSuffix), filepath.Join(directory, markName+newSuffix)); err != nil {
		return nil, err
	}
	b, err := readSmall(filepath.Join(directory, markName))
	if err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	mark, err := decodeMark(b)
	if err != nil {
		return nil, err
	}
	head, err := verifyFile(func() error { return nil }, name)
	if err != nil {
		return nil, err
	}
	if head.version < mark {
		return nil, fmt.Errorf("%w: the data file ends at version %d, and commits up to version %d were acknowledged", ErrCorrupt, head.version, mark)
	}
	f := &file{}
	f.head.Store(&head)
	if f.mark, err = os.OpenFile(filepath.Join(directory, markName), os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	if f.db, err = openBolt(name, o); err != nil {
		return nil, errors.Join(err, f.mark.Close())
	}
	if err := settle(name, o); err != nil { // bbolt has locked the file: nobody writes it
		return nil, errors.Join(err, f.close(o))
	}
	return f, nil
}

// settle makes durable what has been read of a data file and its directory. A
// process that was killed may have left a meta page or a name that the operating
// system has and the disk has not, and a failed sync leaves a meta page that is
// taken for written. Commits on top would be put into pages of the state before,
// the only one that the disk knows, and be lost with it. So the meta pages are
// written once more, as they are. The pages that they refer to were synced before
// they were first written.
func settle(name string, o Options) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	metas := make([]byte, 2*pageBytes)
	if _, err = f.ReadAt(metas, 0); err == nil {
		_, err = f.WriteAt(metas, 0)
	}
	if err = errors.Join(err, syncFile(f, o), f.Close()); err != nil {
		return fmt.Errorf("disk: writing %s: %w", name, err)
	}
	return syncDirectory(filepath.Dir(name), o)
}

// verifyFile verifies a data file that is not open.
func verifyFile(alive func() error, name string) (header, error) {
	f, err := os.Open(name)
	if err != nil {
		return header{}, fmt.Errorf("disk: %w", err)
	}
	defer func() { _ = f.Close() }() // what was only read cannot be lost
	info, err := f.Stat()
	if err != nil {
		return header{}, fmt.Errorf("disk: %w", err)
	}
	m, err := readMeta(f)
	if err != nil {
		return header{}, err
	}
	return verify(alive, f, info.Size(), m)
}

// replace puts a file with the content b in the place of name, durably and at
// once.
func replace(name string, b []byte, o Options) error {
	err := func() error {
		f, err := os.OpenFile(name+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		_, err = f.Write(b)
		if err = errors.Join(err, syncFile(f, o), f.Close()); err != nil {
			return err
		}
		return os.Rename(name+newSuffix, name)
	}()
	if err != nil {
		return fmt.Errorf("disk: writing %s: %w", name, err)
	}
	return syncDirectory(filepath.Dir(name), o)
}

// remove removes files, if there are any of these names.
func remove(names ...string) error {
	for _, name := range names {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("disk: %w", err)
		}
	}
	return nil
}

func syncFile(f *os.File, o Options) error {
	if o.NoSync {
		return nil
	}
	return f.Sync()
}

func syncBolt(db *bbolt.DB, o Options) error {
	if o.NoSync {
		return nil
	}
	return db.Sync()
}

// syncDirectory makes the names in a directory durable. Windows does so by
// itself, and cannot be asked to.
func syncDirectory(name string, o Options) error {
	if o.NoSync || runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("disk: syncing %s: %w", name, err)
	}
	return nil
}
