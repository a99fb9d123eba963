package main

import (
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/command"
)

// TestConformAgreesWithMemory takes the same programs through etcd and memory, quick
// ones and some in which transactions grow too old.
func TestConformAgreesWithMemory(t *testing.T) {
	t.Chdir(t.TempDir())
	s := stores()
	s.Conform = conformStore(1500 * time.Millisecond)
	run := func(args ...string) string {
		t.Helper()
		var out strings.Builder
		if code := command.Main(append([]string{"conform"}, args...), strings.NewReader(""), &out, &out, s); code != exitHeld {
			t.Fatalf("%v: exit code %d\n%s", args, code, out.String())
		}
		return out.String()
	}
	// Seed 516 clears a key over the limit, and 2983 what it had written and watched.
	for name, which := range map[string]string{
		"long": "--from 500 --seeds 40", "watched": "--from 2970 --seeds 20", "slow": "--slow --from 1 --seeds 4",
	} {
		for _, store := range []string{"etcd", "memory"} {
			args := append(strings.Fields(which), "--workers", "2", "--store", store, "--out", name+"-"+store)
			if out := run(args...); !strings.Contains(out, "on "+store) {
				t.Errorf("%v:\n%s", args, out)
			}
		}
		if out := run("compare", name+"-etcd", name+"-memory"); !strings.Contains(out, "equal") {
			t.Error(out)
		}
	}
}

func TestConformHasNoLevelClientOfEtcd(t *testing.T) {
	t.Chdir(t.TempDir())
	code, out := simrun("conform", "--store", "etcd", "--level", "client", "--seed", "1")
	if code != exitUsage || !strings.Contains(out, "--store etcd has no --level client; stores that have it: simfdb, fdb") {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
