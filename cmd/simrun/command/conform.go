package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/atomicfile"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/conform"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/report"
	"github.com/kelpie-registry/kelpie/litmus"
)

// defaultPrograms is how many programs conform takes: a few seconds' worth.
const defaultPrograms = 10_000

func (a *app) conformCommand() *cobra.Command {
	stores := a.conformStores
	names := make([]string, 0, len(stores))
	for i := range stores {
		names = append(names, stores[i].Name)
	}
	f := conforming{
		app: a, stores: stores,
		store:   choice{value: "simfdb", of: names},
		level:   choice{value: string(litmus.Port), of: []string{string(litmus.Port), string(litmus.Client)}},
		seeds:   count{value: defaultPrograms, min: 1, max: litmus.MaxPrograms},
		from:    count{value: defaultFrom, max: math.MaxUint64 - 1},
		seed:    count{max: math.MaxUint64 - 1},
		workers: count{value: uint64(runtime.GOMAXPROCS(0)), min: 1, max: maxWorkers},
	}
	own := make(storeFlags)
	c := &cobra.Command{
		Use:   "conform",
		Short: "Take litmus programs through a store and write what it answered",
		Long: `Conform takes seeded litmus programs through a store: several clients, one driver
that takes their steps in a fixed order, so that each answer is determined on any
correct store. It writes one line for each step. Two stores agree when their
files are equal; "simrun conform compare" says where two files part.
docs/conform.md has the steps, the format, and where stores differ by design.

Level port is the vocabulary of the store port, which every store has. Level
client is that of FoundationDB's client: key selectors, all atomic operations,
error numbers. --slow takes other programs, which wait until transactions are too
old: seconds each on a real cluster.

With --seed alone, the file of that one program goes to standard output.`,
		Example: `  simrun conform --store simfdb --seeds 100000 --out simfdb.txt
  simrun conform --store memory --seeds 100000 --out memory.txt
  simrun conform compare simfdb.txt memory.txt
  simrun conform --store simfdb --level client --slow --out slow.txt
  simrun conform --store memory --seed 42`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := own.check(c.Flags(), f.store.value); err != nil {
				return err
			}
			f.one = c.Flags().Changed("seed")
			return f.do(c.Context())
		},
	}
	fs := c.Flags()
	fs.Var(&f.store, "store", "store to take them through")
	for i := range stores {
		own.add(fs, stores[i].Name, stores[i].Flags)
	}
	fs.Var(&f.level, "level", "vocabulary of the programs")
	fs.BoolVar(&f.slow, "slow", false, "take the programs that wait until transactions are too old")
	fs.Var(&f.seeds, "seeds", "programs")
	fs.Var(&f.from, "from", "first seed")
	fs.Var(&f.seed, "seed", "take this one program")
	fs.Lookup("seed").DefValue = ""
	fs.Var(&f.workers, "workers", "programs taken at a time; changes no result")
	fs.StringVar(&f.out, "out", "", "write the lines to this `file`")
	fs.BoolVar(&f.json, "json", false, "print one JSON object in place of the text")
	f.profile.add(c)
	c.MarkFlagsMutuallyExclusive("seed", "seeds")
	c.MarkFlagsMutuallyExclusive("seed", "from")
	c.AddCommand(a.conformCompareCommand())
	return c
}

// conforming is one conform under way.
type conforming struct {
	app                        *app
	stores                     []conform.Store
	store, level               choice
	slow, json, one            bool
	seeds, from, seed, workers count
	out                        string
	profile                    profile
}

