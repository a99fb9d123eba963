// Package onsimfdb takes litmus programs through the simulated FoundationDB:
// through its native client at the level Client, through the store port at the
// level Port. Each program has a world of its own.
package onsimfdb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onport"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simfdb"
	"github.com/kelpie-registry/kelpie/store"
)

// Options of a store. The zero value is a fast network.
type Options struct {
	// Salt is folded into the seeds of the worlds: another one means other
	// latencies and other batches, and must not mean other answers.
	Salt uint64
	// ClientLink and ServerLink are those of the clusters.
	ClientLink, ServerLink sim.Link
}

// New returns a store of simulated clusters.
func New(o Options) litmus.Store { return &worlds{o: o, arena: sim.NewArena()} }

// worlds makes one world after the other.
type worlds struct {
	o     Options
	arena *sim.Arena
	// spoil, in tests, puts a wrong client in place of a right one.
	spoil func(litmus.Session) litmus.Session
}

// Close implements litmus.Store.
func (w *worlds) Close() error {
	w.arena.Close()
	return nil
}

// Durations of a program's world, in its own time.
const (
	warmUp   = 10 * time.Second // so that version 1 is long gone
	lifetime = time.Hour        // no program takes as long
	patience = 10 * time.Second
	quiet    = 100 * time.Millisecond
	window   = 7500 * time.Millisecond // and more: that of the cluster is five seconds
)

// Run implements litmus.Store.
func (w *worlds) Run(p *litmus.Program, out []byte) ([]byte, error) {
	world := sim.NewWorld(p.Seed^w.o.Salt, sim.Options{Arena: w.arena})
	defer world.Close()
	cluster := simfdb.NewCluster(world, simfdb.Options{ServerLink: w.o.ServerLink, ClientLink: w.o.ClientLink})
	world.Invariant("cluster", cluster.Invariants)
	done := false
	var err error
	world.Process("litmus", sim.ProcessOptions{}).Start(func(ctx context.Context, h *sim.Host) {
		if err = h.Sleep(ctx, warmUp); err == nil {
			out, err = w.take(p, h, cluster, out)
		}
		done = true
		world.Stop()
	})
	if failure := world.Run(lifetime); failure != nil {
		return out, failure
	}
	if !done {
		return out, fmt.Errorf("onsimfdb: seed %d did not end within %v of simulated time", p.Seed, lifetime)
	}
	return out, err
}

// take takes a program through a cluster, in a task of h.
func (w *worlds) take(p *litmus.Program, h *sim.Host, cluster *simfdb.Cluster, out []byte) ([]byte, error) {
	s := &session{h: h, prefix: litmus.NewPrefix(p.Seed)}
	for i := range s.clients {
		s.clients[i] = cluster.Client(h)
	}
	s.Session = onport.Session{
		Connect:  func(client int) store.Engine { return s.clients[client] },
		Clock:    h,
		Patience: patience,
		Quiet:    quiet,
		Old:      func() error { return onport.AgeByTime(h, window)(s.clients[0]) },
	}
	if p.Level == litmus.Port {
		return litmus.Run(p, &s.Session, out)
	}
	if err := s.guard(); err != nil {
		return out, err
	}
	if w.spoil != nil {
		return litmus.Run(p, w.spoil(s), out)
	}
	return litmus.Run(p, s, out)
}

// guard puts the guards around the program's keys.
func (s *session) guard() error {
	tx := s.clients[0].CreateTransaction()
	for _, key := range s.prefix.Guards() {
		tx.Set(key, nil)
	}
	return tx.Commit().Get()
}

// session is a cluster as a program of the level Client meets it.
type session struct {
	onport.Session

	h       *sim.Host
	prefix  litmus.Prefix
	clients [litmus.Clients]*simfdb.Client
}

// Begin implements litmus.Session.
func (s *session) Begin(client int) litmus.Transaction {
	return &transaction{session: s, tx: s.clients[client].CreateTransaction()}
}

// ErrorName implements litmus.Session.
func (s *session) ErrorName(err error) string {
	var e simfdb.Error
	if errors.As(err, &e) {
		return fmt.Sprint(e.Code)
	}
	return "unknown: " + err.Error()
}
