package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// lock makes this process the only one that has the directory open, until it
// unlocks the result or ends. The lock is the operating system's, so that none
// is left behind by a process that was killed; the text in the file is only for
// the error of those who come later. [ErrInUse] when another one has it.
func lock(directory string) (*flock.Flock, error) {
	name := filepath.Join(directory, lockName)
	l := flock.New(name)
	locked, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("disk: locking %s: %w", name, err)
	}
	if !locked {
		b, err := readSmall(name)
		if err != nil {
			b = nil // the holder may be just beginning, or the system keeps its file from us
		}
		return nil, fmt.Errorf("%w: by %s", ErrInUse, decodeHolder(b))
	}
	if err := os.WriteFile(name, encodeHolder(), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("disk: writing %s: %w", name, err), l.Unlock())
	}
	return l, nil
}

// The text in the lock file:
//
//	process 4711 on alpha
func encodeHolder() []byte {
	host, err := os.Hostname()
	if err != nil {
		host = "a host without a name"
	}
	return fmt.Appendf(nil, "process %d on %s\n", os.Getpid(), host)
}

// decodeHolder returns the holder that a lock file names, as far as it makes
// sense: the file may just be being written.
func decodeHolder(b []byte) string {
	const longest = 300 // a host name has at most 255 bytes
	line, _, whole := bytes.Cut(b, []byte("\n"))
	if !whole || len(line) > longest || !bytes.HasPrefix(line, []byte("process ")) {
		return "a process that has not said which"
	}
	for _, c := range line {
		if c < ' ' || c > '~' {
			return "a process that has not said which"
		}
	}
	return string(line)
}
