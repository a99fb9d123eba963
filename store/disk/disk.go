// Package disk is a store engine that keeps its data in a directory of one
// machine: the embedded default for a registry that must survive its process.
//
// It is package optimistic over bbolt, and keeps what both promise: optimistic
// transactions with FoundationDB's semantics where the port of package store
// leaves room, in a copy-on-write B+tree that is whole after every crash.
//
// # Durability
//
// A commit returns once it is on the disk: it survives the death of the process
// and of the machine. One that has not returned is wholly there afterwards or
// wholly not. Commits that come while others are being written are written
// together, in one bbolt transaction, so that they share its syncs. Nobody reads
// what is not durable yet.
//
// The version of the last commit is written with it. Versions go on from there
// when the directory is opened again: none that anybody has seen comes twice.
// Only a backup that is restored goes back, which is for the operator to know.
//
// When a write fails (a full or a broken disk), the commits that were being
// written end with store.ErrCommitUnknown and everything else with [ErrFailed],
// until the directory is opened again. The engine does not try again itself:
// after a failed sync the kernel may have dropped what it could not write, and a
// later sync would succeed without it.
//
// A commit whose context ends while it is being written ends with
// store.ErrCommitUnknown, and takes effect unless the disk fails. Close waits
// for what is being written, and lets it return.
//
// # Damage
//
// [Open] reads the whole data file and refuses one in which any bit that matters
// is wrong, or from which an acknowledged commit is missing; see docs/disk.md
// for what that covers. While the engine is open, each row is checked when it is
// read, and [Engine.Check] reads the whole file again.
//
// # Memory
//
// In memory are the keys that were written in the window, and what they held
// before; all else stays in the file, of which the operating system caches what
// is in use.
package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/gofrs/flock"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/optimistic"
)

// Options of an engine. The zero value is ready for use; a field that is zero
// has its default, one that is negative is an error.
type Options struct {
	// Clock makes the events that watches and commits wait on. Default:
	// [clock.System].
	Clock clock.Clock

	// Window is the number of versions before the last one that can still be
	// read and committed against. What was written in the window is held in
	// memory. Default: [DefaultWindow].
	Window int

	// RangeRows bounds the rows of one answer to GetRange; a longer range is
	// answered in part, with more. Default: [DefaultRangeRows].
	RangeRows int

	// MaxWatches bounds the watches that are not over. One too many ends at
	// once with store.ErrUnavailable. Default: [DefaultMaxWatches].
	MaxWatches int

	// BatchTxns and BatchBytes bound what is written in one piece: a batch that
	// has reached either bound takes no more commits. Defaults:
	// [DefaultBatchTxns], [DefaultBatchBytes].
	BatchTxns  int
	BatchBytes int

	// NoSync leaves it to the operating system when to write. An acknowledged
	// commit then survives the death of the process, not that of the machine,
	// which may leave a file that cannot be opened. For tests, and for loading
	// data that can be loaded again.
	NoSync bool

	openFile func(name string, flag int, mode os.FileMode) (*os.File, error) // of the data file; for tests
}

// Defaults of [Options].
const (
	DefaultWindow     = 1 << 16
	DefaultRangeRows  = optimistic.DefaultRangeRows
	DefaultMaxWatches = optimistic.DefaultMaxWatches
	DefaultBatchTxns  = optimistic.DefaultBatchTxns
	DefaultBatchBytes = optimistic.DefaultBatchBytes
)

