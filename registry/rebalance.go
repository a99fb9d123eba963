package registry

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// MaxMoves is the upper limit of RebalanceOptions.Max.
const MaxMoves = 1_000_000

const defaultMoves = 100

// RebalanceOptions of [Session.Rebalance]. The zero value is ready for use.
type RebalanceOptions struct {
	// Max bounds how many actors are moved; 1 to [MaxMoves]. Default: 100.
	Max int
	// PerActor bounds the hand-off and the transfer of one actor; above 0.
	// Default: TTL/3.
	PerActor time.Duration
	// HandOff, when not nil, prepares each actor.
	HandOff HandOff
}

func (o RebalanceOptions) withDefaults(ttl time.Duration) (RebalanceOptions, error) {
	if o.Max == 0 {
		o.Max = defaultMoves
	}
	if o.PerActor == 0 {
		o.PerActor = ttl / 3
	}
	switch {
	case o.Max < 1 || o.Max > MaxMoves:
		return o, invalid("RebalanceOptions.Max is %d, must be from 1 to %d", o.Max, MaxMoves)
	case o.PerActor <= 0:
		return o, invalid("RebalanceOptions.PerActor is %v, must be above 0", o.PerActor)
	}
	return o, nil
}

// Move is an actor that has come to another node.
type Move struct {
	Actor ActorID
	To    Owner
}

// Kept is an actor that was to be moved and was not. Err wraps [ErrUnknown] when
// it may have been moved, or may yet be. Otherwise the session still owns it; when
// its transfer had begun, the old handle is over and [Session.Claim] returns a new
// one.
type Kept struct {
	Actor ActorID
	Err   error
}

// Rebalanced says what [Session.Rebalance] did.
type Rebalanced struct {
	Moved    []Move // in this order
	Kept     []Kept
	Balanced bool // this session has nothing more to give away
}

// Rebalance gives actors of this session away while it owns more than its share:
// the share is the average over the nodes that take actors, in proportion to their
// capacities when all of them have one. It moves no more actors than that takes,
// one after the other, each to the node that owns least. Those that the session was
// given and that nobody has accepted stay. It never unbalances: each transfer is made
// only if its transaction sees that the target will not own more, relative to the
// same measure, than this session then does. Nodes that rebalance at one time
// therefore cannot pass actors in circles.
//
// It ends when nothing is to be gained, after Max moves, or when ctx ends; what it
// returns says exactly what was moved whatever the error is.
//
// Errors: [ErrInvalid]; [ErrSessionLost]; [ErrDraining]; errors of the store and of
// ctx.
func (s *Session) Rebalance(ctx context.Context, o RebalanceOptions) (Rebalanced, error) {
	var res Rebalanced
	o, err := o.withDefaults(s.r.o.TTL)
	if err != nil {
		return res, err
	}
	if err := s.rebalance(ctx, o, &res); err != nil {
		return res, fmt.Errorf("registry: rebalance %q: %w", s.id.node, err)
	}
	return res, nil
}

