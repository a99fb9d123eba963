package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/scenario"
	"github.com/kelpie-registry/kelpie/sim"
)

// outcome is what a command did.
type outcome struct {
	code           int
	stdout, stderr string
}

// simrun runs the command as a shell would, in an empty folder of its own.
func simrun(t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Main(args, strings.NewReader(""), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// fakes runs the command with scenarios of the test's own.
func fakes(t *testing.T, subjects []batch.Subject, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, subjects: subjects}
	code := a.main(t.Context(), args)
	return outcome{code, stdout.String(), stderr.String()}
}

// want fails the test unless the command ended with the code and said each of
// the words on stdout.
func (o outcome) want(t *testing.T, code int, words ...string) {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.stdout, o.stderr)
	}
	for _, w := range words {
		if !strings.Contains(o.stdout, w) {
			t.Errorf("stdout does not say %q:\n%s", w, o.stdout)
		}
	}
}

// inEmptyFolder changes into a new folder.
func inEmptyFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	return dir
}

// entries returns the names of all that lies in the folder.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// decoded returns the JSON object that the command printed.
func (o outcome) decoded(t *testing.T) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(o.stdout))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatalf("stdout is no JSON: %v\n%s", err, o.stdout)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("there is more than one object on stdout:\n%s", o.stdout)
	}
	return m
}

// fake is a scenario of a few events that depend on the seed alone. It fails
// each seed for which bad says so.
func fake(name string, bad func(seed uint64) string) batch.Subject {
	return batch.Subject{
		Name: name, About: "nothing is raced", Sometimes: []string{"seen"}, MinSeeds: 3,
		Run: func(c scenario.Config) (scenario.Result, error) {
			if c.Plan != nil && len(c.Plan.Faults) > 0 && c.Plan.Faults[0].Target != "node-1" {
				return scenario.Result{}, fmt.Errorf("%w: Plan: unknown target %q", scenario.ErrConfig, c.Plan.Faults[0].Target)
			}
			res := scenario.Result{
				Scenario: name, Store: scenario.StoreMemory, Seed: c.Seed, Events: 5, Operations: 2, Virtual: time.Second,
				Sometimes: []scenario.Count{{Name: "seen", N: 1}}, Hash: sim.Hash{byte(c.Seed), byte(c.Seed >> 8)},
			}
			if c.Store == scenario.StoreSimFDB || (c.Store != scenario.StoreMemory && c.Seed%2 == 0) {
				res.Store = scenario.StoreSimFDB
			}
			if c.Plan != nil {
				res.Plan = *c.Plan
			}
			for i := uint64(1); i <= res.Events; i++ {
				if c.Trace != nil {
					fmt.Fprintf(c.Trace, "%d %dms node-1/task step\n", i, i)
				}
				if c.OnEvent != nil {
					c.OnEvent(i, c.Seed*31+i)
				}
			}
			switch why := bad(c.Seed); why {
			case "":
			case "unknown":
				res.Unknown = "out of steps"
			case "panic":
				panic("the fake panics")
			default:
				res.Failure = &scenario.Failure{Rule: why, Signature: why + ": here", Message: "it is broken", Event: 4, At: time.Second}
			}
			return res, nil
		},
	}
}

func holds(uint64) string { return "" }

// failsOn returns a verdict for one seed.
func failsOn(seed uint64, why string) func(uint64) string {
	return func(s uint64) string {
		if s == seed {
			return why
		}
		return ""
	}
}

