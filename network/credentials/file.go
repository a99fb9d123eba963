// Package credentials has bearer tokens and certificates in files, and notices
// when the files change: they are replaced without a restart.
//
// A file is read again at most once a second, and only when it is needed. One that
// has become bad (missing, empty, readable by others, expired, malformed) changes
// nothing: what was read last stays in use, and the log says why. So replace a file
// by renaming a new one to its name, lest half of it be read.
//
// Errors and log lines never hold a token or a key.
package credentials

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"
)

const (
	// MaxFile bounds each file, in bytes.
	MaxFile = 256 << 10

	// refreshEvery is how long what was read is taken for what is there.
	refreshEvery = time.Second
)

// readFile reads a regular file. One that holds a secret must be closed to all but
// its owner.
func readFile(name string, secret bool) ([]byte, error) {
	// Before it is opened: to open a pipe may take for ever.
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if info, err = f.Stat(); err != nil {
		return nil, err
	}
	// Windows has no such bits: Go makes them up.
	if mode := info.Mode().Perm(); secret && mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s has mode %04o, must be closed to all but its owner, as with mode 0600 or 0400", name, mode)
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(b) > MaxFile:
		return nil, fmt.Errorf("%s has over %d bytes", name, MaxFile)
	}
	return b, nil
}

// kept is what files held when they were last good.
type kept[T any] struct {
	what   string // in the log
	logger *slog.Logger
	now    func() time.Time
	// read reads the files. It returns same when they hold what old was read from.
	read func(now time.Time, old T) (value T, err error)

	mu      sync.Mutex // held while files are read
	value   T
	next    time.Time // when to read them again
	failure string    // the text that was logged last; empty: they are good
}

// errSame is the error of kept.read for files that have not changed.
var errSame = errors.New("unchanged")

// open reads the files for the first time.
func (k *kept[T]) open() (err error) {
	if k.logger == nil {
		k.logger = slog.Default()
	}
	if k.now == nil {
		k.now = time.Now
	}
	now := k.now()
	k.value, err = k.read(now, k.value)
	k.next = now.Add(refreshEvery)
	return err
}

// get returns what the files hold, or held when they were last good.
func (k *kept[T]) get() T {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if now.Before(k.next) {
		return k.value
	}
	k.next = now.Add(refreshEvery)
	value, err := k.read(now, k.value)
	switch {
	case errors.Is(err, errSame):
		k.failure = ""
	case err == nil:
		k.value, k.failure = value, ""
		k.logger.Info("credentials: read again", "what", k.what)
	case err.Error() != k.failure:
		k.failure = err.Error()
		k.logger.Error("credentials: what is there now is not used", "what", k.what, "error", err)
	}
	return k.value
}
