package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/fleet"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/report"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/linearizability"
)

// roleCommands are the processes of a soak, which this program plays itself.
func (a *app) roleCommands() []*cobra.Command {
	var all []*cobra.Command
	for _, role := range fleet.Roles() {
		all = append(all, &cobra.Command{
			Use: role, Hidden: true, DisableFlagParsing: true,
			RunE: func(c *cobra.Command, args []string) error {
				return exit(fleet.Play(c.Context(), role, args, a.stores, a.stdin, a.stdout, a.stderr))
			},
		})
	}
	return all
}

// checkProcesses checks the flags that depend on --processes.
func (s *soaking) checkProcesses(c *cobra.Command) error {
	given := func(name string) bool { return c.Flags().Changed(name) }
	if !given("processes") {
		for _, name := range []string{"kill", "pause"} {
			if given(name) {
				return fmt.Errorf("--%s is about processes of their own: say how many with --processes", name)
			}
		}
		return nil
	}
	if !given("store") {
		s.store.value = "disk"
	}
	if !given("ttl") {
		s.ttl.value = fleet.DefaultTTL
	}
	if !given("nodes") {
		s.nodes.value = s.processes.value
	}
	store := s.app.stores[slices.Index(s.store.of, s.store.value)]
	switch {
	case store.Data == nil && store.Connect == nil:
		return fmt.Errorf("--store: %s is in the memory of one process, which --processes cannot share; there are: %s",
			store.Name, strings.Join(s.shareable(), ", "))
	case s.nodes.value < s.processes.value:
		return fmt.Errorf("--nodes is %d, must be at least %d, one for each of --processes", s.nodes.value, s.processes.value)
	case s.ttl.value < fleet.MinTTL:
		return fmt.Errorf("--ttl is %v, must be at least %v with --processes", s.ttl.value, fleet.MinTTL)
	case s.span.value < fleet.MinSpan*s.ttl.value:
		return fmt.Errorf("--for is %v, must be at least %d times --ttl, %v, with --processes",
			s.span.value, fleet.MinSpan, fleet.MinSpan*s.ttl.value)
	}
	return nil
}

// shareable names the stores that several processes can share.
func (s *soaking) shareable() []string {
	var names []string
	for _, store := range s.app.stores {
		if store.Data != nil || store.Connect != nil {
			names = append(names, store.Name)
		}
	}
	return names
}

// runProcesses runs a soak in many processes. folder is what they wrote, for the time
// until gone is called.
func (s *soaking) runProcesses(ctx context.Context, store soak.Store, tick func()) (d *soakDocument, h *linearizability.History, folder string, gone func(), err error) {
	program, err := os.Executable()
	if err != nil {
		return nil, nil, "", nil, fmt.Errorf("--processes: this program: %w", err)
	}
	if folder, err = os.MkdirTemp("", "kelpie-soak-"); err != nil {
		return nil, nil, "", nil, fmt.Errorf("--processes: %w", err)
	}
	gone = func() { _ = os.RemoveAll(folder) } // a temporary folder
	res, err := fleet.Run(ctx, fleet.Options{
		Store: store, Processes: int(s.processes.value), Nodes: int(s.nodes.value), Actors: int(s.actors.value),
		For: s.span.value, TTL: s.ttl.value, Seed: s.seed.value, Kill: s.kill, Pause: s.pause,
		Program: program, Dir: folder, Tick: tick,
	})
	if err != nil {
		gone()
		return nil, nil, "", nil, err
	}
	d = &soakDocument{
		Store: store.Name, Described: res.Described, Nodes: res.Nodes, Actors: res.Actors,
		TTLSeconds: res.TTL.Seconds(), Seed: res.Seed,
		Seconds: res.Elapsed.Seconds(), AuditSeconds: res.Audited.Seconds(), Interrupted: res.Interrupted,
		Counts: res.Counts, Audit: res.Violation,
		Processes: &processesDocument{
			Processes: res.Processes, Faults: res.Faults, Accounted: res.Accounted, Sink: res.Sink,
			Failovers: res.Failovers, Server: res.Server,
		},
	}
	return d, res.History, folder, gone, nil
}

