package etcd_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onport"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// quiet is how long a watch that must not fire is watched.
const quiet = 10 * time.Millisecond

// TestLitmusProgramsAgreeWithMemory takes the programs of simrun conform through
// both engines, and demands the same lines of both. In every fifth program
// transactions grow too old.
func TestLitmusProgramsAgreeWithMemory(t *testing.T) {
	const window, programs = 64, 300
	one := onport.New(onport.Options{
		Open:  func() (store.Engine, error) { return etcd.Open(t.Context(), fresh(t)) },
		Keep:  true,
		Age:   func(e store.Engine) error { return e.(*etcd.Engine).Forget(context.Background()) },
		Quiet: quiet,
	})
	other := onport.New(onport.Options{
		Open: func() (store.Engine, error) { return memory.New(memory.Options{Window: window}), nil },
		Age:  onport.AgeByCommits(window),
	})
	t.Cleanup(func() {
		for _, s := range []litmus.Store{one, other} {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	for seed := range uint64(programs) {
		p := litmus.Generate(litmus.Generation{Level: litmus.Port, Slow: seed%5 == 4}, seed)
		here, err := one.Run(p, nil)
		if err != nil {
			t.Fatalf("program %d: %v", seed, err)
		}
		there, err := other.Run(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(here, there) {
			t.Fatalf("program %d: etcd answers\n%s\nand memory\n%s", seed, here, there)
		}
	}
}
