package scenario

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/faults"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// Promises about many nodes that want the same: few write transactions for each new
// owner, few revocations in any TTL, and none by a node that may itself be the one
// that is cut off.

// What the nodes of the herd are told, small enough for a run to reach it.
const (
	herdRevokeMin   = 2
	herdRevokeShare = 0.2
)

func herdOptions(o *registry.Options) {
	o.RevokeMin, o.RevokeShare = herdRevokeMin, herdRevokeShare
	o.SweepRate = 2
	o.NodeRetention = o.TTL
}

// herdWrites is how many transactions that claim an actor may conflict or win for each
// new owner.
const herdWrites = 3

// herded counts what the promises are about.
type herded struct {
	calm       bool            // no fault makes a transaction slow, or the store fail
	contests   []contest       // by actor
	revoked    []time.Duration // true times of revocations
	recordKeys [][]byte        // by actor
}

// contest is what the newest owner of an actor has cost, and the next has so far.
type contest struct {
	won  time.Duration // when the newest owner was known to be it
	lost int           // transactions that conflicted and had begun before that
	next int           // those that began later
}

// prepareHerd notes what the plan may do, and has the transactions of nodes counted.
func (r *run) prepareHerd() {
	r.herd.contests = make([]contest, len(r.actors))
	for _, a := range r.actors {
		r.herd.recordKeys = append(r.herd.recordKeys, []byte(registry.DefaultNamespace+"\x00a"+string(a)+"\x00"))
	}
	// A node that stands still, or whose messages are late, reads before the others
	// have written and commits after: with as many of those as the plan may have, any
	// number of transactions conflict.
	r.herd.calm = !slices.ContainsFunc(r.plan.Faults, func(f faults.Fault) bool { return f.Kind != faults.Crash })
	inner := r.engine
	r.engine = func(h *sim.Host) store.Engine { return counted{inner(h), r} }
}

// counted is a client of the store whose claims are counted.
type counted struct {
	store.Engine
	r *run
}

// Begin implements store.Engine.
func (e counted) Begin(ctx context.Context) store.Txn {
	return &countedTxn{Txn: e.Engine.Begin(ctx), r: e.r, began: e.r.world.Now()}
}

type countedTxn struct {
	store.Txn
	r      *run
	began  time.Duration
	claims []int // actors
}

// SetStamped implements store.Tx.
func (t *countedTxn) SetStamped(key, value []byte, offset int) {
	for i, k := range t.r.herd.recordKeys {
		if bytes.Equal(key, k) {
			t.claims = append(t.claims, i)
		}
	}
	t.Txn.SetStamped(key, value, offset)
}

// Commit implements store.Txn.
func (t *countedTxn) Commit() error {
	err := t.Txn.Commit()
	for _, actor := range t.claims {
		c := &t.r.herd.contests[actor]
		switch {
		case errors.Is(err, store.ErrConflict) && t.began < c.won:
			c.lost++
			t.r.happened(evConflicted)
		case errors.Is(err, store.ErrConflict):
			c.next++
			t.r.happened(evConflicted)
		case err == nil:
			*c = contest{won: t.r.world.Now(), lost: c.next}
		}
		if c.won > 0 && c.lost+1 > herdWrites && t.r.herd.calm {
			t.r.world.Fail("herd", fmt.Errorf("%d transactions claimed actor %q for one new owner and conflicted, at most %d are promised", c.lost, t.r.actors[actor], herdWrites-1))
		}
	}
	return err
}

// revokedInHerd checks the limit of revocations, in true time: a window lasts for TTL
// at least, so no TTL meets more than two.
func (r *run) revokedInHerd() {
	h, now := &r.herd, r.world.Now()
	h.revoked = append(h.revoked, now)
	most := 2 * max(herdRevokeMin, int(herdRevokeShare*float64(r.shape.nodes+1)))
	if n := len(h.revoked); n > most && now-h.revoked[n-1-most] < r.shape.ttl {
		r.world.Fail("revocations-unlimited", fmt.Errorf("%d sessions were revoked within %v, at most %d may be within %v",
			most+1, now-h.revoked[n-1-most], most, r.shape.ttl))
	}
}

// judging checks that a node which takes another one's session for silent does not
// doubt its own.
func (l *life) judging(e registry.Event) {
	if s := l.session; s != nil && s.Context().Err() == nil && s.Health() == registry.Degraded {
		l.n.r.world.Fail("degraded-judge", fmt.Errorf("%q, itself degraded, takes the session %v of %q for silent", l.n.id, e.Incarnation, e.Node))
	}
}

// herdFaults are mostly deaths; what else there is makes nodes doubt themselves while
// they can still read.
func herdFaults(s *shape, st servers) []faults.Choice {
	crash := aroundTTL(faults.Crash, s, 0.1, 3)
	crash.Weight = 4
	return append(cutOff(s, st), crash, aroundTTL(faults.Pause, s, 0.3, 1.5), slow(s, st))
}

// deaths kills several nodes at one instant, in two rounds: more than may be revoked in
// a window, and for long enough to be swept and forgotten.
func deaths(s *shape, _ servers, r *rand.Rand) []faults.Fault {
	var fs []faults.Fault
	for round := range 2 {
		at := time.Duration(2+6*round)*s.ttl + upTo(r, s.ttl)
		for _, victim := range r.Perm(s.nodes)[:1+r.IntN(2*s.nodes/3)] {
			fs = append(fs, faults.Fault{At: at, For: s.ttl/2 + upTo(r, 4*s.ttl), Kind: faults.Crash, Target: nodeName(victim)})
		}
	}
	return fs
}