// keepFolder copies what the processes wrote to where the history of a soak that did
// not hold goes.
func (s *soaking) keepFolder(d *soakDocument, folder string) error {
	if err := atomicfile.MakeFolder(s.out); err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	d.Processes.Folder = filepath.Join(s.out, fmt.Sprintf("soak-%s-%d", d.Store, d.Seed))
	if err := os.CopyFS(d.Processes.Folder, os.DirFS(folder)); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("--out: %w", err)
	}
	return nil
}

// processesDocument is what a soak of many processes adds.
type processesDocument struct {
	Processes int                `json:"processes"`
	Faults    fleet.Faults       `json:"faults"`
	Accounted soak.Accounted     `json:"accounted"`
	Sink      fleet.SinkCounts   `json:"sink"`
	Failovers fleet.Failovers    `json:"failover_ttls"`
	Server    *fleet.ServerUsage `json:"server,omitempty"`
	Folder    string             `json:"folder,omitempty"` // what the processes wrote
}

// text adds the lines of many processes.
func (p *processesDocument) text(w io.Writer) {
	n := report.Grouped
	f, a := &p.Faults, &p.Accounted
	count := func(i int) string { return n(uint64(i)) }
	fmt.Fprintf(w, "processes\t%d with nodes: %s kills, %s freezes, of which %s outlasted a lease; server: %s kills, %s freezes\n",
		p.Processes, count(f.Kills), count(f.Freezes), count(f.LongFreezes), count(f.ServerKills), count(f.ServerFreezes))
	fmt.Fprintf(w, "thawed\t%s times a handle from before a freeze was asked after it, and was invalid\n", n(f.Thawed))
	if len(f.Cuts) > 0 {
		fmt.Fprintf(w, "cut off\t%s; %s bytes went nowhere, %s connections were reset\n", cuts(f.Cuts), n(f.DroppedBytes), n(f.Resets))
	}
	if len(f.OneMember) > 0 {
		fmt.Fprintf(w, "\tfrom one member alone: %s\n", cuts(f.OneMember))
	}
	fmt.Fprintf(w, "accounted for\t%s claims, %s releases, %s transfers and %s guarded writes that were acknowledged; %s handles valid all the while\n",
		n(a.Claims), n(a.Releases), n(a.Transfers), n(a.Guards), n(a.Believed))
	fmt.Fprintf(w, "sink\t%s writes accepted, %s refused for a stale token; %s ownerships believed in\n",
		n(p.Sink.Accepted), n(p.Sink.Refused), n(p.Sink.Believers))
	fmt.Fprintf(w, "fail-over\tof an actor, from the kill of its node: %v\n", p.Failovers.Node)
	if s := p.Server; s != nil {
		fmt.Fprintf(w, "\tof the server, from its kill to the next commit: %v\n", p.Failovers.Server)
		fmt.Fprintf(w, "\tof the server, from its restart to that: %v\n", p.Failovers.ServerStart)
		m, d := &s.Memory, &s.Descriptors
		fmt.Fprintf(w, "server memory\tlongest of %d lives, %.0f s: first %s, median %s, last %s, max %s MiB; median of each quarter %s, %s, %s, %s; most of all lives %s\n",
			s.Lives, s.Span.Round(time.Second).Seconds(), mib(m.First), mib(m.Median), mib(m.Last), mib(m.Max),
			mib(m.Quarters[0]), mib(m.Quarters[1]), mib(m.Quarters[2]), mib(m.Quarters[3]), mib(s.MaxMemory))
		fmt.Fprintf(w, "descriptors\tof the same life: first %d, median %d, last %d, max %d; median of each quarter %d, %d, %d, %d; most of all lives %d\n",
			d.First, d.Median, d.Last, d.Max, d.Quarters[0], d.Quarters[1], d.Quarters[2], d.Quarters[3], s.MaxDescriptors)
	}
	if p.Folder != "" {
		fmt.Fprintf(w, "files\t%s\n", p.Folder)
	}
}

// cuts lists how often connections were cut, by how.
func cuts(times map[string]uint64) string {
	all := make([]string, 0, len(times))
	for _, mode := range slices.Sorted(maps.Keys(times)) {
		all = append(all, fmt.Sprintf("%s %s", report.Grouped(times[mode]), mode))
	}
	return strings.Join(all, ", ")
}

func mib(bytes uint64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }
