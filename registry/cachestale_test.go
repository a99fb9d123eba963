package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
)

// span is when an ownership may have been so: from the call of the claim to the
// return of what ended it.
type span struct{ from, to time.Duration }

// truth is what happened in a world, on true time.
type truth struct {
	world *sim.World
	spans map[registry.Token]*span
	of    map[registry.NodeID][]registry.Token // that have not ended
}

const forever = time.Duration(1<<63 - 1)

func (w *truth) claimed(n registry.NodeID, t registry.Token, from time.Duration) {
	if w.spans[t] == nil {
		w.spans[t] = &span{from, forever}
		w.of[n] = append(w.of[n], t)
	}
}

func (w *truth) ended(n registry.NodeID) {
	for _, t := range w.of[n] {
		w.spans[t].to = min(w.spans[t].to, w.world.Now())
	}
	w.of[n] = nil
}

// TestCachedAnswersAreNoOlderThanTheBound runs nodes that claim, release, leave
// and die, and a client that looks up through a cache. Every answer must have been
// true at an instant at most MaxStale ago; some must have been wrong when given,
// or else the test would show nothing.
func TestCachedAnswersAreNoOlderThanTheBound(t *testing.T) {
	const maxStale = 700 * time.Millisecond
	wrong, answers := 0, 0
	for seed := range uint64(30) {
		b := newBench(t)
		r := b.world.Rand(fmt.Sprint("test", seed))
		w := &truth{world: b.world, spans: make(map[registry.Token]*span), of: make(map[registry.NodeID][]registry.Token)}
		actor := func() registry.ActorID { return registry.ActorID(fmt.Sprint("actor-", r.IntN(3))) }
		for i := range 3 {
			id := registry.NodeID(fmt.Sprint("n", i))
			p := b.process(string(id), registry.Options{}, func(ctx context.Context, c *client) {
				c.watchEvents = func(e registry.Event) {
					if e.Kind == registry.EventRevokeEnd && e.Err == nil {
						w.ended(e.Node)
					}
				}
				for ctx.Err() == nil {
					s, err := c.Join(ctx, id, registry.JoinOptions{Wait: true})
					if err != nil {
						return
					}
					w.ended(id)
					for s.Health() != registry.Lost && r.IntN(20) > 0 {
						from := b.world.Now()
						short, cancel := c.h.WithTimeout(ctx, time.Second)
						cl, err := s.ClaimWait(short, actor())
						cancel()
						if err == nil {
							w.claimed(id, cl.Token(), from)
							c.sleep(ctx, time.Duration(r.IntN(1500))*time.Millisecond)
							if cl.Release(ctx) == nil {
								w.spans[cl.Token()].to = b.world.Now()
							}
						}
					}
					if err := s.Leave(ctx); err == nil {
						w.ended(id)
					}
				}
			})
			for at := 10 * time.Second; at < 50*time.Second; at += 10 * time.Second {
				b.world.After(at+time.Duration(r.IntN(9000))*time.Millisecond, "crash", func() { p.Crash(); p.Restart() })
			}
		}
		b.process("client", registry.Options{}, func(ctx context.Context, c *client) {
			cache := c.cache(registry.CacheOptions{MaxStale: maxStale, Entries: 64})
			for ctx.Err() == nil {
				if r.IntN(50) == 0 {
					c.faulty.down = !c.faulty.down
				}
				short, cancel := c.h.WithTimeout(ctx, 200*time.Millisecond)
				o, err := cache.Lookup(short, actor())
				cancel()
				if err == nil {
					answers++
					now, s := b.world.Now(), w.spans[o.Token]
					switch {
					case s == nil || s.from > now || s.to < now-maxStale-time.Millisecond:
						t.Fatalf("seed %d at %v: %v, owned %v", seed, now, o, s)
					case s.to < now:
						wrong++
					}
				}
				_ = c.h.Sleep(ctx, time.Duration(r.IntN(100))*time.Millisecond)
			}
		})
		b.until(60 * time.Second)
	}
	if wrong == 0 || answers < 1000 {
		t.Errorf("%d answers, %d of them wrong: nothing was tried", answers, wrong)
	}
}
