package report

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/kelpie-registry/kelpie/scenario"
)

// Bounds of what a report lists. Everything is counted.
const (
	MaxListed     = 1000 // failed runs, and unknown ones
	MaxSignatures = 1000
	maxSeedsShown = 8 // of one signature
)

// Entry is one run that did not pass.
type Entry struct {
	Scenario  string  `json:"scenario"`
	Store     string  `json:"store"`
	Seed      uint64  `json:"seed"`
	Rule      string  `json:"rule"`
	Signature string  `json:"signature"`
	Message   string  `json:"message"`
	Process   string  `json:"process,omitempty"`
	Task      string  `json:"task,omitempty"`
	AtSeconds float64 `json:"at_seconds"`
	Event     uint64  `json:"event"`
	TraceHash string  `json:"trace_hash,omitempty"`
	Artifact  string  `json:"artifact,omitempty"`
	Replay    string  `json:"replay,omitempty"` // the command that reproduces it
	Note      string  `json:"note,omitempty"`
}

// EntryOf describes a run that did not pass.
func EntryOf(r *scenario.Result) Entry {
	e := Entry{Scenario: r.Scenario, Store: r.Store, Seed: r.Seed, TraceHash: r.Hash.String(), Event: r.Events, AtSeconds: r.Virtual.Seconds()}
	f := r.Failure
	if f == nil {
		e.Rule, e.Signature, e.Message = "unknown", "unknown: "+r.Unknown, r.Unknown
		return e
	}
	e.Rule, e.Signature, e.Message = f.Rule, f.Signature, f.Message
	e.Process, e.Task, e.AtSeconds, e.Event = f.Process, f.Task, f.At.Seconds(), f.Event
	return e
}

// Group is all runs that failed in one way.
type Group struct {
	Signature string   `json:"signature"`
	Count     uint64   `json:"count"`
	Seeds     []uint64 `json:"seeds"` // the first few of the first run's scenario
	First     Entry    `json:"first"`
}

// Failures collects entries in order, by signature.
type Failures struct {
	Listed  []Entry
	Omitted uint64 // entries over MaxListed
	Groups  []*Group
	index   map[string]*Group
}

// Add takes an entry in.
func (f *Failures) Add(e Entry) {
	if len(f.Listed) < MaxListed {
		f.Listed = append(f.Listed, e)
	} else {
		f.Omitted++
	}
	if f.index == nil {
		f.index = make(map[string]*Group)
	}
	g := f.index[e.Signature]
	if g == nil {
		if len(f.Groups) >= MaxSignatures {
			return
		}
		g = &Group{Signature: e.Signature, First: e}
		f.index[e.Signature] = g
		f.Groups = append(f.Groups, g)
	}
	g.Count++
	if e.Scenario == g.First.Scenario && len(g.Seeds) < maxSeedsShown {
		g.Seeds = append(g.Seeds, e.Seed)
	}
}

// write lists the groups for people.
func (f *Failures) write(w *bytes.Buffer, verdict string) {
	for _, g := range f.Groups {
		e := &g.First
		fmt.Fprintf(w, "\n%s: %s\n", verdict, g.Signature)
		fmt.Fprintf(w, "  %s; first %s on %s, seed %d", Plural(g.Count, "run"), e.Scenario, e.Store, e.Seed)
		if len(g.Seeds) > 1 {
			fmt.Fprintf(w, " (and %s)", seeds(g.Seeds[1:]))
		}
		fmt.Fprintf(w, "\n  at %.6f s, event %d", e.AtSeconds, e.Event)
		if e.Process != "" {
			fmt.Fprintf(w, ", process %s", e.Process)
		}
		if e.Task != "" {
			fmt.Fprintf(w, ", task %s", e.Task)
		}
		fmt.Fprintf(w, "\n%s", indented(e.Message))
		if e.Note != "" {
			fmt.Fprintf(w, "  note: %s\n", e.Note)
		}
		if e.Replay != "" {
			fmt.Fprintf(w, "  replay: %s\n", e.Replay)
		}
	}
}

func seeds(list []uint64) string {
	parts := make([]string, 0, len(list))
	for _, s := range list {
		parts = append(parts, strconv.FormatUint(s, 10))
	}
	return strings.Join(parts, ", ")
}

// maxMessageLines bounds what the terminal shows of a message; the artifact has
// it all.
const maxMessageLines = 20

func indented(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if n := len(lines); n > maxMessageLines {
		lines = append(lines[:maxMessageLines:maxMessageLines], fmt.Sprintf("… %d lines more", n-maxMessageLines))
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "  %s\n", l)
	}
	return b.String()
}