func (f *conforming) do(ctx context.Context) error {
	store := f.stores[slices.Index(f.store.of, f.store.value)]
	level := litmus.Level(f.level.value)
	if !store.Has(level) {
		var with []string
		for i := range f.stores {
			if f.stores[i].Has(level) {
				with = append(with, f.stores[i].Name)
			}
		}
		return fmt.Errorf("--store %s has no --level %s; stores that have it: %s", store.Name, level, strings.Join(with, ", "))
	}
	from, n := f.from.value, f.seeds.value
	if f.one {
		from, n = f.seed.value, 1
	}
	header, err := litmus.NewHeader(litmus.Generation{Level: level, Slow: f.slow}, from, n)
	if err != nil {
		return fmt.Errorf("--from %d and --seeds %d: %w", from, n, err)
	}
	if f.out != "" {
		if err := atomicfile.Check(f.out); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	if err := f.profile.check(); err != nil {
		return err
	}
	d := conformDocument{Store: store.Name, Level: string(level), Slow: f.slow, From: header.From, To: header.To, Generator: header.Generator, Out: f.out}
	o := conform.Options{
		Header: header, Workers: int(min(f.workers.value, n)),
		Open: func() (litmus.Store, error) { return store.Open(level) },
	}
	if err := f.run(ctx, o, &d); err != nil {
		return err
	}
	switch {
	case f.json:
		return f.app.printJSON(&d)
	case f.one && f.out == "":
		return nil // the lines were printed
	default:
		_, err := io.WriteString(f.app.stdout, d.text())
		return err
	}
}

// run takes the programs and writes the file.
func (f *conforming) run(ctx context.Context, o conform.Options, d *conformDocument) error {
	defer batch.CollectLess()()
	stop, err := f.profile.start()
	if err != nil {
		return err
	}
	bar := countBar(f.app.stderr, "conform", "programs", o.Header.To-o.Header.From+1)
	o.Tick = bar.step
	began := time.Now()
	write := func(w io.Writer) error {
		o.Out = w
		d.Result, err = conform.Run(ctx, o)
		return err
	}
	switch {
	case f.out != "":
		err = atomicfile.Write(f.out, write)
	case f.one && !f.json:
		err = write(f.app.stdout)
	default:
		err = write(io.Discard)
	}
	d.Seconds = time.Since(began).Seconds()
	bar.close()
	err = errors.Join(err, stop())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, conform.ErrOpen):
		return err
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, "interrupted; nothing was written"}
	default:
		return &exitError{exitViolation, err.Error()}
	}
}

// conformDocument says what was done, in JSON.
type conformDocument struct {
	Store     string  `json:"store"`
	Level     string  `json:"level"`
	Slow      bool    `json:"slow"`
	From      uint64  `json:"from"`
	To        uint64  `json:"to"`
	Generator string  `json:"generator"`
	Seconds   float64 `json:"seconds"`
	Out       string  `json:"out,omitempty"`
	conform.Result
}

func (d *conformDocument) text() string {
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	class := ""
	if d.Slow {
		class = ", slow"
	}
	fmt.Fprintf(tw, "programs\t%s of level %s%s, seeds %d to %d, on %s\n", report.Grouped(d.Programs), d.Level, class, d.From, d.To, d.Store)
	fmt.Fprintf(tw, "lines\t%s in %.1f s, %s bytes\n", report.Grouped(d.Lines), d.Seconds, report.Grouped(d.Bytes))
	fmt.Fprintf(tw, "generator\t%s\n", d.Generator)
	fmt.Fprintf(tw, "sha256\t%s\n", d.SHA256)
	if d.Out != "" {
		fmt.Fprintf(tw, "written\t%s\n", d.Out)
	}
	tw.Flush() // a bytes.Buffer never fails
	return b.String()
}

func (a *app) conformCompareCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "compare A B",
		Short: "Say where two files of conform first differ",
		Long: `Compare reads two files that conform wrote, on two stores or at two times. Equal
files exit with 0. Files that differ exit with 1, and the first program that
differs is printed: what both have, with "-" the lines of the first file, with
"+" those of the second. Files that are broken, or that do not hold the same
programs, exit with 2.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("compare takes two files, got %d arguments; see simrun conform compare --help", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return a.compare(args[0], args[1]) },
	}
}

func (a *app) compare(pathA, pathB string) error {
	fa, err := os.Open(pathA)
	if err != nil {
		return err
	}
	defer func() { _ = fa.Close() }() // it is only read
	fb, err := os.Open(pathB)
	if err != nil {
		return err
	}
	defer func() { _ = fb.Close() }() // it is only read
	d, h, err := litmus.Compare(fa, fb)
	if err != nil {
		return fmt.Errorf("%s and %s: %w", pathA, pathB, err)
	}
	if d == nil {
		_, err := fmt.Fprintf(a.stdout, "equal: %s programs of level %s\n", report.Grouped(h.To-h.From+1), h.Level)
		return err
	}
	if _, err := fmt.Fprintf(a.stdout, "the files first differ in seed %d, step %d\n%v", d.Seed, d.Step(), d); err != nil {
		return err
	}
	return exit(exitViolation)
}
