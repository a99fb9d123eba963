package registry_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

func Example() {
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
	session, err := reg.Join(ctx, "node-1", registry.JoinOptions{Address: "10.0.0.1:7000"})
	if err != nil {
		log.Fatal(err)
	}
	claim, err := session.Claim(ctx, "player/42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("valid:", claim.Valid())

	owner, err := reg.Lookup(ctx, "player/42")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("owner:", owner.Node, "at", owner.Address, "same token:", owner.Token == claim.Token())

	if err := session.Leave(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = reg.Lookup(ctx, "player/42")
	fmt.Println("unowned:", errors.Is(err, registry.ErrUnowned), "valid:", claim.Valid())
	// Output:
	// valid: true
	// owner: node-1 at 10.0.0.1:7000 same token: true
	// unowned: true valid: false
}
