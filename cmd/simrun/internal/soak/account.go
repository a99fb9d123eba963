package soak

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// RuleUnaccounted: the store has lost what it acknowledged, or kept what it
// acknowledged to be gone.
const RuleUnaccounted = "unaccounted"

// Standing is what a store said, read while nobody did anything but renew.
type Standing struct {
	From, To time.Duration // of the history's clock; all of it was so at some time between
	Live     map[registry.Target]bool
	Owners   map[registry.ActorID]registry.Owner
	Guarded  map[registry.ActorID]registry.Token // by the last guarded transaction
}

// ReadStanding reads what stands in a store.
func (m *Member) ReadStanding(ctx context.Context) (*Standing, error) {
	h, err := host.NewSystem(host.SystemOptions{Name: "accountant", Clock: m.r.clock})
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close(context.WithoutCancel(ctx)) }() // it has no tasks
	db, err := store.Open(m.engine, h, h.Rand(), store.Options{})
	if err != nil {
		return nil, err
	}
	reg, err := registry.Open(h, db, registry.Options{TTL: m.r.o.TTL})
	if err != nil {
		return nil, err
	}
	s := &Standing{
		From: m.r.now(), Live: make(map[registry.Target]bool),
		Owners: make(map[registry.ActorID]registry.Owner), Guarded: make(map[registry.ActorID]registry.Token),
	}
	for row, err := range reg.List(ctx, registry.ListOptions{}) {
		if err != nil {
			return nil, fmt.Errorf("soak: account: %w", err)
		}
		s.Owners[row.Actor] = row.Owner
	}
	for _, a := range m.r.actors {
		err := db.Read(ctx, func(tx store.Reader) error {
			v, err := tx.Get(guardedKey(a))
			if len(v) == 8 {
				s.Guarded[a] = registry.Token(binary.BigEndian.Uint64(v))
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("soak: account: %w", err)
		}
	}
	// Who lives now has lived while the list was read.
	nodes, err := reg.Nodes(ctx)
	if err != nil {
		return nil, fmt.Errorf("soak: account: %w", err)
	}
	for i := range nodes {
		if nodes[i].State.Live() {
			s.Live[registry.Target{Node: nodes[i].ID, Incarnation: nodes[i].Incarnation}] = true
		}
	}
	s.To = m.r.now()
	return s, nil
}

// Accounted is how many acknowledged operations a standing was held against.
type Accounted struct {
	Claims    uint64 `json:"claims"`
	Releases  uint64 `json:"releases"`
	Transfers uint64 `json:"transfers"`
	Guards    uint64 `json:"guards"`
	Believed  uint64 `json:"believed"` // handles that were valid before and after it
}

// account is what a history says of one actor.
type account struct {
	newest  uint64 // highest token that was acknowledged
	session registry.Target
	guarded uint64          // highest token of a guarded transaction that was acknowledged
	freed   map[uint64]bool // tokens with an acknowledged release or transfer
	doubt   map[uint64]bool // and with one that may have succeeded
	valid   map[uint64]registry.Target
	still   map[uint64]registry.Target // of valid, those that were so after the standing as well
}

// Judge holds every acknowledged claim, release, transfer and guarded transaction of
// a history that had returned before against what stands in the store. Of what was
// called later only the answers to [Member.Ask] count.
//
// What was given up must not stand. The newest token of an actor must stand if its
// session lives and nobody can have given it up; a handle that was valid before and
// after the standing was read must. No guarded write may be older than one that was
// acknowledged.
func (s *Standing) Judge(h *linearizability.History) (n Accounted, v *Violation) {
	actors := make(map[registry.ActorID]*account)
	for i := range h.Ops {
		op := &h.Ops[i]
		// Between, some that were under way may have ended either way.
		if op.Actor != "" && (op.Call < s.From || op.Kind == linearizability.KindUse) {
			a := actors[registry.ActorID(op.Actor)]
			if a == nil {
				a = &account{
					freed: make(map[uint64]bool), doubt: make(map[uint64]bool),
					valid: make(map[uint64]registry.Target), still: make(map[uint64]registry.Target),
				}
				actors[registry.ActorID(op.Actor)] = a
			}
			s.enter(a, op, &n)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(actors)) {
		if wrong := s.wrong(id, actors[id]); wrong != "" {
			return n, &Violation{Rule: RuleUnaccounted, Message: wrong}
		}
		n.Believed += uint64(len(actors[id].still))
	}
	return n, nil
}

// enter puts an operation into its actor's account.
func (s *Standing) enter(a *account, op *linearizability.Op, n *Accounted) {
	ok := op.Outcome == linearizability.OutcomeOK && op.Return < s.From
	maybe := op.Outcome == linearizability.OutcomeOK || op.Outcome == linearizability.OutcomeUnknown || op.Outcome == linearizability.OutcomePending
	by := registry.Target{Node: registry.NodeID(op.Node), Incarnation: registry.Incarnation(op.Incarnation)}
	switch {
	case op.Kind == linearizability.KindClaim && ok:
		n.Claims++
		a.newer(op.Token, by)
	case op.Kind == linearizability.KindRelease && maybe:
		a.doubt[op.Token] = true
		if ok {
			n.Releases++
			a.freed[op.Token] = true
		}
	case op.Kind == linearizability.KindTransfer && maybe:
		a.doubt[op.Token] = true
		if ok {
			n.Transfers++
			a.freed[op.Token] = true
			a.newer(op.NewToken, registry.Target{Node: registry.NodeID(op.OwnerNode), Incarnation: registry.Incarnation(op.OwnerIncarnation)})
		}
	case op.Kind == linearizability.KindGuard && ok:
		n.Guards++
		a.guarded = max(a.guarded, op.Token)
	case op.Kind == linearizability.KindUse && op.Outcome == linearizability.OutcomeValid:
		switch {
		case op.Return < s.From:
			a.valid[op.Token] = by
		case op.Call > s.To && a.valid[op.Token] == by:
			a.still[op.Token] = by
		}
	}
}

func (a *account) newer(token uint64, by registry.Target) {
	if token > a.newest {
		a.newest, a.session = token, by
	}
}

// wrong says what does not agree; "" is nothing.
func (s *Standing) wrong(id registry.ActorID, a *account) string {
	owner, owned := s.Owners[id]
	token := uint64(owner.Token)
	switch {
	case owned && a.freed[token]:
		return fmt.Sprintf("token %v of %q was given up, which was acknowledged, and stands in the store", owner.Token, id)
	case owned && token < a.newest:
		return fmt.Sprintf("token %v of %q stands in the store, and token %v was acknowledged", owner.Token, id, registry.Token(a.newest))
	case !owned && a.newest != 0 && !a.doubt[a.newest] && s.Live[a.session]:
		return fmt.Sprintf("token %v of %q was acknowledged to %q, whose session lives, nobody gave it up, and the store has no owner",
			registry.Token(a.newest), id, a.session.Node)
	case uint64(s.Guarded[id]) < a.guarded:
		return fmt.Sprintf("a write of %q guarded by token %v was acknowledged, and the store has that of %v",
			id, registry.Token(a.guarded), s.Guarded[id])
	}
	for t, by := range a.still {
		if !owned || token != t || owner.Node != by.Node || owner.Incarnation != by.Incarnation {
			return fmt.Sprintf("token %v of %q was valid at %q all the while, and the store says %v", registry.Token(t), id, by.Node, owner)
		}
	}
	return ""
}
