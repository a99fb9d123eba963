package mutants

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeMain stands for the trial: a module of its own whose trial fails from the
// seed on that its registry package names, for each scenario.
const fakeMain = `package main

import (
	"fmt"
	"os"
	"strconv"

	"` + module + `/registry"
)

func main() {
	flags := map[string]string{}
	for i := 1; i < len(os.Args); i += 2 {
		flags[os.Args[i]] = os.Args[i+1]
	}
	from, _ := strconv.Atoi(flags["--from"])
	seeds, _ := strconv.Atoi(flags["--seeds"])
	if flags["--scenario"] == "says-nothing" {
		fmt.Fprintln(os.Stderr, "bad luck")
		os.Exit(2)
	}
	if flags["--scenario"] == "unsure" {
		fmt.Printf("{\"seeds\": %d, \"unknown\": 1, \"failures\": []}", seeds)
		os.Exit(1)
	}
	bad, ok := registry.Bad[flags["--scenario"]]
	if ok && from+seeds > bad {
		bad = max(bad, from)
		fmt.Printf("{\"seeds\": %d, \"failures\": [{\"scenario\": %q, \"seed\": %d, \"rule\": \"other\"}, {\"scenario\": %q, \"seed\": %d, \"rule\": \"two-owners\", \"message\": \"a and b\"}]}",
			bad-from+1, flags["--scenario"], from+seeds-1, flags["--scenario"], bad)
		os.Exit(1)
	}
	fmt.Printf("{\"seeds\": %d, \"failures\": []}", seeds)
}
`

const fakeRegistry = `package registry

// Bad says from which seed on a scenario fails.
var Bad = map[string]int{
	"never-run": 0,
}
`

