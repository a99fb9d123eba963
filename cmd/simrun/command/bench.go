package command

import (
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/internal/build"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/report"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/scale"
)

func (a *app) benchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure large simulated clusters",
		Long: `Bench runs large clusters of the registry in the simulator and measures what they
cost the store, and how long actors are without an owner. All figures but wall
time and memory are the same on every machine.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return fmt.Errorf("bench needs to be told what: see %s --help", c.CommandPath())
		},
	}
	c.AddCommand(a.benchLoadCommand(), a.benchFailOverCommand(), a.benchRollingCommand())
	return c
}

// counts is a flag that holds whole numbers in a range, separated by commas.
type counts struct {
	values []int
	min    int
	max    int
}

func (c *counts) Type() string { return "n,…" }

func (c *counts) String() string {
	words := make([]string, len(c.values))
	for i, v := range c.values {
		words[i] = strconv.Itoa(v)
	}
	return strings.Join(words, ",")
}

// maxCounts bounds the numbers of one flag.
const maxCounts = 100

func (c *counts) Set(s string) error {
	words := strings.Split(s, ",")
	if len(words) > maxCounts {
		return fmt.Errorf("has %d numbers, at most %d are allowed", len(words), maxCounts)
	}
	values := make([]int, len(words))
	for i, w := range words {
		n, err := strconv.Atoi(w)
		if err != nil || n < c.min || n > c.max {
			return fmt.Errorf("must be whole numbers from %d to %d, separated by commas", c.min, c.max)
		}
		values[i] = n
	}
	c.values = values
	return nil
}

func (a *app) benchLoadCommand() *cobra.Command {
	nodes := counts{values: []int{10, 100, 1000}, min: 1, max: scale.MaxNodes}
	actors := counts{values: []int{1000, 100_000}, max: scale.MaxActors}
	kill := count{value: 1, max: scale.MaxNodes}
	seed := count{value: 1, max: maxSeeds}
	var asJSON bool
	c := &cobra.Command{
		Use:   "load",
		Short: "Transactions a second of a cluster at rest, by nodes and actors",
		Long: `Load runs a cluster for each number of nodes and of actors: all nodes join, claim
their share of the actors, and then do nothing but what the registry does by
itself, which is counted at the store for ten renewals. Then some nodes die, and
others take one actor of each over. At the end records, index and load counters
must agree. A million actors take some minutes and 2 GB.`,
		Example: `  simrun bench load
  simrun bench load --nodes 1000 --actors 1000000
  simrun bench load --json >load.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var rows []loadRow
			for _, n := range nodes.values {
				for _, m := range actors.values {
					began := time.Now()
					f, err := scale.MeasureLoad(c.Context(), scale.LoadConfig{
						Nodes: n, Actors: m, Seed: seed.value, Kill: min(int(kill.value), n-1),
					})
					if err != nil {
						return measured(c, err)
					}
					rows = append(rows, loadRowOf(f, time.Since(began)))
				}
			}
			if asJSON {
				return a.printJSON(map[string]any{"build": build.This(), "rows": rows})
			}
			return a.printLoad(rows)
		},
	}
	fs := c.Flags()
	fs.Var(&nodes, "nodes", "numbers of nodes")
	fs.Var(&actors, "actors", "numbers of actors")
	fs.Var(&kill, "kill", "nodes that die at the end; one survives at least")
	fs.Var(&seed, "seed", "seed of the worlds")
	fs.BoolVar(&asJSON, "json", false, "print one JSON object in place of the table")
	return c
}

// measured turns the error of a measurement into that of a command: what ctx
// ended was interrupted, and what broke a rule is a violation.
func measured(c *cobra.Command, err error) error {
	if c.Context().Err() != nil {
		return &exitError{code: exitInterrupted, message: err.Error()}
	}
	return &exitError{code: exitViolation, message: err.Error()}
}

// loadRow is one cluster's figures.
type loadRow struct {
	Nodes              int     `json:"nodes"`
	Actors             int     `json:"actors"`
	WritesPerSecond    float64 `json:"writes_per_second"`
	ReadsPerSecond     float64 `json:"reads_per_second"`
	Conflicts          uint64  `json:"conflicts"`
	FillWrites         uint64  `json:"fill_writes"`
	FillConflicts      uint64  `json:"fill_conflicts"`
	FailOverSeconds    float64 `json:"longest_fail_over_seconds"`
	FailOverBound      float64 `json:"fail_over_bound_seconds"`
	Events             uint64  `json:"events"`
	WallSeconds        float64 `json:"wall_seconds"`
	ProcessMemoryBytes uint64  `json:"process_memory_bytes"` // obtained so far from the system
}