func (o *Options) setDefaults() error {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	for _, f := range []struct {
		name  string
		value *int
		def   int
	}{
		{"Window", &o.Window, DefaultWindow},
		{"RangeRows", &o.RangeRows, DefaultRangeRows},
		{"MaxWatches", &o.MaxWatches, DefaultMaxWatches},
		{"BatchTxns", &o.BatchTxns, DefaultBatchTxns},
		{"BatchBytes", &o.BatchBytes, DefaultBatchBytes},
	} {
		if *f.value < 0 {
			return fmt.Errorf("disk: Options.%s is %d, must be 0 or more", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	return nil
}

// Engine implements [store.Engine]. It is safe for use by many goroutines.
type Engine struct {
	directory string
	o         Options
	core      *optimistic.Engine
	file      *file
	lock      *flock.Flock

	wake    chan struct{} // a batch waits
	stop    chan struct{} // closed: write what waits, and end
	stopped chan struct{} // closed: the writer has ended

	writing     sync.Mutex // held while a batch is written
	maintenance sync.Mutex // held by a check, a backup, a compaction

	closing  sync.Once
	closeErr error
}

var _ store.Engine = (*Engine)(nil)

// Open opens the data directory, and makes it if it is not there or empty. Its
// errors are [ErrInUse], [ErrForeign], [ErrNewerFormat], [ErrCorrupt], those of
// options and those of the file system; none changes what is there.
//
// It reads the whole data file.
func Open(directory string, o Options) (*Engine, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	e, err := open(directory, o)
	if err != nil {
		return nil, fmt.Errorf("disk: opening %s: %w", directory, err)
	}
	return e, nil
}

func open(directory string, o Options) (*Engine, error) {
	directory, l, found, err := enter(directory, o)
	if err != nil {
		return nil, err
	}
	switch found {
	case stateRestoring:
		err = fmt.Errorf("%w: a restore was cut off; restore it again", ErrCorrupt)
	case stateEmpty, stateCreating:
		err = create(directory, stateCreating, o, func(name string) (header, error) { return createData(name, o) })
	default:
	}
	var f *file
	if err == nil {
		f, err = load(directory, o)
	}
	if err != nil {
		return nil, errors.Join(err, l.Unlock())
	}
	e := &Engine{
		directory: directory,
		o:         o,
		file:      f,
		lock:      l,
		wake:      make(chan struct{}, 1),
		stop:      make(chan struct{}),
		stopped:   make(chan struct{}),
	}
	e.core = optimistic.Over(f, f.head.Load().version, optimistic.Options{
		Clock:      o.Clock,
		Window:     o.Window,
		RangeRows:  o.RangeRows,
		MaxWatches: o.MaxWatches,
		BatchTxns:  o.BatchTxns,
		BatchBytes: o.BatchBytes,
		Wake:       e.awake,
	})
	go e.write()
	return e, nil
}

// enter makes a directory unless it is there, and locks it. It returns its
// absolute name, which stays the same wherever the process goes.
func enter(directory string, o Options) (string, *flock.Flock, state, error) {
	if directory == "" {
		return "", nil, 0, errors.New("disk: the name of the directory is empty")
	}
	directory, err := filepath.Abs(directory)
	if err != nil {
		return "", nil, 0, fmt.Errorf("disk: %w", err)
	}
	// Before the lock is there: nothing is changed in a directory of others.
	found, err := inspect(directory)
	if err != nil {
		return "", nil, 0, err
	}
	if found != stateReady {
		if err := makeDirectory(directory, o); err != nil {
			return "", nil, 0, err
		}
	}
	l, err := lock(directory)
	if err != nil {
		return "", nil, 0, err
	}
	found, err = inspect(directory) // again: another process may have made it meanwhile
	if err != nil {
		return "", nil, 0, errors.Join(err, l.Unlock())
	}
	return directory, l, found, nil
}

// Begin implements [store.Engine].
func (e *Engine) Begin(ctx context.Context) store.Txn { return e.core.Begin(ctx) }

// Close implements [store.Engine]. It waits for commits that are being written,
// and for a check, a backup or a compaction to give up. Closing again returns
// the same.
func (e *Engine) Close() error {
	e.closing.Do(func() {
		err := e.core.Close()
		close(e.stop)
		<-e.stopped
		e.maintenance.Lock()
		defer e.maintenance.Unlock()
		if err = errors.Join(err, e.file.close(e.o), e.lock.Unlock()); err != nil {
			e.closeErr = fmt.Errorf("disk: closing %s: %w", e.directory, err)
		}
	})
	return e.closeErr
}
