package registry

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// Follow returns the owners of an actor as they change, the present one at once
// and the zero Owner for as long as nobody owns it: the way to follow a leader.
// What it says was true at an instant before it is said; of changes that come
// faster than they are read, the last is never left out.
//
// It costs a read and two watches for each change, and a read every PollEvery.
// Failures of the store are waited out. The last element is an error: that of ctx
// when it ends, [ErrInvalid], [ErrCorrupt] or the store's when it was closed.
func (r *Registry) Follow(ctx context.Context, actor ActorID) iter.Seq2[Owner, error] {
	return func(yield func(Owner, error) bool) {
		if err := actor.Validate(); err != nil {
			yield(Owner{}, err)
			return
		}
		said := false
		var last Owner
		for {
			now, watches, err := r.lookUpAndWatch(ctx, actor)
			if err == nil && (!said || now != last) {
				said, last = true, now
				if !yield(now, nil) {
					cancelAll(watches)
					return
				}
			}
			if err == nil {
				err = r.waitForAny(ctx, watches)
			} else if err = r.patientAbout(ctx, err); err == nil {
				err = r.host.Sleep(ctx, r.o.PollEvery)
			}
			cancelAll(watches)
			if err != nil {
				yield(Owner{}, fmt.Errorf("registry: follow %q: %w", actor, err))
				return
			}
		}
	}
}

// lookUpAndWatch returns the owner, and watches that fire when that may have
// changed since: on the actor's record, and on the session of its owner.
func (r *Registry) lookUpAndWatch(ctx context.Context, actor ActorID) (owner Owner, watches []store.Watch, err error) {
	_, err = r.db.Transact(ctx, func(tx store.Tx) error {
		cancelAll(watches)
		watches = nil
		watch := func(key []byte) error {
			w, err := tx.Watch(key)
			if err == nil {
				watches = append(watches, w)
			}
			return err
		}
		rec, err := r.readActor(tx, actor)
		if err != nil {
			return err
		}
		if owner, err = r.liveOwner(tx, rec); err != nil {
			return err
		}
		if err := watch(r.keys.actor(actor)); err != nil || rec == nil {
			return err
		}
		return watch(r.keys.state(rec.node))
	})
	return owner, watches, err
}

// waitForAny returns when one of the watches has fired or ended, or PollEvery has
// passed; the error is that of ctx.
func (r *Registry) waitForAny(ctx context.Context, watches []store.Watch) error {
	return r.waitForAnyWithin(ctx, watches, r.o.PollEvery)
}

// waitForAnyWithin is waitForAny that waits for d.
func (r *Registry) waitForAnyWithin(ctx context.Context, watches []store.Watch, d time.Duration) error {
	began := r.host.Monotonic()
	wctx, cancel := r.host.WithTimeout(ctx, d)
	defer cancel()
	for _, w := range watches[min(1, len(watches)):] {
		r.host.Go("watch", func(context.Context) {
			if w.Wait(wctx) == nil {
				cancel()
			}
		})
	}
	if len(watches) == 0 {
		_ = r.host.Sleep(wctx, d) // the store could not be asked
		return ctx.Err()
	}
	if err := watches[0].Wait(wctx); err != nil && wctx.Err() == nil {
		// The store cannot watch just now: wait the time out.
		_ = r.host.Sleep(wctx, began+d-r.host.Monotonic())
	}
	return ctx.Err()
}

func cancelAll(watches []store.Watch) {
	for _, w := range watches {
		w.Cancel()
	}
}
