package command

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/report"
	"github.com/kelpie-registry/kelpie/linearizability"
)

func (a *app) checkCommand() *cobra.Command {
	k := checking{app: a}
	c := &cobra.Command{
		Use:   "check HISTORY",
		Short: "Judge a history of a simulated or a real run",
		Long: `Check reads a history, one event a line as docs/history.md has it, and judges it:
whether it is linearizable, by two checkers that must agree, and whether the
rules on real time hold. "-" reads standard input.

A history that the checkers could not decide within their bounds is unknown, and
unknown exits with 1 as a violation does: it has not passed.`,
		Example: `  simrun check soak.jsonl
  simrun check soak.jsonl --picture soak.html
  gunzip -c soak.jsonl.gz | simrun check -
  simrun check skewed.jsonl --skip stale-use    # clocks were beyond their bound`,
		Args: oneArgument("check", "history"),
		RunE: func(_ *cobra.Command, args []string) error { return k.do(args[0]) },
	}
	k.steps = count{value: defaultSteps, min: 1, max: 1 << 40}
	fs := c.Flags()
	fs.StringArrayVar(&k.skip, "skip", nil, "leave this real-time `rule` out; may be repeated")
	fs.Var(&k.steps, "steps", "bound on one search, in steps of the model")
	fs.StringVar(&k.picture, "picture", "", "write porcupine's picture of the history to this `file` (HTML)")
	fs.BoolVar(&k.json, "json", false, "print one JSON object in place of the text")
	return c
}

// defaultSteps bounds one search of check. It is far above the bound of a run,
// which judges thousands of histories.
const defaultSteps = 20_000_000

// oneArgument accepts one argument.
func oneArgument(command, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%s takes one %s, got %d arguments; see simrun %s --help", command, what, len(args), command)
		}
		return nil
	}
}

// checking is one check under way.
type checking struct {
	app     *app
	skip    []string
	steps   count
	picture string
	json    bool
}

func (k *checking) options() (linearizability.Options, error) {
	o := linearizability.Options{Steps: int(k.steps.value)}
	for _, name := range k.skip {
		rule := linearizability.Rule(name)
		if !slices.Contains(linearizability.RealTimeRules(), rule) {
			return o, fmt.Errorf("--skip: unknown rule %q; there are: %v", name, linearizability.RealTimeRules())
		}
		o.Skip = append(o.Skip, rule)
	}
	return o, nil
}

func (k *checking) do(path string) error {
	o, err := k.options()
	if err != nil {
		return err
	}
	if k.picture != "" {
		if err := atomicfile.Check(k.picture); err != nil {
			return fmt.Errorf("--picture: %w", err)
		}
	}
	r, err := k.app.open(path)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // it is only read
	in := &opening{source: r}
	h, err := linearizability.Decode(in, linearizability.Limits{})
	if errors.Is(err, linearizability.ErrForeign) && in.isArtifact() {
		todo := "which simrun replay runs again"
		if path == "-" {
			todo = "which simrun replay runs again from a file"
		}
		return fmt.Errorf("%s: %w but an artifact, %s", path, linearizability.ErrForeign, todo)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	j := judge(h, o)
	if k.picture != "" {
		if err := drawPicture(k.picture, h, o, j.notes(h)...); err != nil {
			return err
		}
	}
	if k.json {
		err = k.app.printJSON(j)
	} else {
		_, err = io.WriteString(k.app.stdout, j.text())
	}
	if err != nil {
		return err
	}
	return exit(j.code())
}

// judgement is what the checkers say of a history.
type judgement struct {
	Scenario   string      `json:"scenario"`
	Seed       uint64      `json:"seed"`
	Verdict    string      `json:"verdict"` // held, violation or unknown
	Porcupine  string      `json:"porcupine"`
	Whole      bool        `json:"porcupine_whole"` // searched as a whole, not in parts
	Witness    string      `json:"witness"`
	Operations int         `json:"operations"`
	Modelled   int         `json:"modelled"`
	Open       int         `json:"open"`
	Steps      uint64      `json:"steps"`
	Violations []violation `json:"violations"`
}

type violation struct {
	Rule        string `json:"rule"`
	Actor       string `json:"actor,omitempty"`
	Operations  []int  `json:"operations"`
	Explanation string `json:"explanation"`
}

// notes says on a picture where each broken rule shows: at the call of the last
// operation of those that show it.
func (j *judgement) notes(h *linearizability.History) []linearizability.Note {
	notes := make([]linearizability.Note, 0, len(j.Violations))
	called := make(map[int]time.Duration, len(h.Ops))
	for i := range h.Ops {
		called[h.Ops[i].ID] = h.Ops[i].Call
	}
	for _, v := range j.Violations {
		n := linearizability.Note{Title: v.Rule, Text: v.Explanation}
		for _, op := range v.Operations {
			n.At = max(n.At, called[op])
		}
		notes = append(notes, n)
	}
	return notes
}

// Verdicts of a judgement.
const (
	verdictHeld      = "held"
	verdictViolation = "violation"
	verdictUnknown   = "unknown"
)

func judge(h *linearizability.History, o linearizability.Options) judgement {
	r := linearizability.Check(h, o)
	j := judgement{
		Scenario: h.Scenario, Seed: h.Seed,
		Porcupine: string(r.Porcupine), Whole: r.Whole, Witness: string(r.Witness),
		Operations: r.Stats.Operations, Modelled: r.Stats.Relevant, Open: r.Stats.Open, Steps: r.Stats.Steps,
		Violations: []violation{},
	}
	for _, v := range r.Violations {
		j.Violations = append(j.Violations, violation{string(v.Rule), v.Actor, v.OpIDs, v.Explanation})
	}
	switch {
	case len(r.Violations) > 0 || r.Verdict == linearizability.Illegal:
		j.Verdict = verdictViolation
	case r.Verdict == linearizability.Ok:
		j.Verdict = verdictHeld
	default:
		j.Verdict = verdictUnknown
	}
	return j
}

func (j *judgement) code() int {
	if j.Verdict == verdictHeld {
		return exitHeld
	}
	return exitViolation
}

// text describes the judgement for people.
func (j *judgement) text() string {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	if j.Scenario != "" {
		fmt.Fprintf(tw, "history\t%s, seed %d\n", j.Scenario, j.Seed)
	}
	fmt.Fprintf(tw, "operations\t%s, of which %s in the model, %s of them open\n",
		report.Grouped(uint64(j.Operations)), report.Grouped(uint64(j.Modelled)), report.Grouped(uint64(j.Open)))
	how := "in parts"
	if j.Whole {
		how = "as a whole"
	}
	fmt.Fprintf(tw, "porcupine\t%s, %s, %s steps\n", j.Porcupine, how, report.Grouped(j.Steps))
	fmt.Fprintf(tw, "witness\t%s\n", j.Witness)
	tw.Flush() // a bytes.Buffer never fails
	for _, v := range j.Violations {
		actor := ""
		if v.Actor != "" {
			actor = fmt.Sprintf(" of actor %q", v.Actor)
		}
		fmt.Fprintf(&b, "\nVIOLATION: %s%s\n  %s\n", v.Rule, actor, v.Explanation)
	}
	switch j.Verdict {
	case verdictHeld:
		b.WriteString("all held\n")
	case verdictUnknown:
		b.WriteString("UNKNOWN: not decided within the bound on steps; raise --steps\n")
	}
	return b.String()
}
