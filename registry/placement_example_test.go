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

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A node is taken out of service: it gives its actors away, with their state, and
// leaves.
func ExampleSession_Drain() {
	ctx := context.Background()
	h, err := host.NewSystem(host.SystemOptions{Name: "process"})
	check(err)
	db, err := store.Open(memory.New(memory.Options{Clock: h}), h, h.Rand(), store.Options{})
	check(err)
	reg, err := registry.Open(h, db, registry.Options{})
	check(err)
	old, err := reg.Join(ctx, "old", registry.JoinOptions{})
	check(err)
	for _, actor := range []registry.ActorID{"a", "b", "c"} {
		p, err := reg.Place(ctx, actor, registry.PlaceOptions{})
		check(err)
		fmt.Printf("%s is at %s\n", actor, p.Owner.Node)
		_, err = old.Claim(ctx, actor) // or by Assignments, as it comes
		check(err)
	}
	next, err := reg.Join(ctx, "next", registry.JoinOptions{Capacity: 2})
	check(err)

	done, err := old.Drain(ctx, registry.DrainOptions{
		HandOff: func(_ context.Context, c *registry.Claim) ([]byte, error) {
			return []byte("state of " + c.Actor()), nil
		},
	})
	check(err)
	check(old.Leave(ctx))
	fmt.Printf("%d moved, %d released, %d left\n", done.Moved, done.Released, done.Left)
	for c, err := range next.Assignments(ctx) {
		check(err)
		if string(c.Payload()) == "state of "+string(c.Actor()) {
			fmt.Printf("%s took up an actor with its state\n", c.Session().Node())
			break
		}
	}
	// Output:
	// a is at old
	// b is at old
	// c is at old
	// 2 moved, 1 released, 0 left
	// next took up an actor with its state
}
