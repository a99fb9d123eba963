package registry_test

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

func TestCheckFindsSessionsAndLogThatDisagree(t *testing.T) {
	const ns = registry.DefaultNamespace + "\x00"
	logKey := func(position uint64, node string) []byte {
		return append(binary.BigEndian.AppendUint64([]byte(ns+"c"), position), node+"\x00"...)
	}
	value := func(rows []store.KeyValue, key []byte) []byte {
		for _, kv := range rows {
			if string(kv.Key) == string(key) {
				return append([]byte(nil), kv.Value...)
			}
		}
		t.Fatalf("no row %q", key)
		return nil
	}
	// n1 has joined, n2 has joined and left: changes 0, 1 and 2; n1 has renewed.
	for name, c := range map[string]struct {
		spoil func(tx store.Tx, rows []store.KeyValue)
		want  string
	}{
		"row lost":      {func(tx store.Tx, _ []store.KeyValue) { tx.Clear(logKey(1, "n2")) }, "2 log rows from position 0 to change 3"},
		"all rows lost": {func(tx store.Tx, _ []store.KeyValue) { tx.ClearRange([]byte(ns+"c"), []byte(ns+"d")) }, `session of "n1" without a row`},
		"row too many":  {func(tx store.Tx, rows []store.KeyValue) { tx.Set(logKey(0, "n3"), value(rows, logKey(0, "n1"))) }, "4 log rows from position 0 to change 3"},
		"not counted":   {func(tx store.Tx, _ []store.KeyValue) { tx.Add([]byte(ns+"h"), -1) }, "at position 2, with 1 rows from there to change 2"},
		"counted twice": {func(tx store.Tx, _ []store.KeyValue) { tx.Add([]byte(ns+"h"), 1) }, "3 log rows from position 0 to change 4"},
		"ahead of time": {func(tx store.Tx, rows []store.KeyValue) { tx.Set(logKey(9, "n2"), value(rows, logKey(2, "n2"))) }, "at position 9"},
		"session lost":  {func(tx store.Tx, _ []store.KeyValue) { tx.Clear([]byte(ns + "nn2\x00")) }, `session of "n2" is there: false`},
		"session change": {func(tx store.Tx, rows []store.KeyValue) {
			tx.Set([]byte(ns+"nn2\x00"), value(rows, []byte(ns+"nn1\x00")))
		}, "the log's last row says"},
		"session spoilt": {func(tx store.Tx, _ []store.KeyValue) { tx.Set([]byte(ns+"nn2\x00"), []byte("x")) }, "session record of 1 bytes"},
		"session's key":  {func(tx store.Tx, rows []store.KeyValue) { tx.Set([]byte(ns+"nn2"), value(rows, []byte(ns+"nn2\x00"))) }, "node key"},
		"row's key":      {func(tx store.Tx, rows []store.KeyValue) { tx.Set([]byte(ns+"cx"), value(rows, logKey(2, "n2"))) }, "log key"},
		"head spoilt":    {func(tx store.Tx, _ []store.KeyValue) { tx.Set([]byte(ns+"h"), []byte("x")) }, "number of changes of 1 bytes"},
		"beat of nobody": {func(tx store.Tx, rows []store.KeyValue) {
			tx.Set([]byte(ns+"bn3\x00"), value(rows, []byte(ns+"bn1\x00")))
		}, `beat of "n3", which has no session`},
		"beat to come": {func(tx store.Tx, rows []store.KeyValue) {
			v := value(rows, []byte(ns+"bn1\x00"))
			v[len(v)-8]++
			tx.Set([]byte(ns+"bn1\x00"), v)
		}, "whose session is"},
		"beat spoilt": {func(tx store.Tx, _ []store.KeyValue) { tx.Set([]byte(ns+"bn1\x00"), []byte("x")) }, "beat record of 1 bytes"},
	} {
		newBench(t).run(func(ctx context.Context, cl *client) {
			cl.join(ctx, "n1")
			if err := cl.join(ctx, "n2").Leave(ctx); err != nil {
				t.Fatal(err)
			}
			cl.sleep(ctx, ttl/2)
			if err := cl.Check(ctx); err != nil {
				t.Errorf("%s: before: %v", name, err)
			}
			rows := cl.rows(ctx)
			if _, err := cl.db.Transact(ctx, func(tx store.Tx) error { c.spoil(tx, rows); return nil }); err != nil {
				t.Error(err)
			}
			if err := cl.Check(ctx); !errors.Is(err, registry.ErrCorrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestCheckAcceptsALogThatWasTrimmed(t *testing.T) {
	b := newBench(t)
	b.process("client", registry.Options{LogKeep: registry.MinLogKeep}, func(ctx context.Context, c *client) {
		for range 30 {
			if err := c.join(ctx, "n1").Leave(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Check(ctx); err != nil {
			t.Error(err)
		}
		if _, err := c.AdvanceEpoch(ctx); err != nil {
			t.Fatal(err)
		}
		c.join(ctx, "n2")
		if err := c.Check(ctx); err != nil {
			t.Errorf("after a new epoch: %v", err)
		}
		b.world.Stop()
	})
	b.until(10 * ttl)
}
