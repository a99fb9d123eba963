package registrytest

import (
	"errors"
	"fmt"

	"github.com/kelpie-registry/kelpie/registry"
)

// suite are the cases.
var suite = []check{
	{"join and leave", joinAndLeave},
	{"claim, held and lookup", claimHeldLookup},
	{"release", release},
	{"wait for a release", waitForRelease},
	{"leave frees every actor", leaveFrees},
	{"expiry of a node that died", expiry},
	{"a dead node's id comes back", rejoin},
	{"a node that is cut off knows", cutOff},
	{"guard", guard},
	{"guard against a release meanwhile", guardRace},
	{"contenders take turns", turns},
	{"contenders for a dead node's actor take turns", herd},
	{"many actors of one node", manyActors},
}

const actor registry.ActorID = "actor"

// expect returns an error unless err is want.
func expect(doing string, err, want error) error {
	switch {
	case errors.Is(err, want):
		return nil
	case err == nil:
		return fmt.Errorf("%s succeeded, want %w", doing, want)
	}
	return fmt.Errorf("%s: %w; want %w", doing, err, want)
}

// holds returns an error unless the claim is valid and the store says so too.
func (w *world) holds(c *registry.Claim, n *node) error {
	if !c.Valid() {
		return fmt.Errorf("the claim of %q by %q is not valid", c.Actor(), n.Node())
	}
	o, err := n.reg.Lookup(w.ctx, c.Actor())
	if err != nil {
		return err
	}
	want := registry.Owner{Node: n.Node(), Incarnation: n.Incarnation(), Token: c.Token(), Address: string(n.Node()) + ":1"}
	if o != want {
		return fmt.Errorf("the owner of %q is %v, want %v", c.Actor(), o, want)
	}
	return nil
}

func joinAndLeave(w *world) error {
	a, err := w.join("a")
	if err != nil {
		return err
	}
	_, err = w.join("a")
	if err := expect("join as a node that is there", err, registry.ErrNodeInUse); err != nil {
		return err
	}
	var use *registry.InUseError
	if !errors.As(err, &use) || use.Node != "a" || use.Incarnation != a.Incarnation() {
		return fmt.Errorf("join as a node that is there: %w, want that %v has it", err, a.Incarnation())
	}
	if err := a.leave(); err != nil {
		return err
	}
	if a.Valid() || a.Context().Err() == nil {
		return errors.New("a session that was left is valid")
	}
	_, err = a.Claim(w.ctx, actor)
	if err := expect("claim after leave", err, registry.ErrSessionLost); err != nil {
		return err
	}
	again, err := w.join("a")
	if err != nil {
		return err
	}
	if again.Incarnation() <= a.Incarnation() {
		return fmt.Errorf("incarnation %v after %v", again.Incarnation(), a.Incarnation())
	}
	return nil
}

func claimHeldLookup(w *world) error {
	nodes, err := w.joinAll(2)
	if err != nil {
		return err
	}
	a, b := nodes[0], nodes[1]
	_, err = b.reg.Lookup(w.ctx, actor)
	if err := expect("lookup of a free actor", err, registry.ErrUnowned); err != nil {
		return err
	}
	c, err := a.Claim(w.ctx, actor)
	if err != nil {
		return err
	}
	if err := w.holds(c, a); err != nil {
		return err
	}
	again, err := a.Claim(w.ctx, actor)
	if err != nil {
		return err
	}
	if again != c {
		return fmt.Errorf("claimed again: token %v, want the handle of token %v", again.Token(), c.Token())
	}
	_, err = b.Claim(w.ctx, actor)
	if err := expect("claim of a held actor", err, registry.ErrHeld); err != nil {
		return err
	}
	var held *registry.HeldError
	if !errors.As(err, &held) || held.Owner.Node != a.Node() || held.Owner.Token != c.Token() {
		return fmt.Errorf("claim of a held actor: %w, want that %q holds it", err, a.Node())
	}
	return w.holds(c, a)
}

