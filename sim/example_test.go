package sim_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// A server that is paused for a while, and a client that gives up in time.
func Example() {
	w := sim.NewWorld(1, sim.Options{})
	defer w.Close()

	server := w.Process("server", sim.ProcessOptions{})
	server.Start(func(_ context.Context, h *sim.Host) {
		h.Network().Handle("greet", func(_ context.Context, name []byte) ([]byte, error) {
			return append([]byte("hello "), name...), nil
		})
	})
	w.Process("client", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		for range 3 {
			ctx, cancel := h.WithTimeout(ctx, time.Second)
			reply, err := h.Network().Call(ctx, "server", "greet", []byte("kelpie"))
			cancel()
			fmt.Printf("%q %v\n", reply, errors.Is(err, context.DeadlineExceeded))
			_ = h.Sleep(h.Context(), time.Minute)
		}
	})
	w.After(30*time.Second, "pause", server.Pause)
	w.After(90*time.Second, "resume", server.Resume)

	fmt.Println(w.Run(10*time.Minute), w.Now())
	// Output:
	// "hello kelpie" false
	// "" true
	// "hello kelpie" false
	// <nil> 10m0s
}

// An invariant stops the world at the event that breaks it.
func ExampleWorld_Invariant() {
	w := sim.NewWorld(1, sim.Options{})
	defer w.Close()
	holders := 0
	w.Invariant("one holder", func() error {
		if holders > 1 {
			return fmt.Errorf("%d holders", holders)
		}
		return nil
	})
	for i := range 2 {
		w.Process(fmt.Sprint("node-", i), sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
			_ = h.Sleep(ctx, time.Duration(i+1)*time.Second)
			holders++
			_ = h.Sleep(ctx, time.Hour)
		})
	}
	fmt.Println(w.Run(time.Minute))
	fmt.Println(w.Failure().Signature())
	// Output:
	// one holder at 2s, event 4 in node-1/main: 2 holders
	// one holder: # holders
}
