package embedded_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

func TestBadOptions(t *testing.T) {
	for _, o := range []embedded.Options{{Members: -1}, {Members: 8}, {Heartbeat: time.Millisecond}, {Heartbeat: time.Minute}} {
		if _, err := embedded.Start(t.Context(), o); !errors.Is(err, embedded.ErrOptions) {
			t.Errorf("%+v: error %v, want %v", o, err, embedded.ErrOptions)
		}
	}
}

func TestAFolderThatIsAFile(t *testing.T) {
	if _, err := embedded.Start(t.Context(), embedded.Options{Members: 1, Dir: "embedded_test.go"}); err == nil {
		t.Error("started")
	}
}

func TestAStoppedMemberComesBackWithItsData(t *testing.T) {
	c, err := embedded.Start(t.Context(), embedded.Options{Members: 1, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	if n := c.Leader(); n != 0 {
		t.Errorf("the leader is %d, want 0", n)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: c.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	c.Stop(0)
	c.Stop(0)
	if n := c.Leader(); n != -1 {
		t.Errorf("the leader of a stopped cluster is %d, want -1", n)
	}
	if err := c.Restart(context.Background(), 0); err != nil {
		t.Fatal(err)
	}
	if err := c.Restart(context.Background(), 0); err != nil {
		t.Errorf("a restart of a member that runs: %v", err)
	}
	r, err := client.Get(t.Context(), "k")
	if err != nil || len(r.Kvs) != 1 || string(r.Kvs[0].Value) != "v" {
		t.Errorf("after the restart: %v, error %v", r, err)
	}
}

// TestAClusterComesBackWhereItWas starts one over what another has left.
func TestAClusterComesBackWhereItWas(t *testing.T) {
	dir := t.TempDir()
	var before []string
	for _, want := range []string{"", "v"} {
		c, err := embedded.Start(t.Context(), embedded.Options{Members: 1, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !slices.Equal(c.Endpoints(), before) {
			t.Errorf("it was at %v and is at %v", before, c.Endpoints())
		}
		before = c.Endpoints()
		client, err := clientv3.New(clientv3.Config{Endpoints: before, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Get(t.Context(), "k")
		if err != nil || (len(got.Kvs) == 1) != (want != "") || want != "" && string(got.Kvs[0].Value) != want {
			t.Errorf("%v, error %v, want %q", got, err, want)
		}
		if _, err := client.Put(t.Context(), "k", "v"); err != nil {
			t.Error(err)
		}
		if err := errors.Join(client.Close(), c.Close()); err != nil {
			t.Error(err)
		}
	}
	if _, err := embedded.Start(t.Context(), embedded.Options{Members: 3, Dir: dir}); !errors.Is(err, embedded.ErrOptions) {
		t.Errorf("three members over the data of one: error %v, want %v", err, embedded.ErrOptions)
	}
}
