//go:build linux

package command

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/fleet"
	"github.com/kelpie-registry/kelpie/linearizability"
)

// TestMain lets the test binary play the processes of a soak.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "soak-") {
		os.Exit(Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestASoakOfProcessesHolds is the soak of many processes in continuous integration:
// twenty seconds, in which everything has to happen that the soak is there for. Where a
// disk takes as long to sync as a lease lasts it does not, or too much is left open to be
// judged, and another is run with longer leases.
func TestASoakOfProcessesHolds(t *testing.T) {
	var dir string
	var o outcome
	for _, times := range []string{"--for 20s --ttl 300ms", "--for 100s --ttl 1500ms"} {
		dir = inEmptyFolder(t)
		o = simrun(t, strings.Fields("soak --store disk --processes 4 --kill --pause --history h.jsonl --seed 9 "+times)...)
		if !strings.Contains(o.stdout, fleet.RuleNeverHappened) && !strings.Contains(o.stdout, "UNKNOWN") {
			break
		}
		t.Log(o.stdout)
	}
	o.want(t, exitHeld, "4 nodes and 8 actors on disk", "server: ", "cut off", "accounted for", "fail-over", "server memory", "descriptors",
		"the store agrees", "witness", "all held")
	t.Log(o.stdout)
	if names := entries(t, dir); len(names) != 1 || names[0] != "h.jsonl" {
		t.Errorf("written: %v, want h.jsonl", names)
	}
	simrun(t, "check", "h.jsonl").want(t, exitHeld, "soak/disk/processes, seed 9", "all held")
}

func TestASoakOfProcessesAsJSON(t *testing.T) {
	dir := inEmptyFolder(t)
	m := simrun(t, "soak", "--processes", "1", "--nodes", "2", "--actors", "1", "--for", "2400ms", "--ttl", "300ms", "--json").decoded(t)
	p, _ := m["processes"].(map[string]any)
	if m["verdict"] != verdictHeld || m["store"] != "disk" || fmt.Sprint(m["nodes"]) != "2" || p["accounted"] == nil || p["server"] == nil || m["stalls"] != nil {
		t.Errorf("soak --json: %v", m)
	}
	if names := entries(t, dir); len(names) > 0 {
		t.Errorf("all held, no --history, and yet written: %v", names)
	}
}

func TestASoakOfProcessesRefusesBadFlags(t *testing.T) {
	dir := inEmptyFolder(t)
	for _, c := range []struct {
		args, says string
	}{
		{"--processes 0", "--processes"},
		{"--processes -1", "--processes"},
		{"--processes 65", "from 1 to 64"},
		{"--kill", "--kill is about processes"},
		{"--pause", "--pause is about processes"},
		{"--kill --nodes 4", "--processes"},
		{"--processes 2 --store memory", "--store: memory is in the memory of one process"},
		{"--processes 4 --nodes 3", "--nodes is 3, must be at least 4"},
		{"--processes 2 --nodes 101", "--nodes"},
		{"--processes 2 --ttl 100ms", "--ttl is 100ms, must be at least 200ms"},
		{"--processes 2 --for 5s", "--for is 5s, must be at least 8 times --ttl, 16s"},
		{"--processes 2 --disk-dir .", "--disk-dir"},
	} {
		if strings.Contains(c.args, "--disk-dir") {
			if err := os.WriteFile("there", nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := simrun(t, append([]string{"soak"}, strings.Fields(c.args)...)...)
		if o.code != exitUsage || !strings.Contains(o.stderr, c.says) || o.stdout != "" {
			t.Errorf("%s: exit code %d, want %d, and %q in %q", c.args, o.code, exitUsage, c.says, o.stderr)
		}
	}
	if names := entries(t, dir); len(names) != 1 {
		t.Errorf("written: %v", names)
	}
}

// TestWhatDidNotHoldIsKept leaves the histories of the processes beside the merged one.
func TestWhatDidNotHoldIsKept(t *testing.T) {
	inEmptyFolder(t)
	s := soaking{out: "out"}
	if err := os.Mkdir("was", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("was/nodes-1.1.history.jsonl", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := soakDocument{Store: "disk", Seed: 3, Verdict: verdictViolation, Processes: &processesDocument{}}
	if err := s.keep(&d, &linearizability.History{}); err != nil {
		t.Fatal(err)
	}
	if err := s.keepFolder(&d, "was"); err != nil {
		t.Fatal(err)
	}
	if names := entries(t, "out"); len(names) != 2 || names[0] != "soak-disk-3" || names[1] != "soak-disk-3.jsonl" {
		t.Errorf("kept: %v", names)
	}
	if got, err := os.ReadFile("out/soak-disk-3/nodes-1.1.history.jsonl"); string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}
