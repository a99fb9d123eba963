package remote

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

func TestADrainingServerRefusesWhatIsNewAndNothingIsInDoubt(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		begun := b.begin()
		_, err := begun.Get([]byte("n"))
		b.must(err)
		b.must(b.add())
		b.last["server-0"].Drain()
		begun.Add([]byte("n"), 1)
		b.want(begun.Commit(), store.ErrUnavailable, "about to end")
		b.want(b.add(), store.ErrUnavailable, "about to end")
		_, err = b.begin().Get([]byte("n"))
		b.want(err, store.ErrUnavailable, "about to end")
		newcomer, err := Open(b.host, Options{Servers: b.servers})
		b.must(err)
		_, err = newcomer.Begin(b.ctx).Get([]byte("n"))
		b.want(err, store.ErrUnavailable, "about to end")
		b.holds(1)
		b.last["server-0"].Drain() // again
		b.must(b.last["server-0"].Close())
		if n := b.engine.Stats().Doubts; n != 0 {
			t.Errorf("%d commits are in doubt", n)
		}
	})
}

// A copy of a commit that was acknowledged is not denied.
func TestADrainingServerAnswersACopyOfACommitAsTheFirst(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		var first, second []byte
		b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) (reply []byte, err error) {
			if reply, err = call(); method == methodCommit {
				b.last["server-0"].Drain()
				first = reply
				second, err = call()
			}
			return reply, err
		}
		b.must(b.add())
		b.holds(1)
		if len(first) == 0 || string(first) != string(second) {
			t.Errorf("the copy was answered %x, the first %x", second, first)
		}
	})
}

func TestDrainEndsWatchesAndClientsGoElsewhere(t *testing.T) {
	onBench(t, 2, ServerOptions{}, Options{}, func(b *bench) {
		w := b.watching("a")
		b.host.Go("drain", func(ctx context.Context) {
			_ = b.host.Sleep(ctx, 100*time.Millisecond)
			b.last["server-0"].Drain()
		})
		before := b.host.Monotonic()
		b.want(w.Wait(b.ctx), store.ErrUnavailable, "watch")
		if took := b.host.Monotonic() - before; took > time.Second {
			t.Errorf("it took %v", took)
		}
		err := b.add()
		for store.Retryable(err) {
			err = b.add()
		}
		b.must(err)
		b.holds(1)
		if s := b.last["server-1"].Stats(); s.Clients != 1 {
			t.Errorf("the other server has %+v", s)
		}
	})
}

// A commit that is under way when the server begins to drain sets its watches then:
// nobody would end them, and each would be asked for again and again.
func TestDrainEndsTheWatchesOfACommitUnderWay(t *testing.T) {
	const took = time.Second
	onBench(t, 0, ServerOptions{}, Options{Servers: []network.Address{"slow"}}, func(b *bench) {
		var server *Server
		b.world.Process("slow", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
			var err error
			server, err = NewServer(h, slowCommits{b.inner, h, func(*slowCommit) time.Duration { return took }}, ServerOptions{})
			b.must(err)
		})
		b.must(b.host.Sleep(b.ctx, time.Millisecond))
		b.host.Go("drain", func(ctx context.Context) {
			_ = b.host.Sleep(ctx, took/2)
			server.Drain()
		})
		tx := b.begin()
		w, err := tx.Watch([]byte("a"))
		b.must(err)
		tx.Add([]byte("n"), 1)
		b.must(tx.Commit())
		b.want(w.Wait(b.ctx), store.ErrUnavailable, "no such watch")
		b.holds(1)
		if s := server.Stats(); s.Watches != 0 || s.Busy != 0 {
			t.Errorf("the server has %+v", s)
		}
	})
}