func TestBadInputIsNamedInOneLineAndWritesNothing(t *testing.T) {
	dir := inEmptyFolder(t)
	outside := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(outside, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	aFile := file("file", "x")
	aHistory := file("whole.jsonl", `{"format":"kelpie-history","version":1,"scenario":"x","seed":1}`+"\n"+`{"e":"end","events":0}`+"\n")
	anArtifact := recorded(t, fake("one", holds), scenario.Config{Seed: 2})
	for _, c := range []struct {
		args []string
		say  string
	}{
		{nil, "no command"},
		{[]string{"rnu"}, `"rnu"`},
		{[]string{"run", "--scenraio", "x"}, "--scenraio"},
		{[]string{"run", "extra"}, "extra"},
		{[]string{"run", "--scenario", "nope"}, `"nope"`},
		{[]string{"run", "--seeds", "0"}, "--seeds"},
		{[]string{"run", "--seeds", "-1"}, "--seeds"},
		{[]string{"run", "--seeds", "many"}, "--seeds"},
		{[]string{"run", "--seeds", "99999999999999999999"}, "--seeds"},
		{[]string{"run", "--seed", "-3"}, "--seed"},
		{[]string{"run", "--seed", "1", "--seeds", "2"}, "seeds"},
		{[]string{"run", "--seed", "1", "--from", "2"}, "from"},
		{[]string{"run", "--from", "18446744073709551615", "--seeds", "2"}, "--from"},
		{[]string{"run", "--workers", "0"}, "--workers"},
		{[]string{"run", "--store", "paper"}, "--store"},
		{[]string{"run", "--max-failures", "0"}, "--max-failures"},
		{[]string{"run", "--fail-fast", "--keep-going"}, "keep-going"},
		{[]string{"run", "--out", ""}, "--out"},
		{[]string{"run", "--out", aFile}, aFile},
		{[]string{"run", "--out", filepath.Join(aFile, "x")}, aFile},
		{[]string{"run", "--cpuprofile", filepath.Join(outside, "none", "x")}, "--cpuprofile"},
		{[]string{"run", "--plan", filepath.Join(outside, "none")}, "none"},
		{[]string{"run", "--plan", file("bad.json", "{")}, "bad.json"},
		{[]string{"run", "--plan", file("kind.json", `{"version":1,"seed":1,"faults":[{"at":"1s","kind":"earthquake","target":"node-1"}]}`)}, "earthquake"},
		{[]string{"run", "--plan", file("target.json", `{"version":1,"seed":1,"faults":[{"at":"1s","for":"1s","kind":"crash","target":"node-99"}]}`)}, "node-99"},
		{[]string{"replay"}, "artifact"},
		{[]string{"replay", "a", "b"}, "artifact"},
		{[]string{"replay", filepath.Join(outside, "none")}, "none"},
		{[]string{"replay", outside}, outside},
		{[]string{"replay", aFile}, "not an artifact"},
		{[]string{"replay", aHistory}, "a history, which simrun check judges"},
		{[]string{"run", "--plan", aHistory}, "--plan"},
		{[]string{"check", anArtifact}, "an artifact, which simrun replay runs again"},
		{[]string{"check"}, "history"},
		{[]string{"check", filepath.Join(outside, "none")}, "none"},
		{[]string{"check", aFile}, "line 1"},
		{[]string{"check", file("cut.jsonl", `{"format":"kelpie-history","version":1,"scenario":"x","seed":1}`+"\n{\"e\":\"inv")}, "line 2"},
		{[]string{"check", aFile, "--skip", "nothing"}, `"nothing"`},
		{[]string{"check", aFile, "--picture", filepath.Join(outside, "none", "x")}, "--picture"},
		{[]string{"fuzz"}, "--for"},
		{[]string{"fuzz", "--for", "0s"}, "--for"},
		{[]string{"fuzz", "--for", "soon"}, "--for"},
		{[]string{"fuzz", "--for", "1s", "--scenario", "nope"}, `"nope"`},
		{[]string{"soak", "--store", "paper"}, "--store"},
		{[]string{"soak", "--disk-dir", "x"}, "--disk-dir is for --store disk, and the store is memory"},
		{[]string{"soak", "--store", "disk", "--fdb-cluster", "x"}, "--fdb-cluster is for --store fdb, and the store is disk"},
		{[]string{"soak", "--processes", "2", "--fdb-cluster", "x"}, "--fdb-cluster is for --store fdb, and the store is disk"},
		{[]string{"conform", "--fdb-cluster", "x"}, "--fdb-cluster is for --store fdb, and the store is simfdb"},
		{[]string{"conform", "--store", "disk", "--seed", "1", "--fdb-cluster", ""}, "--fdb-cluster is for --store fdb, and the store is disk"},
		{[]string{"soak", "--nodes", "0"}, "--nodes"},
		{[]string{"soak", "--for", "-1s"}, "--for"},
		{[]string{"soak", "--ttl", "1ms"}, "--ttl"},
		{[]string{"soak", "--history", filepath.Join(outside, "none", "x")}, "--history"},
		{[]string{"soak", "--out", aFile}, "--out"},
		{[]string{"mutants", "--mutant", "nope"}, `"nope"`},
		{[]string{"mutants", "--seeds", "0"}, "--seeds"},
		{[]string{"scenarios", "--yaml"}, "--yaml"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			o := simrun(t, c.args...)
			if o.code != exitUsage {
				t.Fatalf("exit code %d, want %d; stderr: %s", o.code, exitUsage, o.stderr)
			}
			if !strings.Contains(o.stderr, c.say) || !strings.HasPrefix(o.stderr, "simrun: ") || strings.Count(o.stderr, "\n") != 1 {
				t.Errorf("stderr is %q, want one line that names %s", o.stderr, c.say)
			}
			if o.stdout != "" {
				t.Errorf("stdout is %q, want nothing", o.stdout)
			}
			if names := entries(t, dir); len(names) > 0 {
				t.Errorf("written: %v", names)
			}
		})
	}
}

func TestHelpIsThereForEveryCommand(t *testing.T) {
	inEmptyFolder(t)
	simrun(t, "--help").want(t, exitHeld, "simrun run", "Exit codes", "replay", "soak", "mutants")
	for _, command := range []string{"run", "replay", "scenarios", "check", "fuzz", "soak", "mutants"} {
		simrun(t, command, "--help").want(t, exitHeld, "Examples:", "simrun "+command, "--json")
	}
}

func TestScenariosListsEachWithItsEvents(t *testing.T) {
	words := make([]string, 0, 8)
	for _, s := range scenario.All() {
		words = append(words, s.Name, s.About, strings.Join(s.Sometimes, ", "))
	}
	simrun(t, "scenarios").want(t, exitHeld, words...)
	list, _ := simrun(t, "scenarios", "--json").decoded(t)["scenarios"].([]any)
	if len(list) != len(scenario.All()) {
		t.Errorf("%d scenarios in the JSON, want %d", len(list), len(scenario.All()))
	}
}
