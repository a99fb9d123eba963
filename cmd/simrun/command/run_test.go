package command

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/artifact"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/scenario"
)

func TestRunOfRealScenariosIsTheSameForAnyWorkers(t *testing.T) {
	dir := inEmptyFolder(t)
	seeds := "6"
	if testing.Short() {
		seeds = "2"
	}
	var hashes []string
	for _, workers := range []string{"1", "2"} {
		o := simrun(t, "run", "--seeds", seeds, "--workers", workers, "--json")
		o.want(t, exitHeld)
		hashes = append(hashes, fmt.Sprint(o.decoded(t)["trace_hash"]))
	}
	if hashes[0] != hashes[1] || len(hashes[0]) != 32 {
		t.Errorf("trace hashes %v with 1 and 2 workers", hashes)
	}
	if names := entries(t, dir); len(names) > 0 {
		t.Errorf("all held, and yet written: %v", names)
	}
}

func TestRealScenariosRepeatThemselves(t *testing.T) {
	inEmptyFolder(t)
	simrun(t, "run", "--seeds", "2", "--check-determinism").want(t, exitHeld, "all held")
}

func TestRunPrintsATable(t *testing.T) {
	inEmptyFolder(t)
	list := []batch.Subject{fake("one", holds), fake("two", holds)}
	o := fakes(t, list, "run", "--seeds", "10")
	o.want(t, exitHeld, "SCENARIO", "SIM:REAL", "one", "two", "memory+simfdb", "1/1", "total", "all held", "20 runs from 1 on")
	if o.stderr != "" {
		t.Errorf("stderr is no terminal, and yet there is %q", o.stderr)
	}
	o = fakes(t, list, "run", "--seeds", "4", "--scenario", "two", "--scenario", "two", "--store", "simfdb", "--from", "100")
	o.want(t, exitHeld, "two", "4 runs from 100 on")
	if strings.Contains(o.stdout, "\none") || strings.Contains(o.stdout, "memory") {
		t.Errorf("ran what was not asked for:\n%s", o.stdout)
	}
}

func TestRunOfOneSeed(t *testing.T) {
	inEmptyFolder(t)
	m := fakes(t, []batch.Subject{fake("one", holds)}, "run", "--seed", "18446744073709551615", "--json").decoded(t)
	if fmt.Sprintf("%v %v", m["seeds"], m["from"]) != "1 18446744073709551615" {
		t.Errorf("seeds %v from %v", m["seeds"], m["from"])
	}
}

func TestAFailedRunLeavesAnArtifactThatReplays(t *testing.T) {
	dir := inEmptyFolder(t)
	list := []batch.Subject{fake("one", failsOn(7, "broken"))}
	o := fakes(t, list, "run", "--seeds", "20", "--out", "out dir")
	o.want(t, exitViolation, "VIOLATION: broken: here", "seed 7", "1 of 20 runs failed, in 1 way", "go run ./cmd/simrun replay 'out dir/one-memory-7-")
	names := entries(t, filepath.Join(dir, "out dir"))
	if len(names) != 1 {
		t.Fatalf("artifacts: %v", names)
	}
	path := filepath.Join("out dir", names[0])
	fakes(t, list, "replay", path).want(t, exitViolation, "reproduced", "VIOLATION: broken: here", "it is broken")
	fakes(t, list, "replay", path, "--trace").want(t, exitViolation, "1 1ms node-1/task step", "5 5ms", "reproduced")
	m := fakes(t, list, "replay", path, "--json").decoded(t)
	if m["reproduced"] != true || m["verdict"] != "failed" {
		t.Errorf("replay --json: %v", m)
	}
}

