package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/kelpie-registry/kelpie/store"
)

// Stats are the sizes of an engine's parts.
type Stats struct {
	Version   store.Version // of the last visible commit
	Rows      uint64        // keys with a value
	FileBytes int64         // of the data file
	FreeBytes int64         // of them, in pages that the next commits will use
	Commits   uint64        // since the engine was opened
	Batches   uint64        // that they were written in, with one sync each
	Waiting   int           // commits that are not durable yet
	Keys      int           // that the window keeps in memory
	Revisions int           // remembered values and removals of those
	Conflicts int           // remembered writes, for conflict checks
	Watches   int           // watches that are not over
}

// Stats returns the sizes of the engine's parts, or why they are not known any
// more.
func (e *Engine) Stats() (Stats, error) {
	c := e.core.Stats()
	s := Stats{
		Version:   c.Version,
		Rows:      e.file.head.Load().rows,
		Commits:   e.file.commits.Load(),
		Batches:   e.file.batches.Load(),
		Waiting:   c.Waiting,
		Keys:      c.Keys,
		Revisions: c.Revisions,
		Conflicts: c.Conflicts,
		Watches:   c.Watches,
	}
	if err := e.core.Err(); err != nil {
		return Stats{}, err
	}
	info, err := os.Stat(filepath.Join(e.directory, dataName))
	if err != nil {
		return Stats{}, fmt.Errorf("disk: %w", err)
	}
	s.FileBytes = info.Size()
	e.file.mu.RLock()
	defer e.file.mu.RUnlock()
	b := e.file.db.Stats()
	s.FreeBytes = int64(b.FreePageN+b.PendingPageN) * pageBytes
	return s, nil
}

// snapshot is one state of the data file, that between two batches. Its pages
// stay as they are while it is in use; pages that commits free meanwhile are not
// used again, so that the file grows.
type snapshot struct {
	tx   *bbolt.Tx
	head header
	file *os.File
	meta meta
}

// reading runs do on a snapshot. Only one runs at a time, and none when the
// engine is closed or has failed.
func (e *Engine) reading(do func(s *snapshot) error) error {
	e.maintenance.Lock()
	defer e.maintenance.Unlock()
	s, err := e.snapshot()
	if err != nil {
		return err
	}
	err = do(s)
	if cerr := errors.Join(s.tx.Rollback(), s.file.Close()); cerr != nil {
		err = errors.Join(err, fmt.Errorf("disk: %w", cerr))
	}
	return err
}

func (e *Engine) snapshot() (*snapshot, error) {
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := e.core.Err(); err != nil {
		return nil, err
	}
	s := &snapshot{head: *e.file.head.Load()}
	var err error
	if s.file, err = os.Open(filepath.Join(e.directory, dataName)); err != nil {
		return nil, fmt.Errorf("disk: %w", err)
	}
	if s.meta, err = readMeta(s.file); err == nil {
		err = guarded(func() (err error) {
			s.tx, err = e.file.db.Begin(false)
			return err
		})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("disk: %w", err), s.file.Close())
	}
	return s, nil
}

// alive returns a function that returns an error once ctx has ended or the
// engine is closed.
func (e *Engine) alive(ctx context.Context) func() error {
	return func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return e.core.Err()
	}
}

// Check verifies what is in memory, and reads the whole data file and verifies
// it as [Open] does. An error is all that is wrong with the former, or the first
// thing that is wrong with the latter, an [ErrCorrupt]. Commits go on meanwhile.
// It gives up, with an error, when ctx ends or the engine is closed.
func (e *Engine) Check(ctx context.Context) error {
	if err := e.core.Check(); err != nil {
		return fmt.Errorf("disk: in memory: %w", err)
	}
	return e.reading(func(s *snapshot) error {
		info, err := s.file.Stat()
		if err != nil {
			return fmt.Errorf("disk: %w", err)
		}
		if s.meta.txid != uint64(s.tx.ID()) {
			return fmt.Errorf("%w: the data file is at transaction %d, %d has been written", ErrCorrupt, s.meta.txid, s.tx.ID())
		}
		head, err := verify(e.alive(ctx), s.file, info.Size(), s.meta)
		if err == nil && head != s.head {
			err = fmt.Errorf("%w: the data file has the header %+v, %+v was written", ErrCorrupt, head, s.head)
		}
		return err
	})
}

