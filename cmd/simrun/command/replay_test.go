package command

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/artifact"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/batch"
	"github.com/kelpie-registry/kelpie/scenario"
)

// recorded writes the artifact of one run of a subject and returns its path.
func recorded(t *testing.T, s batch.Subject, c scenario.Config) string {
	t.Helper()
	res, err := s.Run(c)
	if err != nil {
		t.Fatal(err)
	}
	a, err := artifact.Record(s.Run, &res)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "artifact.json")
	if err := artifact.Write(path, a); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReplayOfARealRunIsTheSameToTheLastBit(t *testing.T) {
	dir := inEmptyFolder(t)
	s, err := scenario.Find("mixed")
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []string{scenario.StoreSimFDB, scenario.StoreMemory} {
		path := recorded(t, batch.Of(s), scenario.Config{Seed: 11, Store: store})
		o := simrun(t, "replay", path, "--picture", "picture.html")
		o.want(t, exitHeld, "reproduced: the same", "all held", "mixed on "+store)
		page, err := os.ReadFile(filepath.Join(dir, "picture.html"))
		if err != nil || !bytes.Contains(page, []byte("<html")) {
			t.Errorf("the picture is no page: %v, %.40q", err, page)
		}
	}
}

func TestReplayNamesTheEventAtWhichARealRunParts(t *testing.T) {
	inEmptyFolder(t)
	s, err := scenario.Find("mixed")
	if err != nil {
		t.Fatal(err)
	}
	path := recorded(t, batch.Of(s), scenario.Config{Seed: 11, Store: scenario.StoreMemory})
	a, err := artifact.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	// The recording is of another seed than it says: the very first event differs.
	a.Seed = 12
	if err := artifact.Write(path, a); err != nil {
		t.Fatal(err)
	}
	simrun(t, "replay", path).want(t, exitDiverged, "DIVERGED", "first differing event: 1, at ", "node-")
}

func TestReplayThatDivergesSaysWhatAndWhere(t *testing.T) {
	inEmptyFolder(t)
	path := recorded(t, fake("one", failsOn(2, "broken")), scenario.Config{Seed: 2})
	fakes(t, []batch.Subject{fake("one", holds)}, "replay", path).
		want(t, exitDiverged, "every event is the same, the judgement is not: passed, recorded: broken: here at event 4")
	other := fake("one", failsOn(2, "broken"))
	inner := other.Run
	other.Run = func(c scenario.Config) (scenario.Result, error) {
		if on := c.OnEvent; on != nil {
			c.OnEvent = func(i, hash uint64) {
				if i >= 3 {
					hash++
				}
				on(i, hash)
			}
		}
		return inner(c)
	}
	o := fakes(t, []batch.Subject{other}, "replay", path)
	o.want(t, exitDiverged, "first differing event: 3, at 3ms", "3 3ms node-1/task step")
	m := fakes(t, []batch.Subject{other}, "replay", path, "--json").decoded(t)
	if d, _ := m["divergence"].(map[string]any); m["reproduced"] != false || fmt.Sprint(d["event"]) != "3" {
		t.Errorf("replay --json: %v", m)
	}
}

func TestReplayOfAnUndecidedRunIsNotAPass(t *testing.T) {
	inEmptyFolder(t)
	s := fake("one", failsOn(2, "unknown"))
	fakes(t, []batch.Subject{s}, "replay", recorded(t, s, scenario.Config{Seed: 2})).want(t, exitViolation, "reproduced", "UNKNOWN: out of steps")
}

func TestReplayRefusesWhatItCannotRun(t *testing.T) {
	dir := inEmptyFolder(t)
	s := fake("one", holds)
	path := recorded(t, s, scenario.Config{Seed: 2})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := func(content []byte) string {
		p := filepath.Join(t.TempDir(), "x.json")
		if err := os.WriteFile(p, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	huge := write(nil)
	if err := os.Truncate(huge, artifact.MaxBytes+10); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ path, say string }{
		"truncated":        {write(whole[:len(whole)/2]), "cut short"},
		"huge":             {huge, "larger than"},
		"foreign":          {write([]byte(`{"hello":1}`)), "not an artifact"},
		"newer":            {write(bytes.Replace(whole, []byte(`"version": 1,`), []byte(`"version": 2,`), 1)), "newer"},
		"unknown scenario": {write(bytes.Replace(whole, []byte(`"one"`), []byte(`"gone"`), 1)), `"gone"`},
	} {
		o := fakes(t, []batch.Subject{s}, "replay", c.path)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.say) || o.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q; want %d and %q", name, o.code, o.stdout, o.stderr, exitUsage, c.say)
		}
	}
	if names := entries(t, dir); len(names) > 0 {
		t.Errorf("written: %v", names)
	}
}
