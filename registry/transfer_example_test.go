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

// One node gives an actor, and what it has in memory of it, to another. Here both
// are in one process.
func ExampleClaim_Transfer() {
	ctx := context.Background()
	h, err := host.NewSystem(host.SystemOptions{})
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
	giver, err := reg.Join(ctx, "node-1", registry.JoinOptions{})
	if err != nil {
		log.Fatal(err)
	}
	taker, err := reg.Join(ctx, "node-2", registry.JoinOptions{})
	if err != nil {
		log.Fatal(err)
	}
	claim, err := giver.Claim(ctx, "player/42")
	if err != nil {
		log.Fatal(err)
	}
	owner, err := claim.Transfer(ctx, registry.Target{Node: "node-2"}, registry.TransferOptions{Payload: []byte("score 7")})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("owner:", owner.Node, "higher token:", owner.Token > claim.Token(), "giver valid:", claim.Valid())

	for c, err := range taker.Assignments(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s takes up %s with %q, valid: %v\n", c.Session().Node(), c.Actor(), c.Payload(), c.Valid())
		break
	}
	// Output:
	// owner: node-2 higher token: true giver valid: false
	// node-2 takes up player/42 with "score 7", valid: true
}
