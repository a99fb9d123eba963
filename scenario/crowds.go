package scenario

import (
	"context"
	"time"
)

// A crowd is one operation of each actor, called at once by tasks of one node, as by
// its many callers. What they ask of the store at one instant is small, and travels
// together.

// crowdEvery is the true time between two crowds of a node. Those of all nodes come at
// its multiples.
const crowdEvery = 4 * time.Second

// crowds has the session claim all actors, or give up what it has of them, until the
// workload stops.
func (l *life) crowds(ctx context.Context) {
	r := l.n.r
	for {
		for next := l.now() - l.now()%crowdEvery + crowdEvery; l.now() < next; {
			l.sleep(ctx, next-l.now())
		}
		if r.quiet() {
			return
		}
		if l.session == nil || l.session.Context().Err() != nil {
			continue
		}
		if r.world.Draw("crowd", l.n.key, uint64(l.now()/crowdEvery))%3 == 0 {
			l.crowd(func(actor int) { l.release(ctx, Step{Do: Release, Actor: actor}) })
		} else {
			l.crowd(func(actor int) { l.claimOne(ctx, Step{Do: Claim, Actor: actor}) })
		}
	}
}

// crowd does the same for every actor, and returns when all is done.
func (l *life) crowd(do func(actor int)) {
	left, done := len(l.held), l.h.NewEvent()
	for actor := range l.held {
		l.h.Go("crowd", func(context.Context) {
			do(actor)
			if left--; left == 0 {
				done.Set()
			}
		})
	}
	if err := done.Wait(l.h.Context()); err != nil {
		l.n.r.world.Fail("harness", err)
	}
}
