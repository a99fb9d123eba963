package httpnet_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/network/httpnet"
)

// Calls that are made at once, to one process, again and again dial once each.
func TestConnectionsOfManyCallsAtOnceAreKept(t *testing.T) {
	const calls, rounds = 40, 3
	var (
		mu      sync.Mutex
		dialled int
		arrived int
		all     = make(chan struct{}) // closed when the calls of the round have arrived
	)
	p := newRawPeer(t, func(conn net.Conn, read func() error) {
		mu.Lock()
		dialled++
		mu.Unlock()
		for read() == nil {
			mu.Lock()
			mine := all
			if arrived++; arrived == calls {
				arrived, all = 0, make(chan struct{})
				close(mine)
			}
			mu.Unlock()
			<-mine
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nKelpie-Result: ok\r\nContent-Length: 0\r\n\r\n")
		}
	})
	n := start(t, httpnet.Options{})
	for range rounds {
		var round sync.WaitGroup
		for range calls {
			round.Go(func() {
				if _, err := n.Call(t.Context(), p.address, "m", nil); err != nil {
					t.Error(err)
				}
			})
		}
		round.Wait()
	}
	mu.Lock()
	defer mu.Unlock()
	if dialled != calls {
		t.Errorf("%d rounds of %d calls made %d connections", rounds, calls, dialled)
	}
}
