package soak

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/jsonl"
	"github.com/kelpie-registry/kelpie/cmd/simrun/internal/stall"
	"github.com/kelpie-registry/kelpie/store"
)

// Share is what one of several processes does of a soak.
type Share struct {
	Nodes  int           `json:"nodes"`  // in all processes
	Actors int           `json:"actors"` // likewise
	For    time.Duration `json:"for"`
	TTL    time.Duration `json:"ttl"`
	Seed   uint64        `json:"seed"`
	Think  time.Duration `json:"think"`  // mean pause of a worker
	Most   int           `json:"most"`   // operations of this life of the process
	Linger int           `json:"linger"` // one write in so many takes long
	Began  time.Duration `json:"began"`  // origin of the history's times, on the machine's clock

	Name   string `json:"name"`   // of the process in this life of it
	Life   int    `json:"life"`   // counted from 1
	Here   []int  `json:"here"`   // nodes, counted from 0
	Stalls bool   `json:"stalls"` // connections to the store are stalled in the process
}

// Outlets are where a process's nodes leave what they do.
type Outlets struct {
	History Recorder
	Sink    Resource
	Book    Book
}

// Member is the nodes of one process of several.
type Member struct {
	r       *run
	share   Share
	engine  store.Engine
	engines []*stall.Engine
	lives   []*life // at rest
}

// NewMember returns the nodes of a process, which are connected to the store by
// engine.
func NewMember(s Share, engine store.Engine, out Outlets) *Member {
	c := clock.System()
	o := Options{Nodes: s.Nodes, Actors: s.Actors, For: s.For, TTL: s.TTL, Seed: s.Seed + uint64(s.Life)<<32}
	r := newRun(o, s.Name, c, s.Began)
	r.think, r.most, r.linger = s.Think, s.Most, s.Linger
	r.history, r.sink, r.book = out.History, out.Sink, out.Book
	return &Member{r: r, share: s, engine: engine}
}

// Engine is the connection to the store.
func (m *Member) Engine() store.Engine { return m.engine }

// Work runs the nodes until ctx ends. Then they do nothing more, and live on with
// what they hold.
func (m *Member) Work(ctx context.Context) error {
	var running sync.WaitGroup
	m.lives = make([]*life, len(m.share.Here))
	for i, index := range m.share.Here {
		engine := m.engine
		if m.share.Stalls {
			e := stall.New(engine, m.r.clock, m.r.o.Seed+uint64(index))
			m.engines = append(m.engines, e)
			running.Go(func() { m.r.storm(ctx, e, m.r.rand("storm", index)) })
			engine = e
		}
		n := newNode(m.r, index, engine)
		running.Go(func() {
			if l := n.live(ctx); l != nil {
				l.rest()
				m.lives[i] = l
			}
		})
	}
	running.Wait()
	return m.r.failure()
}

// Ask asks every handle that a resting node has whether it is valid, and records it.
func (m *Member) Ask() {
	for _, l := range m.lives {
		if l == nil {
			continue
		}
		w := worker{l: l, rand: rand.New(rand.NewPCG(1, 1))}
		for _, a := range l.handles() {
			w.use(a)
		}
	}
}

// Retire lets the resting nodes give up what they hold, and leave.
func (m *Member) Retire() error {
	var running sync.WaitGroup
	for _, l := range m.lives {
		if l != nil {
			running.Go(func() {
				l.retire()
				l.kill()
			})
		}
	}
	running.Wait()
	for _, e := range m.engines {
		e.Drain()
	}
	return m.r.failure()
}

// Audit is for a process of its own, without nodes: with nobody else left, a new node
// must be able to claim every actor, and what stands in the store must agree.
func (m *Member) Audit(ctx context.Context) (took time.Duration, v *Violation, err error) {
	took, v = m.r.audit(ctx, m.engine)
	return took, v, m.r.failure()
}

// NoteFile is a [Book] whose notes are in a file as they come.
type NoteFile struct{ *jsonl.Writer }

// Take implements [Book].
func (f NoteFile) Take(n Note) { f.Append(&n) }
