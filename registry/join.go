package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// JoinOptions of a session. The zero value is ready for use.
type JoinOptions struct {
	// Address is where others reach the node; at most [MaxAddressBytes] bytes.
	// Lookup returns it.
	Address string

	// Labels are told to others, for placement; at most [MaxLabels], with keys of
	// 1 to [MaxLabelKeyBytes] and values of at most [MaxLabelValueBytes] bytes of
	// UTF-8.
	Labels map[string]string

	// Capacity is how many actors the node is to be given at most, from 0, which
	// means no limit, to [MaxCapacity]. It bounds placement and transfers, not
	// what the node claims by itself.
	Capacity int64

	// NotReady makes the session [NodeJoining]: it may claim, but is given nothing
	// until [Session.Activate].
	NotReady bool

	// Replace ends a live session of the same node id. The caller vouches that
	// the process that held it is dead: if it is not, its claims stay Valid
	// until it notices, and only tokens protect.
	Replace bool

	// Wait makes Join wait, instead of failing with [ErrNodeInUse], until the
	// session that has the node id ends. It observes that session and revokes it
	// when it is silent: the way for a restarted process to come back.
	Wait bool

	// OnHealth, when not nil, is called once for each change of the session's
	// health, in order, without locks held. It must not block.
	OnHealth func(Health)
}

// Join makes this process the node id, with a new incarnation, and starts to
// renew its lease.
//
// Errors: [ErrInvalid]; [ErrNodeInUse] while another session has the id, unless
// Replace or Wait is set; [ErrUnknown] when the outcome could not be learnt: a
// session may then stand in the store that nobody renews, and a later Join of
// this Registry, or anyone's observation, ends it; errors of the store and of
// ctx, after which nothing was changed.
func (r *Registry) Join(ctx context.Context, id NodeID, o JoinOptions) (*Session, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	if len(o.Address) > MaxAddressBytes {
		return nil, invalid("JoinOptions.Address has %d bytes, at most %d are allowed", len(o.Address), MaxAddressBytes)
	}
	if o.Capacity < 0 || o.Capacity > MaxCapacity {
		return nil, invalid("JoinOptions.Capacity is %d, must be from 0 to %d", o.Capacity, int64(MaxCapacity))
	}
	if err := validateLabels(o.Labels); err != nil {
		return nil, err
	}
	o.Labels = maps.Clone(o.Labels)
	for {
		s, err := r.joinOnce(ctx, id, o)
		var use *InUseError
		switch {
		case err == nil:
			s.start()
			return s, nil
		case !o.Wait || !errors.As(err, &use):
			return nil, fmt.Errorf("registry: join as %q: %w", id, err)
		}
		if err := r.waitForNode(ctx, sessionID{id, use.Incarnation}); err != nil {
			return nil, fmt.Errorf("registry: join as %q: %w (%w)", id, err, use)
		}
	}
}

// joinOnce is one operation, with its doubts resolved.
func (r *Registry) joinOnce(ctx context.Context, id NodeID, o JoinOptions) (*Session, error) {
	j := joining{r: r, id: id, replace: o.Replace}
	j.rec = sessionRecord{
		status: statusLive, ttl: r.o.TTL, op: r.newOpID(),
		address: o.Address, labels: o.Labels, capacity: o.Capacity,
	}
	if o.NotReady {
		j.rec.status = statusJoining
	}
	about := Event{Node: id}
	v, err := r.transact(ctx, about, &j.doubt, j.attempt)
	if errors.Is(err, ErrUnknown) {
		r.rememberDoubt(id, j.rec.op)
	}
	if err != nil {
		return nil, err
	}
	if j.doubt {
		r.resolved(about, j.found != nil)
	} else {
		// It reads twice before it commits.
		r.pace.see((r.host.Monotonic() - j.began) * transactionSteps / 3)
	}
	if j.found != nil {
		j.rec = *j.found
	} else {
		j.rec.version = v
	}
	s := newSession(r, id, &j.rec, o, j.began)
	s.replaced = j.replaced
	return s, nil
}

// joining is the state of one join over its attempts.
type joining struct {
	r        *Registry
	id       NodeID
	replace  bool
	rec      sessionRecord
	doubt    bool
	started  bool
	began    time.Duration  // monotonic time at which the lease starts
	before   []byte         // the record that the first attempt in doubt meant to replace
	found    *sessionRecord // what an attempt in doubt is found to have written
	replaced bool           // a live session was ended
}

func (j *joining) attempt(tx store.Tx) error {
	// The lease starts before the attempt that took effect; once one is in
	// doubt, it may be that one.
	if !j.started || !j.doubt {
		j.began, j.started = j.r.host.Monotonic(), true
	}
	vs, err := tx.GetAll(j.r.keys.state(j.id), j.r.keys.epoch())
	if err != nil {
		return err
	}
	if j.found, err = decodeSession(vs[0]); err != nil {
		return err
	}
	cur := j.found
	mine := cur != nil && cur.op == j.rec.op
	switch {
	case !j.doubt:
		j.before = vs[0]
	case !mine && !bytes.Equal(vs[0], j.before):
		// Somebody's session has come since: the attempt in doubt may have taken
		// effect and have been ended, and doing it again would be a second join.
		return fmt.Errorf("%w: the node id was joined or ended meanwhile", ErrUnknown)
	}
	if mine && cur.status.lives() {
		return nil
	}
	j.found = nil
	if mine {
		return fmt.Errorf("%w: revoked before the join was known to have taken effect", ErrUnknown)
	}
	if cur != nil && cur.status.lives() {
		if !j.replace && !j.r.overHere(j.id, cur) {
			return &InUseError{Node: j.id, Incarnation: cur.incarnation(), Address: cur.address}
		}
		j.replaced = true
	}
	if j.rec.epoch, err = decodeEpoch(vs[1]); err != nil {
		return err
	}
	tx.SetStamped(j.r.keys.state(j.id), j.rec.encode(), stampAt)
	return j.r.logChange(tx, j.id, &j.rec)
}

// overHere reports whether s is one of this process's own sessions and known to
// be over.
func (r *Registry) overHere(n NodeID, s *sessionRecord) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.past[n]
	return ok && (e.incarnation == s.incarnation() || e.op == s.op)
}

// rememberEnd notes that no claim of the session will be Valid again.
func (r *Registry) rememberEnd(id sessionID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.past[id.node]; e.incarnation < id.incarnation {
		e.incarnation = id.incarnation
		r.past[id.node] = e
	}
}

// rememberDoubt notes that the join op, if it took effect, made a session that
// nobody holds.
func (r *Registry) rememberDoubt(n NodeID, op opID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.past[n]
	e.op = op
	r.past[n] = e
}
