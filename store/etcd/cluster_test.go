package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
	"github.com/kelpie-registry/kelpie/store/etcd/embedded"
)

// ownCluster starts a cluster for one test, with quick elections.
func ownCluster(t *testing.T) *embedded.Cluster {
	t.Helper()
	c, err := embedded.Start(context.Background(), embedded.Options{Heartbeat: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// TestHistoriesStayStrictlySerializableWhileMembersCrash stops and restarts each
// member once, the leader first, under a load of transactions that read, guess,
// write and decide. No acknowledged commit may be lost, what was in doubt is
// wholly there or not, and all of it must have an order.
func TestHistoriesStayStrictlySerializableWhileMembersCrash(t *testing.T) {
	cluster := ownCluster(t)
	h := &history{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var done atomic.Int64
	var running sync.WaitGroup
	for i := range 2 {
		e := open(t, etcd.Options{Endpoints: cluster.Endpoints()})
		for j := range 4 {
			running.Go(func() {
				for life := 0; ctx.Err() == nil; life++ {
					if err := h.run(t.Context(), e, fmt.Sprintf("%d.%d.%d", i, j, life), 10, uint64(100*i+10*j+life)); err != nil {
						t.Error(err)
						return
					}
					done.Add(10)
				}
			})
		}
	}
	progress := func() {
		for from := done.Load(); done.Load() < from+100 && !t.Failed(); {
			if err := clock.System().Sleep(t.Context(), 5*time.Millisecond); err != nil {
				t.Fatal(err)
			}
		}
	}
	progress()
	victim := max(cluster.Leader(), 0)
	for range 3 {
		cluster.Stop(victim)
		progress()
		if err := cluster.Restart(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
		progress()
		victim = (victim + 1) % 3
	}
	cancel()
	running.Wait()
	if t.Failed() {
		return
	}
	h.judge(t, open(t, etcd.Options{Endpoints: cluster.Endpoints()}))
	doubts := 0
	for _, r := range h.records {
		if r.doubtful {
			doubts++
		}
	}
	t.Logf("%d transactions, %d of them in doubt", len(h.records), doubts)
}

func TestAWatchOutlivesItsMemberAndACompaction(t *testing.T) {
	cluster := ownCluster(t)
	o := etcd.Options{Endpoints: cluster.Endpoints()}
	e := open(t, o)
	db := newDB(t, e)
	watch := func() store.Watch {
		var w store.Watch
		if _, err := db.Transact(t.Context(), func(tx store.Tx) (err error) {
			w, err = tx.Watch([]byte("k"))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return w
	}
	write := func(key, value string) {
		for err := store.ErrCommitUnknown; errors.Is(err, store.ErrCommitUnknown); {
			if _, err = db.Transact(t.Context(), func(tx store.Tx) error {
				tx.Set([]byte(key), []byte(value))
				return nil
			}); err != nil && !errors.Is(err, store.ErrCommitUnknown) {
				t.Fatal(err)
			}
		}
	}
	for victim := range 2 {
		w := watch()
		cluster.Stop(victim)
		write("other", fmt.Sprint(victim))
		write("k", fmt.Sprint(victim))
		// The member that served the watch may be the one that is gone: then the
		// watch goes on at another, or says that it cannot.
		if err := w.Wait(t.Context()); err != nil && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("member %d gone: %v", victim, err)
		}
		if err := cluster.Restart(t.Context(), victim); err != nil {
			t.Fatal(err)
		}
	}
	for {
		if err := e.Forget(t.Context()); err == nil {
			break
		}
	}
	w := watch()
	if err := e.Forget(t.Context()); err != nil {
		t.Fatal(err)
	}
	write("k", "after the compaction")
	if err := w.Wait(t.Context()); err != nil {
		t.Errorf("after a compaction: %v", err)
	}
}

func TestCommitsFindTheLeader(t *testing.T) {
	cluster := ownCluster(t)
	e := open(t, etcd.Options{Endpoints: cluster.Endpoints()})
	atLeader := func() {
		t.Helper()
		for e.Leader() != cluster.Endpoints()[max(cluster.Leader(), 0)] {
			if err := clock.System().Sleep(t.Context(), 5*time.Millisecond); err != nil {
				t.Fatal(err)
			}
			// An answer with a new term is what tells of a new leader.
			tx := e.Begin(t.Context())
			_, _ = tx.Get([]byte("k"))
			tx.Cancel()
		}
	}
	atLeader()
	old := cluster.Leader()
	cluster.Stop(old)
	db := newDB(t, e)
	for cluster.Leader() < 0 {
		if err := clock.System().Sleep(t.Context(), 5*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Transact(t.Context(), func(tx store.Tx) error {
		tx.Set([]byte("k"), nil)
		return nil
	}); err != nil && !errors.Is(err, store.ErrCommitUnknown) {
		t.Fatal(err)
	}
	atLeader()
	if err := cluster.Restart(t.Context(), old); err != nil {
		t.Fatal(err)
	}
}
