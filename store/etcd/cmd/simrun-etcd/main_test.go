package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/cmd/simrun/command"
)

// Exit codes of simrun.
const (
	exitHeld  = 0
	exitUsage = 2
)

// TestMain lets the test binary play the processes of a soak.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "soak-") {
		os.Exit(command.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, stores()))
	}
	os.Exit(m.Run())
}

// simrun runs the command and returns its exit code and what it printed.
func simrun(args ...string) (int, string) {
	var out strings.Builder
	code := command.Main(args, strings.NewReader(""), &out, &out, stores())
	return code, out.String()
}

// TestASoakHoldsWhileMembersCrash runs the registry for real on a cluster whose
// members stop and come back, on top of the stalls of every soak.
func TestASoakHoldsWhileMembersCrash(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out := simrun("soak", "--store", "etcd", "--nodes", "4", "--for", "6s", "--ttl", "500ms", "--etcd-crash-every", "2s", "--history", "h.jsonl")
	if code != exitHeld {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for _, want := range []string{"4 nodes and 8 actors on etcd", "the store agrees", "all held"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if code, out := simrun("check", filepath.Join(".", "h.jsonl")); code != exitHeld {
		t.Errorf("check: exit code %d\n%s", code, out)
	}
}

// TestASoakHoldsWhileTheClusterIsKilled runs the nodes and the cluster in processes of
// their own, and kills and freezes all of them.
func TestASoakHoldsWhileTheClusterIsKilled(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out := simrun("soak", "--store", "etcd", "--processes", "2", "--kill", "--pause", "--for", "16s", "--ttl", "1s", "--seed", "1")
	if code != exitHeld {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	t.Log(out)
	for _, want := range []string{"2 nodes and 4 actors on etcd", "accounted for", "server memory", "the store agrees", "all held"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestBadFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--etcd-crash-every", "1ms"}, "--etcd-crash-every is 1ms, must be at least 100ms"},
		{[]string{"--etcd-crash-every", "1s", "--etcd-endpoints", "localhost:2379"}, "--etcd-endpoints"},
		{[]string{"--etcd-endpoints", "localhost"}, "not host:port"},
		{[]string{"--etcd-endpoints", "127.0.0.1:1"}, "--etcd-endpoints: etcd: open"},
		{[]string{"--processes", "2", "--for", "16s", "--etcd-crash-every", "1s"}, "use --kill"},
		{[]string{"--store", "memory", "--etcd-crash-every", "5s"}, "--etcd-crash-every is for --store etcd, and the store is memory"},
		{[]string{"--store", "disk", "--etcd-endpoints", "localhost:2379"}, "--etcd-endpoints is for --store etcd, and the store is disk"},
		{[]string{"--disk-dir", "x"}, "--disk-dir is for --store disk, and the store is etcd"},
	} {
		if !slices.Contains(c.args, "--store") {
			c.args = append(c.args, "--store", "etcd")
		}
		code, out := simrun(append([]string{"soak", "--for", "100ms"}, c.args...)...)
		if code != exitUsage || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit code %d, want %d and %q in\n%s", c.args, code, exitUsage, c.want, out)
		}
	}
}
