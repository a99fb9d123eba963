package remote

import (
	"context"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store"
)

// watching sets a watch.
func (b *bench) watching(key string) store.Watch {
	b.t.Helper()
	tx := b.begin()
	defer tx.Cancel()
	w, err := tx.Watch([]byte(key))
	b.must(err)
	b.must(tx.Commit())
	return w
}

// changed changes a key behind the servers.
func (b *bench) changed(key string) {
	b.t.Helper()
	tx := b.inner.Begin(context.Background())
	tx.Set([]byte(key), []byte("changed"))
	b.must(tx.Commit())
}

func TestAWatchOutlastsItsPolls(t *testing.T) {
	onBench(t, 1, ServerOptions{PollMax: 3 * time.Second}, Options{Poll: time.Second}, func(b *bench) {
		polls := 0
		b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
			if method == methodWatch {
				polls++
			}
			return call()
		}
		w := b.watching("a")
		b.host.Go("change", func(ctx context.Context) {
			_ = b.host.Sleep(ctx, 90*time.Second) // longer than a silent client is known
			b.changed("a")
		})
		b.must(w.Wait(b.ctx))
		if polls < 80 || polls > 100 {
			t.Errorf("%d polls in 90 s", polls)
		}
		b.must(w.Wait(b.ctx)) // it has fired, and asks nobody
		b.must(b.add())       // tells the server
		if st := b.last["server-0"].Stats(); st.Watches != 0 {
			t.Errorf("the server has %+v", st)
		}
	})
}

// The notice of a watch that fired is lost: it is asked for again.
func TestAWatchIsResumed(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		lost := 0
		b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
			reply, err := call()
			if method == methodWatch && lost < 3 {
				lost++
				return nil, network.ErrNoReply
			}
			return reply, err
		}
		w := b.watching("a")
		b.changed("a")
		b.must(w.Wait(b.ctx))
		if n := b.engine.Stats().Resumed; lost != 3 || n != 1 {
			t.Errorf("%d replies were lost, and the watch resumed %d times", lost, n)
		}
	})
}

func TestAWatchEndsWithItsServer(t *testing.T) {
	for _, restarted := range []bool{true, false} {
		onBench(t, 1, ServerOptions{}, Options{Poll: time.Second}, func(b *bench) {
			w := b.watching("a")
			b.host.Go("crash", func(ctx context.Context) {
				_ = b.host.Sleep(ctx, 1500*time.Millisecond)
				b.world.Lookup("server-0").Crash()
				if restarted {
					b.world.Lookup("server-0").Restart()
				}
			})
			before := b.host.Monotonic()
			b.want(w.Wait(b.ctx), store.ErrUnavailable, "watch")
			if took := b.host.Monotonic() - before; took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestAWaitThatIsCancelled(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		w := b.watching("a")
		b.host.Go("cancel", func(ctx context.Context) {
			_ = b.host.Sleep(ctx, 100*time.Millisecond)
			w.Cancel()
		})
		before := b.host.Monotonic()
		b.want(w.Wait(b.ctx), store.ErrUsed, "cancelled")
		if took := b.host.Monotonic() - before; took > 200*time.Millisecond {
			t.Errorf("it took %v", took)
		}
		b.must(b.add())
		if st := b.last["server-0"].Stats(); st.Watches != 0 {
			t.Errorf("the server has %+v", st)
		}
	})
}
