package soak

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// node is one node id, over all its lives.
type node struct {
	r      *run
	index  int
	id     registry.NodeID
	engine store.Engine
	rand   *rand.Rand
}

func newNode(r *run, index int, e store.Engine) *node {
	return &node{
		r: r, index: index, id: registry.NodeID(fmt.Sprintf("node-%d", index+1)),
		engine: e, rand: r.rand("node", index),
	}
}

// live runs one life after another until ctx ends, and returns the one that then
// lives; nil when the harness failed. A life ends as a process does that is killed:
// its tasks stop, nothing is given back.
func (n *node) live(ctx context.Context) *life {
	for number := 1; ; number++ {
		l, err := n.newLife(number)
		if err != nil {
			n.r.broken(err)
			return nil
		}
		l.start()
		// From a few to a few dozen TTLs.
		span := 4*n.r.o.TTL + n.r.spell(n.rand, 40)
		if n.r.clock.Sleep(ctx, span) != nil {
			return l
		}
		n.r.count(CountKilled, 1)
		l.kill()
	}
}

// life is a node from one start to its end, with a host and a registry of its
// own.
type life struct {
	n      *node
	r      *run
	number int
	host   *host.System
	db     *store.DB
	reg    *registry.Registry
	quiet  atomic.Bool // workers are to stop
	work   sync.WaitGroup

	mu      sync.Mutex
	session *registry.Session
	joined  bool // there was a session before
	held    map[registry.ActorID]*registry.Claim
	got     map[registry.Token]bool                // of which there has been a handle
	begun   map[uint64]int                         // event id -> operation in the history
	ends    map[registry.Token]store.Version       // versions of releases, by token
	left    map[registry.Incarnation]store.Version // versions of leaves
}

func (n *node) newLife(number int) (*life, error) {
	l := &life{
		n: n, r: n.r, number: number,
		held:  make(map[registry.ActorID]*registry.Claim),
		got:   make(map[registry.Token]bool),
		begun: make(map[uint64]int),
		ends:  make(map[registry.Token]store.Version),
		left:  make(map[registry.Incarnation]store.Version),
	}
	var err error
	l.host, err = host.NewSystem(host.SystemOptions{Name: string(n.id), Clock: n.r.clock, Seed: n.rand.Uint64() | 1})
	if err != nil {
		return nil, fmt.Errorf("soak: host of %s: %w", n.id, err)
	}
	l.db, err = store.Open(n.engine, l.host, l.host.Rand(), store.Options{AttemptTimeout: n.r.o.TTL})
	if err != nil {
		return nil, fmt.Errorf("soak: store of %s: %w", n.id, err)
	}
	l.reg, err = registry.Open(l.host, l.db, registry.Options{TTL: n.r.o.TTL, Events: l.event})
	if err != nil {
		return nil, fmt.Errorf("soak: registry of %s: %w", n.id, err)
	}
	return l, nil
}

// start starts the workers. The first one joins, and joins again.
func (l *life) start() {
	for i := range Workers {
		l.work.Add(1)
		seed := l.n.rand.Uint64()
		l.host.Go(fmt.Sprintf("worker-%d", i), func(ctx context.Context) {
			defer l.work.Done()
			w := worker{l: l, number: i, rand: rand.New(rand.NewPCG(seed, uint64(i)))}
			w.run(ctx)
		})
	}
	seed := l.n.rand.Uint64()
	l.host.Go("sentry", func(ctx context.Context) {
		l.sentry(ctx, worker{l: l, number: Workers, rand: rand.New(rand.NewPCG(seed, Workers))})
	})
}

// sentryShare is the part of a TTL between two looks of a sentry.
const sentryShare = 100

// sentry asks all handles as soon as it finds that the process has stood still for a
// TTL. Its own pause was over before the lease was: so it is there before any timer of
// the registry, and a handle that waits for one is found out.
func (l *life) sentry(ctx context.Context, w worker) {
	for {
		before := l.r.now()
		if l.r.clock.Sleep(ctx, l.r.o.TTL/sentryShare) != nil {
			return
		}
		if l.r.now()-before < l.r.o.TTL {
			continue
		}
		for _, a := range l.handles() {
			w.use(a)
		}
	}
}

// rest stops the workers. The session goes on, with what it holds.
func (l *life) rest() {
	l.quiet.Store(true)
	l.work.Wait()
}

// retire stops the workers, gives one actor back, the others away, and leaves.
func (l *life) retire() {
	l.rest()
	w := worker{l: l, rand: rand.New(rand.NewPCG(l.n.rand.Uint64(), 0))}
	ctx := l.host.Context()
	for _, a := range l.r.actors {
		if w.release(ctx, a) {
			break
		}
	}
	if s := l.current(); s != nil {
		w.drain(ctx, s)
	}
	w.leave(ctx)
}

// killPatience is how long a life's tasks may take to notice that it is over.
const killPatience = 30 * time.Second

// kill ends the life without a word to the store.
func (l *life) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	if err := l.host.Close(ctx); err != nil {
		l.r.broken(fmt.Errorf("soak: life %d of %s does not end: %w", l.number, l.n.id, err))
	}
}

// current returns the session, nil when there is none or it is over.
func (l *life) current() *registry.Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil || l.session.Context().Err() != nil {
		return nil
	}
	return l.session
}

// handle returns the handle that the node has of an actor, or nil.
func (l *life) handle(a registry.ActorID) *registry.Claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.held[a]
}

// handles returns the actors of which the node has a handle, valid or not, in
// order.
func (l *life) handles() []registry.ActorID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Sorted(maps.Keys(l.held))
}

// take notes a handle.
func (l *life) take(c *registry.Claim) {
	l.mu.Lock()
	known := l.held[c.Actor()] == c
	l.held[c.Actor()] = c
	l.got[c.Token()] = true
	l.mu.Unlock()
	if known {
		return
	}
	l.r.book.Take(Note{At: l.r.now(), Kind: NoteOpened, Actor: c.Actor(), Token: c.Token(), Payload: string(c.Payload())})
}

// has reports whether the life has had a handle of the same ownership.
func (l *life) has(c *registry.Claim) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got[c.Token()]
}

// drop forgets a handle that has been found not to hold.
func (l *life) drop(c *registry.Claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[c.Actor()] == c {
		delete(l.held, c.Actor())
	}
}
