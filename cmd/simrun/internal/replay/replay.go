// Package replay runs an artifact again and compares the two runs event by
// event.
//
// The running hash after each event is compared while the replay runs. The
// first event at which it differs is the first thing that the replay did
// differently; a second replay with the trace on shows what that was.
//
// An event that is reported is the first difference but for one chance in 2^32,
// in which it is a later one; see [artifact.Trail].
package replay

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/artifact"
	"github.com/kelpie-registry/kelpie/scenario"
)

// Runner runs a scenario.
type Runner func(scenario.Config) (scenario.Result, error)

// Outcome is what a replay has shown.
type Outcome struct {
	Result     scenario.Result
	Divergence *Divergence // nil: reproduced bit for bit
}

// Divergence is where and how the replay parted from the recording.
type Divergence struct {
	What  string `json:"what"`  // in a sentence
	Event uint64 `json:"event"` // first differing event, from 1; 0 when no event differs
	Time  string `json:"time"`  // true time of that event in the replay; "" when it has no such event
	Trace string `json:"trace"` // that event's lines in the replay's trace
}

// Run replays a. The readable trace goes to trace unless that is nil. The error
// is that of the run, which refused the artifact's input.
func Run(run Runner, a *artifact.Artifact, trace io.Writer) (Outcome, error) {
	c := config(a)
	c.KeepHistory, c.Trace = true, trace
	var first uint64
	c.OnEvent = func(index, hash uint64) {
		if first == 0 && !a.Trail.Agrees(index, hash) {
			first = index
		}
	}
	res, err := run(c)
	if err != nil {
		return Outcome{}, err
	}
	d := compare(a, &res, first)
	if d != nil && d.Event > 0 && d.Event <= res.Events {
		if err := d.look(run, a); err != nil {
			return Outcome{}, err
		}
	}
	return Outcome{Result: res, Divergence: d}, nil
}

func config(a *artifact.Artifact) scenario.Config {
	return scenario.Config{Seed: a.Seed, Store: a.Store, Plan: &a.Plan}
}

// compare holds the replay against the recording. first is the first event
// whose running hash differs, 0 for none.
func compare(a *artifact.Artifact, res *scenario.Result, first uint64) *Divergence {
	switch {
	case first > 0:
		return &Divergence{Event: first, What: "the replay did something else"}
	case res.Events < a.Events:
		return &Divergence{Event: res.Events + 1, What: fmt.Sprintf("the replay ended after event %d, the recording went on to event %d", res.Events, a.Events)}
	case res.Events > a.Events:
		return &Divergence{Event: a.Events + 1, What: fmt.Sprintf("the recording ended after event %d, the replay went on to event %d", a.Events, res.Events)}
	case res.Hash.String() != a.TraceHash && a.Trail.Len() < a.Events:
		return &Divergence{What: fmt.Sprintf("the first difference is after event %d, where the recording's digests end: trace hash %v, recorded %s", a.Trail.Len(), res.Hash, a.TraceHash)}
	case res.Hash.String() != a.TraceHash:
		return &Divergence{What: fmt.Sprintf("every event is the same, what followed the last is not: trace hash %v, recorded %s", res.Hash, a.TraceHash)}
	}
	was, is := Verdict(a.Failure, a.Unknown), Verdict(res.Failure, res.Unknown)
	if was != is {
		return &Divergence{What: fmt.Sprintf("every event is the same, the judgement is not: %s, recorded: %s", is, was)}
	}
	return nil
}

// Verdict says in a few words how a run ended.
func Verdict(f *scenario.Failure, unknown string) string {
	switch {
	case f != nil:
		return fmt.Sprintf("%s at event %d", f.Signature, f.Event)
	case unknown != "":
		return "undecided, " + unknown
	}
	return "passed"
}

// look replays once more to see what happens at the event.
func (d *Divergence) look(run Runner, a *artifact.Artifact) error {
	lines := eventLines{event: d.Event}
	c := config(a)
	c.Trace = &lines
	c.OnEvent = func(index, _ uint64) { lines.done = index }
	if _, err := run(c); err != nil {
		return err
	}
	d.Trace = strings.TrimRight(lines.text.String(), "\n")
	if fields := strings.Fields(d.Trace); len(fields) > 1 {
		d.Time = fields[1]
	}
	return nil
}

// eventLines keeps the trace of one event.
type eventLines struct {
	event uint64 // the one to keep
	done  uint64 // the last one that has ended
	text  bytes.Buffer
}

// Write implements [io.Writer].
func (l *eventLines) Write(b []byte) (int, error) {
	if l.done == l.event-1 {
		l.text.Write(b)
	}
	return len(b), nil
}
