package command

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/fleet"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/report"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
)

func (a *app) soakCommand() *cobra.Command {
	s := soaking{
		app:    a,
		store:  choice{value: "memory", of: storeNames(a.stores)},
		nodes:  count{value: 8, min: 1, max: soak.MaxNodes},
		actors: count{min: 1, max: soak.MaxActors},
		span:   duration{value: 20 * time.Second, min: 10 * time.Millisecond, max: 30 * 24 * time.Hour},
		ttl:    duration{value: soak.DefaultTTL, min: soak.MinTTL, max: registry.MaxTTL},
		seed:   count{max: math.MaxUint64},

		processes: count{min: 1, max: fleet.MaxProcesses},
	}
	own := make(storeFlags)
	c := &cobra.Command{
		Use:   "soak",
		Short: "Run the registry for real, with stalls, and judge its history",
		Long: `Soak runs the registry as production does: goroutines, the machine's clock and a
real store. Its nodes claim, use, guard, release, place, transfer and look up actors;
they drain, leave, die without a word and come back, while their connections to the store are
delayed, frozen and refused for longer than a lease lasts, and commits end
unknown. At the end every actor must be claimable, and the history of all
operations is judged as check does.

With --processes the nodes are in processes of their own, the store is served by
kelpied in another, and fenced writes go to a sink in a third. --kill kills processes
and server with SIGKILL and restarts them; --pause stops them for longer than a lease
lasts. In place of the stalls, a proxy cuts, drops, delays and slows the connections.
Then what the store acknowledged is accounted for as well. docs/soak.md has more.

A real run is no function of its seed: the seed steers workload and faults only.`,
		Example: `  simrun soak --store memory --nodes 8 --for 20s
  simrun soak --nodes 3 --actors 1 --ttl 100ms --for 5s
  simrun soak --store fdb --fdb-cluster fdb.cluster --for 30s   # built with -tags fdb
  simrun soak --store disk --processes 8 --kill --pause --for 10m
  simrun soak --for 10m --history soak.jsonl && simrun check soak.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("seed") {
				s.seed.value = freshSeed()
			}
			if err := s.checkProcesses(c); err != nil {
				return err
			}
			if err := own.check(c.Flags(), s.store.value); err != nil {
				return err
			}
			return s.do(c)
		},
	}
	fs := c.Flags()
	fs.Var(&s.store, "store", "store to run on; with --processes the default is disk")
	for _, store := range a.stores {
		own.add(fs, store.Name, store.Flags)
	}
	fs.Var(&s.processes, "processes", "put the nodes into so many processes (default all in this one)")
	fs.BoolVar(&s.kill, "kill", false, "with --processes: kill processes and server with SIGKILL, and restart them")
	fs.BoolVar(&s.pause, "pause", false, "with --processes: freeze processes and server, often past the TTL")
	fs.Var(&s.nodes, "nodes", "nodes, in all processes (default with --processes: one in each)")
	fs.Var(&s.actors, "actors", "actors (default two for each node)")
	fs.Var(&s.span, "for", "how long to work")
	fs.Var(&s.ttl, "ttl", fmt.Sprintf("length of a lease (default with --processes %v)", fleet.DefaultTTL))
	fs.Var(&s.seed, "seed", "seed of workload and faults (default random)")
	fs.StringVar(&s.history, "history", "", "write the history to this `file`, whatever came of it")
	fs.StringVar(&s.out, "out", defaultOut, "`folder` for the history of a soak that did not hold")
	fs.BoolVar(&s.json, "json", false, "print one JSON object in place of the text")
	for _, name := range []string{"actors", "seed", "processes"} {
		fs.Lookup(name).DefValue = ""
	}
	return c
}

func storeNames(stores []soak.Store) []string {
	names := make([]string, 0, len(stores))
	for _, s := range stores {
		names = append(names, s.Name)
	}
	return names
}

// soaking is one soak under way.
type soaking struct {
	app                 *app
	store               choice
	nodes, actors, seed count
	processes           count // 0: all in this one
	kill, pause         bool
	span, ttl           duration
	history, out        string
	json                bool
}

func (s *soaking) do(c *cobra.Command) error {
	store := s.app.stores[slices.Index(s.store.of, s.store.value)]
	if s.history != "" {
		if err := atomicfile.Check(s.history); err != nil {
			return fmt.Errorf("--history: %w", err)
		}
	}
	if err := atomicfile.CheckFolder(s.out); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	bar := timeBar(s.app.stderr, "soak", s.span.value)
	run := s.runHere
	if s.processes.value > 0 {
		run = s.runProcesses
	}
	d, history, folder, gone, err := run(c.Context(), store, bar.step)
	bar.close()
	if err != nil {
		return err
	}
	defer gone()
	d.Operations = d.Counts.Operations()
	d.Judgement = judge(history, linearizability.Options{Steps: defaultSteps})
	d.Verdict = d.Judgement.Verdict
	if d.Audit != nil {
		d.Verdict = verdictViolation
	}
	if err := s.keep(d, history); err != nil {
		return err
	}
	if folder != "" && d.Verdict != verdictHeld {
		if err := s.keepFolder(d, folder); err != nil {
			return err
		}
	}
	return s.finish(d)
}

// runHere runs a soak in this process, which leaves no folder.
func (s *soaking) runHere(ctx context.Context, store soak.Store, tick func()) (d *soakDocument, h *linearizability.History, folder string, gone func(), err error) {
	res, err := soak.Run(ctx, soak.Options{
		Store: store, Nodes: int(s.nodes.value), Actors: int(s.actors.value),
		For: s.span.value, TTL: s.ttl.value, Seed: s.seed.value, Tick: tick,
	})
	if err != nil {
		return nil, nil, "", nil, err
	}
	return &soakDocument{
		Store: store.Name, Described: res.Described, Nodes: res.Options.Nodes, Actors: res.Options.Actors,
		TTLSeconds: res.Options.TTL.Seconds(), Seed: res.Options.Seed,
		Seconds: res.Elapsed.Seconds(), AuditSeconds: res.Audited.Seconds(), Interrupted: res.Interrupted,
		Counts: res.Counts, Stalls: &res.Stalls, Audit: res.Violation,
	}, res.History, "", func() {}, nil
}

// keep writes the history when it is asked for, or worth a look.
func (s *soaking) keep(d *soakDocument, h *linearizability.History) error {
	path := s.history
	if path == "" && d.Verdict != verdictHeld {
		if err := atomicfile.MakeFolder(s.out); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		path = filepath.Join(s.out, fmt.Sprintf("soak-%s-%d.jsonl", d.Store, d.Seed))
	}
	if path == "" {
		return nil
	}
	if err := atomicfile.Write(path, func(w io.Writer) error { return h.Encode(w) }); err != nil {
		return fmt.Errorf("the history: %w", err)
	}
	d.History, d.Check = path, "go run ./cmd/simrun check "+quoted(path)
	return nil
}

// finish prints the document and says how the command exits.
func (s *soaking) finish(d *soakDocument) error {
	var err error
	if s.json {
		err = s.app.printJSON(d)
	} else {
		_, err = io.WriteString(s.app.stdout, d.text())
	}
	switch {
	case err != nil:
		return err
	case d.Interrupted:
		return &exitError{exitInterrupted, "interrupted; the report is about what was done until then, and there was no audit"}
	case d.Verdict != verdictHeld:
		return exit(exitViolation)
	}
	return nil
}

// soakDocument is a soak in JSON.
type soakDocument struct {
	Store        string             `json:"store"`
	Described    string             `json:"store_is,omitempty"` // by itself
	Nodes        int                `json:"nodes"`
	Actors       int                `json:"actors"`
	TTLSeconds   float64            `json:"ttl_seconds"`
	Seed         uint64             `json:"seed"`
	Seconds      float64            `json:"seconds"`
	AuditSeconds float64            `json:"audit_seconds"` // until every actor was claimed again
	Interrupted  bool               `json:"interrupted"`
	Verdict      string             `json:"verdict"`
	Operations   uint64             `json:"operations"`
	Counts       soak.Counts        `json:"counts"`
	Stalls       *soak.Stalls       `json:"stalls,omitempty"` // nil: many processes
	Audit        *soak.Violation    `json:"audit_violation"`
	Judgement    judgement          `json:"judgement"`
	Processes    *processesDocument `json:"processes,omitempty"`
	History      string             `json:"history,omitempty"`
	Check        string             `json:"check,omitempty"` // the command that judges the history again
}

// text describes the soak for people.
func (d *soakDocument) text() string {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	c, n := &d.Counts, report.Grouped
	fmt.Fprintf(tw, "soak\t%d nodes and %d actors on %s, TTL %v, for %.1f s, seed %d\n",
		d.Nodes, d.Actors, d.Store, time.Duration(d.TTLSeconds*float64(time.Second)), d.Seconds, d.Seed)
	if d.Described != "" {
		fmt.Fprintf(tw, "store\t%s\n", d.Described)
	}
	fmt.Fprintf(tw, "operations\t%s: %s claims, %s uses, %s writes, %s guards, %s releases, %s lookups, %s joins, %s leaves\n",
		n(d.Operations), n(c.Claims), n(c.Uses), n(c.Writes), n(c.Guards), n(c.Releases), n(c.Lookups), n(c.Joins), n(c.Leaves))
	fmt.Fprintf(tw, "hand-overs\t%s transfers, %s placements, %s drains: %s actors given, %s accepted\n", n(c.Transfers), n(c.Places), n(c.Drains), n(c.Given), n(c.Accepted))
	fmt.Fprintf(tw, "sessions\t%s degraded, %s lost, %s killed, %s revoked by observers\n", n(c.Degraded), n(c.Lost), n(c.Killed), n(c.Revoked))
	fmt.Fprintf(tw, "failovers\t%s actors came to another node without a release\n", n(c.Failovers))
	fmt.Fprintf(tw, "refused\t%s writes by the sink and %s by the guard, for a claim that no longer held\n", n(c.RefusedWrites), n(c.RefusedGuards))
	fmt.Fprintf(tw, "doubts\t%s commits ended unknown; resolved: %s operations had taken effect, %s had not\n", n(c.Doubts), n(c.ResolvedThere), n(c.ResolvedAbsent))
	if s := d.Stalls; s != nil {
		fmt.Fprintf(tw, "stalls met\t%s calls delayed, %s frozen, %s refused; %s commits applied unseen, %s late, %s dropped\n",
			n(s.Delayed), n(s.Frozen), n(s.Refused), n(s.HiddenApplied), n(s.LateSent), n(s.Dropped))
	}
	if d.Processes != nil {
		d.Processes.text(tw)
	}
	switch {
	case d.Audit != nil:
		fmt.Fprintf(tw, "audit\tVIOLATION: %s: %s\n", d.Audit.Rule, d.Audit.Message)
	case !d.Interrupted:
		fmt.Fprintf(tw, "audit\tevery actor was claimed again within %.2f s, and the store agrees\n", d.AuditSeconds)
	}
	if d.History != "" {
		fmt.Fprintf(tw, "written\t%s\n", d.History)
	}
	tw.Flush() // a bytes.Buffer never fails
	b.WriteString(d.Judgement.text())
	if d.Verdict != verdictHeld && d.Check != "" {
		fmt.Fprintf(&b, "check again: %s\n", d.Check)
	}
	return b.String()
}
