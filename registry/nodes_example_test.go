package registry_test

import (
	"context"
	"fmt"
	"log"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

func ExampleRegistry_WatchNodes() {
	ctx := context.Background()
	h, err := host.NewSystem(host.SystemOptions{Name: "node-1"})
	if err != nil {
		log.Fatal(err)
	}
	defer h.Close(ctx)
	db, err := store.Open(memory.New(memory.Options{Clock: h}), h, h.Rand(), store.Options{})
	if err != nil {
		log.Fatal(err)
	}
	reg, err := registry.Open(h, db, registry.Options{})
	if err != nil {
		log.Fatal(err)
	}
	session, err := reg.Join(ctx, "node-1", registry.JoinOptions{Labels: map[string]string{"zone": "a"}})
	if err != nil {
		log.Fatal(err)
	}
	for update, err := range reg.WatchNodes(ctx, registry.ResumePoint{}) {
		if err != nil {
			log.Fatal(err)
		}
		if update.Snapshot {
			for _, n := range update.Nodes {
				fmt.Println(n.ID, "is", n.State, "in zone", n.Labels["zone"])
			}
			if err := session.Leave(ctx); err != nil {
				log.Fatal(err)
			}
			continue
		}
		for _, c := range update.Changes {
			fmt.Println(c.Node.ID, "is", c.Node.State)
		}
		break
	}
	// Output:
	// node-1 is active in zone a
	// node-1 is left
}
