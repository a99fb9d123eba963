package etcd_test

import (
	"errors"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kelpie-registry/kelpie/store"
)

// TestACompactionDuringATransaction takes the version away that a transaction
// reads. What it has read still stands; what it has not is out of reach.
func TestACompactionDuringATransaction(t *testing.T) {
	o := fresh(t)
	e, other := open(t, o), open(t, o)
	client, err := clientv3.New(clientv3.Config{Endpoints: o.Endpoints})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, k := range []string{"read", "unread", "changed"} {
		set(t, e, k, "old")
	}
	begin := func(key string) store.Txn {
		tx := e.Begin(t.Context())
		if _, err := tx.Get([]byte(key)); err != nil {
			t.Fatal(err)
		}
		tx.Set([]byte("done"), []byte(key))
		return tx
	}
	stands, reads, overtaken := begin("read"), begin("read"), begin("changed")
	defer reads.Cancel()
	set(t, other, "changed", "new")
	last := set(t, other, "unread", "new")
	if _, err := client.Compact(t.Context(), int64(last)); err != nil {
		t.Fatal(err)
	}
	for name, read := range map[string]func(store.Reader) error{
		"Get":    func(r store.Reader) error { _, err := r.Get([]byte("unread")); return err },
		"GetAll": func(r store.Reader) error { _, err := r.GetAll([]byte("unread"), []byte("u")); return err },
		"GetRange": func(r store.Reader) error {
			_, _, err := r.GetRange([]byte("a"), []byte("z"), store.RangeOptions{})
			return err
		},
	} {
		if err := read(reads.Snapshot()); !errors.Is(err, store.ErrTooOld) {
			t.Errorf("%s behind the compaction: error %v, want %v", name, err, store.ErrTooOld)
		}
	}
	if err := stands.Commit(); err != nil {
		t.Errorf("a transaction whose reads still hold: error %v", err)
	}
	if err := overtaken.Commit(); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a transaction whose read was overtaken: error %v, want %v", err, store.ErrConflict)
	}
	if v := read(t, other, "done"); v != "read" {
		t.Errorf("%q is there, want what the one that stands wrote", v)
	}
}
