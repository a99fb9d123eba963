package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network/httpnet"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// opened returns a registry in memory.
func opened() (*registry.Registry, *host.System) {
	h, err := host.NewSystem(host.SystemOptions{Name: "process"})
	check(err)
	db, err := store.Open(memory.New(memory.Options{Clock: h}), h, h.Rand(), store.Options{})
	check(err)
	reg, err := registry.Open(h, db, registry.Options{})
	check(err)
	return reg, h
}

// One of several nodes leads; the others, and whoever wants to know, follow.
func ExampleSession_Elect() {
	ctx := context.Background()
	reg, h := opened()
	defer h.Close(ctx)
	s, err := reg.Join(ctx, "node-1", registry.JoinOptions{})
	check(err)

	err = s.Elect(ctx, "leader of billing", func(_ context.Context, c *registry.Claim) error {
		for owner, err := range reg.Follow(ctx, "leader of billing") {
			check(err)
			fmt.Println("leader:", owner.Node, "valid:", c.Valid())
			break
		}
		return nil // gives the leadership up
	})
	check(err)
	_, err = reg.Lookup(ctx, "leader of billing")
	fmt.Println("nobody leads:", errors.Is(err, registry.ErrUnowned))
	// Output:
	// leader: node-1 valid: true
	// nobody leads: true
}

// A call finds its actor's owner, wherever that is.
func ExampleRouter() {
	ctx := context.Background()
	net, err := httpnet.New(httpnet.Options{})
	check(err)
	h, err := host.NewSystem(host.SystemOptions{Name: "node-1", Network: net})
	check(err)
	defer net.Close(ctx)
	defer h.Close(ctx)
	db, err := store.Open(memory.New(memory.Options{Clock: h}), h, h.Rand(), store.Options{})
	check(err)
	reg, err := registry.Open(h, db, registry.Options{})
	check(err)
	s, err := reg.Join(ctx, "node-1", registry.JoinOptions{Address: string(net.Address())})
	check(err)
	_, err = s.Claim(ctx, "player/42")
	check(err)

	cache, err := reg.NewCache(registry.CacheOptions{})
	check(err)
	defer cache.Close()
	router, err := reg.NewRouter(cache, registry.RouterOptions{})
	check(err)
	router.Handle(s, "greet", func(_ context.Context, c *registry.Claim, req []byte) ([]byte, error) {
		return fmt.Appendf(nil, "%s greets %s", c.Actor(), req), nil
	})
	res, err := router.Call(ctx, "player/42", "greet", []byte("you"))
	check(err)
	fmt.Println(string(res))
	// Output:
	// player/42 greets you
}

// An actor is placed by a strategy of one's own, and a node that has too much gives
// some of it away.
func ExampleRegistry_Place() {
	ctx := context.Background()
	reg, h := opened()
	defer h.Close(ctx)
	big, err := reg.Join(ctx, "big", registry.JoinOptions{Labels: map[string]string{"disk": "fast"}})
	check(err)
	fast := registry.StrategyFunc(func(_ registry.ActorID, nodes []registry.Node, _ *rand.Rand) (registry.NodeID, error) {
		for _, n := range nodes {
			if n.Labels["disk"] == "fast" {
				return n.ID, nil
			}
		}
		return "", errors.New("no node has a fast disk")
	})
	for i := range 4 {
		shard := registry.ActorID(fmt.Sprintf("shard-%d", i))
		p, err := reg.Place(ctx, shard, registry.PlaceOptions{Strategy: fast})
		check(err)
		fmt.Println(p.Owner.Node, "new:", p.New)
		_, err = big.Claim(ctx, shard) // or by Assignments, as it comes
		check(err)
	}
	_, err = reg.Join(ctx, "small", registry.JoinOptions{})
	check(err)
	done, err := big.Rebalance(ctx, registry.RebalanceOptions{})
	check(err)
	fmt.Println(len(done.Moved), "moved, balanced:", done.Balanced)
	// Output:
	// big new: true
	// big new: true
	// big new: true
	// big new: true
	// 2 moved, balanced: true
}

// Many actors cost little more than one.
func ExampleSession_ClaimAll() {
	ctx := context.Background()
	reg, h := opened()
	defer h.Close(ctx)
	s, err := reg.Join(ctx, "node-1", registry.JoinOptions{})
	check(err)
	claims, errs, err := s.ClaimAll(ctx, "game/1", "game/2", "user/7")
	check(errors.Join(append(errs, err)...))
	for row, err := range reg.List(ctx, registry.ListOptions{Prefix: "game/"}) {
		check(err)
		fmt.Println(row.Actor, "at", row.Owner.Node)
	}
	owners, err := reg.LookupAll(ctx, "user/7", "user/8")
	check(err)
	fmt.Printf("%q %q\n", owners[0].Node, owners[1].Node)
	errs, err = s.ReleaseAll(ctx, claims...)
	check(errors.Join(append(errs, err)...))
	// Output:
	// game/1 at node-1
	// game/2 at node-1
	// "node-1" ""
}
