package command

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/artifact"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/replay"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/report"
	"github.com/kelpie-registry/kelpie/linearizability"
)

func (a *app) replayCommand() *cobra.Command {
	r := replaying{app: a}
	c := &cobra.Command{
		Use:   "replay ARTIFACT",
		Short: "Run a recorded run again and compare the two, event by event",
		Long: `Replay runs the seed and the faults of an artifact again. When the same happens to
the last bit it says so and exits with 1, the code of a violation (0 if the
recorded run had passed). When it does not, it exits with 3 and names the first
event that differs: its number, its true time and its line in the trace.

An artifact reproduces on the build that wrote it; after a change of the code a
replay that parts from its recording is what one should expect.`,
		Example: `  simrun replay simrun-out/mixed-simfdb-42-1a2b3c4d.json
  simrun replay FILE --trace | less
  simrun replay FILE --picture history.html`,
		Args: oneArgument("replay", "artifact"),
		RunE: func(_ *cobra.Command, args []string) error { return r.do(args[0]) },
	}
	fs := c.Flags()
	fs.BoolVar(&r.trace, "trace", false, "print the readable trace, a line for each event")
	fs.StringVar(&r.picture, "picture", "", "write porcupine's picture of the history to this `file` (HTML)")
	fs.BoolVar(&r.json, "json", false, "print one JSON object in place of the text")
	c.MarkFlagsMutuallyExclusive("trace", "json")
	return c
}

// replaying is one replay under way.
type replaying struct {
	app     *app
	trace   bool
	picture string
	json    bool
}

func (r *replaying) do(path string) error {
	a, err := artifact.Read(path)
	if err != nil {
		return err
	}
	s, err := r.app.find(a.Scenario)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if r.picture != "" {
		if err := atomicfile.Check(r.picture); err != nil {
			return fmt.Errorf("--picture: %w", err)
		}
	}
	var trace io.Writer
	if r.trace {
		trace = r.app.stdout
	}
	out, err := replay.Run(s.Guarded, a, trace)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if r.picture != "" {
		var notes []linearizability.Note
		if f := out.Result.Failure; f != nil {
			notes = append(notes, linearizability.Note{At: f.At, Title: f.Rule, Text: f.Message})
		}
		if err := drawPicture(r.picture, &out.Result.History, linearizability.Options{}, notes...); err != nil {
			return err
		}
	}
	if err := r.print(path, a, &out); err != nil {
		return err
	}
	return exit(r.code(a, &out))
}

func (r *replaying) code(a *artifact.Artifact, out *replay.Outcome) int {
	switch {
	case out.Divergence != nil:
		return exitDiverged
	case a.Failure != nil || a.Unknown != "":
		return exitViolation
	}
	return exitHeld
}

// replayDocument is a replay in JSON.
type replayDocument struct {
	Artifact   string             `json:"artifact"`
	Build      build.Info         `json:"build"`
	RecordedBy build.Info         `json:"recorded_by"`
	Recorded   string             `json:"recorded_trace_hash"`
	TraceHash  string             `json:"trace_hash"`
	Events     uint64             `json:"events"`
	Reproduced bool               `json:"reproduced"`
	Verdict    string             `json:"verdict"` // of the replay: passed, failed, unknown
	Run        report.Entry       `json:"run"`
	Divergence *replay.Divergence `json:"divergence"`
}

func (r *replaying) print(path string, a *artifact.Artifact, out *replay.Outcome) error {
	res, d := &out.Result, out.Divergence
	verdict := "passed"
	switch {
	case res.Failure != nil:
		verdict = "failed"
	case res.Unknown != "":
		verdict = "unknown"
	}
	if r.json {
		return r.app.printJSON(replayDocument{
			Artifact: path, Build: build.This(), RecordedBy: a.Build, Recorded: a.TraceHash,
			TraceHash: res.Hash.String(), Events: res.Events, Reproduced: d == nil, Verdict: verdict,
			Run: report.EntryOf(res), Divergence: d,
		})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s on %s, seed %d: %s events, %s operations, %.3f s of true time\n",
		a.Scenario, a.Store, a.Seed, report.Grouped(res.Events), report.Grouped(uint64(res.Operations)), res.Virtual.Seconds())
	if d != nil {
		r.describe(&b, a, out)
		_, err := io.WriteString(r.app.stdout, b.String())
		return err
	}
	fmt.Fprintf(&b, "reproduced: the same %s events, trace hash %v\n", report.Grouped(res.Events), res.Hash)
	switch {
	case res.Failure != nil:
		fmt.Fprintf(&b, "VIOLATION: %s\n%s\n", res.Failure.Signature, res.Failure.Message)
		if res.Failure.Stack != "" {
			fmt.Fprintf(&b, "%s\n", res.Failure.Stack)
		}
	case res.Unknown != "":
		fmt.Fprintf(&b, "UNKNOWN: %s\n", res.Unknown)
	default:
		b.WriteString("all held\n")
	}
	_, err := io.WriteString(r.app.stdout, b.String())
	return err
}

// describe says how the replay diverged.
func (r *replaying) describe(b *strings.Builder, a *artifact.Artifact, out *replay.Outcome) {
	d, res := out.Divergence, &out.Result
	fmt.Fprintf(b, "DIVERGED: %s\n", d.What)
	if d.Event > 0 {
		fmt.Fprintf(b, "first differing event: %d", d.Event)
		if d.Time != "" {
			fmt.Fprintf(b, ", at %s of true time; in the replay:\n%s", d.Time, d.Trace)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(b, "recorded: %s\nreplayed: %s\n", replay.Verdict(a.Failure, a.Unknown), replay.Verdict(res.Failure, res.Unknown))
	if here := build.This(); a.Build != here {
		fmt.Fprintf(b, "the artifact is of another build:\n  recorded by %v\n  replayed by %v\n", a.Build, here)
	}
}
