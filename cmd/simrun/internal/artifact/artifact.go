// Package artifact keeps one simulated run in a file, so that it can be
// reproduced elsewhere and compared event by event.
//
// An artifact is one JSON object. It names its format and the format's version,
// the run's input (scenario, store, seed, plan), the build that ran it, and what
// came out: the trace hash, the failure, a digest of the trace after each event
// ([Trail]) and the history of operations.
//
// [Decode] accepts nothing but a whole artifact of this version: a file that was
// cut short, is too big, comes from elsewhere or from a newer simrun gets an
// error of its own. Files are written whole or not at all.
//
// The package does not promise that an artifact of one build reproduces on
// another: it tells where the two part.
package artifact

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/scenario"
)

// The header of every artifact.
const (
	Format  = "kelpie-simrun-artifact"
	Version = 1
)

// MaxBytes bounds an artifact's file.
const MaxBytes = 64 << 20

// Errors of [Decode] and [Encode].
var (
	// ErrTruncated: the file ends before the artifact does.
	ErrTruncated = errors.New("artifact: cut short")
	// ErrTooLarge: the file is over [MaxBytes].
	ErrTooLarge = fmt.Errorf("artifact: larger than %d MiB", MaxBytes>>20)
	// ErrForeign: the file is not an artifact.
	ErrForeign = errors.New("artifact: not an artifact of simrun")
	// ErrNewer: the artifact's version is above [Version].
	ErrNewer = errors.New("artifact: written by a newer simrun")
	// ErrMalformed: an artifact with a field that cannot be.
	ErrMalformed = errors.New("artifact: malformed")
)

// Artifact is one run.
type Artifact struct {
	Scenario string
	Store    string // the concrete one, never scenario.StoreBoth
	Seed     uint64
	Plan     faults.Plan
	Build    build.Info

	TraceHash  string // 32 hexadecimal digits
	Events     uint64
	Operations int
	Virtual    time.Duration
	Failure    *scenario.Failure // nil: the run passed
	Unknown    string            // why the checker could not decide
	Trail      Trail
	History    []byte // in the format of package linearizability
}

// file is an artifact's form on disk.
type file struct {
	Format      string       `json:"format"`
	Version     int          `json:"version"`
	Scenario    string       `json:"scenario"`
	Store       string       `json:"store"`
	Seed        *uint64      `json:"seed"`
	Plan        *faults.Plan `json:"plan"`
	Build       build.Info   `json:"build"`
	TraceHash   string       `json:"trace_hash"`
	Events      uint64       `json:"events"`
	Operations  int          `json:"operations"`
	VirtualNS   int64        `json:"virtual_ns"`
	Failure     *failure     `json:"failure"`
	Unknown     string       `json:"unknown,omitempty"`
	EventHashes []byte       `json:"event_hashes"` // base64 of 4 bytes an event
	History     string       `json:"history"`
}

// failure is a scenario.Failure on disk.
type failure struct {
	Rule      string `json:"rule"`
	Signature string `json:"signature"`
	Message   string `json:"message"`
	Process   string `json:"process,omitempty"`
	Task      string `json:"task,omitempty"`
	Stack     string `json:"stack,omitempty"`
	AtNS      int64  `json:"at_ns"`
	Event     uint64 `json:"event"`
}

// Encode writes a. The error wraps [ErrTooLarge] when the result would be over
// [MaxBytes]; then nothing is written.
func Encode(w io.Writer, a *Artifact) error {
	if len(a.History) > MaxBytes {
		return fmt.Errorf("%w: the history alone has %d bytes", ErrTooLarge, len(a.History))
	}
	f := file{
		Format: Format, Version: Version,
		Scenario: a.Scenario, Store: a.Store, Seed: &a.Seed, Plan: &a.Plan, Build: a.Build,
		TraceHash: a.TraceHash, Events: a.Events, Operations: a.Operations, VirtualNS: int64(a.Virtual),
		Unknown: a.Unknown, EventHashes: a.Trail.bytes(), History: string(a.History),
	}
	if a.Failure != nil {
		f.Failure = &failure{
			Rule: a.Failure.Rule, Signature: a.Failure.Signature, Message: a.Failure.Message,
			Process: a.Failure.Process, Task: a.Failure.Task, Stack: a.Failure.Stack,
			AtNS: int64(a.Failure.At), Event: a.Failure.Event,
		}
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("artifact: encode: %w", err)
	}
	b = append(b, '\n')
	if len(b) > MaxBytes {
		return fmt.Errorf("%w: %d bytes", ErrTooLarge, len(b))
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("artifact: write: %w", err)
	}
	return nil
}

// Decode reads one artifact and demands that nothing but space follows. It
// reads at most [MaxBytes] and one byte.
func Decode(r io.Reader) (*Artifact, error) {
	in := bufio.NewReaderSize(io.LimitReader(r, MaxBytes+1), HeadBytes)
	head, err := in.Peek(HeadBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("artifact: read: %w", err)
	}
	if err := checkHead(head); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("artifact: read: %w", err)
	}
	if len(b) > MaxBytes {
		return nil, ErrTooLarge
	}
	if err := checkHeader(b); err != nil {
		return nil, err
	}
	var f file
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return f.artifact()
}

// HeadBytes is how much of a file is looked at to tell what it is.
const HeadBytes = 4096

// checkHead refuses the start of a history, which begins with an object of its
// own on the first line.
func checkHead(head []byte) error {
	var header struct {
		Format string `json:"format"`
	}
	err := json.NewDecoder(bytes.NewReader(head)).Decode(&header)
	if err == nil && header.Format == linearizability.Format {
		return fmt.Errorf("%w but a history, which simrun check judges", ErrForeign)
	}
	return nil
}

// Recognize reports whether r begins as an artifact does. It reads a few
// kilobytes, fewer when the first that is no space tells, and says no when they
// cannot be read.
func Recognize(r io.Reader) bool {
	in := bufio.NewReader(io.LimitReader(r, HeadBytes))
	for {
		first, err := in.ReadByte()
		if err != nil {
			return false
		}
		if first == '{' {
			break
		}
		if !unicode.IsSpace(rune(first)) {
			return false
		}
	}
	head, err := io.ReadAll(in)
	return err == nil && bytes.Contains(head, []byte(`"`+Format+`"`))
}

// checkHeader looks whether b is a whole JSON object with the right header.
func checkHeader(b []byte) error {
	var header struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	// json.Unmarshal refuses anything behind the object.
	err := json.Unmarshal(b, &header)
	var syntax *json.SyntaxError
	switch {
	case len(bytes.TrimSpace(b)) == 0:
		return fmt.Errorf("%w: the file is empty", ErrForeign)
	case errors.As(err, &syntax) && syntax.Offset >= int64(len(b)) && bytes.Contains(b, []byte(Format)):
		return fmt.Errorf("%w after %d bytes", ErrTruncated, len(b))
	case err != nil:
		return fmt.Errorf("%w: %w", ErrForeign, err)
	case header.Format != Format:
		return fmt.Errorf("%w: its format is %q, want %q", ErrForeign, header.Format, Format)
	case header.Version > Version:
		return fmt.Errorf("%w: version %d, this one reads up to %d", ErrNewer, header.Version, Version)
	case header.Version < 1:
		return fmt.Errorf("%w: version is %d, must be 1 or more", ErrMalformed, header.Version)
	}
	return nil
}

// artifact validates f.
func (f *file) artifact() (*Artifact, error) {
	hash, err := hex.DecodeString(f.TraceHash)
	switch {
	case f.Scenario == "":
		return nil, fmt.Errorf("%w: scenario is empty", ErrMalformed)
	case f.Seed == nil || f.Plan == nil:
		return nil, fmt.Errorf("%w: seed or plan is missing", ErrMalformed)
	case f.Store != scenario.StoreSimFDB && f.Store != scenario.StoreMemory:
		return nil, fmt.Errorf("%w: store is %q, must be %q or %q", ErrMalformed, f.Store, scenario.StoreSimFDB, scenario.StoreMemory)
	case err != nil || len(hash) != 16:
		return nil, fmt.Errorf("%w: trace_hash is %q, must be 32 hexadecimal digits", ErrMalformed, f.TraceHash)
	case f.VirtualNS < 0 || f.Operations < 0:
		return nil, fmt.Errorf("%w: virtual_ns and operations must be 0 or more", ErrMalformed)
	}
	trail, err := trailOf(f.EventHashes, f.Events)
	if err != nil {
		return nil, err
	}
	a := &Artifact{
		Scenario: f.Scenario, Store: f.Store, Seed: *f.Seed, Plan: *f.Plan, Build: f.Build,
		TraceHash: f.TraceHash, Events: f.Events, Operations: f.Operations, Virtual: time.Duration(f.VirtualNS),
		Unknown: f.Unknown, Trail: trail, History: []byte(f.History),
	}
	if x := f.Failure; x != nil {
		a.Failure = &scenario.Failure{
			Rule: x.Rule, Signature: x.Signature, Message: x.Message, Process: x.Process, Task: x.Task,
			Stack: x.Stack, At: time.Duration(x.AtNS), Event: x.Event,
		}
	}
	return a, nil
}
