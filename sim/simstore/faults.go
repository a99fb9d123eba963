package simstore

import (
	"errors"
	"fmt"
	"time"
)

// Faults are what a server does wrong by itself. Its fields may be changed while
// the world runs, between events; a call looks at them when it arrives. The zero
// value is a server without faults.
//
// Rates are probabilities, 0 to 1. A commit meets at most one of the faults; the
// rates that apply to it add up to at most 1.
type Faults struct {
	// Server is the name of the server's process. Default: "store".
	Server string

	// ReadLatency and CommitLatency are what the server takes before it serves a
	// call, and again before it answers. The network's own comes on top.
	ReadLatency, CommitLatency Latency

	// Timeout is how long a call without an answer waits, on the client's clock,
	// before it ends with store.ErrUnavailable, or store.ErrCommitUnknown, unless
	// its context ends before. Default: 5 s.
	Timeout time.Duration

	UnavailableRate    float64 // a read or a commit is refused: nothing is applied
	ConflictRate       float64 // a commit is refused as if something conflicted
	UnknownAppliedRate float64 // a commit is applied, and the connection ends
	UnknownDroppedRate float64 // the connection ends, and a commit is dropped
	UnknownLateRate    float64 // the connection ends, and a commit is applied later

	// LateMax bounds how much later that is. Default: 1 s.
	LateMax time.Duration

	fired Fired
}

// Latency is a time drawn evenly from Min to Max.
type Latency struct {
	Min, Max time.Duration
}

// Fired counts what took effect: of the server's own faults, and of what the
// network and crashes did.
type Fired struct {
	Unavailable    uint64 // refused reads and commits
	Conflicts      uint64 // refused commits
	UnknownApplied uint64 // commits that were applied, the connection ended
	UnknownDropped uint64 // commits that were dropped, the connection ended
	UnknownLate    uint64 // commits that tried to take effect after the client was told
	LateApplied    uint64 // of them, those that were applied
	Slowed         uint64 // calls that arrived at a server with a latency of its own

	ReadsLost   uint64 // reads, and notices of watches, that got no answer in time
	CommitsLost uint64 // commits that got no answer in time
	WatchesLost uint64 // watches that ended because their notice was lost
	Copies      uint64 // copies of requests, dropped
	Reset       uint64 // calls and watches that a reset ended
}

// Fired returns the counts so far.
func (f *Faults) Fired() Fired { return f.fired }

// Validate returns an error that names the fields that are out of range.
func (f *Faults) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("simstore: Faults."+format, args...))
		}
	}
	for _, l := range []struct {
		name string
		Latency
	}{{"ReadLatency", f.ReadLatency}, {"CommitLatency", f.CommitLatency}} {
		check(l.Min >= 0 && l.Min <= l.Max, "%s is %v to %v, must be in order and not negative", l.name, l.Min, l.Max)
	}
	for _, r := range []struct {
		name string
		rate float64
	}{
		{"UnavailableRate", f.UnavailableRate},
		{"ConflictRate", f.ConflictRate},
		{"UnknownAppliedRate", f.UnknownAppliedRate},
		{"UnknownDroppedRate", f.UnknownDroppedRate},
		{"UnknownLateRate", f.UnknownLateRate},
	} {
		check(r.rate >= 0 && r.rate <= 1, "%s is %v, must be 0 to 1", r.name, r.rate)
	}
	sum := f.UnavailableRate + f.ConflictRate + f.UnknownAppliedRate + f.UnknownDroppedRate + f.UnknownLateRate
	check(sum <= 1, "UnavailableRate and the rates of commits add up to %v, must be at most 1", sum)
	check(f.Timeout >= 0, "Timeout is %v, must not be negative", f.Timeout)
	check(f.LateMax >= 0, "LateMax is %v, must not be negative", f.LateMax)
	return errors.Join(errs...)
}

func (f *Faults) server() string {
	if f.Server == "" {
		return "store"
	}
	return f.Server
}

func (f *Faults) latency(commit bool) Latency {
	if commit {
		return f.CommitLatency
	}
	return f.ReadLatency
}

func (f *Faults) timeout() time.Duration {
	if f.Timeout == 0 {
		return 5 * time.Second
	}
	return f.Timeout
}

func (f *Faults) lateMax() time.Duration {
	if f.LateMax == 0 {
		return time.Second
	}
	return f.LateMax
}

// outcome is what the rates make of a call.
type outcome uint8

const (
	fateNone outcome = iota
	fateUnavailable
	fateConflict
	fateApplied // unknown to the client, and applied
	fateDropped
	fateLate
)

// fateOf turns a draw, evenly from 0 to 1, into the fate of a call.
func (f *Faults) fateOf(draw float64, commit bool) outcome {
	for _, r := range [...]struct {
		rate float64
		fate outcome
	}{
		{f.UnavailableRate, fateUnavailable},
		{f.ConflictRate, fateConflict},
		{f.UnknownAppliedRate, fateApplied},
		{f.UnknownDroppedRate, fateDropped},
		{f.UnknownLateRate, fateLate},
	} {
		if draw < r.rate {
			return r.fate
		}
		if !commit {
			return fateNone // only the first concerns reads
		}
		draw -= r.rate
	}
	return fateNone
}
