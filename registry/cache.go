package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// Limits and defaults of [CacheOptions].
const (
	MaxStaleLimit       = 24 * time.Hour // upper limit of CacheOptions.MaxStale
	MaxCacheEntries     = 1 << 28        // upper limit of CacheOptions.Entries
	DefaultCacheEntries = 1 << 20
	defaultStaleShare   = 3 // of the TTL
)

// CacheOptions of a [Cache]. The zero value means the defaults.
type CacheOptions struct {
	// MaxStale bounds the age of an answer: what [Cache.Lookup] says was true at
	// an instant at most so long ago. Above 0 and at most [MaxStaleLimit].
	// Default: TTL/3. It is measured by [clock.Clock].Uptime, which may leave out
	// the time during which the machine was suspended.
	MaxStale time.Duration
	// Entries bounds how many actors are remembered; 1 to [MaxCacheEntries].
	// Those that came first go first; from 2,048 on the cache is in parts, each with
	// its share of the entries and an order of its own. An entry takes 110 to 230
	// bytes, and an id of more than 24 bytes its own besides. Default:
	// [DefaultCacheEntries].
	Entries int
}

func (o CacheOptions) withDefaults(ttl time.Duration) (CacheOptions, error) {
	if o.MaxStale == 0 {
		o.MaxStale = ttl / defaultStaleShare
	}
	if o.Entries == 0 {
		o.Entries = DefaultCacheEntries
	}
	if o.MaxStale < 0 || o.MaxStale > MaxStaleLimit {
		return o, invalid("CacheOptions.MaxStale is %v, must be above 0 and at most %v", o.MaxStale, MaxStaleLimit)
	}
	if o.Entries < 1 || o.Entries > MaxCacheEntries {
		return o, invalid("CacheOptions.Entries is %d, must be from 1 to %d", o.Entries, MaxCacheEntries)
	}
	return o, nil
}

// Cache answers lookups from memory, within a stated bound on their age. An answer
// is a guess at who owns the actor now: the one that is asked checks its own claim
// and says who owns it if the guess was wrong; see [Cache.Learn].
//
// An entry is an actor and the incarnation that owned it. The session of each
// owner is watched, once for all its actors, so that the end of a session makes
// all its entries worthless at once. Several lookups of one actor at a time share
// one read. A Cache is safe for use from several tasks.
type Cache struct {
	r *Registry
	o CacheOptions

	shards    [maxCacheShards]cacheShard
	shardMask uint64          // number of shards in use, less one
	ctx       context.Context // ends at Close
	cancel    context.CancelCauseFunc
	mu        sync.Mutex
	sessions  map[sessionID]*cachedSession // those that are watched
}

// NewCache returns an empty cache. The error wraps [ErrInvalid].
func (r *Registry) NewCache(o CacheOptions) (*Cache, error) {
	o, err := o.withDefaults(r.o.TTL)
	if err != nil {
		return nil, err
	}
	c := &Cache{r: r, o: o, sessions: make(map[sessionID]*cachedSession)}
	c.ctx, c.cancel = r.host.WithCancel(r.host.Context())
	c.initShards()
	return c, nil
}

// Options returns the options in force, defaults filled in.
func (c *Cache) Options() CacheOptions { return c.o }

// Close ends the watches. Nothing more is remembered from then on.
func (c *Cache) Close() { c.cancel(errCacheClosed) }

var errCacheClosed = errors.New("registry: cache closed")

// Lookup returns the owner that an actor had at one instant, not before MaxStale
// ago. It costs no I/O when that is known. The errors are those of
// [Registry.Lookup]; that an actor is unowned is never taken from memory.
func (c *Cache) Lookup(ctx context.Context, actor ActorID) (Owner, error) {
	w := wordsOf(actor)
	hash := w.hash(len(actor))
	if e, ok := c.shard(hash).get(actor, w, hash); ok && c.fresh(&e) {
		return e.owner(), nil
	}
	return c.fetch(ctx, cacheKey{actor, w, hash})
}

func (c *Cache) fresh(e *cacheEntry) bool {
	return !e.session.ended.Load() && c.r.host.Uptime()-e.began <= c.o.MaxStale
}