func loadRowOf(f scale.LoadFigures, wall time.Duration) loadRow {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return loadRow{
		Nodes: f.Nodes, Actors: f.Actors,
		WritesPerSecond: f.PerSecond(f.AtRest.Writes), ReadsPerSecond: f.PerSecond(f.AtRest.Reads), Conflicts: f.AtRest.Conflicts,
		FillWrites: f.Filling.Writes, FillConflicts: f.Filling.Conflicts,
		FailOverSeconds: f.FailOver.Quantile(1).Seconds(), FailOverBound: f.Bound.Seconds(),
		Events: f.Events, WallSeconds: wall.Seconds(), ProcessMemoryBytes: m.Sys,
	}
}

func (a *app) printLoad(rows []loadRow) error {
	return a.table("NODES\tACTORS\tWRITES/S\tREADS/S\tCONFLICTS\tFILLED WITH\tFAIL-OVER\tBOUND\tEVENTS\tWALL\tMEMORY", func(w io.Writer) {
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%d\t%s writes\t%.1f s\t%.1f s\t%s\t%.1f s\t%d MiB\n",
				report.Grouped(uint64(r.Nodes)), report.Grouped(uint64(r.Actors)), r.WritesPerSecond, r.ReadsPerSecond, r.Conflicts, report.Grouped(r.FillWrites),
				r.FailOverSeconds, r.FailOverBound, report.Grouped(r.Events), r.WallSeconds, r.ProcessMemoryBytes>>20)
		}
	})
}

// table prints rows under a head, both with tabs between columns.
func (a *app) table(head string, rows func(w io.Writer)) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	rows(w)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := b.WriteTo(a.stdout)
	return err
}

func (a *app) benchFailOverCommand() *cobra.Command {
	nodes := count{value: 5, min: 2, max: 1000}
	seeds := count{value: 1000, min: 1, max: scale.MaxSeeds}
	from := count{value: 1, max: maxSeeds}
	ttl := duration{value: registry.DefaultTTL, min: registry.MinTTL, max: registry.MaxTTL}
	var asJSON bool
	c := &cobra.Command{
		Use:   "failover",
		Short: "How long the actor of a node that dies is without an owner",
		Long: `Failover runs a world for each seed: the owner of an actor dies at some phase of its
renewals, while the other nodes wait for the actor, on clocks whose rates are
wrong by up to MaxDrift. What is measured is the time from the death to the first
write of the new owner that a resource which checks fencing tokens accepts, beside
the bound that the registry states for the claim.`,
		Example: `  simrun bench failover
  simrun bench failover --nodes 20 --seeds 200 --ttl 3s`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := scale.MeasureFailOver(c.Context(), scale.FailOverConfig{
				Nodes: int(nodes.value), Seeds: int(seeds.value), From: from.value, Options: registry.Options{TTL: ttl.value},
			})
			if err != nil {
				return measured(c, err)
			}
			d := failOverOf(f)
			if asJSON {
				return a.printJSON(d)
			}
			return a.table("NODES\tSEEDS\tTTL\tSHORTEST\tMEDIAN\tP99\tLONGEST\tBOUND", func(w io.Writer) {
				fmt.Fprintf(w, "%d\t%d\t%v\t%.3f TTL\t%.3f TTL\t%.3f TTL\t%.3f TTL\t%.3f TTL\n",
					nodes.value, d.Seeds, f.TTL, d.Shortest, d.Median, d.P99, d.Longest, d.Bound)
			})
		},
	}
	fs := c.Flags()
	fs.Var(&nodes, "nodes", "nodes, one of which dies")
	fs.Var(&seeds, "seeds", "worlds")
	fs.Var(&from, "from", "first seed")
	fs.Var(&ttl, "ttl", "length of a lease")
	fs.BoolVar(&asJSON, "json", false, "print one JSON object in place of the table")
	return c
}

