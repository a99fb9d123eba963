package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/store"
)

// Registry is one process's access to the registry. It is safe for use from
// several tasks.
type Registry struct {
	host host.Host
	db   *store.DB
	o    Options
	keys keys

	lastID atomic.Uint64 // pairs events

	census     census
	pace       pace
	placements placements

	mu     sync.Mutex
	seen   map[sessionID]sighting // sessions under observation
	window windowSighting         // of the ledger of revocations
	putoff putOffs                // by the limit of revocations
	past   map[NodeID]ended       // sessions of this process that are over
}

// sessionID names a session: incarnations are unique for one node only.
type sessionID struct {
	node        NodeID
	incarnation Incarnation
}

// ended is the newest session of a node id that this very process had and knows
// to be over: no claim of it will be Valid again.
type ended struct {
	incarnation Incarnation
	op          opID // of a join whose outcome was never learnt
}

// Open returns a registry over db. It touches neither the store nor the
// network. The error wraps [ErrInvalid] and names the field and its limit.
func Open(h host.Host, db *store.DB, o Options) (*Registry, error) {
	if h == nil {
		return nil, invalid("host is nil")
	}
	if db == nil {
		return nil, invalid("db is nil")
	}
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Registry{
		host: h,
		db:   db,
		o:    o,
		keys: newKeys(o.Namespace),
		seen: make(map[sessionID]sighting),
		past: make(map[NodeID]ended),

		placements: placements{turns: make(map[ActorID]*placeTurn)},
	}, nil
}

// Options returns the options in force, defaults filled in.
func (r *Registry) Options() Options { return r.o }

// Lookup returns the owner of an actor at one instant between call and return.
// The error wraps [ErrUnowned] when no live session owns it.
func (r *Registry) Lookup(ctx context.Context, actor ActorID) (Owner, error) {
	if err := actor.Validate(); err != nil {
		return Owner{}, err
	}
	owner, err := r.lookUp(ctx, actor)
	switch {
	case err != nil:
		return Owner{}, fmt.Errorf("registry: look up %q: %w", actor, err)
	case owner == Owner{}:
		return Owner{}, fmt.Errorf("%w: %q", ErrUnowned, actor)
	}
	return owner, nil
}

// lookUp returns the zero Owner when no live session owns the actor.
func (r *Registry) lookUp(ctx context.Context, actor ActorID) (owner Owner, err error) {
	err = r.db.Read(ctx, func(tx store.Reader) error {
		rec, err := r.readActor(tx, actor)
		if err != nil {
			return err
		}
		owner, err = r.liveOwner(tx, rec)
		return err
	})
	return owner, err
}

// liveOwner returns the owner that rec names if its session is live, and the
// zero Owner if it is not or rec is nil.
func (r *Registry) liveOwner(tx store.Reader, rec *actorRecord) (Owner, error) {
	if rec == nil {
		return Owner{}, nil
	}
	s, err := r.readSession(tx, rec.node)
	if err != nil || !s.lives(rec.incarnation) {
		return Owner{}, err
	}
	return rec.owner(s), nil
}

func (r *Registry) readActor(tx store.Reader, a ActorID) (*actorRecord, error) {
	v, err := tx.Get(r.keys.actor(a))
	if err != nil {
		return nil, err
	}
	return decodeActor(v)
}

func (r *Registry) readSession(tx store.Reader, n NodeID) (*sessionRecord, error) {
	v, err := tx.Get(r.keys.state(n))
	if err != nil {
		return nil, err
	}
	return decodeSession(v)
}

// readSessionAndActor reads both in one round trip.
func (r *Registry) readSessionAndActor(tx store.Reader, n NodeID, a ActorID) (*sessionRecord, *actorRecord, error) {
	s, rec, _, err := r.readSessionsAndActor(tx, n, a, "")
	return s, rec, err
}

// readSessionsAndActor is readSessionAndActor, and another node's session with it, if
// that is not empty.
func (r *Registry) readSessionsAndActor(tx store.Reader, n NodeID, a ActorID, another NodeID) (s *sessionRecord, rec *actorRecord, other *sessionRecord, err error) {
	keys := [][]byte{r.keys.state(n), r.keys.actor(a)}
	if another != "" {
		keys = append(keys, r.keys.state(another))
	}
	vs, err := tx.GetAll(keys...)
	if err != nil {
		return nil, nil, nil, err
	}
	if s, err = decodeSession(vs[0]); err != nil {
		return nil, nil, nil, err
	}
	if rec, err = decodeActor(vs[1]); err == nil && another != "" {
		other, err = decodeSession(vs[2])
	}
	return s, rec, other, err
}

func (r *Registry) newOpID() opID {
	var id opID
	binary.BigEndian.PutUint64(id[:8], r.host.Rand().Uint64())
	binary.BigEndian.PutUint64(id[8:], r.host.Rand().Uint64())
	return id
}

// transact runs fn as one operation whose commit may be in doubt. When a commit
// ends unknown it runs fn again with doubt set, and fn must first look whether
// its effect is there. Looking and acting are one transaction on the keys that
// the doubtful one read and wrote: either the doubtful one took effect before,
// and fn sees it, or fn's own write makes it conflict.
//
// *doubt carries over calls, so that an operation can be repeated later. The
// error wraps [ErrUnknown] when ctx ends, or the store fails for good, while
// the outcome is in doubt.
func (r *Registry) transact(ctx context.Context, about Event, doubt *bool, fn func(tx store.Tx) error) (store.Version, error) {
	return r.transactBy(ctx, r.db.Transact, about, doubt, fn)
}

// transactBy is transact, with the method of the store by which it is done.
func (r *Registry) transactBy(ctx context.Context, once func(context.Context, func(store.Tx) error) (store.Version, error), about Event, doubt *bool, fn func(tx store.Tx) error) (store.Version, error) {
	for n := 0; ; n++ {
		was := *doubt
		v, err := once(ctx, fn)
		switch {
		case errors.Is(err, store.ErrCommitUnknown):
			*doubt = true
			about.Kind, about.Err = EventDoubt, err
			r.emit(about)
			if ended := r.host.Sleep(ctx, r.o.Retry.Delay(n, r.host.Rand())); ended != nil {
				return 0, fmt.Errorf("%w: %w: %w", ErrUnknown, ended, err)
			}
		case err == nil || decided(err):
			return v, err
		case was && !errors.Is(err, ErrUnknown):
			return 0, fmt.Errorf("%w: %w", ErrUnknown, err)
		default:
			return 0, err
		}
	}
}

// decided reports whether err was decided by fn inside the transaction, doubt
// considered, rather than by the store.
func decided(err error) bool {
	for _, d := range []error{ErrHeld, ErrNotOwner, ErrNodeInUse, ErrSessionLost, ErrNotLive, ErrRenewed, ErrDraining, ErrNotActive, ErrRevokeLimited} {
		if errors.Is(err, d) {
			return true
		}
	}
	return false
}

func (r *Registry) resolved(about Event, applied bool) {
	about.Kind, about.Applied = EventResolved, applied
	r.emit(about)
}
