package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/cmd/simrun/command"
)

// Exit codes of simrun.
const (
	exitHeld  = 0
	exitUsage = 2
)

// simrun runs the command and returns its exit code and what it printed.
func simrun(args ...string) (int, string) {
	var out strings.Builder
	code := command.Main(args, strings.NewReader(""), &out, &out, etcdStore())
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
	} {
		code, out := simrun(append([]string{"soak", "--store", "etcd", "--for", "100ms"}, c.args...)...)
		if code != exitUsage || !strings.Contains(out, c.want) {
			t.Errorf("%v: exit code %d, want %d and %q in\n%s", c.args, code, exitUsage, c.want, out)
		}
	}
}
