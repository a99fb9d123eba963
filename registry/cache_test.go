package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

func (c *client) cache(o registry.CacheOptions) *registry.Cache {
	c.b.t.Helper()
	cache, err := c.NewCache(o)
	if err != nil {
		c.b.t.Fatal(err)
	}
	return cache
}

// readCounter counts the transactions that an engine begins.
type readCounter struct {
	store.Engine
	n int
}

func (e *readCounter) Begin(ctx context.Context) store.Txn {
	e.n++
	return e.Engine.Begin(ctx)
}

func TestCacheAnswersFromMemoryUntilItIsStale(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		reads := &readCounter{Engine: c.faulty.Engine}
		c.faulty.Engine = reads
		s := c.join(ctx, "n")
		claim := c.claim(ctx, s, "a")
		cache := c.cache(registry.CacheOptions{MaxStale: 10 * time.Second})
		look := func() (registry.Owner, int) {
			t.Helper()
			before := reads.n
			o, err := cache.Lookup(ctx, "a")
			if err != nil {
				t.Error(err)
			}
			return o, reads.n - before
		}
		if o, n := look(); n != 1 || o.Node != "n" || o.Token != claim.Token() || o.Address != "client" {
			t.Errorf("first: %v with %d reads", o, n)
		}
		c.sleep(ctx, 9*time.Second)
		if o, n := look(); n != 0 || o.Token != claim.Token() {
			t.Errorf("after 9 s: %v with %d reads, want none", o, n)
		}
		c.sleep(ctx, 2*time.Second)
		if o, n := look(); n != 1 || o.Token != claim.Token() {
			t.Errorf("after 11 s: %v with %d reads, want one", o, n)
		}
		// A release is not told to the cache: its answer is wrong, and young enough.
		if err := claim.Release(ctx); err != nil {
			t.Error(err)
		}
		if o, n := look(); n != 0 || o.Token != claim.Token() {
			t.Errorf("after the release: %v with %d reads", o, n)
		}
		cache.Forget("a", claim.Token()-1)
		if _, n := look(); n != 0 {
			t.Error("an older token made the cache forget")
		}
		cache.Forget("a", claim.Token())
		_, err := cache.Lookup(ctx, "a")
		wantErr(t, "forgotten", err, registry.ErrUnowned)
		before := reads.n
		_, err = cache.Lookup(ctx, "a")
		wantErr(t, "unowned", err, registry.ErrUnowned)
		if reads.n == before {
			t.Error("that an actor is unowned was taken from memory")
		}
	})
}

func TestEndOfASessionEndsAllItsEntriesAtOnce(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		gone, stays := c.join(ctx, "gone"), c.join(ctx, "stays")
		cache := c.cache(registry.CacheOptions{MaxStale: time.Hour})
		const n = 100
		for i := range n {
			s := gone
			if i%2 == 0 {
				s = stays
			}
			c.claim(ctx, s, registry.ActorID(fmt.Sprint(i)))
			if _, err := cache.Lookup(ctx, registry.ActorID(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
		if err := gone.Leave(ctx); err != nil {
			t.Error(err)
		}
		c.sleep(ctx, 50*time.Millisecond) // the watch fires
		c.faulty.down = true              // what is answered now comes from memory
		short, cancel := c.h.WithTimeout(ctx, time.Second)
		defer cancel()
		for i := range n {
			o, err := cache.Lookup(short, registry.ActorID(fmt.Sprint(i)))
			if known := err == nil; known != (i%2 == 0) || known && o.Node != "stays" {
				t.Errorf("actor %d: %v, %v", i, o, err)
			}
		}
	})
}

func TestLearnedOwnersCorrectTheCache(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		a, b := c.join(ctx, "a"), c.join(ctx, "b")
		first := c.claim(ctx, a, "x")
		cache := c.cache(registry.CacheOptions{MaxStale: time.Hour})
		old, err := cache.Lookup(ctx, "x")
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Release(ctx); err != nil {
			t.Error(err)
		}
		began := c.h.Uptime()
		second := c.claim(ctx, b, "x")
		now := registry.Owner{Node: "b", Incarnation: b.Incarnation(), Token: second.Token(), Address: "client"}
		cache.Learn("x", now, began)
		cache.Learn("x", old, c.h.Uptime()) // late news
		if got, err := cache.Lookup(ctx, "x"); err != nil || got != now {
			t.Errorf("%v, %v, want %v", got, err, now)
		}
		cache.Learn("x", registry.Owner{}, 0)
		c.faulty.down = true
		short, cancel := c.h.WithTimeout(ctx, time.Second)
		defer cancel()
		if got, err := cache.Lookup(short, "x"); err == nil {
			t.Errorf("after unowned was learned: %v from memory", got)
		}
		cache.Learn("", now, 0) // not an id: nothing to keep
	})
}

func TestLookupsOfOneActorShareARead(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n")
		c.claim(ctx, s, "a")
		slow := &slowReads{Engine: c.faulty.Engine, h: c.h}
		c.faulty.Engine = slow
		cache := c.cache(registry.CacheOptions{})
		done, events := 0, c.h.NewEvent()
		impatient, cancel := c.h.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		for i := range 50 {
			c.h.Go(fmt.Sprint("reader-", i), func(ctx context.Context) {
				if i == 0 {
					// The one that reads for all gives up first.
					_, err := cache.Lookup(impatient, "a")
					wantErr(t, "the impatient reader", err, context.DeadlineExceeded)
				} else if o, err := cache.Lookup(ctx, "a"); err != nil || o.Node != "n" {
					t.Errorf("reader %d: %v, %v", i, o, err)
				}
				if done++; done == 50 {
					events.Set()
				}
			})
		}
		if err := events.Wait(ctx); err != nil {
			t.Error(err)
		}
		if slow.n > 3 { // the impatient one's, the next one's, the watch's
			t.Errorf("%d reads for 50 lookups", slow.n)
		}
	})
}