// Backup writes a copy of the data file, as of the version that it returns, to
// w. [Restore] makes a data directory of it. Commits go on meanwhile. It gives
// up, with an error, when ctx ends or the engine is closed.
func (e *Engine) Backup(ctx context.Context, w io.Writer) (store.Version, error) {
	var v store.Version
	err := e.reading(func(s *snapshot) error {
		v = s.head.version
		aw := &aliveWriter{w: w, alive: e.alive(ctx)}
		if _, err := s.tx.WriteTo(aw); err != nil {
			if aw.err != nil {
				err = aw.err // of which bbolt keeps the text only
			}
			return fmt.Errorf("disk: backup: %w", err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return v, nil
}

// aliveWriter writes while it is worth it.
type aliveWriter struct {
	w     io.Writer
	alive func() error
	err   error // the last one
}

func (a *aliveWriter) Write(b []byte) (n int, err error) {
	if err = a.alive(); err == nil {
		n, err = a.w.Write(b)
	}
	a.err = err
	return n, err
}

// Compact writes the data file anew, with full pages and none free, and puts the
// new one in the place of the old. Reads go on meanwhile, commits wait. An error
// leaves the old file in use, unless it is an [ErrFailed]. ctx is looked at
// before and after the copy.
func (e *Engine) Compact(ctx context.Context) error {
	e.maintenance.Lock()
	defer e.maintenance.Unlock()
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := e.alive(ctx)(); err != nil {
		return fmt.Errorf("disk: compaction: %w", err)
	}
	name := filepath.Join(e.directory, dataName)
	if err := e.copyTo(ctx, name+newSuffix); err != nil {
		return errors.Join(fmt.Errorf("disk: compaction: %w", err), remove(name+newSuffix))
	}
	if err := e.file.swap(name, e.o); err != nil {
		e.core.Fail(err)
		return fmt.Errorf("disk: compaction: %w: %w", ErrFailed, err)
	}
	return nil
}

// copyTo makes a compact copy of the data file and verifies it.
func (e *Engine) copyTo(ctx context.Context, name string) error {
	fast := e.o
	fast.NoSync = true // once at the end is enough
	to, err := openBolt(name, fast)
	if err != nil {
		return err
	}
	const piece = 16 << 20 // bytes of one transaction
	err = guarded(func() error { return bbolt.Compact(to, e.file.db, piece) })
	if err = errors.Join(err, syncBolt(to, e.o), to.Close()); err != nil {
		return err
	}
	head, err := verifyFile(e.alive(ctx), name)
	if err == nil && head != *e.file.head.Load() {
		err = fmt.Errorf("%w: the copy has the header %+v, not %+v", ErrCorrupt, head, *e.file.head.Load())
	}
	return err
}

// swap puts the new data file in the place of the old one and opens it.
func (f *file) swap(name string, o Options) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := guarded(f.db.Close); err != nil {
		return err
	}
	if err := os.Rename(name+newSuffix, name); err != nil {
		return err
	}
	if err := syncDirectory(filepath.Dir(name), o); err != nil {
		return err
	}
	db, err := openBolt(name, o)
	if err != nil {
		return err
	}
	f.db = db
	return nil
}

// Restore makes a data directory, which must not be there or be empty, of what
// [Engine.Backup] wrote. It verifies it, and makes nothing of a backup that is
// damaged, cut off or not one. Its errors are those of [Open], and fs.ErrExist
// when the directory holds a store.
//
// The versions of the store go back to those of the backup: raise the epoch of a
// registry before it runs on it.
func Restore(directory string, r io.Reader) error {
	if err := restore(directory, r); err != nil {
		return fmt.Errorf("disk: restoring %s: %w", directory, err)
	}
	return nil
}

func restore(directory string, r io.Reader) (err error) {
	directory, l, found, err := enter(directory, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Unlock()) }()
	if found == stateReady {
		return fmt.Errorf("%w: there is a store already", fs.ErrExist)
	}
	if err := create(directory, stateRestoring, Options{}, func(name string) (header, error) {
		if err := copyAll(name, r); err != nil {
			return header{}, err
		}
		return verifyFile(func() error { return nil }, name)
	}); err != nil {
		// Nothing of it is of use, and what was there before was nothing.
		return errors.Join(err, remove(filepath.Join(directory, dataName), filepath.Join(directory, markName), filepath.Join(directory, formatName)))
	}
	return nil
}

func copyAll(name string, r io.Reader) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}
