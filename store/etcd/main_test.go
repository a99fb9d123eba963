package etcd_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

// shared is the cluster of the tests that do not break it. Its limits are those
// of package store.
var shared *embedded.Cluster

const (
	bigTxnOps       = 4096
	bigRequestBytes = 16 << 20
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	shared, err = embedded.Start(context.Background(), embedded.Options{
		NoSync: true, MaxTxnOps: bigTxnOps, MaxRequestBytes: bigRequestBytes,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := shared.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

var namespaces atomic.Int64

// fresh returns options for an empty namespace of the shared cluster.
func fresh() etcd.Options {
	return etcd.Options{
		Endpoints: shared.Endpoints(), Namespace: fmt.Sprintf("test-%d", namespaces.Add(1)),
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
