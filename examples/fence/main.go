// Command fence shows what a fencing token is for.
//
// Two nodes write to a register outside the store. The first node asks its claim
// whether it is valid, is told that it is, and then stands still for a minute:
// a garbage collection, a paused virtual machine, a laptop lid. Meanwhile its
// lease runs out and the second node takes the actor over. Then the first one
// wakes up and writes, on the strength of an answer that is a minute old. No
// lease, however short, helps against that: between the question and the effect
// there is always time for a pause.
//
// The story is told twice, to a register that takes every write and to one that
// refuses tokens below the highest it has seen. It plays in a simulated world, so
// that the pause comes at the worst moment each time, and takes no minute.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/sim/simstore"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

func main() {
	for _, check := range []bool{false, true} {
		if err := tell(os.Stdout, check); err != nil {
			fmt.Fprintln(os.Stderr, "fence:", err)
			os.Exit(1)
		}
	}
}

const (
	actor = registry.ActorID("account/42")
	// worst is the moment between the first node's question and its write.
	worst = 10 * time.Second
	pause = time.Minute // twice the TTL
)

// tell runs the story with a register that checks tokens, or does not.
func tell(out io.Writer, check bool) error {
	w := sim.NewWorld(1, sim.Options{})
	defer w.Close()
	s := story{out: out, world: w}
	if check {
		fmt.Fprintln(out, "A register that checks tokens:")
	} else {
		fmt.Fprintln(out, "A register that takes every write:")
	}

	// The store that all nodes share, with a disk whose clock it uses.
	w.Process("disk", sim.ProcessOptions{}).Start(func(context.Context, *sim.Host) {})
	engine := memory.New(memory.Options{Clock: w.Lookup("disk").Host()})
	s.server = simstore.NewServer(w, engine, &simstore.Faults{})

	reg := newRegister(check)
	w.Process("register", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
		h.Network().Handle("write", reg.serve)
	})
	first := w.Process("node-1", sim.ProcessOptions{})
	first.Start(s.main(s.first))
	w.Process("node-2", sim.ProcessOptions{}).Start(s.main(s.second))
	w.After(worst, "pause", func() {
		s.say("the world", "node-1 stands still")
		first.Pause()
	})
	w.After(worst+pause, "resume", func() {
		s.say("the world", "node-1 goes on")
		first.Resume()
	})
	if err := w.Run(2 * time.Minute); err != nil {
		return err
	}
	fmt.Fprintf(out, "%9s  %-9s  %q\n\n", "", "the end", reg.value(actor))
	return s.err
}

// story is one telling.
type story struct {
	out    io.Writer
	world  *sim.World
	server *simstore.Server
	err    error // the first that the story does not expect
}

func (s *story) say(who, format string, args ...any) {
	fmt.Fprintf(s.out, "%8.3fs  %-9s  %s\n", s.world.Now().Seconds(), who, fmt.Sprintf(format, args...))
}

// main joins the node and hands its session to f. Nothing of it knows that it is
// simulated but the store's connection.
func (s *story) main(f func(ctx context.Context, n *node) error) func(context.Context, *sim.Host) {
	return func(ctx context.Context, h *sim.Host) {
		err := func() error {
			db, err := store.Open(s.server.Connect(h), h, h.Rand(), store.Options{})
			if err != nil {
				return err
			}
			r, err := registry.Open(h, db, registry.Options{TTL: 30 * time.Second})
			if err != nil {
				return err
			}
			session, err := r.Join(ctx, registry.NodeID(h.Name()), registry.JoinOptions{})
			if err != nil {
				return err
			}
			return f(ctx, &node{host: h, session: session, say: s.say})
		}()
		if err != nil && s.err == nil {
			s.err = fmt.Errorf("%s: %w", h.Name(), err)
		}
	}
}

// first claims the actor, and writes twice: once in time, and once after the
// pause.
func (s *story) first(ctx context.Context, n *node) error {
	claim, err := n.session.Claim(ctx, actor)
	if err != nil {
		return err
	}
	n.write(ctx, claim, "100, says node-1")
	if err := n.host.Sleep(ctx, worst-time.Millisecond-n.host.Monotonic()); err != nil {
		return err
	}
	n.tell("asks whether its claim is valid: %t", claim.Valid())
	if err := n.host.Sleep(ctx, 2*time.Millisecond); err != nil { // works out what to write
		return err
	}
	n.write(ctx, claim, "101, says node-1")
	n.tell("asks again: %t", claim.Valid())
	return nil
}

// second waits for the actor and writes.
func (s *story) second(ctx context.Context, n *node) error {
	if err := n.host.Sleep(ctx, time.Second); err != nil {
		return err
	}
	claim, err := n.session.ClaimWait(ctx, actor)
	if err != nil {
		return err
	}
	n.tell("takes the actor over, once node-1 has been silent for longer than its lease")
	n.write(ctx, claim, "250, says node-2")
	return nil
}
