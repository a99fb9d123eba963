package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/sim"
)

func Example() {
	w := sim.NewWorld(1, sim.Options{})
	defer w.Close()
	node := w.Process("node-1", sim.ProcessOptions{})
	node.Start(func(context.Context, *sim.Host) {})

	plan, err := faults.Parse("v1 seed=1 crash(node-1)@1s+2s pause(node-1)@1h")
	if err != nil {
		fmt.Println(err)
		return
	}
	injector, err := faults.Inject(w, plan, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, at := range []time.Duration{2 * time.Second, 4 * time.Second} {
		if err := w.Run(at); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(w.Now(), node.Alive(), node.Life())
	}
	fmt.Println(injector.Counts(), "not yet:", injector.Unfired())
	// Output:
	// 2s false 1
	// 4s true 2
	// [{crash 1 1 1 1} {pause 1 0 0 0}] not yet: [pause(node-1)@1h0m0s]
}

// The table of kinds: which fields each uses beside At, and their limits.
func ExampleKinds() {
	for _, s := range faults.Kinds() {
		fields := "Target"
		if s.Peer {
			fields += ", Peer"
		}
		if s.Lasts {
			fields += ", For"
		}
		if s.Unit != "" {
			fields += fmt.Sprintf(", Amount: %v to %v %s", s.AmountMin, s.AmountMax, s.Unit)
		}
		fmt.Printf("%s (%s)\n\t%s\n", s.Kind, fields, s.About)
	}
	// Output:
	// crash (Target, For)
	// 	Target loses its memory and starts again after For
	// pause (Target, For)
	// 	Target stands still for For, its clocks do not
	// cut (Target, Peer, For)
	// 	no message from Target reaches Peer
	// partition (Target, Peer, For)
	// 	no message passes between Target and Peer
	// slow-link (Target, Peer, For, Amount: 0 to 60000 milliseconds)
	// 	messages between Target and Peer take Amount/2 to Amount longer
	// loss (Target, Peer, For, Amount: 0 to 1 probability)
	// 	a message between Target and Peer is lost with probability Amount
	// duplicate (Target, Peer, For, Amount: 0 to 1 probability)
	// 	a message between Target and Peer comes twice with probability Amount
	// reorder (Target, Peer, For, Amount: 0 to 1 probability)
	// 	a message between Target and Peer leaves the order, late by up to 50 ms, with probability Amount
	// reset (Target, Peer)
	// 	the calls under way between Target and Peer break
	// wall-jump (Target, For, Amount: -3.1536e+08 to 3.1536e+08 seconds)
	// 	the wall clock of Target jumps by Amount, and back after For
	// clock-rate (Target, For, Amount: -9.99999999e+08 to 9.99999999e+08 parts per billion)
	// 	the monotonic clock of Target has the rate error Amount; of several, that of the fault begun last
	// store-unknown (Target, For, Amount: 0 to 1 probability)
	// 	the result of a commit of Target is lost, applied or not, with probability Amount
	// store-late (Target, For, Amount: 0 to 1 probability)
	// 	the result of a commit of Target is lost, and it applies later, with probability Amount
	// store-conflict (Target, For, Amount: 0 to 1 probability)
	// 	a commit of Target is refused as a conflict with probability Amount
	// store-unavailable (Target, For, Amount: 0 to 1 probability)
	// 	a call of Target to the store fails as unavailable with probability Amount
	// store-slow (Target, For, Amount: 0 to 60000 milliseconds)
	// 	a call of Target to the store takes up to Amount longer
	// server-crash (Target, For)
	// 	Target, a server of the store, is down for For
	// server-drain (Target, For)
	// 	Target, a server of the store, ends in order, with what is under way or after For, and is back after For
	// throttle (Target, For, Amount: 0 to 1 probability)
	// 	the store turns a request of Target away with probability Amount
}

func ExampleGenerate() {
	swarm := faults.Swarm{
		Kinds: []faults.Choice{
			{Kind: faults.Crash},
			{Kind: faults.Pause, ForMin: 20 * time.Second, ForMax: time.Minute},
			{Kind: faults.Loss, Weight: 2, AmountMin: 0.1, AmountMax: 0.5},
		},
		Targets: []string{"node-1", "node-2", "node-3"},
		Horizon: 30 * time.Second,
		HealAt:  40 * time.Second,
	}
	plan := faults.Generate(7, swarm)
	healed, _ := plan.Healed()
	fmt.Println(len(plan.Faults) > 0, healed <= swarm.HealAt)
	// Output: true true
}

func ExamplePlan_Heal() {
	plan, _ := faults.Parse("v1 seed=1 crash(node-1)@1s pause(node-2)@5s+20s cut(node-1,node-2)@12s")
	fmt.Println(plan.Heal(10 * time.Second))
	// Output: v1 seed=1 crash(node-1)@1s+9s pause(node-2)@5s+5s
}

func ExamplePlan_MarshalJSON() {
	plan, _ := faults.Parse("v1 seed=7 crash(node-1)@1.5s+2s")
	text, err := json.Marshal(plan)
	fmt.Println(string(text), err)
	// Output: {"version":1,"seed":7,"faults":[{"at":"1.5s","for":"2s","kind":"crash","target":"node-1"}]} <nil>
}

func ExampleMinimize() {
	plan, _ := faults.Parse("v1 seed=1 crash(node-1)@1s+8s pause(node-2)@5s+2s reset(node-1)@6s loss(node-2)@7s+1s*0.5")
	failing := func(p faults.Plan) bool { // stands for a run of the scenario
		for _, f := range p.Faults {
			if f.Kind == faults.Crash && f.For > 3*time.Second {
				return true
			}
		}
		return false
	}
	fmt.Println(faults.Minimize(plan, failing))
	// Output: v1 seed=1 crash(node-1)@1s+4s
}
