package simstore

import (
	"errors"
	"fmt"
	"time"
)

// Faults are the properties of a wire. Its fields may be changed while the
// world runs, between events; a call looks at them when it begins. Several
// wires may share one. The zero value is a wire without latency and faults.
//
// Rates are probabilities, 0 to 1. A commit meets at most one of the faults; the
// rates that apply to it add up to at most 1.
type Faults struct {
	// Server is the name of the process at the far end, for cuts and crashes. No
	// process of that name need exist. Default: "store".
	Server string

	// ReadLatency and CommitLatency are those of one way; each call makes two.
	ReadLatency, CommitLatency Latency

	// Timeout is how long a call whose request or answer was lost waits before it
	// ends with store.ErrUnavailable, or store.ErrCommitUnknown, unless its
	// context ends before. Default: 5 s.
	Timeout time.Duration

	UnavailableRate    float64 // a read or a commit is refused: nothing is applied
	ConflictRate       float64 // a commit is refused as if something conflicted
	UnknownAppliedRate float64 // a commit is applied, and its answer is lost
	UnknownDroppedRate float64 // a commit's request is lost
	UnknownLateRate    float64 // a commit's request arrives after the client gave up

	// LateMax bounds how late a request is that arrives after the client gave up.
	// Default: 1 s.
	LateMax time.Duration

	fired Fired
}

// Latency is the time of one way, drawn evenly from Min to Max.
type Latency struct {
	Min, Max time.Duration
}

// Fired counts the faults that took effect.
type Fired struct {
	Unavailable    uint64 // refused reads and commits
	Conflicts      uint64 // refused commits
	UnknownApplied uint64 // commits that were applied, the answer lost; by a rate, a cut or a crash
	UnknownDropped uint64 // commits whose request was lost; likewise
	UnknownLate    uint64 // commits that tried to take effect after the client was told
	LateApplied    uint64 // of them, those that were applied
	ReadsLost      uint64 // reads whose request or answer was lost in a cut or a crash
	WatchesLost    uint64 // watches whose notice was lost in a cut or a crash
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
