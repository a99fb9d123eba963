package litmus

import (
	"errors"

	"github.com/kelpie-registry/kelpie/store"
)

// Store takes programs. It is for one goroutine; several stores of a kind may
// work at once.
type Store interface {
	// Run takes a program on an empty store and appends its lines to out. Its
	// error says that the program could not be taken, not that an answer was an
	// error.
	Run(p *Program, out []byte) ([]byte, error)
	// Close ends the store.
	Close() error
}

// Session is an empty store as one program meets it.
type Session interface {
	// Begin starts a transaction of a client, from 0.
	Begin(client int) Transaction
	// ErrorName returns the canonical name of an error: that of its sentinel at
	// the level Port, its number at the level Client.
	ErrorName(err error) string
	// Await waits for a watch that must have fired, or looks for a short while at
	// one that must not. It returns nil if the watch fired, [ErrQuiet] if it did
	// not, or the error with which it ended.
	Await(w store.Watch, must bool) error
	// Age makes every read version taken so far too old to read or commit with.
	Age() error
}

// Transaction is a transaction of a session.
type Transaction interface {
	// Do makes the call of a step; of SetReadVersion, version says the version.
	// It is never asked for Begin, Fired, CancelWatch or Age.
	Do(s *Step, version int64) Answer
	// Close gives the transaction up, if it is not over, and frees it.
	Close()
}

// Answer is what a call returned. Which fields count depends on the step.
type Answer struct {
	Err     error
	Value   []byte   // of Get, and of WatchKey what the watch compares with; nil: no value
	Values  [][]byte // of GetAll
	Rows    []store.KeyValue
	More    bool
	Key     string // of GetKey
	Version int64  // of ReadVersion, Commit and Committed; 0 or less: none
	Size    int64
	Stamp   []byte
	Reads   []Span // of Conflicts and Conflicting
	Writes  []Span
	Watch   store.Watch
}

// Span is the keys k with Begin <= k < End.
type Span struct{ Begin, End string }

var (
	// ErrQuiet: a watch did not fire.
	ErrQuiet = errors.New("litmus: the watch did not fire")
	// ErrInterfered: something beside the program had to do with an answer, such
	// as a server that failed. The program says nothing and may be taken again.
	ErrInterfered = errors.New("litmus: interference")
)
