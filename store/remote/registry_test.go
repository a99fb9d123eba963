package remote

import (
	"testing"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/registry/registrytest"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

// The registry's own suite, with one client of a server over HTTP for all nodes.
func TestRegistryOverHTTP(t *testing.T) {
	registrytest.Run(t, registrytest.Harness{New: func(tb testing.TB) store.Engine {
		tb.Helper()
		server, client := machine(tb, "server"), machine(tb, "client")
		if _, err := NewServer(server, memory.New(memory.Options{}), ServerOptions{}); err != nil {
			tb.Fatal(err)
		}
		e, err := Open(client, Options{Servers: []network.Address{server.Network().Address()}})
		if err != nil {
			tb.Fatal(err)
		}
		return e
	}})
}
