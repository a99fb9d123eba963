package etcd_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

const (
	bigTxnOps       = 4096
	bigRequestBytes = 16 << 20
)

// shared returns the cluster of the tests that do not break it. Its limits are
// those of package store.
var shared = sync.OnceValues(func() (*embedded.Cluster, error) {
	started.Store(true)
	return embedded.Start(context.Background(), embedded.Options{
		NoSync: true, MaxTxnOps: bigTxnOps, MaxRequestBytes: bigRequestBytes,
	})
})

var started atomic.Bool

func TestMain(m *testing.M) {
	code := m.Run()
	if started.Load() {
		if c, err := shared(); err == nil {
			if err := c.Close(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = max(code, 1)
			}
		}
	}
	os.Exit(code)
}

var namespaces atomic.Int64

// fresh returns options for an empty namespace of the shared cluster.
func fresh(tb testing.TB) etcd.Options {
	tb.Helper()
	cluster, err := shared()
	if err != nil {
		tb.Fatal(err)
	}
	return etcd.Options{
		Endpoints: cluster.Endpoints(), Namespace: fmt.Sprintf("test-%d", namespaces.Add(1)),
		MaxTxnOps: bigTxnOps, MaxRequestBytes: bigRequestBytes,
	}
}

// open opens an engine that is closed with the test.
func open(tb testing.TB, o etcd.Options) *etcd.Engine {
	tb.Helper()
	e, err := etcd.Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := e.Close(); err != nil {
			tb.Error(err)
		}
	})
	return e
}