func release(w *world) error {
	a, b, first, err := w.owned()
	if err != nil {
		return err
	}
	if err := first.Release(w.ctx); err != nil {
		return err
	}
	if first.Valid() {
		return errors.New("a released claim is valid")
	}
	_, err = a.reg.Lookup(w.ctx, actor)
	if err := expect("lookup after the release", err, registry.ErrUnowned); err != nil {
		return err
	}
	second, err := b.Claim(w.ctx, actor)
	if err != nil {
		return err
	}
	if second.Token() <= first.Token() {
		return fmt.Errorf("token %v after %v", second.Token(), first.Token())
	}
	if err := expect("a second release", first.Release(w.ctx), registry.ErrNotOwner); err != nil {
		return err
	}
	return w.holds(second, b)
}

func waitForRelease(w *world) error {
	nodes, err := w.joinAll(2)
	if err != nil {
		return err
	}
	c, err := nodes[0].Claim(w.ctx, actor)
	if err != nil {
		return err
	}
	return together(nodes, func(i int, n *node) error {
		if i == 0 {
			return c.Release(w.ctx)
		}
		next, err := n.ClaimWait(w.ctx, actor)
		if err != nil {
			return err
		}
		if next.Token() <= c.Token() || c.Valid() {
			return fmt.Errorf("token %v after %v, which is valid: %v", next.Token(), c.Token(), c.Valid())
		}
		return w.holds(next, n)
	})
}

func leaveFrees(w *world) error {
	a, b, c, err := w.owned()
	if err != nil {
		return err
	}
	if err := a.leave(); err != nil {
		return err
	}
	if c.Valid() {
		return errors.New("a claim is valid after its node left")
	}
	next, err := b.Claim(w.ctx, actor)
	if err != nil {
		return err
	}
	if next.Token() <= c.Token() {
		return fmt.Errorf("token %v after %v", next.Token(), c.Token())
	}
	return w.holds(next, b)
}

func expiry(w *world) error {
	a, b, c, err := w.owned()
	if err != nil {
		return err
	}
	if err := a.kill(); err != nil {
		return err
	}
	_, err = b.Claim(w.ctx, actor)
	if err := expect("claim before the lease has run out", err, registry.ErrHeld); err != nil {
		return err
	}
	next, err := b.ClaimWait(w.ctx, actor)
	if err != nil {
		return err
	}
	if c.Valid() || next.Token() <= c.Token() {
		return fmt.Errorf("token %v after %v, which is valid: %v", next.Token(), c.Token(), c.Valid())
	}
	return w.holds(next, b)
}

func rejoin(w *world) error {
	a, err := w.join("a")
	if err != nil {
		return err
	}
	if err := a.kill(); err != nil {
		return err
	}
	again, err := w.process("a", w.ttl)
	if err != nil {
		return err
	}
	s, err := again.reg.Join(w.ctx, "a", registry.JoinOptions{Wait: true})
	if err != nil {
		return err
	}
	if s.Incarnation() <= a.Incarnation() || a.Valid() {
		return fmt.Errorf("incarnation %v after %v, which is valid: %v", s.Incarnation(), a.Incarnation(), a.Valid())
	}
	return nil
}

// cutOff keeps a node from the store until another has its actor. At no time
// may both believe that they have it.
func cutOff(w *world) error {
	a, b, c, err := w.owned()
	if err != nil {
		return err
	}
	a.cutOff(true)
	next, err := b.ClaimWait(w.ctx, actor)
	if err != nil {
		return err
	}
	if c.Valid() {
		return errors.New("a claim is valid beside its successor")
	}
	<-c.Context().Done() // the node is told
	a.cutOff(false)
	if a.Health() != registry.Lost {
		return fmt.Errorf("the node that was cut off is %v, want %v", a.Health(), registry.Lost)
	}
	_, err = a.Claim(w.ctx, "other")
	if err := expect("claim with a lost session", err, registry.ErrSessionLost); err != nil {
		return err
	}
	if err := expect("release with a lost session", c.Release(w.ctx), registry.ErrSessionLost); err != nil {
		return err
	}
	return w.holds(next, b)
}
