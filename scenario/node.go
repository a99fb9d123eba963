package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/linearizability"
	"github.com/kelpie-registry/kelpie/recording"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// node is one simulated process that runs the registry.
type node struct {
	r    *run
	id   registry.NodeID
	proc *sim.Process
	key  uint64 // identifies the process in draws

	scripts [][]Step // by worker; what the lives so far have left of them
	joins   uint64   // over all lives

	granted []*registry.Claim // all handles of the current life
	life    *life             // the current one
	watcher watcher           // what it was told of the nodes

	capacity int64 // its sessions'
	odd      bool  // its sessions have the label "odd"
}

// life is a node's process from one start to its crash.
type life struct {
	n       *node
	number  uint64
	h       *sim.Host
	db      *store.DB
	patient *store.DB // for long transactions of the application
	reg     *registry.Registry
	session *registry.Session
	held    []*registry.Claim        // by actor; nil when none
	undone  []*registry.Claim        // by actor; a claim whose release or transfer failed or is in doubt
	handed  map[holding]string       // the payload of what a drain or a rebalance gives away
	adopted map[holding]bool         // a drain has found it in the inbox, and has given it away or may have
	unsure  map[holding]bool         // a drain has left it in doubt whether it gave it away
	moves   []move                   // by actor; the transfer, if it was one
	moving  []bool                   // by actor; a transfer is under way
	moved   []store.Version          // version of the last transfer seen, by actor
	ends    []store.Version          // version of the last release seen, by actor
	left    store.Version            // version of the last leave seen
	begun   map[uint64]int           // event id -> operation in the history
	inDoubt []bool                   // by actor; the session's last claim of it ended unknown
	started map[uint64]time.Duration // event id -> when that was
	stalled bool                     // the session was degraded

	givesAway  string // "drain" or "rebalance" while one is under way
	gave       tally
	superseded map[holding]int // how often the drain under way has met a handle that is superseded
	roundRobin registry.RoundRobin

	doubtful bool          // the outcome of a join stayed unknown
	joinedAt time.Duration // true time at which the last join returned
	renewed  bool          // an attempt to renew the session has ended
}

// main is the node's program.
func (n *node) main(_ context.Context, h *sim.Host) {
	l := n.newLife(h)
	if l.number > 1 {
		n.r.happened(evCrashed)
		n.r.crashedInMove(n)
		for _, c := range n.granted {
			n.r.monitor.Dropped(string(c.Actor()), uint64(c.Token()))
		}
		n.granted = n.granted[:0]
	}
	n.life = l
	if err := l.open(); err != nil {
		n.r.world.Fail("harness", err)
		return
	}
	if n.r.shape.watch {
		h.Go("watcher", l.watch)
	}
	if n.r.shape.crowds {
		h.Go("crowds", l.crowds)
	}
	if n.r.shape.remotes > 0 {
		h.Go("watch next", l.watchNext)
	}
	for i := 1; i < n.r.shape.workers; i++ {
		h.Go(workerNames[i], func(ctx context.Context) { l.work(ctx, i) })
	}
	l.work(h.Context(), 0)
}

func (n *node) newLife(h *sim.Host) *life {
	return &life{
		n:       n,
		number:  n.proc.Life(),
		h:       h,
		held:    make([]*registry.Claim, n.r.shape.actors),
		undone:  make([]*registry.Claim, n.r.shape.actors),
		handed:  make(map[holding]string),
		adopted: make(map[holding]bool),
		unsure:  make(map[holding]bool),

		superseded: make(map[holding]int),

		started: make(map[uint64]time.Duration),
		moves:   make([]move, n.r.shape.actors),
		moving:  make([]bool, n.r.shape.actors),
		moved:   make([]store.Version, n.r.shape.actors),
		ends:    make([]store.Version, n.r.shape.actors),
		begun:   make(map[uint64]int),
		inDoubt: make([]bool, n.r.shape.actors),
	}
}

// workerNames are constant so that naming a task costs nothing.
var workerNames = [...]string{"worker-0", "worker-1", "worker-2", "worker-3"}

