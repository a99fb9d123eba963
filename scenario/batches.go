package scenario

import (
	"context"
	"fmt"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
	"github.com/kelpie-registry/kelpie/registry"
)

// A batch stands in the history as the single operations that it is made of, all
// called and returned at the same moments.

// claimAll claims every actor in one call.
func (l *life) claimAll(ctx context.Context) {
	r, s := l.n.r, l.session
	ids := make([]int, len(r.actors))
	for i, a := range r.actors {
		ids[i] = l.begin(recording.Of(linearizability.KindClaim, s, a))
	}
	claims, errs, err := s.ClaimAll(ctx, r.actors...)
	if err != nil {
		r.world.Fail("harness", fmt.Errorf("claim all: %w", err))
		return
	}
	won := 0
	for i := range r.actors {
		if l.claimed(ctx, i, ids[i], claims[i], errs[i]); errs[i] == nil {
			won++
		}
	}
	if won > 0 && won < len(r.actors) {
		r.happened(evBatchSplit)
	}
}

// releaseAll gives up what the session holds and what was not released for sure, in
// one call. What is not released now is left to the session's end.
func (l *life) releaseAll(ctx context.Context) {
	r := l.n.r
	ctx, cancel := l.timeout(ctx, opTimeout)
	defer cancel()
	var claims []*registry.Claim
	var actors, ids []int
	for actor, c := range l.held {
		if c == nil || c.Session() != l.session || l.undone[actor] != nil {
			continue
		}
		claims, actors = append(claims, c), append(actors, actor)
		ids = append(ids, l.begin(recording.With(linearizability.KindRelease, c)))
		l.held[actor] = nil
	}
	if len(claims) == 0 {
		return
	}
	errs, err := l.session.ReleaseAll(ctx, claims...)
	if err != nil {
		r.world.Fail("harness", fmt.Errorf("release all: %w", err))
		return
	}
	for i, c := range claims {
		if l.end(ids[i], l.released(taken(&l.ends[actors[i]]), errs[i], false)); errs[i] == nil {
			r.happened(evReleased)
			r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
		}
	}
}
