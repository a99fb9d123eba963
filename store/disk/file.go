package disk

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/optimistic"
)

// file is the data file and the mark: the [optimistic.Base] of an engine.
type file struct {
	mark *os.File
	head atomic.Pointer[header] // of the last batch

	mu    sync.RWMutex // held for reading while db is in use, and to put another one in its place
	db    *bbolt.DB
	stuck atomic.Bool // bbolt panicked in a write and may hold its locks for ever

	filling filling // used by Commit alone

	batches atomic.Uint64
	commits atomic.Uint64
}

var _ optimistic.Base = (*file)(nil)

// addressSpace is how much of it an open file takes, in bytes, so that it need
// not be mapped anew when it grows, which would have to wait for a backup that
// is under way. Larger files are mapped anew.
const addressSpace int64 = 16 << 30

// openBolt opens a bbolt file that has been verified, or makes a new one.
func openBolt(name string, o Options) (*bbolt.DB, error) {
	bo := &bbolt.Options{
		Timeout:      time.Millisecond, // the directory is locked: nobody of ours has the file open
		NoSync:       o.NoSync,
		NoGrowSync:   o.NoSync,
		FreelistType: bbolt.FreelistMapType,
		PageSize:     pageBytes,
		OpenFile:     o.openFile,
	}
	if strconv.IntSize == 64 && runtime.GOOS != "windows" { // there the file would get that size
		bo.InitialMmapSize = int(min(addressSpace, int64(math.MaxInt)))
	}
	var db *bbolt.DB
	err := guarded(func() (err error) {
		db, err = bbolt.Open(name, 0o600, bo)
		return err
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: another program has %s locked", ErrInUse, name)
	}
	if err != nil {
		return nil, fmt.Errorf("disk: opening %s: %w", name, err)
	}
	return db, nil
}

// guarded runs what reads or writes the file through bbolt, which maps it into
// memory: a page that cannot be read is a fault there, and a damaged one may be
// a panic. Either becomes an [ErrCorrupt].
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: bbolt met what it did not expect: %v", ErrCorrupt, r)
		}
	}()
	return do()
}

// view runs do in a read transaction.
func (f *file) view(do func(rows *bbolt.Bucket, d *xxhash.Digest) error) error {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return guarded(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			rows := tx.Bucket(rowsBucket)
			if rows == nil {
				return fmt.Errorf("%w: the bucket %s is gone", ErrCorrupt, rowsBucket)
			}
			return do(rows, new(xxhash.Digest))
		})
	})
}

// Values implements [optimistic.Base].
func (f *file) Values(keys [][]byte) ([][]byte, error) {
	values := make([][]byte, len(keys))
	err := f.view(func(rows *bbolt.Bucket, d *xxhash.Digest) error {
		var rowKey []byte
		for i, key := range keys {
			rowKey = appendRowKey(rowKey[:0], key)
			row := rows.Get(rowKey)
			if row == nil {
				continue
			}
			_, value, _, err := decodeRow(d, rowKey, row)
			if err != nil {
				return err
			}
			values[i] = clone(value)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return values, nil
}

// maxRowsBytes bounds the answer of Rows, but for the row that passes it.
const maxRowsBytes = 1 << 20

// Rows implements [optimistic.Base].
func (f *file) Rows(begin, end []byte, reverse bool, limit int) (all []store.KeyValue, more bool, err error) {
	first, last := appendRowKey(nil, begin), appendRowKey(nil, end)
	err = f.view(func(rows *bbolt.Bucket, d *xxhash.Digest) error {
		c := rows.Cursor()
		next := c.Next
		k, v := c.Seek(first)
		if reverse {
			next = c.Prev
			if k, v = c.Seek(last); k == nil {
				k, v = c.Last()
			}
			if k != nil && bytes.Compare(k, last) >= 0 {
				k, v = c.Prev()
			}
		}
		for size := 0; k != nil && bytes.Compare(first, k) <= 0 && bytes.Compare(k, last) < 0; k, v = next() {
			if len(all) == limit || size > maxRowsBytes {
				more = true
				return nil
			}
			key, value, _, err := decodeRow(d, k, v)
			if err != nil {
				return err
			}
			all = append(all, store.KeyValue{Key: clone(key), Value: clone(value)})
			size += len(key) + len(value)
		}
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return all, more, nil
}

// clone returns a copy that is never nil.
func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }

// Commit implements [optimistic.Base]. The batch is durable when it returns nil.
func (f *file) Commit(last store.Version, changes []optimistic.Change) error {
	head := *f.head.Load()
	commits := uint64(last - head.version)
	head.version = last
	returned := false
	err := guarded(func() error {
		err := f.db.Update(func(tx *bbolt.Tx) error { return f.put(tx, &head, changes) })
		returned = true
		return err
	})
	if !returned {
		f.stuck.Store(true)
	}
	if err != nil {
		return fmt.Errorf("disk: writing %d changes: %w", len(changes), err)
	}
	// Not synced: it says what is known to have been acknowledged, not what is
	// durable, and so may be older than the data, never newer.
	if _, err := f.mark.WriteAt(encodeMark(last), 0); err != nil {
		return fmt.Errorf("disk: writing the mark: %w", err)
	}
	f.head.Store(&head)
	f.batches.Add(1)
	f.commits.Add(commits)
	return nil
}

// put writes changes and the header that follows from them.
func (f *file) put(tx *bbolt.Tx, head *header, changes []optimistic.Change) error {
	rows, headers := tx.Bucket(rowsBucket), tx.Bucket(headerBucket)
	if rows == nil || headers == nil {
		return fmt.Errorf("%w: the bucket %s or %s is gone", ErrCorrupt, rowsBucket, headerBucket)
	}
	f.filling.begin()
	var (
		d      xxhash.Digest
		rowKey []byte
	)
	for _, ch := range changes {
		if ch.Old != nil && ch.New != nil && bytes.Equal(ch.Old, ch.New) {
			continue
		}
		rowKey = append(append(rowKey[:0], rowTag), ch.Key...)
		key := rowKey[1:]
		if ch.Old != nil {
			head.rows--
			head.sum -= rowHash(&d, key, ch.Old)
		} else {
			f.filling.insert(rows, rowKey)
		}
		var err error
		if ch.New != nil {
			hash := rowHash(&d, key, ch.New)
			head.rows++
			head.sum += hash
			// bbolt copies the key, and keeps the value until the commit.
			err = rows.Put(rowKey, appendRowValue(make([]byte, 0, rowCheck+len(ch.New)), ch.New, hash))
		} else {
			err = rows.Delete(rowKey)
		}
		if err != nil {
			return fmt.Errorf("row %q: %w", clip(key), err)
		}
	}
	rows.FillPercent = f.filling.percent()
	return headers.Put(headerKey, head.encode())
}

// close closes the data file and the mark.
func (f *file) close(o Options) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	if !f.stuck.Load() { // else it would wait for ever; the file stays open until the process ends
		err = guarded(f.db.Close)
	}
	return errors.Join(err, syncFile(f.mark, o), f.mark.Close())
}
