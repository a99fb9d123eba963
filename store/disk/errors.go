package disk

import (
	"errors"

	"github.com/kelpie-registry/kelpie/store/optimistic"
)

// Errors of [Open], [Restore] and of the calls of an [Engine], beside those of
// package store. None of them changes what is on the disk.
var (
	// ErrInUse: another process, which the error names if it can, has the
	// directory open.
	ErrInUse = errors.New("disk: in use")
	// ErrForeign: what is there was not made by this package.
	ErrForeign = errors.New("disk: not a kelpie data directory")
	// ErrNewerFormat: the directory was written by a newer version of this
	// package, in a format that this one does not know.
	ErrNewerFormat = errors.New("disk: the format is newer than this program")
	// ErrCorrupt: the directory is damaged: a file is missing or cut off, or holds
	// what was never written there.
	ErrCorrupt = errors.New("disk: damaged")

	// ErrFailed: a write of the disk failed, so that nobody knows what is on it.
	// The engine refuses everything from then on; it is a store.ErrClosed too.
	// Open the directory again: every acknowledged commit is there, and each of
	// those that ended with store.ErrCommitUnknown is wholly there or wholly not.
	ErrFailed = optimistic.ErrFailed
)
