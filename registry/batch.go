package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kelpie-registry/kelpie/store"
)

// batchActors bounds the actors of one transaction of a batch: it stays far inside
// every store's limits, and one actor that others want too costs no more than that
// many a retry.
const batchActors = 50

// A batch is made of transactions that each do the same for several actors as a
// call for one of them does, in the turns of all of these. What each gets is
// decided by itself.

// ClaimAll is Claim of several actors, for the price of one transaction for each 50
// of them. Element i of claims and of errs is what Claim of actors[i] would return:
// a handle, or an error that says nothing of the others. Of the actors of one
// transaction all that can be had are claimed at one instant, or, with [ErrUnknown],
// perhaps none. When ctx ends, the actors whose turn has not come get its error.
//
// invalid, which wraps [ErrInvalid], says that nothing was done: more than
// [MaxBatch] actors, an id out of its limits, or one that is there twice.
func (s *Session) ClaimAll(ctx context.Context, actors ...ActorID) (claims []*Claim, errs []error, invalid error) {
	if err := checkBatch(actors); err != nil {
		return nil, nil, err
	}
	claims, errs = make([]*Claim, len(actors)), make([]error, len(actors))
	for from := 0; from < len(actors); from += batchActors {
		to := min(from+batchActors, len(actors))
		s.claimSome(ctx, actors[from:to], claims[from:to], errs[from:to])
	}
	for i, err := range errs {
		if err != nil {
			errs[i] = fmt.Errorf("registry: claim %q: %w", actors[i], err)
		}
	}
	return claims, errs, nil
}

// ReleaseAll is [Claim.Release] of several claims of this session, for the price of
// one transaction for each 50 of them. All stop being Valid before anything else
// happens. Element i of errs is what Release of claims[i] would return. When ctx
// ends, the claims whose turn has not come get its error.
//
// invalid, which wraps [ErrInvalid], says that nothing was done: more than
// [MaxBatch] claims, one of another session, or two of one actor.
func (s *Session) ReleaseAll(ctx context.Context, claims ...*Claim) (errs []error, invalid error) {
	actors := make([]ActorID, len(claims))
	for i, c := range claims {
		if c == nil || c.s != s {
			return nil, fmt.Errorf("claims[%d]: %w", i, errForeignClaim)
		}
		actors[i] = c.actor
	}
	if err := checkBatch(actors); err != nil {
		return nil, err
	}
	for _, c := range claims {
		c.stopBelieving(errReleased)
	}
	errs = make([]error, len(claims))
	for from := 0; from < len(claims); from += batchActors {
		to := min(from+batchActors, len(claims))
		s.releaseSome(ctx, actors[from:to], claims[from:to], errs[from:to])
	}
	return errs, nil
}

var errForeignClaim = invalid("it is not a claim of this session")

func checkBatch(actors []ActorID) error {
	if len(actors) > MaxBatch {
		return invalid("%d actors, at most %d are allowed in one call", len(actors), MaxBatch)
	}
	seen := make(map[ActorID]int, len(actors))
	for i, a := range actors {
		if err := a.Validate(); err != nil {
			return fmt.Errorf("actors[%d]: %w", i, err)
		}
		if first, ok := seen[a]; ok {
			return invalid("actors[%d] is %q, as is actors[%d]", i, a, first)
		}
		seen[a] = i
	}
	return nil
}

// enterAll is enter for several actors. All who do so go by the order of ids, so
// that they do not wait for each other in a ring.
func (s *Session) enterAll(ctx context.Context, actors []ActorID) (leave func(), err error) {
	var entered []func()
	leave = func() {
		for _, l := range entered {
			l()
		}
	}
	sorted := slices.SortedFunc(slices.Values(actors), func(a, b ActorID) int { return strings.Compare(string(a), string(b)) })
	for _, a := range sorted {
		l, err := s.enter(ctx, a)
		if err != nil {
			leave()
			return nil, err
		}
		entered = append(entered, l)
	}
	return leave, nil
}