// fakeModule writes the fake module and returns its root.
func fakeModule(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":                            "module " + module + "\n\ngo 1.26\n",
		"cmd/simrun/internal/trial/main.go": fakeMain,
		"registry/bad.go":                   fakeRegistry,
	} {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// fakeMutant makes the scenario fail from the seed on.
func fakeMutant(name, entry string, scenarios ...string) Mutant {
	return Mutant{
		Name: name, Title: "about " + name, Scenarios: scenarios,
		Files: []File{{Path: "registry/bad.go", Hunks: []Hunk{{"\t\"never-run\": 0,\n", "\t" + entry + ",\n"}}}},
	}
}

// emptyTemp makes temporary directories go where leftovers can be seen.
func emptyTemp(t *testing.T) (check func()) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return func() {
		t.Helper()
		left, err := os.ReadDir(dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func TestRunCountsSeedsUntilTheFirstFailure(t *testing.T) {
	root, nothingLeft := fakeModule(t), emptyTemp(t)
	ms := []Mutant{
		fakeMutant("at-once", `"a": 0`, "a", "b"),
		fakeMutant("late", `"a": 150`, "a"),
		fakeMutant("second-scenario", `"b": 40`, "a", "b"),
		fakeMutant("survivor", `"c": 0`, "a", "b"),
	}
	var told []string
	rep, err := runMutants(t.Context(), ms, Options{
		Root: filepath.Join(root, "registry"), Seeds: 200, Workers: 1,
		Progress: func(r Result) { told = append(told, r.Mutant) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Result{
		{Mutant: "at-once", Caught: true, Scenario: "a", Seed: 0, Seeds: 1, Tried: []string{"a"}},
		{Mutant: "late", Caught: true, Scenario: "a", Seed: 150, Seeds: 151, Tried: []string{"a"}},
		{Mutant: "second-scenario", Caught: true, Scenario: "b", Seed: 40, Seeds: 241, Tried: []string{"a", "b"}},
		{Mutant: "survivor", Seeds: 400, Tried: []string{"a", "b"}},
	} {
		got := rep.Results[i]
		if got.Mutant != want.Mutant || got.Caught != want.Caught || got.Scenario != want.Scenario || got.Seed != want.Seed ||
			got.Seeds != want.Seeds || !slices.Equal(got.Tried, want.Tried) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got.Caught && (got.Rule != "two-owners" || got.Message != "a and b") {
			t.Errorf("%s: not the failure of the lowest seed: %+v", got.Mutant, got)
		}
		if got.Build <= 0 || got.Wall <= 0 || got.Title != "about "+got.Mutant {
			t.Errorf("%s: not filled in: %+v", got.Mutant, got)
		}
	}
	if !slices.Equal(rep.Survivors, []string{"survivor"}) || rep.MedianSeeds != 151 || rep.ControlSeeds != 400 || rep.Wall <= 0 {
		t.Errorf("got %+v", rep)
	}
	if want := []string{"at-once", "late", "second-scenario", "survivor"}; !slices.Equal(told, want) {
		t.Errorf("progress told %v, want %v", told, want)
	}
	nothingLeft()
}

func TestRunChoosesByName(t *testing.T) {
	root, nothingLeft := fakeModule(t), emptyTemp(t)
	ms := []Mutant{fakeMutant("x", `"a": 0`, "a"), fakeMutant("y", `"a": 1`, "a"), fakeMutant("z", `"a": 2`, "a")}
	rep, err := runMutants(t.Context(), ms, Options{Root: root, Names: []string{"z", "x", "z"}, Seeds: 10})
	if err != nil || len(rep.Results) != 2 || rep.Results[0].Mutant != "x" || rep.Results[1].Mutant != "z" || rep.MedianSeeds != 1 {
		t.Errorf("got %+v, %v", rep, err)
	}
	nothingLeft()
}

func TestRunRefuses(t *testing.T) {
	good := []Mutant{fakeMutant("x", `"a": 0`, "a")}
	for name, c := range map[string]struct {
		ms   []Mutant
		o    Options
		want error
		says string
	}{
		"an unknown mutant":           {good, Options{Names: []string{"x", "nope"}}, ErrUnknownMutant, `"nope"; there are: x`},
		"negative seeds":              {good, Options{Seeds: -1}, ErrOptions, "Seeds is -1, must be from 1"},
		"too many seeds":              {good, Options{Seeds: MaxSeeds + 1}, ErrOptions, "Seeds"},
		"negative workers":            {good, Options{Workers: -1}, ErrOptions, "Workers is -1"},
		"a directory outside":         {good, Options{Root: os.TempDir()}, ErrNoSource, "run it from a clone"},
		"a patch that does not fit":   {[]Mutant{good[0], {Name: "old", Files: []File{{"registry/bad.go", []Hunk{{"x\n", ""}}}}}}, Options{}, ErrDoesNotApply, `"old"`},
		"a patch that does not build": {[]Mutant{fakeMutant("broken", `"a": "b"`, "a")}, Options{}, ErrBuild, "registry/bad.go"},
		"code that fails unchanged":   {[]Mutant{fakeMutant("x", `"a": 0`, "a", "never-run")}, Options{Seeds: 10}, ErrControl, `scenario "never-run", seed 0: two-owners: a and b`},
		"code that stays unjudged":    {[]Mutant{fakeMutant("x", `"a": 0`, "unsure")}, Options{Seeds: 10}, ErrControl, `scenario "unsure": 1 of 10 seeds could not be judged`},
		"a trial that breaks down":    {[]Mutant{fakeMutant("x", `"a": 0`, "says-nothing")}, Options{}, errTrial, "bad luck"},
	} {
		t.Run(name, func(t *testing.T) {
			root, nothingLeft := fakeModule(t), emptyTemp(t)
			if c.o.Root == "" {
				c.o.Root = root
			}
			rep, err := runMutants(t.Context(), c.ms, c.o)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v with %q", err, c.want, c.says)
			}
			if len(rep.Results) > 0 {
				t.Errorf("scored all the same: %+v", rep)
			}
			nothingLeft()
		})
	}
}

func TestRunNeedsATree(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module example.com/other\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := FindRoot(dir); !errors.Is(err, ErrNoSource) {
		t.Errorf("in another module: got %v", err)
	}
	root := fakeModule(t)
	got, err := FindRoot(filepath.Join(root, "cmd", "simrun"))
	if err != nil || got != root {
		t.Errorf("got %q, %v, want %q", got, err, root)
	}
}

func TestRunNeedsAToolchain(t *testing.T) {
	root := fakeModule(t)
	t.Setenv("PATH", t.TempDir())
	_, err := runMutants(t.Context(), []Mutant{fakeMutant("x", `"a": 0`, "a")}, Options{Root: root})
	if !errors.Is(err, ErrNoToolchain) {
		t.Errorf("got %v", err)
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	root, nothingLeft := fakeModule(t), emptyTemp(t)
	ms := []Mutant{fakeMutant("x", `"a": 0`, "a"), fakeMutant("y", `"a": 0`, "a")}
	ctx, cancel := context.WithCancel(t.Context())
	rep, err := runMutants(ctx, ms, Options{Root: root, Seeds: 10, Progress: func(Result) { cancel() }})
	if !errors.Is(err, context.Canceled) || len(rep.Results) != 1 {
		t.Errorf("got %+v, %v", rep, err)
	}
	if _, err := runMutants(ctx, ms, Options{Root: root}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: got %v", err)
	}
	nothingLeft()
}

func TestSourceTreeIsNotWrittenTo(t *testing.T) {
	root, nothingLeft := fakeModule(t), emptyTemp(t)
	before := listing(t, root)
	if _, err := runMutants(t.Context(), []Mutant{fakeMutant("x", `"a": 3`, "a")}, Options{Root: root, Seeds: 5}); err != nil {
		t.Fatal(err)
	}
	if after := listing(t, root); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	nothingLeft()
}

func listing(t *testing.T, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			var text []byte
			text, err = os.ReadFile(p)
			b.WriteString(p + "\n" + string(text))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportMustFitWhatWasAsked(t *testing.T) {
	b := batch{scenario: "a", from: 10, seeds: 5}
	for text, says := range map[string]string{
		``:                             "cannot be read",
		`{"seeds": 5`:                  "cannot be read",
		`{}`:                           "not all of 5",
		`{"seeds": 4, "failures": []}`: "not all of 5",
		`{"seeds": 5, "failures": [{"scenario": "b", "seed": 12}]}`:                    "not asked for",
		`{"seeds": 5, "failures": [{"scenario": "a", "seed": 15}]}`:                    "seed 15",
		`{"seeds": 5, "failures": [{"scenario": "a", "seed": 9}]}`:                     "seed 9",
		`{"seeds": 5, "failures": [{"scenario": "a", "seed": 11, "rule": "harness"}]}`: "the testbed itself failed",
	} {
		if v, err := b.read([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, %v; want an error with %q", text, v, err, says)
		}
	}
	v, err := b.read([]byte(`{"seeds": 3, "failures": [{"scenario": "a", "seed": 14}, {"scenario": "a", "seed": 12, "rule": "r"}], "more": 1}`))
	if err != nil || v.first() == nil || v.first().Seed != 12 || v.first().Rule != "r" {
		t.Errorf("got %+v, %v", v, err)
	}
	if v, err := b.read([]byte(`{"seeds": 5, "failures": null, "unknown": 2}`)); err != nil || v.first() != nil || v.Unknown != 2 {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestMedianIsOverTheCaught(t *testing.T) {
	caught := func(n int) Result { return Result{Caught: true, Seeds: n} }
	for _, c := range []struct {
		results []Result
		want    int
	}{
		{nil, 0},
		{[]Result{{Seeds: 9}}, 0},
		{[]Result{caught(7)}, 7},
		{[]Result{caught(7), {Seeds: 1}, caught(3)}, 3},
		{[]Result{caught(9), caught(1), caught(5)}, 5},
	} {
		if got := median(c.results); got != c.want {
			t.Errorf("median(%+v) = %d, want %d", c.results, got, c.want)
		}
	}
}
