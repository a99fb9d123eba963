package main

import (
	"errors"
	"fmt"
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
// their own, kills and freezes all of them, and cuts the nodes off from the members. It
// is so long that the soak demands to have seen all of it. Where a disk takes as long to
// sync as a lease lasts it does not, or too much is left open to be judged, and another
// is run with longer leases.
func TestASoakHoldsWhileTheClusterIsKilled(t *testing.T) {
	t.Chdir(t.TempDir())
	var code int
	var out string
	for _, times := range []string{"--for 30s --ttl 500ms", "--for 150s --ttl 2500ms"} {
		args := "soak --store etcd --processes 4 --kill --pause --seed 1 --history h.jsonl " + times
		code, out = simrun(strings.Fields(args)...)
		t.Log(out)
		if !strings.Contains(out, "never-happened") && !strings.Contains(out, "UNKNOWN") {
			break
		}
	}
	if code != exitHeld {
		t.Fatalf("exit code %d", code)
	}
	for _, want := range []string{
		"4 nodes and 8 actors on etcd", "cut off", "bytes went nowhere", "from one member alone", "accounted for", "server memory",
		"the store agrees", "all held",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if code, out := simrun("check", "h.jsonl"); code != exitHeld || !strings.Contains(out, "soak/etcd/processes, seed 1") {
		t.Errorf("check: exit code %d\n%s", code, out)
	}
}

// TestThroughLeadsToEachMember replaces every endpoint of whatever form, or says which it
// cannot.
func TestThroughLeadsToEachMember(t *testing.T) {
	var asked []string
	via := func(member string) (string, error) {
		asked = append(asked, member)
		return fmt.Sprintf("proxy:%d", len(asked)), nil
	}
	got, err := through(shared{Endpoints: []string{"a:1", "http://b:2"}, Namespace: "n"}.String(), via)
	want := shared{Endpoints: []string{"proxy:1", "proxy:2"}, Namespace: "n"}.String()
	if err != nil || got != want || !slices.Equal(asked, []string{"a:1", "b:2"}) {
		t.Errorf("%s, %v, asked for %q; want %s", got, err, asked, want)
	}
	if _, err := through(shared{Endpoints: []string{"unix:///run/etcd"}}.String(), via); !errors.Is(err, errNoWay) {
		t.Errorf("a socket: %v", err)
	}
	full := errors.New("no port is left")
	if _, err := through(got, func(string) (string, error) { return "", full }); !errors.Is(err, full) {
		t.Errorf("no proxy: %v", err)
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