// slowReads is an engine whose reads take 10 ms.
type slowReads struct {
	store.Engine
	h *sim.Host
	n int
}

func (e *slowReads) Begin(ctx context.Context) store.Txn {
	e.n++
	return slowTxn{e.Engine.Begin(ctx), ctx, e.h}
}

type slowTxn struct {
	store.Txn
	ctx context.Context
	h   *sim.Host
}

func (t slowTxn) Get(key []byte) ([]byte, error) {
	if err := t.h.Sleep(t.ctx, 10*time.Millisecond); err != nil {
		return nil, err
	}
	return t.Txn.Get(key)
}

func TestCacheIsBounded(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		s := c.join(ctx, "n")
		cache := c.cache(registry.CacheOptions{Entries: 64, MaxStale: time.Hour})
		reads := &readCounter{Engine: c.faulty.Engine}
		const n = 2000
		for i := range n {
			c.claim(ctx, s, registry.ActorID(fmt.Sprint(i)))
		}
		for i := range n {
			if _, err := cache.Lookup(ctx, registry.ActorID(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
			if _, err := cache.Lookup(ctx, "0"); err != nil { // the one that is always wanted
				t.Error(err)
			}
		}
		c.faulty.Engine = reads
		hits := 0
		for i := range n {
			before := reads.n
			if _, err := cache.Lookup(ctx, registry.ActorID(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
			if reads.n == before {
				hits++
			}
		}
		if hits == 0 || hits > 64 {
			t.Errorf("%d of %d actors in a cache of 64", hits, n)
		}
	})
}

// remembered returns how many of n actors a cache knows once all have been learned,
// and whether it knows each, with the store out of reach.
func (c *client) remembered(ctx context.Context, cache *registry.Cache, n int, actor func(i int) registry.ActorID) (count int, known []bool) {
	s := c.join(ctx, "n")
	o := registry.Owner{Node: "n", Incarnation: s.Incarnation(), Token: 1, Address: "client"}
	for i := range n {
		cache.Learn(actor(i), o, c.h.Uptime())
	}
	c.faulty.down = true
	ended, cancel := c.h.WithCancel(ctx)
	cancel(context.Canceled)
	for i := range n {
		got, err := cache.Lookup(ended, actor(i))
		known = append(known, err == nil)
		if err == nil {
			count++
			if got != o {
				c.b.t.Errorf("%s: %v, want %v", actor(i), got, o)
			}
		}
	}
	return count, known
}

func TestCacheRemembersAsManyAsItsEntriesAndTheLastToCome(t *testing.T) {
	for _, entries := range []int{1, 65, 1000} {
		newBench(t).run(func(ctx context.Context, c *client) {
			cache := c.cache(registry.CacheOptions{Entries: entries, MaxStale: time.Hour})
			count, known := c.remembered(ctx, cache, entries+10, func(i int) registry.ActorID {
				return registry.ActorID(fmt.Sprint("actor-", i))
			})
			if count != entries || known[9] || !known[10] {
				t.Errorf("%d actors in a cache of %d; the last ten to be evicted: %v", count, entries, known[:11])
			}
		})
	}
	newBench(t).run(func(ctx context.Context, c *client) { // several shards
		const entries = 5001
		cache := c.cache(registry.CacheOptions{Entries: entries, MaxStale: time.Hour})
		count, _ := c.remembered(ctx, cache, 2*entries, func(i int) registry.ActorID {
			return registry.ActorID(fmt.Sprint("actor-", i))
		})
		if count != entries {
			t.Errorf("%d actors in a cache of %d", count, entries)
		}
	})
}

// TestIDsThatDifferInTheMiddleAreNotEvictedEarly: the cache has room for 16 times
// as many.
func TestIDsThatDifferInTheMiddleAreNotEvictedEarly(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		const n = 1 << 12
		cache := c.cache(registry.CacheOptions{Entries: 16 * n, MaxStale: time.Hour})
		count, _ := c.remembered(ctx, cache, n, func(i int) registry.ActorID {
			return registry.ActorID(fmt.Sprintf("tenant-1/room/%06d/player-1", i))
		})
		if count != n {
			t.Errorf("%d of %d actors are remembered, in a cache of %d", count, n, 16*n)
		}
	})
}

func TestCacheOptionsOutOfRangeAreNamed(t *testing.T) {
	newBench(t).run(func(ctx context.Context, c *client) {
		for field, o := range map[string]registry.CacheOptions{
			"MaxStale": {MaxStale: -1},
			"Entries":  {Entries: -1},
		} {
			if _, err := c.NewCache(o); !errors.Is(err, registry.ErrInvalid) || !strings.Contains(err.Error(), field) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		for field, o := range map[string]registry.CacheOptions{
			"MaxStale": {MaxStale: registry.MaxStaleLimit + 1},
			"Entries":  {Entries: registry.MaxCacheEntries + 1},
		} {
			if _, err := c.NewCache(o); !errors.Is(err, registry.ErrInvalid) || !strings.Contains(err.Error(), field) {
				t.Errorf("%+v: %v", o, err)
			}
		}
		cache := c.cache(registry.CacheOptions{})
		_, err := cache.Lookup(ctx, "")
		wantErr(t, "an empty id", err, registry.ErrInvalid)
		cache.Close()
		s := c.join(ctx, "n")
		c.claim(ctx, s, "a")
		if o, err := cache.Lookup(ctx, "a"); err != nil || o.Node != "n" {
			t.Errorf("after Close: %v, %v", o, err)
		}
	})
}