func TestJSONOfAFailedRun(t *testing.T) {
	inEmptyFolder(t)
	list := []batch.Subject{fake("one", func(s uint64) string {
		if s%5 == 0 {
			return "broken"
		}
		return ""
	})}
	o := fakes(t, list, "run", "--seeds", "50", "--json")
	o.want(t, exitViolation)
	var doc struct {
		Seeds, Passed, Failed, Unknown, Operations, Events uint64
		Failures                                           []struct {
			Scenario, Store, Rule, Signature, Message, Artifact, Replay string
			Seed                                                        uint64
		}
		Signatures []struct{ Count uint64 }
	}
	if err := json.Unmarshal([]byte(o.stdout), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.Seeds != 50 || doc.Failed != 10 || doc.Passed != 40 || len(doc.Failures) != 10 || len(doc.Signatures) != 1 || doc.Signatures[0].Count != 10 {
		t.Errorf("%+v", doc)
	}
	f := doc.Failures[0]
	if f.Seed != 5 || f.Rule != "broken" || f.Signature != "broken: here" || f.Artifact == "" || !strings.HasSuffix(f.Replay, f.Artifact) {
		t.Errorf("first failure %+v", f)
	}
	if last := doc.Failures[9]; last.Artifact != "" {
		t.Errorf("more artifacts of one signature than the bound: %+v", last)
	}
}

func TestFailFastStopsAtTheFirstFailure(t *testing.T) {
	inEmptyFolder(t)
	list := []batch.Subject{fake("one", func(uint64) string { return "broken" })}
	for _, c := range []struct {
		flags []string
		seeds string
	}{
		{[]string{"--fail-fast"}, "1"},
		{[]string{"--max-failures", "7"}, "7"},
		{nil, fmt.Sprint(defaultMaxFailures)},
		{[]string{"--keep-going"}, "200"},
	} {
		o := fakes(t, list, append([]string{"run", "--seeds", "200", "--json"}, c.flags...)...)
		o.want(t, exitViolation)
		if m := o.decoded(t); fmt.Sprintf("%v %v", m["failed"], m["seeds"]) != c.seeds+" "+c.seeds {
			t.Errorf("%v: %v failed of %v, want %s", c.flags, m["failed"], m["seeds"], c.seeds)
		}
	}
}

func TestUnknownAndMissingFailTheCommand(t *testing.T) {
	inEmptyFolder(t)
	o := fakes(t, []batch.Subject{fake("one", failsOn(2, "unknown"))}, "run", "--seeds", "10")
	o.want(t, exitViolation, "1 unknown", "UNKNOWN: unknown: out of steps", "unknown is not passed")
	never := fake("one", holds)
	never.Sometimes = []string{"seen", "never"}
	never.Run = func(run func(scenario.Config) (scenario.Result, error)) func(scenario.Config) (scenario.Result, error) {
		return func(c scenario.Config) (scenario.Result, error) {
			r, err := run(c)
			r.Sometimes = append(r.Sometimes, scenario.Count{Name: "never"})
			return r, err
		}
	}(never.Run)
	fakes(t, []batch.Subject{never}, "run", "--seeds", "10").want(t, exitViolation, "1/2 MISSING", `sometimes: one on memory: "never" never happened in 5 seeds`)
	fakes(t, []batch.Subject{never}, "run", "--seeds", "3").want(t, exitHeld, "1/2")
	plan := filepath.Join(t.TempDir(), "plan.json")
	if err := os.WriteFile(plan, []byte("v1 seed=7 crash(node-1)@1.5s+2s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fakes(t, []batch.Subject{never}, "run", "--seeds", "10", "--plan", plan).want(t, exitHeld, "all held")
}

func TestARunThatDoesNotRepeatItselfIsAViolation(t *testing.T) {
	inEmptyFolder(t)
	subject := fake("one", holds)
	inner, calls := subject.Run, 0
	subject.Run = func(c scenario.Config) (scenario.Result, error) {
		r, err := inner(c)
		if c.Seed == 3 {
			calls++
			r.Hash[15] = byte(calls)
		}
		return r, err
	}
	o := fakes(t, []batch.Subject{subject}, "run", "--seeds", "5", "--workers", "1", "--check-determinism")
	o.want(t, exitViolation, "VIOLATION: determinism of one", "two runs of this seed differ: trace hash", "does not repeat itself")
}

func TestAPanicOfTheTestbedIsAViolationWithItsSeed(t *testing.T) {
	inEmptyFolder(t)
	list := []batch.Subject{fake("one", failsOn(3, "panic"))}
	fakes(t, list, "run", "--seeds", "5").want(t, exitViolation, "harness-panic: the fake panics", "seed 3", "1 of 5 runs failed")
}

func TestAnInterruptPrintsWhatWasDone(t *testing.T) {
	inEmptyFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	subject := fake("one", holds)
	inner := subject.Run
	subject.Run = func(c scenario.Config) (scenario.Result, error) {
		if c.Seed == 50 {
			cancel()
		}
		return inner(c)
	}
	var stdout, stderr bytes.Buffer
	a := app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, subjects: []batch.Subject{subject}}
	code := a.main(ctx, []string{"run", "--seeds", "1000000", "--workers", "1"})
	if code != exitInterrupted || !strings.Contains(stdout.String(), "interrupted") || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

func TestProfilesAreWritten(t *testing.T) {
	dir := inEmptyFolder(t)
	fakes(t, []batch.Subject{fake("one", holds)}, "run", "--seeds", "5", "--cpuprofile", "cpu", "--memprofile", "mem").want(t, exitHeld)
	if names := entries(t, dir); len(names) != 2 {
		t.Errorf("files: %v, want cpu and mem", names)
	}
}

func TestFuzzGroupsFailuresAndSaysWhereItBegan(t *testing.T) {
	dir := inEmptyFolder(t)
	list := []batch.Subject{fake("one", holds), fake("two", func(s uint64) string {
		if s%2 == 0 {
			return "broken"
		}
		return ""
	})}
	o := fakes(t, list, "fuzz", "--for", "50ms", "--from", "1000")
	o.want(t, exitViolation, "seeds from 1000 on", "VIOLATION: broken: here", "in 1 way")
	if n := len(entries(t, filepath.Join(dir, defaultOut))); n != artifact.DefaultPerSignature {
		t.Errorf("%d artifacts of one signature, want %d", n, artifact.DefaultPerSignature)
	}
	o = fakes(t, list[:1], "fuzz", "--for", "20ms", "--json")
	o.want(t, exitHeld)
	if m := o.decoded(t); m["command"] != "fuzz" || m["interrupted"] != false || fmt.Sprint(m["from"]) == "0" {
		t.Errorf("fuzz --json: command %v, interrupted %v, from %v", m["command"], m["interrupted"], m["from"])
	}
}

func TestFuzzOfRealScenariosHolds(t *testing.T) {
	inEmptyFolder(t)
	simrun(t, "fuzz", "--for", "100ms", "--from", "1").want(t, exitHeld, "all held")
}