// failOverDocument is a distribution in multiples of the TTL.
type failOverDocument struct {
	Build      build.Info `json:"build"`
	Seeds      int        `json:"seeds"`
	TTLSeconds float64    `json:"ttl_seconds"`
	Shortest   float64    `json:"shortest_ttls"`
	Median     float64    `json:"median_ttls"`
	P99        float64    `json:"p99_ttls"`
	Longest    float64    `json:"longest_ttls"`
	Bound      float64    `json:"bound_ttls"`
}

func failOverOf(f scale.FailOverFigures) failOverDocument {
	ttls := func(d time.Duration) float64 { return d.Seconds() / f.TTL.Seconds() }
	return failOverDocument{
		Build: build.This(), Seeds: f.Took.N(), TTLSeconds: f.TTL.Seconds(),
		Shortest: ttls(f.Took.Quantile(0)), Median: ttls(f.Took.Quantile(0.5)), P99: ttls(f.Took.Quantile(0.99)),
		Longest: ttls(f.Took.Quantile(1)), Bound: ttls(f.Bound),
	}
}

func (a *app) benchRollingCommand() *cobra.Command {
	nodes := count{value: 20, min: 2, max: 1000}
	actors := count{value: 2000, min: 1, max: scale.MaxActors}
	seed := count{value: 1, max: maxSeeds}
	ttl := duration{value: registry.DefaultTTL, min: registry.MinTTL, max: registry.MaxTTL}
	var asJSON bool
	c := &cobra.Command{
		Use:   "rolling",
		Short: "How long actors are without an owner while every node is restarted",
		Long: `Rolling restarts every node of a cluster, one after the other, as an upgrade does
it: the node drains, leaves, stops and starts again. For each actor that is handed
over it measures the time from the moment at which the old owner stops believing to
the one at which the new owner has its handle.`,
		Example: `  simrun bench rolling
  simrun bench rolling --nodes 5 --actors 100 --json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			f, err := scale.MeasureRolling(c.Context(), scale.RollingConfig{
				Nodes: int(nodes.value), Actors: int(actors.value), Seed: seed.value, Options: registry.Options{TTL: ttl.value},
			})
			if err != nil {
				return measured(c, err)
			}
			d := rollingOf(f)
			if asJSON {
				return a.printJSON(d)
			}
			return a.table("NODES\tACTORS\tMOVED\tRELEASED\tSHORTEST\tMEDIAN\tP99\tLONGEST\tDRAIN MEDIAN\tLONGEST\tRESTART", func(w io.Writer) {
				fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%.2f ms\t%.2f ms\t%.2f ms\t%.2f ms\t%.0f ms\t%.0f ms\t%.1f s\n",
					nodes.value, actors.value, d.Moved, d.Released, d.Shortest, d.Median, d.P99, d.Longest,
					d.DrainMedian, d.DrainLongest, d.RestartSeconds)
			})
		},
	}
	fs := c.Flags()
	fs.Var(&nodes, "nodes", "nodes, each of which is restarted")
	fs.Var(&actors, "actors", "actors, shared out evenly at first")
	fs.Var(&seed, "seed", "seed of the world")
	fs.Var(&ttl, "ttl", "length of a lease")
	fs.BoolVar(&asJSON, "json", false, "print one JSON object in place of the table")
	return c
}

// rollingDocument is a rolling restart in milliseconds of true time.
type rollingDocument struct {
	Build          build.Info `json:"build"`
	Moved          int        `json:"moved"`
	Released       int        `json:"released"`
	Shortest       float64    `json:"shortest_ms"`
	Median         float64    `json:"median_ms"`
	P99            float64    `json:"p99_ms"`
	Longest        float64    `json:"longest_ms"`
	DrainMedian    float64    `json:"drain_median_ms"`
	DrainLongest   float64    `json:"drain_longest_ms"`
	RestartSeconds float64    `json:"restart_seconds"`
}

func rollingOf(f scale.RollingFigures) rollingDocument {
	ms := func(d time.Duration) float64 { return d.Seconds() * 1e3 }
	return rollingDocument{
		Build: build.This(), Moved: f.Moved, Released: f.Released,
		Shortest: ms(f.Without.Quantile(0)), Median: ms(f.Without.Quantile(0.5)),
		P99: ms(f.Without.Quantile(0.99)), Longest: ms(f.Without.Quantile(1)),
		DrainMedian: ms(f.Drains.Quantile(0.5)), DrainLongest: ms(f.Drains.Quantile(1)),
		RestartSeconds: f.Took.Seconds(),
	}
}
