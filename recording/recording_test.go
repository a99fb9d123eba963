package recording_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

var errOther = errors.New("something else")

// ended returns a context that has ended.
func ended(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// What the registry says must become what the specification makes of it: an
// outcome too bold would hide a violation, one too careful too.
func TestResults(t *testing.T) {
	live, over := t.Context(), ended(t)
	owner := registry.Owner{Node: "n", Incarnation: 3, Token: 7}
	held := fmt.Errorf("claim: %w", &registry.HeldError{Actor: "a", Owner: owner})
	use := fmt.Errorf("join: %w", &registry.InUseError{Node: "n", Incarnation: 3})
	unknown := fmt.Errorf("%w: %w", registry.ErrUnknown, errOther)
	unknownUse := fmt.Errorf("%w: %w", unknown, use)
	lost := fmt.Errorf("x: %w", registry.ErrSessionLost)
	unknownLost := fmt.Errorf("%w: %w", registry.ErrUnknown, lost)
	notOwner := fmt.Errorf("x: %w", &registry.NotOwnerError{Actor: "a"})
	const (
		failed, inDoubt    = linearizability.OutcomeFailed, linearizability.OutcomeUnknown
		isLost, rejected   = linearizability.OutcomeLost, linearizability.OutcomeRejected
		isHeld, inUse, yes = linearizability.OutcomeHeld, linearizability.OutcomeInUse, linearizability.OutcomeOK
	)
	of := func(o linearizability.Outcome) linearizability.Result { return linearizability.Result{Outcome: o} }
	named := linearizability.Result{Outcome: isHeld, Token: 7, OwnerNode: "n", OwnerIncarnation: 3}
	found := named
	found.Outcome = yes
	for _, c := range []struct {
		name      string
		got, want linearizability.Result
	}{
		{"join in use", recording.Joined(live, nil, use), linearizability.Result{Outcome: inUse, OwnerNode: "n", OwnerIncarnation: 3}},
		{"join in use at some time", recording.Joined(over, nil, use), of(failed)},
		{"join in doubt", recording.Joined(live, nil, unknownUse), of(inDoubt)},
		{"claim held", recording.Claimed(live, nil, held), named},
		{"claim held at some time", recording.Claimed(over, nil, held), of(failed)},
		{"claim of a lost session", recording.Claimed(live, nil, lost), of(isLost)},
		{"claim in doubt of a lost session", recording.Claimed(live, nil, unknownLost), of(inDoubt)},
		{"claim refused", recording.Claimed(live, nil, registry.ErrDegraded), of(failed)},
		{"lookup", recording.LookedUp(owner, nil), found},
		{"lookup of nobody's", recording.LookedUp(registry.Owner{}, fmt.Errorf("%w: a", registry.ErrUnowned)), of(linearizability.OutcomeUnowned)},
		{"lookup failed", recording.LookedUp(registry.Owner{}, errOther), of(failed)},
		{"release", recording.Released(9, nil), linearizability.Result{Outcome: yes, Version: 9}},
		{"release of another's", recording.Released(0, notOwner), of(linearizability.OutcomeNotOwner)},
		{"release of a superseded handle", recording.Released(0, registry.ErrSuperseded), of(failed)},
		{"release in doubt", recording.Released(0, unknown), of(inDoubt)},
		{"transfer", recording.Transferred(owner, nil), linearizability.Result{Outcome: yes, NewToken: 7, Version: 7}},
		{"transfer that has gone on", recording.Transferred(registry.Owner{Node: "n"}, nil), of(inDoubt)},
		{"transfer of another's", recording.Transferred(registry.Owner{}, notOwner), of(linearizability.OutcomeNotOwner)},
		{"transfer in doubt of another's", recording.Transferred(registry.Owner{}, fmt.Errorf("%w: %w", unknown, notOwner)), of(inDoubt)},
		{"transfer to nobody", recording.Transferred(registry.Owner{}, &registry.NotActiveError{Node: "n"}), of(failed)},
		{"transfer of a lost session", recording.Transferred(registry.Owner{}, lost), of(isLost)},
		{"leave", recording.Left(0, nil), of(yes)},
		{"leave too late", recording.Left(0, lost), of(isLost)},
		{"valid", recording.Used(true), of(linearizability.OutcomeValid)},
		{"invalid", recording.Used(false), of(linearizability.OutcomeInvalid)},
		{"guard", recording.Guarded(9, nil), linearizability.Result{Outcome: yes, Version: 9}},
		{"guard of another's", recording.Guarded(0, notOwner), of(rejected)},
		{"guard of a lost session", recording.Guarded(0, lost), of(rejected)},
		{"guard in doubt", recording.Guarded(0, fmt.Errorf("%w", store.ErrCommitUnknown)), of(inDoubt)},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, c.got, c.want)
		}
	}
}

