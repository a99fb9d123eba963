package clock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
)

func ExampleSystem() {
	c := clock.System()
	from := c.Monotonic()
	_ = c.Sleep(context.Background(), time.Millisecond)
	fmt.Println(c.Monotonic()-from >= time.Millisecond)
	// Output: true
}

func ExampleClock_event() {
	c := clock.System()
	done := c.NewEvent()
	c.AfterFunc(time.Millisecond, done.Set)
	fmt.Println(done.Wait(context.Background()), done.IsSet())
	// Output: <nil> true
}

func ExampleCause() {
	ctx, cancel := clock.System().WithCancel(context.Background())
	cancel(errors.New("the lease was lost"))
	fmt.Println(ctx.Err(), "because", clock.Cause(ctx))
	// Output: context canceled because the lease was lost
}

func ExampleBackoff() {
	b := clock.Backoff{Initial: 10 * time.Millisecond, Max: 100 * time.Millisecond}
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 5 {
		fmt.Println(b.Bound(n), b.Delay(n, r) <= b.Bound(n))
	}
	// Output:
	// 10ms true
	// 20ms true
	// 40ms true
	// 80ms true
	// 100ms true
}