func (s *Session) rebalance(ctx context.Context, o RebalanceOptions, res *Rebalanced) error {
	known := s.r.census.fromNow()
	actors := s.Claims()
	s.r.host.Rand().Shuffle(len(actors), func(i, j int) { actors[i], actors[j] = actors[j], actors[i] })
	for refusals := 0; len(res.Moved) < o.Max; {
		if !s.Valid() {
			return ErrSessionLost
		}
		nodes, err := s.r.nodesTaking(ctx, known, func(n *Node) bool { return n.Takes() || n.ID == s.id.node })
		if err != nil {
			return err
		}
		to, relative := shed(nodes, s.id)
		if to == nil {
			res.Balanced = true
			return nil
		}
		if len(actors) == 0 {
			return nil
		}
		actor := actors[0]
		owner, err := s.moveIfBetter(ctx, actor, to, relative, o)
		switch {
		case err == nil:
			refusals = 0
			res.Moved = append(res.Moved, Move{actor, owner})
			s.r.countIn(s.id, -1)
			s.r.countIn(sessionID{to.ID, to.Incarnation}, 1)
		case errors.Is(err, errNotBetter), refusesActor(err):
			// The loads have changed. The same actor may go elsewhere.
			refusals++
			if err := s.r.host.Sleep(ctx, s.r.o.Retry.Delay(refusals, s.r.host.Rand())); err != nil {
				return err
			}
			known = s.r.census.fromNow()
			continue
		case errors.Is(err, ErrSessionLost), errors.Is(err, ErrDraining):
			return err
		case errors.Is(err, ErrNotOwner), errors.Is(err, ErrSuperseded):
			// Released or claimed anew meanwhile: it is not this call's to move.
		default:
			res.Kept = append(res.Kept, Kept{actor, err})
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		actors = actors[1:]
	}
	return nil
}

// errNotBetter: the move would unbalance.
var errNotBetter = errors.New("the move would not make the loads more even")

// moveIfBetter transfers an actor if that makes the loads more even at commit.
func (s *Session) moveIfBetter(ctx context.Context, actor ActorID, to *Node, relative bool, o RebalanceOptions) (Owner, error) {
	ctx, cancel := s.r.host.WithTimeout(ctx, o.PerActor)
	defer cancel()
	c := s.lastHandle(actor)
	if c == nil || !c.Valid() {
		return Owner{}, ErrNotOwner
	}
	target := sessionID{to.ID, to.Incarnation}
	// A look first, so that nothing is handed off for a move that is not made.
	if err := s.r.db.Read(ctx, func(tx store.Reader) error { return s.lookBeforeMove(tx, target, relative) }); err != nil {
		s.learn(err)
		return Owner{}, err
	}
	var payload []byte
	if o.HandOff != nil {
		var err error
		if payload, err = s.handOff(ctx, c, o.HandOff); err != nil {
			return Owner{}, err
		}
	}
	return c.move(ctx, target, payload, func(tx store.Tx, me, at *sessionRecord) error {
		return s.wouldEven(tx, me, at, target, relative)
	})
}

func (s *Session) lookBeforeMove(tx store.Reader, target sessionID, relative bool) error {
	vs, err := tx.GetAll(s.r.keys.state(s.id.node), s.r.keys.state(target.node))
	if err != nil {
		return err
	}
	me, err := decodeSession(vs[0])
	if err != nil {
		return err
	}
	at, err := decodeSession(vs[1])
	switch {
	case err != nil:
		return err
	case !me.lives(s.id.incarnation):
		return s.endedError(me)
	case me.status == statusDraining:
		return ErrDraining
	}
	if err := (Target{Node: target.node, Incarnation: target.incarnation}).takes(at); err != nil {
		return err
	}
	return s.wouldEven(tx, me, at, target, relative)
}

// wouldEven returns errNotBetter unless one actor more at the target and one less
// here make the loads more even.
func (s *Session) wouldEven(tx store.Reader, me, at *sessionRecord, target sessionID, relative bool) error {
	vs, err := tx.GetAll(s.r.keys.load(s.id.node, s.id.incarnation), s.r.keys.load(target.node, target.incarnation))
	if err != nil {
		return err
	}
	var loads [2]nodeLoad
	for i, rec := range []*sessionRecord{me, at} {
		owned, err := decodeLoad(vs[i])
		if err != nil {
			return err
		}
		n := Node{Owned: owned, Capacity: rec.capacity}
		loads[i] = loadOf(&n, relative && me.capacity > 0 && at.capacity > 0)
	}
	if !evens(loads[0], loads[1]) {
		return errNotBetter
	}
	return nil
}

// shed returns the node to which the session should give an actor next, nil when
// there is none, and whether loads are compared relative to capacity. nodes are
// those that take actors, and the session's own.
//
// A node's share, rounded down, is what it should own at least, and one more is
// what it may own. Who owns more than that gives it away; who owns just that, only
// if the others that own more cannot fill up those that own too little.
func shed(nodes []Node, self sessionID) (to *Node, relative bool) {
	at, found := findNode(nodes, self.node)
	if !found || nodes[at].Incarnation != self.incarnation {
		return nil, false
	}
	relative = haveCapacity(nodes)
	var owned, of int64
	for i := range nodes {
		l := loadOf(&nodes[i], relative)
		owned, of = owned+l.owned, of+l.of
		if i != at && (to == nil || compareLoads(l, loadOf(to, relative)) < 0) {
			to = &nodes[i]
		}
	}
	mine := loadOf(&nodes[at], relative)
	over := mine.owned - share(mine.of, owned, of)
	if to == nil || over <= 0 || !evens(mine, loadOf(to, relative)) {
		return nil, relative
	}
	if over == 1 {
		var spare, missing int64
		for i := range nodes {
			l := loadOf(&nodes[i], relative)
			least := share(l.of, owned, of)
			spare += max(0, l.owned-least-1)
			missing += max(0, least-l.owned)
		}
		if missing <= spare {
			return nil, relative
		}
	}
	return to, relative
}

// share returns ⌊of·owned/all⌋: what a node that counts for of among all should
// own at least.
func share(of, owned, all int64) int64 {
	hi, lo := bits.Mul64(uint64(of), uint64(owned))
	q, _ := bits.Div64(hi, lo, uint64(all)) // cannot overflow: of ≤ all
	return int64(q)
}

// evens reports whether a node with load b, given one actor of a node with load a,
// is then not fuller than that.
func evens(a, b nodeLoad) bool {
	a.owned--
	b.owned++
	return a.owned >= 0 && compareLoads(b, a) <= 0
}
