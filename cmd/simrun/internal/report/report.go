package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
)

// Report is what a batch has shown.
type Report struct {
	Command     string
	Workers     int
	From        uint64 // first seed
	Interrupted bool
	// AnyPlan says that the faults were given and not drawn; then nothing has to
	// happen sometimes.
	AnyPlan  bool
	Tally    *batch.Tally
	Failures Failures
	Unknowns Failures
}

// missing returns the declared events that this batch should have seen.
func (r *Report) missing() []batch.Missing {
	if r.AnyPlan {
		return nil
	}
	return r.Tally.Missing()
}

// Held reports whether everything held: no violation, nothing undecided, and
// every declared event seen.
func (r *Report) Held() bool {
	return r.Tally.Failed == 0 && r.Tally.Unknown == 0 && len(r.missing()) == 0
}

// document is a report in JSON. Times are in seconds.
type document struct {
	Command         string            `json:"command"`
	Build           build.Info        `json:"build"`
	Workers         int               `json:"workers"`
	From            uint64            `json:"from"`
	Seeds           uint64            `json:"seeds"`
	Passed          uint64            `json:"passed"`
	Failed          uint64            `json:"failed"`
	Unknown         uint64            `json:"unknown"`
	Interrupted     bool              `json:"interrupted"`
	Stopped         bool              `json:"stopped_at_max_failures"`
	Operations      uint64            `json:"operations"`
	Events          uint64            `json:"events"`
	Messages        uint64            `json:"messages"`
	VirtualSeconds  float64           `json:"virtual_seconds"`
	WallSeconds     float64           `json:"wall_seconds"`
	SeedsPerSecond  float64           `json:"seeds_per_second"`
	EventsPerSecond float64           `json:"events_per_second"`
	SimulatedToReal float64           `json:"simulated_to_real"`
	TraceHash       string            `json:"trace_hash"`
	Sometimes       map[string]uint64 `json:"sometimes"`
	Faults          map[string]uint64 `json:"faults"`
	Failures        []Entry           `json:"failures"`
	FailuresOmitted uint64            `json:"failures_omitted"`
	Signatures      []*Group          `json:"signatures"`
	Unknowns        []Entry           `json:"unknowns"`
	Missing         []batch.Missing   `json:"missing"` // declared events that never happened
	Scenarios       []section         `json:"scenarios"`
}

// section is one scenario's part of a document.
type section struct {
	Name            string            `json:"name"`
	Seeds           uint64            `json:"seeds"`
	Stores          map[string]uint64 `json:"stores"`
	Passed          uint64            `json:"passed"`
	Failed          uint64            `json:"failed"`
	Unknown         uint64            `json:"unknown"`
	Operations      uint64            `json:"operations"`
	Events          uint64            `json:"events"`
	Messages        uint64            `json:"messages"`
	VirtualSeconds  float64           `json:"virtual_seconds"`
	EventsPerSecond float64           `json:"events_per_second"`
	SimulatedToReal float64           `json:"simulated_to_real"`
	TraceHash       string            `json:"trace_hash"`
	Sometimes       map[string]uint64 `json:"sometimes"`
	Faults          map[string]uint64 `json:"faults"`
}

