package clock_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/kelpie-registry/kelpie/clock"
)

func TestCondBroadcastWakesEveryTicketTakenBefore(t *testing.T) {
	c := clock.NewCond(clock.System())
	before := []clock.Event{c.Ticket(), c.Ticket()}
	c.Broadcast()
	later := c.Ticket()
	for i, e := range before {
		if !e.IsSet() {
			t.Errorf("ticket %d is not set", i)
		}
	}
	if later.IsSet() {
		t.Error("a ticket taken after the broadcast is set")
	}
	c.Broadcast()
	if !later.IsSet() {
		t.Error("the second broadcast did not wake its ticket")
	}
}

func TestCondWaitEndsWithBroadcastOrContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.NewCond(clock.System())
		woken := make(chan error, 1)
		go func() { woken <- c.Wait(t.Context()) }()
		synctest.Wait() // the waiter holds its ticket
		select {
		case err := <-woken:
			t.Fatalf("Wait returned %v before the broadcast", err)
		default:
		}
		c.Broadcast()
		if err := <-woken; err != nil {
			t.Errorf("Wait = %v after a broadcast", err)
		}

		ctx, cancel := context.WithCancel(t.Context())
		go func() { woken <- c.Wait(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-woken; !errors.Is(err, context.Canceled) {
			t.Errorf("Wait = %v after cancel", err)
		}
	})
}

// A waiter that takes its ticket under the lock of the condition misses no
// change: the consumer below would hang otherwise.
func TestCondLosesNoBroadcast(t *testing.T) {
	const items = 2000
	var mu sync.Mutex
	ready := 0
	c := clock.NewCond(clock.System())
	go func() {
		for range items {
			mu.Lock()
			ready++
			mu.Unlock()
			c.Broadcast()
		}
	}()
	for taken := 0; taken < items; {
		mu.Lock()
		if ready > taken {
			taken = ready
			mu.Unlock()
			continue
		}
		ticket := c.Ticket()
		mu.Unlock()
		if err := ticket.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
