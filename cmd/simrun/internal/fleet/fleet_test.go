//go:build linux

package fleet

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/soak"
	"github.com/kelpie-registry/kelpie/linearizability"
)

// TestMain lets the test binary play the processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains(Roles(), os.Args[1]) {
		os.Exit(Play(context.Background(), os.Args[1], os.Args[2:], soak.Stores(), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func diskStore(t *testing.T) soak.Store {
	t.Helper()
	i := slices.IndexFunc(soak.Stores(), func(s soak.Store) bool { return s.Name == "disk" })
	return soak.Stores()[i]
}

func TestAFleetHolds(t *testing.T) {
	res, err := Run(t.Context(), Options{
		Store: diskStore(t), Processes: 3, For: 4 * time.Second, TTL: 300 * time.Millisecond, Seed: 1,
		Kill: true, Pause: true, Program: os.Args[0], Dir: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Violation != nil {
		t.Errorf("%+v", *res.Violation)
	}
	r := linearizability.Check(res.History, linearizability.Options{})
	if err := r.Err(); err != nil {
		t.Error(err)
	}
	t.Logf("%+v", *res)
	t.Logf("%+v", r.Stats)
}
