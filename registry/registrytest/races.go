package registrytest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

var counterKey = []byte("registrytest/counter")

// count adds one to the counter, while the claim holds.
func (w *world) count(n *node, c *registry.Claim) error {
	_, err := n.db.Transact(w.ctx, func(tx store.Tx) error {
		if err := registry.Guard(tx, c); err != nil {
			return err
		}
		v, err := tx.Get(counterKey)
		if err != nil {
			return err
		}
		var last uint64
		if len(v) == 8 {
			last = binary.BigEndian.Uint64(v)
		}
		tx.Set(counterKey, binary.BigEndian.AppendUint64(nil, last+1))
		return nil
	})
	return err
}

// counted returns an error unless the counter shows want.
func (w *world) counted(n *node, want uint64) error {
	var got uint64
	err := n.db.Read(w.ctx, func(tx store.Reader) error {
		v, err := tx.Get(counterKey)
		if len(v) == 8 {
			got = binary.BigEndian.Uint64(v)
		}
		return err
	})
	if err == nil && got != want {
		err = fmt.Errorf("the counter shows %d, want %d", got, want)
	}
	return err
}

func guard(w *world) error {
	a, b, c, err := w.owned()
	if err != nil {
		return err
	}
	if err := w.count(a, c); err != nil {
		return err
	}
	if err := c.Release(w.ctx); err != nil {
		return err
	}
	if err := expect("a guarded write after the release", w.count(a, c), registry.ErrNotOwner); err != nil {
		return err
	}
	next, err := b.Claim(w.ctx, actor)
	if err != nil {
		return err
	}
	if err := expect("a guarded write beside the next owner", w.count(a, c), registry.ErrNotOwner); err != nil {
		return err
	}
	if err := w.count(b, next); err != nil {
		return err
	}
	if err := b.leave(); err != nil {
		return err
	}
	if err := expect("a guarded write after the session", w.count(b, next), registry.ErrSessionLost); err != nil {
		return err
	}
	return w.counted(a, 2)
}

// guardRace releases the claim between the guard and the commit.
func guardRace(w *world) error {
	a, err := w.join("a")
	if err != nil {
		return err
	}
	c, err := a.Claim(w.ctx, actor)
	if err != nil {
		return err
	}
	tx := w.engine.Begin(w.ctx)
	defer tx.Cancel()
	if err := registry.Guard(tx, c); err != nil {
		return err
	}
	tx.Set(counterKey, []byte("late"))
	if err := c.Release(w.ctx); err != nil {
		return err
	}
	return expect("the commit of a guarded write that a release overtook", tx.Commit(), store.ErrConflict)
}

// inside tells how many hold the actor, and keeps their tokens.
type inside struct {
	mu     sync.Mutex
	owners map[registry.NodeID]*registry.Claim // that have not begun to give it up
	last   registry.Token
}

// enter notes a claim that was just made.
func (in *inside) enter(n *node, c *registry.Claim) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if c.Token() <= in.last {
		return fmt.Errorf("token %v of %q after %v", c.Token(), n.Node(), in.last)
	}
	in.last = c.Token()
	if in.owners == nil {
		in.owners = map[registry.NodeID]*registry.Claim{}
	}
	for other, o := range in.owners {
		if c.Valid() && o.Valid() {
			return fmt.Errorf("%q and %q both have a valid claim: tokens %v and %v", other, n.Node(), o.Token(), c.Token())
		}
	}
	in.owners[n.Node()] = c
	return nil
}

func (in *inside) leave(n *node) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.owners, n.Node())
}

// takeTurns has every node wait for the actor, use it and give it up, rounds
// times.
func (w *world) takeTurns(nodes []*node, rounds int) error {
	var in inside
	err := together(nodes, func(_ int, n *node) error {
		for range rounds {
			c, err := n.ClaimWait(w.ctx, actor)
			if err != nil {
				return err
			}
			if err := in.enter(n, c); err != nil {
				return err
			}
			if err := w.count(n, c); err != nil {
				return err
			}
			in.leave(n)
			if err := c.Release(w.ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.counted(nodes[0], uint64(rounds*len(nodes)))
}

// contenders is the number of nodes in a race.
const contenders = 8

func turns(w *world) error {
	nodes, err := w.joinAll(contenders)
	if err != nil {
		return err
	}
	return w.takeTurns(nodes, 3)
}

func herd(w *world) error {
	nodes, err := w.joinAll(contenders)
	if err != nil {
		return err
	}
	dead, err := w.join("dead")
	if err != nil {
		return err
	}
	c, err := dead.Claim(w.ctx, actor)
	if err != nil {
		return err
	}
	if err := dead.kill(); err != nil {
		return err
	}
	if err := w.takeTurns(nodes, 1); err != nil {
		return err
	}
	if c.Valid() {
		return errors.New("the dead node's claim is valid")
	}
	return nil
}

// manyActors claims many actors of one node at the same time: the claims do not
// stand in each other's way, and all count.
func manyActors(w *world) error {
	const n = 200
	a, err := w.join("a")
	if err != nil {
		return err
	}
	claims := make([]*registry.Claim, n)
	same := make([]*node, n)
	for i := range same {
		same[i] = a
	}
	if err := together(same, func(i int, a *node) (err error) {
		claims[i], err = a.Claim(w.ctx, registry.ActorID(fmt.Sprintf("actor-%d", i)))
		return err
	}); err != nil {
		return err
	}
	if got := len(a.Claims()); got != n {
		return fmt.Errorf("the session has %d claims, want %d", got, n)
	}
	return together(same[:n/2], func(i int, _ *node) error { return claims[i].Release(w.ctx) })
}
