package host_test

import (
	"context"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/host"
)

func ExampleSystem() {
	s, err := host.NewSystem(host.SystemOptions{Name: "node-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	beaten := s.NewEvent()
	s.Go("keeper", func(ctx context.Context) {
		for ctx.Err() == nil {
			beaten.Set()
			_ = s.Sleep(ctx, time.Second) // ends with the host
		}
		fmt.Println("keeper ends")
	})
	_ = beaten.Wait(s.Context())
	fmt.Println("closed:", s.Close(context.Background()))
	// Output:
	// keeper ends
	// closed: <nil>
}