func (l *life) open() (err error) {
	r := l.n.r
	engine := r.engine(l.h)
	l.db, err = store.Open(engine, l.h, l.h.Rand(), store.Options{AttemptTimeout: 2 * time.Second})
	if err != nil {
		return err
	}
	l.patient, err = store.Open(engine, l.h, l.h.Rand(), store.Options{AttemptTimeout: effectTimeout})
	if err != nil {
		return err
	}
	l.reg, err = registry.Open(l.h, l.db, r.shape.options(l.event))
	return err
}

// work is one worker: it does its script until the workload stops, and gives
// back what it holds. The first worker joins, and joins again when the session is
// lost.
func (l *life) work(ctx context.Context, worker int) {
	r := l.n.r
	for ctx.Err() == nil && !r.quiet() {
		if l.session == nil || l.session.Context().Err() != nil {
			if worker != 0 {
				l.sleep(ctx, r.shape.think)
				continue
			}
			// Much real code leaves in a defer, whatever became of the session.
			if l.session != nil && r.world.Draw("tidy", l.n.key, l.n.joins)%2 == 0 {
				l.leave(ctx)
			}
			if !l.join(ctx) {
				l.sleep(ctx, r.shape.think)
			}
			continue
		}
		st := l.next(ctx, worker)
		if st.Do == Think || ctx.Err() != nil || r.quiet() || l.session.Context().Err() != nil {
			continue
		}
		actions[st.Do](l, ctx, st)
	}
	if worker == 0 {
		l.giveBack(ctx)
	}
}

// next pauses, and returns the worker's next step.
func (l *life) next(ctx context.Context, worker int) (st Step) {
	steps := &l.n.scripts[worker]
	if beat := l.n.r.program.Beat; beat != 0 {
		l.sleep(ctx, beat-l.now()%beat)
		if i := int(l.now() / beat); i < len(*steps) {
			st = (*steps)[i]
		}
		if st.After != 0 {
			l.sleep(ctx, st.After)
		}
		return st
	}
	if len(*steps) == 0 {
		l.sleep(ctx, l.n.r.shape.think)
		return st
	}
	st, *steps = (*steps)[0], (*steps)[1:]
	l.sleep(ctx, st.After)
	return st
}

func (l *life) sleep(ctx context.Context, d time.Duration) {
	if err := l.h.Sleep(ctx, d); err != nil && ctx.Err() == nil {
		l.n.r.world.Fail("harness", fmt.Errorf("sleep ended early: %w", err))
	}
}

// giveBackTries bounds the attempts to leave at the end of the workload. A node
// that cannot leave is revoked as silent.
const giveBackTries = 3

// giveBack releases every claim and leaves, so that the audit finds only what
// the dead left behind.
func (l *life) giveBack(ctx context.Context) {
	if l.n.r.shape.batches {
		l.releaseAll(ctx)
	}
	for actor := range l.held {
		if l.held[actor] != nil && ctx.Err() == nil {
			l.releaseClaim(ctx, actor, l.held[actor])
		}
	}
	l.demandSettled(ctx)
	l.demandAccepted(ctx)
	l.demandDrains(ctx)
	for range giveBackTries {
		if ctx.Err() != nil || l.session == nil || l.leave(ctx) {
			return
		}
	}
}

// settledWithin bounds how long a session may own an actor that none of its
// claims is known to have got, in a world without faults: the recovery of a
// store, and a few attempts.
const settledWithin = 3 * time.Second

// demandSettled checks that the session does not go on owning what a claim got
// whose outcome nobody learnt.
func (l *life) demandSettled(ctx context.Context) {
	r := l.n.r
	deadline := max(l.now(), chaosEnds) + settledWithin
	for actor, doubt := range l.inDoubt {
		for doubt && ctx.Err() == nil && l.session != nil && l.session.Valid() {
			o, err := l.reg.Lookup(ctx, r.actors[actor])
			if doubt = err != nil && !errors.Is(err, registry.ErrUnowned) || o.Node == l.n.id && o.Incarnation == l.session.Incarnation() && !l.has(actor, o.Token); !doubt {
				break
			}
			if l.now() > deadline {
				r.world.Fail("owned-without-handle", fmt.Errorf("%v after the workload has ended %q owns actor %q, which no claim is known to have got",
					l.now()-chaosEnds, l.n.id, r.actors[actor]))
				return
			}
			l.sleep(ctx, settledWithin/20)
		}
	}
}

