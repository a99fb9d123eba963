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

// A monitoring system asks how much of the limit of revocations is used.
func ExampleRegistry_RevocationLimit() {
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
	reg, err := registry.Open(h, db, registry.Options{
		Events: func(e registry.Event) {
			if e.Kind == registry.EventRevokeLimited {
				fmt.Println(e.Node, "is silent, and not revoked: too many are")
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	used, limit, err := reg.RevocationLimit(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(used, "of", limit)
	// Output: 0 of 4
}
