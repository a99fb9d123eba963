package httpnet_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/network/httpnet"
)

func Example() {
	ctx := context.Background()
	n, err := httpnet.New(httpnet.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	n.Handle("greet", func(_ context.Context, req []byte) ([]byte, error) {
		return append([]byte("hello "), req...), nil
	})
	reply, err := n.Call(ctx, n.Address(), "greet", []byte("world"))
	fmt.Println(string(reply), err)

	_, err = n.Call(ctx, n.Address(), "unheard-of", nil)
	fmt.Println("no handler ran:", errors.Is(err, network.ErrRefused))
	fmt.Println(n.Close(ctx))
	// Output:
	// hello world <nil>
	// no handler ran: true
	// <nil>
}