// event counts what happens inside the registry and records what it begins by
// itself.
func (l *life) event(e registry.Event) {
	r := l.n.r
	if op, ok := recording.Begun(e); ok {
		l.started[e.ID] = l.now()
		op.Client = l.client()
		l.begun[e.ID] = r.history.Invoke(l.now(), op)
	}
	if res, ok := recording.Ended(e); ok {
		defer delete(l.started, e.ID)
		r.history.Return(l.now(), l.begun[e.ID], res)
		delete(l.begun, e.ID)
	}
	l.givesActors(e)
	switch e.Kind {
	case registry.EventSilent:
		r.happened(evSilent)
		l.judging(e)
	case registry.EventRevokeEnd:
		switch {
		case e.Err == nil:
			r.happened(evRevoked)
			if e.Monitor {
				r.happened(evMonitorRevoked)
			}
			if r.shape.herd {
				r.revokedInHerd()
			}
			r.endedAt(e)
			r.revokedSession(session{e.Node, e.Incarnation})
		case errors.Is(e.Err, registry.ErrRenewed):
			r.happened(evRenewedFirst)
		}
	case registry.EventGiveBackEnd:
		if e.Err == nil {
			r.happened(evGivenBack)
			if l.givesAway != "drain" {
				r.gaveBack(e)
			}
		}
	case registry.EventHealth:
		l.health(e)
	case registry.EventResolved:
		l.resolvedMove(e)
		if e.Applied {
			r.happened(evDoubtApplied)
		} else {
			r.happened(evDoubtDropped)
		}
	case registry.EventReleased:
		l.ends[r.actorIndex[e.Actor]] = e.Version
	case registry.EventTransferred:
		l.moved[r.actorIndex[e.Actor]] = e.Version
	case registry.EventLeft:
		l.left = e.Version
		r.endedAt(e)
	case registry.EventRenewed, registry.EventRenewFailed:
		l.renewed = true
	case registry.EventRevokeLimited:
		r.happened(evLimited)
	case registry.EventRevokeLimitOver:
		r.happened(evLimitOver)
	case registry.EventMarked:
		r.happened(evMarked)
	case registry.EventUnmarked:
		r.happened(evUnmarked)
	case registry.EventSwept:
		r.happened(evSwept)
	case registry.EventForgotten:
		r.happened(evForgotten)
	case registry.EventRevokeStart:
		r.sessionEnding(e.Node)
	case registry.EventDoubt, registry.EventGiveBackStart, registry.EventAccepted,
		registry.EventPlaceStart, registry.EventPlaceEnd, registry.EventMoveStart, registry.EventMoveEnd, registry.EventDraining:
	}
}

func (l *life) health(e registry.Event) {
	r := l.n.r
	switch e.Health {
	case registry.Lost:
		r.happened(evLost)
		if err := l.neglect(e.Err); err != nil {
			r.world.Fail("lease-neglected", err)
		}
		r.monitor.SessionLost(l.now(), string(e.Node), uint64(e.Incarnation))
		if op, ok := recording.Lost(e); ok {
			op.Client = l.client()
			r.history.Note(l.now(), op, linearizability.Result{Outcome: linearizability.OutcomeOK})
		}
	case registry.Degraded:
		l.stalled = true
		r.happened(evDegraded)
	case registry.Healthy:
		if l.stalled {
			r.happened(evRecovered)
		}
		l.stalled = false
	}
}

func (l *life) client() string { return l.n.proc.Name() }

func (l *life) now() time.Duration { return l.n.r.world.Now() }
