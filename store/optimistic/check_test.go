package optimistic

import (
	"context"
	"strings"
	"testing"

	"github.com/kelpie-registry/kelpie/store"
)

// damaged returns an engine with some history, for tests to damage.
func damaged(t *testing.T) *Engine {
	t.Helper()
	e := New(Options{Window: 5})
	commit := func(f func(tx store.Txn)) {
		tx := e.Begin(context.Background())
		f(tx)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		commit(func(tx store.Txn) { tx.Set([]byte("a"), []byte("1")); tx.Set([]byte("b"), []byte("1")) })
	}
	commit(func(tx store.Txn) { tx.Clear([]byte("b")) })
	commit(func(tx store.Txn) {
		tx.AddWriteConflict([]byte("m"), []byte("p"))
		tx.Set([]byte("c"), nil)
		for range 2 {
			if _, err := tx.Watch([]byte("a")); err != nil {
				t.Fatal(err)
			}
		}
	})
	if err := e.Check(); err != nil {
		t.Fatalf("before the damage: %v", err)
	}
	return e
}

// TestCheckRejectsDamage damages each part of the structure.
func TestCheckRejectsDamage(t *testing.T) {
	find := func(c *core, key string) *entry {
		e, _ := c.data.entries.Get(key)
		return e
	}
	for _, tc := range []struct {
		name   string
		damage func(c *core)
		want   string
	}{
		{"the horizon moved", func(c *core) { c.horizon-- }, "horizon is"},
		{"the version moved back", func(c *core) { c.version -= 2 }, "above the last commit"},
		{"an entry under another key", func(c *core) { find(c, "a").key = "x" }, "holds the entry of"},
		{"revisions out of order", func(c *core) { e := find(c, "a"); e.newest.version = 1 }, "above the newer one"},
		{"a revision cut off", func(c *core) { find(c, "a").newest.older = nil }, "revisions reachable"},
		{"a revision of the future", func(c *core) { find(c, "c").newest.version += 100 }, "above the last commit"},
		{"a removal outlived the horizon", func(c *core) {
			e := find(c, "b")
			e.newest.older, e.newest.version = nil, 1
		}, "outlived the horizon"},
		{"two removals in a row", func(c *core) { find(c, "b").newest.older.value = nil }, "and again at"},
		{"history not queued", func(c *core) { c.data.stale.pop() }, "in the stale queue"},
		{"history queued twice", func(c *core) { c.data.stale.push(*c.data.stale.at(c.data.stale.len() - 1)) }, "in the stale queue"},
		{"a write forgotten", func(c *core) { c.resolver.points.Delete("a") }, "unknown to the resolver"},
		{"a write dated back", func(c *core) { p, _ := c.resolver.points.Get("a"); p.last-- }, "but queued for"},
		{"recent writes lost", func(c *core) { c.resolver.recent = queue[recentWrite]{} }, "but queued for"},
		{"a range without an end", func(c *core) { c.resolver.ranges.Delete("p") }, "does not end"},
		{"an idle boundary", func(c *core) { c.resolver.ranges.Set("x", 0) }, "idle"},
		{"a watch missed its change", func(c *core) { c.watches.first.seen = []byte("other") }, "did not fire"},
		{"a watch counted twice", func(c *core) { c.watches.count++ }, "watches of at most"},
		{"a watch out of its list", func(c *core) { c.watches.unlinkKey(c.watches.first) }, "listed"},
		{"a broken chain of watches", func(c *core) { c.watches.first.next.prev = nil }, "broken links"},
		{"a watch that is over", func(c *core) { c.watches.first.state = watchOver }, "still in the table"},
		{"a watch that has fired", func(c *core) { c.watches.first.event.Set() }, "still in the table"},
		{"watches on a closed engine", func(c *core) { c.refusal.Store(&errClosed) }, "still in the table"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := damaged(t)
			tc.damage(&e.core)
			err := e.Check()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Check = %v, want %q in it", err, tc.want)
			}
		})
	}
}