// WriteJSON writes the report as one object and a newline.
func (r *Report) WriteJSON(w io.Writer) error {
	t := r.Tally
	d := document{
		Command: r.Command, Build: build.This(), Workers: r.Workers, From: r.From,
		Seeds: t.Seeds, Passed: t.Passed, Failed: t.Failed, Unknown: t.Unknown,
		Interrupted: r.Interrupted, Stopped: t.Stopped,
		Operations: t.Operations, Events: t.Events, Messages: t.Messages,
		VirtualSeconds: t.Virtual.Seconds(), WallSeconds: t.Wall.Seconds(),
		SeedsPerSecond:  Rate(float64(t.Seeds), t.Wall),
		EventsPerSecond: Rate(float64(t.Events), t.Wall),
		SimulatedToReal: Rate(t.Virtual.Seconds(), t.Wall),
		TraceHash:       t.TraceHash(), Sometimes: t.Sometimes, Faults: t.Faults,
		Failures: r.Failures.Listed, FailuresOmitted: r.Failures.Omitted, Signatures: r.Failures.Groups,
		Unknowns: r.Unknowns.Listed, Missing: r.missing(),
	}
	for _, row := range t.Rows {
		if row.Seeds == 0 {
			continue
		}
		wall := r.wallOf(row)
		d.Scenarios = append(d.Scenarios, section{
			Name: row.Subject.Name, Seeds: row.Seeds, Stores: stores(row),
			Passed: row.Passed, Failed: row.Failed, Unknown: row.Unknown,
			Operations: row.Operations, Events: row.Events, Messages: row.Messages,
			VirtualSeconds:  row.Virtual.Seconds(),
			EventsPerSecond: Rate(float64(row.Events), wall), SimulatedToReal: Rate(row.Virtual.Seconds(), wall),
			TraceHash: row.TraceHash(), Sometimes: row.Sometimes, Faults: row.Faults,
		})
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(notNull(d))
}

// notNull replaces lists that are nil by empty ones.
func notNull(d document) document {
	if d.Failures == nil {
		d.Failures = []Entry{}
	}
	if d.Signatures == nil {
		d.Signatures = []*Group{}
	}
	if d.Unknowns == nil {
		d.Unknowns = []Entry{}
	}
	if d.Missing == nil {
		d.Missing = []batch.Missing{}
	}
	if d.Scenarios == nil {
		d.Scenarios = []section{}
	}
	return d
}

// wallOf is about how long the scenario kept all workers busy.
func (r *Report) wallOf(row *batch.Row) time.Duration {
	return row.Busy / time.Duration(max(r.Workers, 1))
}

func stores(row *batch.Row) map[string]uint64 {
	m := make(map[string]uint64, len(row.Stores))
	for name, s := range row.Stores {
		m[name] = s.Seeds
	}
	return m
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	var b bytes.Buffer
	r.table(&b)
	t := r.Tally
	fmt.Fprintf(&b, "\nfaults with an effect: %s\n", listed(t.Faults))
	for _, row := range t.Rows {
		if row.Seeds > 0 && len(row.Subject.Sometimes) > 0 {
			fmt.Fprintf(&b, "seen in %s: %s\n", row.Subject.Name, declared(row))
		}
	}
	fmt.Fprintf(&b, "%s from %d on in %.1f s with %s, %s a second\ntrace hash %s\n",
		Plural(t.Seeds, "run"), r.From, t.Wall.Seconds(), Plural(uint64(r.Workers), "worker"),
		rounded(Rate(float64(t.Seeds), t.Wall)), t.TraceHash())
	r.Failures.write(&b, "VIOLATION")
	r.Unknowns.write(&b, "UNKNOWN")
	for _, m := range r.missing() {
		fmt.Fprintf(&b, "\nVIOLATION: %s: %v\n", batch.RuleSometimes, m)
	}
	fmt.Fprintf(&b, "\n%s\n", r.conclusion())
	_, err := w.Write(b.Bytes())
	return err
}

// table writes a row for each scenario that ran, and their sum.
func (r *Report) table(b *bytes.Buffer) {
	t := r.Tally
	tw := tabwriter.NewWriter(b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "SCENARIO\tSTORES\tSEEDS\tOPERATIONS\tFAULTS\tSOMETIMES\tEVENTS/S\tSIM:REAL\tTRACE HASH\tVERDICT")
	for _, row := range t.Rows {
		if row.Seeds == 0 {
			continue
		}
		wall := r.wallOf(row)
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s:1\t%.8s\t%s\n",
			row.Subject.Name, storeMix(row), Grouped(row.Seeds), Grouped(row.Operations), Grouped(row.FaultsFired()),
			r.sometimes(row), rounded(Rate(float64(row.Events), wall)), rounded(Rate(row.Virtual.Seconds(), wall)),
			row.TraceHash(), verdict(&row.Counts))
	}
	fmt.Fprintf(tw, "total\t\t%s\t%s\t%s\t\t%s\t%s:1\t%.8s\t%s\n",
		Grouped(t.Seeds), Grouped(t.Operations), Grouped(t.FaultsFired()),
		rounded(Rate(float64(t.Events), t.Wall)), rounded(Rate(t.Virtual.Seconds(), t.Wall)), t.TraceHash(), verdict(&t.Counts))
	tw.Flush() // a bytes.Buffer never fails
}

// conclusion is the last line.
func (r *Report) conclusion() string {
	t := r.Tally
	var parts []string
	if r.Interrupted {
		parts = append(parts, "interrupted")
	}
	if t.Stopped {
		parts = append(parts, fmt.Sprintf("stopped after %s (see --max-failures)", Plural(t.Failed, "failed run")))
	}
	if t.Failed > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s failed, in %s", Grouped(t.Failed), Plural(t.Seeds, "run"), Plural(uint64(len(r.Failures.Groups)), "way")))
	}
	if n := len(r.missing()); n > 0 {
		parts = append(parts, Plural(uint64(n), "declared event")+" never happened: the batch was not testing what it says")
	}
	if t.Unknown > 0 {
		parts = append(parts, fmt.Sprintf("%s undecided: unknown is not passed", Plural(t.Unknown, "run")))
	}
	switch {
	case r.Held() && r.Interrupted:
		parts = append(parts, "what was run held")
	case r.Held():
		parts = append(parts, "all held")
	}
	return strings.Join(parts, "; ")
}

func verdict(c *batch.Counts) string {
	switch {
	case c.Failed > 0:
		return Grouped(c.Failed) + " failed"
	case c.Unknown > 0:
		return Grouped(c.Unknown) + " unknown"
	}
	return "held"
}

// storeMix says on which stores a scenario ran.
func storeMix(row *batch.Row) string {
	return strings.Join(slices.Sorted(maps.Keys(row.Stores)), "+")
}

// sometimes says how many of the declared events happened.
func (r *Report) sometimes(row *batch.Row) string {
	seen := 0
	for _, e := range row.Subject.Sometimes {
		if row.Sometimes[e] > 0 {
			seen++
		}
	}
	mark := ""
	for _, m := range r.missing() {
		if m.Scenario == row.Subject.Name {
			mark = " MISSING"
		}
	}
	return fmt.Sprintf("%d/%d%s", seen, len(row.Subject.Sometimes), mark)
}

func declared(row *batch.Row) string {
	parts := make([]string, 0, len(row.Subject.Sometimes))
	for _, e := range row.Subject.Sometimes {
		parts = append(parts, e+" "+Grouped(row.Sometimes[e]))
	}
	return strings.Join(parts, ", ")
}

func listed(m map[string]uint64) string {
	if len(m) == 0 {
		return "none"
	}
	parts := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+" "+Grouped(m[k]))
	}
	return strings.Join(parts, ", ")
}
