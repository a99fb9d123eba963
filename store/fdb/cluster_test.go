//go:build fdb

package fdb_test

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry/registrytest"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/fdb"
	"github.com/kelpie-registry/kelpie/store/storetest"
)

// clusterVariable names the environment variable with the cluster file that the
// tests run against. Each test works in a namespace of its own and clears it.
const clusterVariable = "KELPIE_FDB_CLUSTER_FILE"

func TestMain(m *testing.M) {
	if file := os.Getenv(clusterVariable); file != "" {
		fmt.Fprintln(os.Stdout, versions(file))
	}
	os.Exit(m.Run())
}

// versions says what the tests run on, or why it is not known.
func versions(file string) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, err := fdb.Open(ctx, fdb.Options{ClusterFile: file})
	if err != nil {
		return err.Error()
	}
	defer e.Close()
	var v fdb.Versions
	for range 5 { // the cluster hears of a new client a while after it has connected
		if v, err = e.Versions(ctx); err != nil {
			return err.Error()
		}
		if len(v.Client) > 0 {
			break
		}
		time.Sleep(time.Second)
	}
	return v.String()
}

// cluster returns the options for a fresh namespace of the cluster, which is
// cleared when the test ends.
func cluster(tb testing.TB) fdb.Options {
	tb.Helper()
	o := fdb.Options{ClusterFile: os.Getenv(clusterVariable)}
	if o.ClusterFile == "" {
		tb.Skipf("needs a FoundationDB cluster: set %s to its cluster file", clusterVariable)
	}
	o.Namespace = "kelpie-test-" + crand.Text()
	tb.Cleanup(func() {
		if err := clearNamespace(o); err != nil {
			tb.Errorf("clear the namespace: %v", err)
		}
	})
	return o
}

func clearNamespace(o fdb.Options) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	e, err := fdb.Open(ctx, o)
	if err != nil {
		return err
	}
	for {
		tx := e.Begin(ctx)
		tx.ClearRange(nil, []byte{0xff})
		err := tx.Commit()
		// To clear twice does no harm.
		if ctx.Err() != nil || !store.Retryable(err) && !errors.Is(err, store.ErrCommitUnknown) {
			return errors.Join(err, e.Close())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// open opens an engine.
func open(tb testing.TB, o fdb.Options) *fdb.Engine {
	tb.Helper()
	e, err := fdb.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { e.Close() })
	return e
}

// fresh connects to a fresh namespace.
func fresh(tb testing.TB) store.Engine { return open(tb, cluster(tb)) }

// prefix is what stands in front of each key beside the namespace, in bytes.
const prefix = 2

func TestConformance(t *testing.T) {
	for name, change := range map[string]func(o *fdb.Options){
		"defaults":              func(*fdb.Options) {},
		"automatic idempotency": func(o *fdb.Options) { o.AutomaticIdempotency = true },
	} {
		t.Run(name, func(t *testing.T) {
			namespace := len(cluster(t).Namespace)
			storetest.Run(t, storetest.Harness{
				New: func(tb testing.TB, _ uint64) storetest.World {
					o := cluster(tb)
					change(&o)
					return storetest.Goroutines(open(tb, o), nil)
				},
				Age:         age,
				MaxKeyBytes: store.MaxKeyBytes - namespace - prefix,
				Quiet:       100 * time.Millisecond,
				Histories:   20,
			})
		})
	}
}

// age commits for longer than the five seconds of the cluster's window: it
// moves with its commits.
func age(ctx context.Context, w storetest.World, client int) error {
	for range 14 {
		tx := w.Engine(client).Begin(ctx)
		tx.Set([]byte("age"), nil)
		if err := tx.Commit(); err != nil {
			return err
		}
		if err := w.Clock(client).Sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func TestRegistry(t *testing.T) { registrytest.Run(t, registrytest.Harness{New: fresh}) }

func TestVersionsAreKnown(t *testing.T) {
	v, err := open(t, cluster(t)).Versions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Server) == 0 {
		t.Errorf("%v, want the server's version", v)
	}
}

func TestSizeLimitAndTimeoutReachTheClient(t *testing.T) {
	o := cluster(t)
	o.SizeLimit = 1000
	tx := open(t, o).Begin(t.Context())
	tx.Set([]byte("a"), make([]byte, 1000))
	if err := tx.Commit(); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("a transaction over Options.SizeLimit: %v, want %v", err, store.ErrTooLarge)
	}
	o = cluster(t)
	o.Timeout = time.Millisecond
	e := open(t, o)
	tx = e.Begin(t.Context())
	time.Sleep(50 * time.Millisecond)
	if _, err := tx.Get([]byte("a")); !errors.Is(err, store.ErrTimedOut) {
		t.Errorf("a get after Options.Timeout: %v, want %v", err, store.ErrTimedOut)
	}
}

func TestOpenRefusesBadClusterFiles(t *testing.T) {
	good := cluster(t)
	folder := t.TempDir()
	bad := filepath.Join(folder, "bad.cluster")
	if err := os.WriteFile(bad, []byte("not a cluster file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{filepath.Join(folder, "missing.cluster"), bad, folder} {
		o := good
		o.ClusterFile = file
		if _, err := fdb.Open(t.Context(), o); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), file) {
			t.Errorf("open %s: %v, want %v with the file's name", file, err, store.ErrInvalid)
		}
	}
}

// TestCallsOnADeadClusterEnd has a cluster file whose coordinator takes
// connections and says nothing.
func TestCallsOnADeadClusterEnd(t *testing.T) {
	o := cluster(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	o.ClusterFile = filepath.Join(t.TempDir(), "dead.cluster")
	if err := os.WriteFile(o.ClusterFile, []byte("dead:dead@"+l.Addr().String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.OpenTimeout = time.Second
	if _, err := fdb.Open(t.Context(), o); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), o.ClusterFile) {
		t.Errorf("open: %v, want %v with the file's name", err, store.ErrUnavailable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		time.Sleep(100 * time.Millisecond)
		cancel()
	}()
	o.OpenTimeout = time.Hour
	if _, err := fdb.Open(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("open with a context that ends: %v, want %v", err, context.Canceled)
	}
}

func BenchmarkClaims(b *testing.B) { registrytest.Claims(b, fresh) }

func BenchmarkHerd(b *testing.B) { registrytest.Herd(b, fresh, 256) }