// readActors reads this session and the actors in one round trip. errs says for each
// actor whether its record can be read.
func (s *Session) readActors(tx store.Reader, actors []ActorID, errs []error) (me *sessionRecord, records []*actorRecord, err error) {
	keys := [][]byte{s.r.keys.state(s.id.node)}
	for _, a := range actors {
		keys = append(keys, s.r.keys.actor(a))
	}
	values, err := tx.GetAll(keys...)
	if err != nil {
		return nil, nil, err
	}
	if me, err = decodeSession(values[0]); err != nil {
		return nil, nil, err
	}
	records = make([]*actorRecord, len(actors))
	for i := range actors {
		records[i], errs[i] = decodeActor(values[i+1])
	}
	return me, records, nil
}

// ofOne reports whether an error is about one actor of a batch, rather than about
// the transaction.
func ofOne(err error) bool {
	return decided(err) || errors.Is(err, ErrUnknown) || errors.Is(err, ErrCorrupt)
}

// claimSome claims the actors of one transaction.
func (s *Session) claimSome(ctx context.Context, actors []ActorID, claims []*Claim, errs []error) {
	leave, err := s.enterAll(ctx, actors)
	if err == nil {
		defer leave()
		err = s.mayClaim()
	}
	if err != nil {
		fill(errs, err)
		return
	}
	ops := make([]*claiming, len(actors))
	for i, a := range actors {
		ops[i] = s.newClaiming(a)
	}
	var doubt bool
	version, err := s.r.transact(ctx, s.event(0), &doubt, func(tx store.Tx) error {
		me, records, err := s.readActors(tx, actors, errs)
		if err != nil {
			return err
		}
		sessions, err := s.r.sessionsOf(tx, records)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return err
		}
		oneByOne := err != nil
		for i, a := range ops {
			a.doubt = doubt
			rec := records[i]
			if errs[i] != nil {
				continue
			}
			errs[i] = a.decide(tx, me, rec, func() (Owner, error) {
				if oneByOne {
					return s.r.liveOwner(tx, rec)
				}
				if owner := sessions[rec.node]; owner.lives(rec.incarnation) {
					return rec.owner(owner), nil
				}
				return Owner{}, nil
			})
			if errs[i] != nil && !ofOne(errs[i]) {
				return errs[i]
			}
		}
		return nil
	})
	for i, a := range ops {
		a.doubt = doubt
		if err != nil {
			errs[i] = err
		}
		claims[i], errs[i] = a.finish(version, errs[i])
	}
}

// releaseSome releases the claims of one transaction.
func (s *Session) releaseSome(ctx context.Context, actors []ActorID, claims []*Claim, errs []error) {
	leave, err := s.enterAll(ctx, actors)
	if err != nil {
		for i, a := range actors {
			errs[i] = fmt.Errorf("registry: release %q: %w", a, err)
		}
		return
	}
	defer leave()
	ops := make([]*releasing, len(claims))
	wasDoubt := make([]bool, len(claims))
	for i, c := range claims {
		ops[i] = &releasing{c: c}
		wasDoubt[i] = c.doubt
		if c.isSuperseded() {
			ops[i] = nil
		}
	}
	var doubt bool
	version, err := s.r.transact(ctx, s.event(0), &doubt, func(tx store.Tx) error {
		me, records, err := s.readActors(tx, actors, errs)
		if err != nil {
			return err
		}
		for i, rel := range ops {
			if rel == nil {
				continue
			}
			claims[i].doubt = wasDoubt[i] || doubt
			if errs[i] != nil {
				continue
			}
			errs[i] = rel.decide(tx, me, records[i])
			if errs[i] != nil && !ofOne(errs[i]) {
				return errs[i]
			}
		}
		return nil
	})
	for i, rel := range ops {
		c := claims[i]
		if rel == nil {
			errs[i] = fmt.Errorf("registry: release %q: %w", c.actor, ErrSuperseded)
			continue
		}
		c.doubt = wasDoubt[i] || doubt
		switch {
		case err != nil && c.doubt && !decided(err) && !errors.Is(err, ErrUnknown):
			errs[i] = fmt.Errorf("%w: %w", ErrUnknown, err)
		case err != nil:
			errs[i] = err
		}
		_, errs[i] = rel.finish(version, errs[i], wasDoubt[i])
	}
}

func fill(errs []error, err error) {
	for i := range errs {
		errs[i] = err
	}
}
