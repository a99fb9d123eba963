package scenario

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// The registry looks again by itself after Options.PollEvery, so no promise of its own
// shows that a watch is lost. So each node changes a key of its own now and then, and
// watches that of the next node, in one transaction; and a watch whose key has changed
// must end, fired or with an error, once the world is without faults.

// keyChange is the true time between two changes of a node's key.
const keyChange = 1500 * time.Millisecond

// keyWatch is a watch of a node's key.
type keyWatch struct {
	by    *sim.Host
	of    int           // the node
	since time.Duration // when the transaction that set it had ended
	ended bool
}

// keyWatches are all watches of a run, and the changes of the nodes' keys.
type keyWatches struct {
	all     []*keyWatch
	changes []keyChanged // by node, the last before the end of the faults
}

// keyChanged is when the transaction of a change began and ended.
type keyChanged struct{ began, ended time.Duration }

// watchNext changes the node's key, and watches that of the next node unless it does so
// already, until the workload stops.
func (l *life) watchNext(ctx context.Context) {
	r := l.n.r
	me := slices.Index(r.nodes, l.n)
	of := (me + 1) % len(r.nodes)
	key := func(node int) []byte { return []byte("watched/" + nodeName(node)) }
	last := &keyWatch{ended: true}
	for {
		l.sleep(ctx, keyChange)
		if ctx.Err() != nil || r.quiet() {
			return
		}
		tctx, cancel := l.timeout(ctx, opTimeout)
		began := l.now()
		var w store.Watch
		_, err := l.db.Transact(tctx, func(tx store.Tx) (err error) {
			if w != nil {
				w.Cancel()
				w = nil
			}
			tx.Set(key(me), binary.BigEndian.AppendUint64(nil, uint64(began)))
			if last.ended {
				w, err = tx.Watch(key(of))
			}
			return err
		})
		cancel()
		if err == nil && !r.quiet() {
			r.watches.changes[me] = keyChanged{began, l.now()}
		}
		switch {
		case w == nil:
		case err != nil:
			w.Cancel()
		default:
			last = &keyWatch{by: l.h, of: of, since: l.now()}
			r.watches.all = append(r.watches.all, last)
			l.h.Go("watch next", func(ctx context.Context) { l.await(ctx, last, w) })
		}
	}
}

// await waits for a watch to end.
func (l *life) await(ctx context.Context, k *keyWatch, w store.Watch) {
	switch err := w.Wait(ctx); {
	case ctx.Err() != nil:
		return
	case err == nil:
		l.n.r.happened(evWatchFired)
	default:
		l.n.r.happened(evWatchEnded)
	}
	k.ended = true
}

// checkWatches checks, when all faults have been over for a while, that no watch of a
// process that lives still waits for a change that has come.
func (r *run) checkWatches() {
	for _, k := range r.watches.all {
		c := r.watches.changes[k.of]
		if k.ended || k.by.Process().Host() != k.by || c.began <= k.since {
			continue
		}
		r.world.Fail("watch-lost", fmt.Errorf("%s has a watch of the key of %s, set at %v, that has not ended at %v, although the key was changed at %v",
			k.by.Name(), nodeName(k.of), k.since, r.world.Now(), c.ended))
		return
	}
}
