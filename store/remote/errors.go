package remote

import (
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/store"
)

// ErrVersion: a server speaks no version of the protocol that this client does.
// Its text has the versions of both. It is not retryable.
var ErrVersion = errors.New("remote: no common version of the protocol")

// code is an error of package store on the wire.
type code byte

const (
	codeOther code = iota // an error that is none of the others
	codeConflict
	codeTooOld
	codeUnavailable
	codeCommitUnknown
	codeTimedOut
	codeTooLarge
	codeInvalid
	codeUsed
	codeUnreadable
	codeClosed
)

// sentinels are the errors that have a code. An error that wraps several has the
// first: doubt comes before what is sure.
var sentinels = [...]struct {
	code code
	err  error
}{
	{codeCommitUnknown, store.ErrCommitUnknown},
	{codeConflict, store.ErrConflict},
	{codeTooOld, store.ErrTooOld},
	{codeTimedOut, store.ErrTimedOut},
	{codeTooLarge, store.ErrTooLarge},
	{codeInvalid, store.ErrInvalid},
	{codeUsed, store.ErrUsed},
	{codeUnreadable, store.ErrUnreadable},
	{codeClosed, store.ErrClosed},
	{codeUnavailable, store.ErrUnavailable},
}

func codeOf(err error) code {
	for _, s := range sentinels {
		if errors.Is(err, s.err) {
			return s.code
		}
	}
	return codeOther
}

// read returns the fault as the error of a call that is not a commit.
func (f *fault) read(doing string) error {
	sentinel := store.ErrUnavailable
	if f.status != statusGone {
		sentinel = f.sentinel(store.ErrUnavailable)
	}
	if errors.Is(sentinel, store.ErrCommitUnknown) {
		sentinel = store.ErrUnavailable // only a commit can be in doubt
	}
	return fmt.Errorf("remote: %s: %w: the server says: %s", doing, sentinel, f.text)
}

// commit returns the fault as the error of a commit.
func (f *fault) commit() error {
	sentinel := store.ErrCommitUnknown
	if f.status != statusGone {
		sentinel = f.sentinel(store.ErrCommitUnknown)
	}
	return fmt.Errorf("remote: commit: %w: the server says: %s", sentinel, f.text)
}

// sentinel returns the error that the code stands for, or unknown when it stands
// for none. What is closed, out of time or used at the server's end is not so at
// this one: the client may try again.
func (f *fault) sentinel(unknown error) error {
	if f.code == codeClosed || f.code == codeTimedOut || f.code == codeUsed {
		return store.ErrUnavailable
	}
	for _, s := range sentinels {
		if s.code == f.code {
			return s.err
		}
	}
	return unknown
}