// fetch reads the owner, or waits for another task that does.
func (c *Cache) fetch(ctx context.Context, k cacheKey) (Owner, error) {
	s, actor := c.shard(k.hash), k.id
	for {
		f, mine := s.begin(actor, c.r.host)
		if !mine {
			if err := f.done.Wait(ctx); err != nil {
				return Owner{}, fmt.Errorf("registry: look up %q: %w", actor, err)
			}
			// The other task's context is not this one's, and its read may have
			// taken too long.
			if f.err == nil && c.fresh(&f.entry) {
				return f.entry.owner(), nil
			}
			if errors.Is(f.err, ErrUnowned) && c.r.host.Uptime()-f.began <= c.o.MaxStale {
				return Owner{}, f.err
			}
			continue
		}
		owner, err := c.r.Lookup(ctx, actor)
		switch {
		case err == nil:
			f.entry = c.entry(owner, f.began)
		case errors.Is(err, ErrUnowned):
			s.drop(k, 0)
		}
		f.err = err
		s.end(k, f, c.ctx.Err() == nil)
		return owner, err
	}
}

// Learn remembers an owner that the caller has heard of, from the callee of a
// wrong guess for instance (see [NotOwnerError]), unless the cache knows of a
// higher token. The answer must have been true between the call of since, which
// is [clock.Clock].Uptime, and now. A zero Owner is Forget.
func (c *Cache) Learn(actor ActorID, owner Owner, since time.Duration) {
	if owner == (Owner{}) || actor.Validate() != nil || c.ctx.Err() != nil {
		c.Forget(actor, owner.Token)
		return
	}
	k := keyOf(actor)
	c.shard(k.hash).put(k, c.entry(owner, min(since, c.r.host.Uptime())))
}

// Forget drops what is remembered of an actor, unless its token is higher than
// token: a call with that token was refused. Zero drops it whatever its token.
func (c *Cache) Forget(actor ActorID, token Token) {
	k := keyOf(actor)
	c.shard(k.hash).drop(k, token)
}

// entry makes an entry of what was read after began.
func (c *Cache) entry(o Owner, began time.Duration) cacheEntry {
	return cacheEntry{session: c.session(sessionID{o.Node, o.Incarnation}, o.Address), token: o.Token, began: began}
}

// session returns the session of entries, and has it watched.
func (c *Cache) session(id sessionID, address string) *cachedSession {
	c.mu.Lock()
	s, ok := c.sessions[id]
	if !ok {
		s = &cachedSession{id: id, address: address}
		c.sessions[id] = s
	}
	c.mu.Unlock()
	if !ok {
		c.r.host.Go("cache/"+string(id.node), func(context.Context) { c.watch(s) })
	}
	return s
}

// watch returns when the session has ended, or the cache.
func (c *Cache) watch(s *cachedSession) {
	defer func() {
		c.mu.Lock()
		delete(c.sessions, s.id)
		c.mu.Unlock()
		s.ended.Store(true)
	}()
	for {
		lives, w, err := c.r.watchSession(c.ctx, s.id)
		switch {
		case errors.Is(err, ErrCorrupt), errors.Is(err, store.ErrClosed), c.ctx.Err() != nil:
			return
		case err == nil && !lives:
			w.Cancel()
			return
		case err == nil:
			// A watch that never fires costs nothing but freshness within MaxStale.
			err = w.Wait(c.ctx)
			w.Cancel()
		}
		if err != nil && c.r.host.Sleep(c.ctx, c.r.o.PollEvery) != nil {
			return
		}
	}
}

// watchSession reports whether a session is live, with a watch of its record.
func (r *Registry) watchSession(ctx context.Context, id sessionID) (lives bool, w store.Watch, err error) {
	_, err = r.db.Transact(ctx, func(tx store.Tx) (err error) {
		if w != nil {
			w.Cancel()
		}
		s, err := r.readSession(tx, id.node)
		if err != nil {
			return err
		}
		lives = s.lives(id.incarnation)
		w, err = tx.Watch(r.keys.state(id.node))
		return err
	})
	return lives, w, err
}

// fetching is a read under way, which several tasks may wait for.
type fetching struct {
	done  clock.Event
	began time.Duration // uptime before the read
	entry cacheEntry    // when err is nil
	err   error
}
