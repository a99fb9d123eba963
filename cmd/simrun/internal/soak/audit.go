package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// Rules of a soak's end.
const (
	RuleNotClaimable   = "not-claimable"
	RuleStoreDisagrees = "store-disagrees"
)

// Violation is what the audit found, beside the history.
type Violation struct {
	Rule    string `json:"rule"`
	Message string `json:"message"`
}

// claimBound is how long a dead session may keep an actor from a node that
// wants it, with nothing stalled: the silence, and much for a machine that is
// busy with other things.
func (r *run) claimBound() time.Duration { return 5*r.o.TTL + 15*time.Second }

// audit demands convergence. With nobody else left, a new node must be able to
// claim every actor, and what stands in the store must agree.
func (r *run) audit(ctx context.Context, engine store.Engine) (took time.Duration, v *Violation) {
	n := &node{r: r, id: "auditor", engine: engine, rand: r.rand("auditor", 0)}
	l, err := n.newLife(1)
	if err != nil {
		r.broken(err)
		return 0, nil
	}
	defer l.kill()
	began := r.now()
	w := worker{l: l, rand: rand.New(rand.NewPCG(r.o.Seed, 1))}
	for _, a := range r.actors {
		if err := w.auditActor(ctx, a); err != nil {
			return r.now() - began, stopped(ctx, RuleNotClaimable,
				fmt.Sprintf("actor %q was not claimed within %v of the end of all stalls: %v", a, r.claimBound(), err))
		}
	}
	took = r.now() - began
	for _, a := range r.actors {
		w.release(ctx, a)
	}
	w.leave(ctx)
	if err := l.reg.Check(ctx); err != nil {
		return took, stopped(ctx, RuleStoreDisagrees, err.Error())
	}
	return took, nil
}

// stopped returns a violation, unless it is an interrupt that made the audit
// end.
func stopped(ctx context.Context, rule, message string) *Violation {
	if ctx.Err() != nil {
		return nil
	}
	return &Violation{Rule: rule, Message: message}
}

// auditActor claims one actor within the bound. On a machine that is busy with
// other things the auditor may lose its own lease: it joins again.
func (w *worker) auditActor(ctx context.Context, a registry.ActorID) error {
	d := deadline{at: w.l.r.now() + w.l.r.claimBound()}
	err := errNotJoined
	for {
		began := w.l.r.now()
		if s := w.l.current(); s != nil {
			err = w.claimWith(ctx, s, a, s.ClaimWait)
		} else {
			w.join(ctx)
		}
		if err == nil || ctx.Err() != nil || d.passed(began, w.l.r.now(), err) {
			return err
		}
	}
}

var errNotJoined = errors.New("the auditor could not join")

// maxOutage bounds how long a store that does not answer may put off a deadline.
const maxOutage = 5 * time.Minute

// deadline is a time by which an actor must have been claimed. A real store may
// be down meanwhile: that is nobody's hold on the actor, and is not counted.
type deadline struct {
	at     time.Duration
	outage time.Duration // not counted so far
}

// passed reports whether the time is up after an attempt that failed with err.
func (d *deadline) passed(began, now time.Duration, err error) bool {
	if lost := now - began; !errors.Is(err, registry.ErrHeld) && d.outage+lost <= maxOutage {
		d.outage += lost
		d.at += lost
	}
	return now > d.at
}