func TestPlacementsAndMoves(t *testing.T) {
	start := registry.Event{Kind: registry.EventPlaceStart, Node: "n", Incarnation: 3, Actor: "a", ID: 1}
	if op, ok := recording.Begun(start); !ok || op != (linearizability.Op{Kind: linearizability.KindClaim, Node: "n", Incarnation: 3, Actor: "a", Given: true}) {
		t.Errorf("a placement begins %+v", op)
	}
	held := func(node registry.NodeID) error {
		return &registry.HeldError{Actor: "a", Owner: registry.Owner{Node: node, Incarnation: 3, Token: 8}}
	}
	for name, c := range map[string]struct {
		token registry.Token
		err   error
		want  linearizability.Result
	}{
		"placed":           {9, nil, linearizability.Result{Outcome: linearizability.OutcomeOK, Token: 9}},
		"held by another":  {0, held("m"), linearizability.Result{Outcome: linearizability.OutcomeHeld, Token: 8, OwnerNode: "m", OwnerIncarnation: 3}},
		"held by it":       {0, held("n"), linearizability.Result{Outcome: linearizability.OutcomeOK, Token: 8}},
		"held, in doubt":   {0, fmt.Errorf("%w: %w", registry.ErrUnknown, held("m")), linearizability.Result{Outcome: linearizability.OutcomeUnknown}},
		"in doubt":         {0, registry.ErrUnknown, linearizability.Result{Outcome: linearizability.OutcomeUnknown}},
		"refused as full":  {0, registry.ErrFull, linearizability.Result{Outcome: linearizability.OutcomeFailed}},
		"refused as ended": {0, registry.ErrNotActive, linearizability.Result{Outcome: linearizability.OutcomeFailed}},
	} {
		end := registry.Event{Kind: registry.EventPlaceEnd, Node: "n", Incarnation: 3, Actor: "a", ID: 1, Token: c.token, Err: c.err}
		if res, ok := recording.Ended(end); !ok || res != c.want {
			t.Errorf("%s: %+v, want %+v", name, res, c.want)
		}
	}
	move := registry.Event{Kind: registry.EventMoveStart, Node: "n", Incarnation: 3, Actor: "a", Token: 7, Target: registry.Target{Node: "m", Incarnation: 4}}
	if op, ok := recording.Begun(move); !ok || op != (linearizability.Op{
		Kind: linearizability.KindTransfer, Node: "n", Incarnation: 3, Actor: "a", Token: 7, OwnerNode: "m", OwnerIncarnation: 4,
	}) {
		t.Errorf("a move begins %+v", op)
	}
	move.Kind, move.NewToken = registry.EventMoveEnd, 9
	if res, ok := recording.Ended(move); !ok || res.Outcome != linearizability.OutcomeOK || res.NewToken != 9 {
		t.Errorf("a move ends as %+v", res)
	}
	move.NewToken = 0
	if res, ok := recording.Ended(move); !ok || res.Outcome != linearizability.OutcomeUnknown {
		t.Errorf("a move whose token is not known ends as %+v", res)
	}
}

func TestEvents(t *testing.T) {
	start := registry.Event{Node: "n", Incarnation: 3, Actor: "a", Token: 7, ID: 1}
	for _, c := range []struct {
		start, end registry.EventKind
		op         linearizability.Op
		errs       map[error]linearizability.Outcome
	}{
		{
			registry.EventRevokeStart, registry.EventRevokeEnd,
			linearizability.Op{Kind: linearizability.KindRevoke, Node: "n", Incarnation: 3},
			map[error]linearizability.Outcome{
				nil: linearizability.OutcomeOK, registry.ErrRenewed: linearizability.OutcomeFailed,
				registry.ErrUnknown: linearizability.OutcomeUnknown, registry.ErrSessionLost: linearizability.OutcomeFailed,
			},
		},
		{
			registry.EventGiveBackStart, registry.EventGiveBackEnd,
			linearizability.Op{Kind: linearizability.KindRelease, Node: "n", Incarnation: 3, Actor: "a", Token: 7},
			map[error]linearizability.Outcome{
				nil: linearizability.OutcomeOK, errOther: linearizability.OutcomeFailed,
				registry.ErrUnknown: linearizability.OutcomeUnknown, registry.ErrSessionLost: linearizability.OutcomeLost,
			},
		},
	} {
		start.Kind = c.start
		if op, ok := recording.Begun(start); !ok || op != c.op {
			t.Errorf("%v begins %+v, want %+v", c.start, op, c.op)
		}
		for err, want := range c.errs {
			e := registry.Event{Kind: c.end, Err: err}
			if err == nil {
				e.Version = 9
			}
			if res, ok := recording.Ended(e); !ok || res != (linearizability.Result{Outcome: want, Version: uint64(e.Version)}) {
				t.Errorf("%v with %v: %+v, want %v", c.end, err, res, want)
			}
			if _, ok := recording.Begun(e); ok {
				t.Errorf("%v begins something", c.end)
			}
		}
	}
	if op, ok := recording.Lost(registry.Event{Kind: registry.EventHealth, Health: registry.Lost, Node: "n", Incarnation: 3}); !ok ||
		op != (linearizability.Op{Kind: linearizability.KindLost, Node: "n", Incarnation: 3}) {
		t.Errorf("lost: %+v", op)
	}
	if _, ok := recording.Lost(registry.Event{Kind: registry.EventHealth, Health: registry.Degraded}); ok {
		t.Error("degraded is taken for lost")
	}
	if _, ok := recording.Ended(registry.Event{Kind: registry.EventRenewed}); ok {
		t.Error("a renewal ends an operation")
	}
}
