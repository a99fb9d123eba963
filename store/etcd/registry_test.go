package etcd_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/registry/registrytest"
	"github.com/kelpie-registry/kelpie/store"
)

func TestRegistry(t *testing.T) {
	registrytest.Run(t, registrytest.Harness{
		New: func(tb testing.TB) store.Engine { return open(tb, fresh(tb)) },
		TTL: 5 * time.Second, // three members, and their clients, are one process here
	})
}

// TestClaimsOfOneNodeDoNotFight has the tasks of one session claim and release
// side by side. They all add to one count. A commit that was refused takes a
// read, to find out why.
func TestClaimsOfOneNodeDoNotFight(t *testing.T) {
	var s wireState
	e := open(t, withWire(fresh(t), &s))
	session := join(t, e, "node", registry.Options{Monitors: -1})
	if _, err := session.Claim(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	reads, writes := s.reads.Load(), s.writes.Load()
	const tasks, each = 32, 8
	var claiming sync.WaitGroup
	for i := range tasks {
		claiming.Go(func() {
			for j := range each {
				c, err := session.Claim(t.Context(), registry.ActorID(fmt.Sprintf("actor-%d-%d", i, j)))
				if err == nil && j%2 == 0 {
					err = c.Release(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	claiming.Wait()
	r, w := s.reads.Load()-reads, s.writes.Load()-writes
	if r != 0 || w > tasks*each*3/2 {
		t.Errorf("%d claims and %d releases took %d reads and %d writes, want no reads and at most one write each", tasks*each, tasks*each/2, r, w)
	}
}
