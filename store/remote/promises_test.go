package remote

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// tampered is a host whose calls pass through somebody's hands.
type tampered struct {
	*sim.Host
	tamper func(method string, req []byte, call func() ([]byte, error)) ([]byte, error)
}

func (h *tampered) Network() network.Network { return &tamperedNet{h.Host.Network(), h} }

type tamperedNet struct {
	network.Network
	host *tampered
}

func (n *tamperedNet) Call(ctx context.Context, to network.Address, method string, req []byte) ([]byte, error) {
	call := func() ([]byte, error) { return n.Network.Call(ctx, to, method, req) }
	if n.host.tamper == nil {
		return call()
	}
	return n.host.tamper(method, req, call)
}

// bench is a cluster with one client, for one test.
type bench struct {
	*cluster
	t      *testing.T
	host   *tampered
	engine *Engine
	ctx    context.Context
}

// onBench runs f as the client of a new cluster.
func onBench(t *testing.T, servers int, so ServerOptions, o Options, f func(b *bench)) {
	t.Helper()
	c := newCluster(t, 1, servers, so)
	h := &tampered{Host: c.process("client")}
	if o.Servers == nil {
		o.Servers = c.servers
	}
	e, err := Open(h, o)
	if err != nil {
		t.Fatal(err)
	}
	done := false
	h.Go("test", func(ctx context.Context) {
		f(&bench{c, t, h, e, ctx})
		done = true
	})
	for range 100 {
		if err := c.world.Run(c.world.Now() + 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if done {
			return
		}
	}
	t.Fatal("the test did not end")
}

func (b *bench) begin() store.Txn { return b.engine.Begin(b.ctx) }

// add adds 1 to key n in a transaction without reads.
func (b *bench) add() error {
	tx := b.begin()
	defer tx.Cancel()
	tx.Add([]byte("n"), 1)
	return tx.Commit()
}

// must fails the test when there is an error.
func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Error(err)
	}
}

// want fails the test unless err is the sentinel and its text has the part.
func (b *bench) want(err, sentinel error, part string) {
	b.t.Helper()
	if !errors.Is(err, sentinel) || !strings.Contains(err.Error(), part) {
		b.t.Errorf("error %v, want %v with %q", err, sentinel, part)
	}
}

// holds fails the test unless key n holds want in the store itself.
func (b *bench) holds(want uint64) {
	b.t.Helper()
	v, err := b.inner.Begin(context.Background()).Get([]byte("n"))
	if err != nil {
		b.t.Error(err)
		return
	}
	var got uint64
	if v != nil {
		got = binary.LittleEndian.Uint64(v)
	}
	if got != want {
		b.t.Errorf("n is %d, want %d", got, want)
	}
}

func TestACopyOfACommitIsNotAppliedTwice(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		var first, second []byte
		b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) (reply []byte, err error) {
			if reply, err = call(); method == methodCommit {
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
		if n := b.last["server-0"].Stats().Copies; n != 1 {
			t.Errorf("%d copies were counted", n)
		}
	})
}

// A copy that comes when the outcome has been forgotten, and when the client has,
// is still not applied.
func TestAVeryLateCopyOfACommitIsNotApplied(t *testing.T) {
	onBench(t, 1, ServerOptions{Outcomes: 2}, Options{}, func(b *bench) {
		var old []byte
		b.host.tamper = func(method string, req []byte, call func() ([]byte, error)) ([]byte, error) {
			if method == methodCommit && old == nil {
				old = req
			}
			return call()
		}
		for range 4 {
			b.must(b.add())
		}
		again := func(s status) {
			t.Helper()
			reply, err := b.host.Network().Call(b.ctx, b.servers[0], methodCommit, old)
			b.must(err)
			_, f, err := decodeCommitted(reply)
			b.must(err)
			if f == nil || f.status != s || !errors.Is(f.commit(), store.ErrCommitUnknown) {
				t.Errorf("the late copy is answered %+v", f)
			}
			b.holds(4)
		}
		again(statusRefused)
		b.must(b.host.Sleep(b.ctx, 61*time.Second))
		again(statusGone)
	})
}

func TestACopyOfAReadBringsItsMutationsOnce(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		b.host.tamper = func(_ string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
			_, err := call()
			if err != nil {
				return nil, err
			}
			return call()
		}
		tx := b.begin()
		for i := range 3 {
			tx.Add([]byte("n"), 1)
			v, err := tx.Get([]byte("n"))
			b.must(err)
			if len(v) != 8 || v[0] != byte(i+1) {
				t.Errorf("after %d additions n is %x", i+1, v)
			}
		}
		b.must(tx.Commit())
		b.holds(3)
	})
}

func TestACommitWithoutAReplyIsInDoubt(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
			sent := 0
			b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
				if method != methodCommit {
					return call()
				}
				sent++
				if arrives {
					_, _ = call()
				}
				return nil, network.ErrNoReply
			}
			err := b.add()
			b.want(err, store.ErrCommitUnknown, "commit")
			if store.Retryable(err) || sent != 1 || b.engine.Stats().Doubts != 1 {
				t.Errorf("%d requests were sent, error %v", sent, err)
			}
			b.host.tamper = nil
			if arrives {
				b.holds(1)
			} else {
				b.holds(0)
			}
		})
	}
}

func TestACommitThatWasRefusedWasNotApplied(t *testing.T) {
	for _, c := range []struct{ of, want error }{
		{network.ErrRefused, store.ErrUnavailable},
		{network.ErrUnknownAddress, store.ErrUnavailable},
		{network.ErrTooLarge, store.ErrTooLarge},
		{&network.RemoteError{Message: "it panicked"}, store.ErrCommitUnknown},
	} {
		onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
			b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
				if method == methodCommit {
					return nil, c.of
				}
				return call()
			}
			b.want(b.add(), c.want, "commit")
			b.holds(0)
		})
	}
}

func TestATransactionThatLostAReadIsOver(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
			if method == methodRead {
				_, _ = call()
				return nil, network.ErrNoReply
			}
			return call()
		}
		tx := b.begin()
		tx.Add([]byte("n"), 1)
		_, err := tx.Get([]byte("a"))
		b.want(err, store.ErrUnavailable, "get")
		b.host.tamper = nil
		_, err = tx.Get([]byte("a"))
		b.want(err, store.ErrUnavailable, "get")
		b.want(tx.Commit(), store.ErrUnavailable, "get")
		b.holds(0)
		b.must(b.add())
		b.holds(1)
	})
}

func TestARestartBetweenReadAndCommit(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		tx := b.begin()
		_, err := tx.Get([]byte("n"))
		b.must(err)
		reading := b.begin()
		_, err = reading.Get([]byte("n"))
		b.must(err)
		tx.Add([]byte("n"), 1)
		b.world.Lookup("server-0").Restart()
		b.must(b.host.Sleep(b.ctx, time.Millisecond)) // it serves again
		other := b.open(t, b.process("other"), Options{})
		for range 2 { // these take the numbers of the client and of its transactions
			_, err = other.Begin(b.ctx).Get([]byte("n"))
			b.must(err)
		}
		_, err = reading.Get([]byte("n"))
		b.want(err, store.ErrUnavailable, "does not know the client")
		b.want(tx.Commit(), store.ErrCommitUnknown, "does not know the client")
		b.holds(0)
		b.must(b.add())
		b.holds(1)
	})
}

func TestATransactionThatIsIdleForTooLongIsOver(t *testing.T) {
	onBench(t, 1, ServerOptions{TxnIdle: time.Second}, Options{}, func(b *bench) {
		begun := func() store.Txn {
			tx := b.begin()
			_, err := tx.Get([]byte("n"))
			b.must(err)
			tx.Add([]byte("n"), 1)
			return tx
		}
		reads, commits := begun(), begun()
		b.must(b.host.Sleep(b.ctx, 1500*time.Millisecond))
		_, err := reads.Get([]byte("n"))
		b.want(err, store.ErrUnavailable, "after 1s without a call")
		err = commits.Commit()
		b.want(err, store.ErrUnavailable, "after 1s without a call")
		if !store.Retryable(err) {
			t.Errorf("%v is not retryable", err)
		}
		b.holds(0)
		if st := b.last["server-0"].Stats(); st.Txns != 0 || st.Bytes != 0 || st.Expired != 2 {
			t.Errorf("the server still has %+v", st)
		}
	})
}

// A transaction that needs no commit leaves the server with the next request.
func TestTransactionsThatOnlyReadDoNotStay(t *testing.T) {
	onBench(t, 1, ServerOptions{TxnsPerClient: 3}, Options{}, func(b *bench) {
		for range 20 {
			tx := b.begin()
			_, err := tx.Get([]byte("n"))
			b.must(err)
			b.must(tx.Commit())
		}
		if st := b.last["server-0"].Stats(); st.Txns != 1 {
			t.Errorf("the server has %+v", st)
		}
	})
}

func TestLimitsSayWhichTheyAre(t *testing.T) {
	read := func(b *bench) error {
		_, err := b.begin().Get([]byte("a"))
		return err
	}
	big := func(b *bench) error {
		tx := b.begin()
		tx.Set([]byte("a"), make([]byte, 600))
		_, err := tx.Get([]byte("b"))
		return err
	}
	other := func(b *bench) error {
		o := b.engine.o
		e, err := Open(b.process("other"), o)
		if err != nil {
			return err
		}
		_, err = e.Begin(b.ctx).Get([]byte("a"))
		return err
	}
	watch := func(b *bench) error {
		_, err := b.begin().Watch([]byte("a"))
		if err != nil {
			return err
		}
		tx := b.begin()
		if _, err := tx.Watch([]byte("a")); err != nil {
			return err
		}
		return tx.Commit()
	}
	for _, c := range []struct {
		o     ServerOptions
		do    func(b *bench) error
		fails int // the call that is one too many
		part  string
	}{
		{ServerOptions{Clients: 1}, other, 2, "limit of 1 clients"},
		{ServerOptions{Txns: 2}, read, 3, "limit of 2 transactions"},
		{ServerOptions{TxnsPerClient: 3}, read, 4, "limit of 3 transactions of one client"},
		{ServerOptions{Bytes: 1500}, big, 3, "limit of 1500 bytes of transactions"},
		{ServerOptions{BytesPerClient: 1000}, big, 2, "limit of 1000 bytes of one client's transactions"},
		{ServerOptions{Watches: 2}, watch, 3, "limit of 2 watches"},
	} {
		t.Run(c.part, func(t *testing.T) {
			onBench(t, 1, c.o, Options{}, func(b *bench) {
				if c.o.Clients > 0 {
					b.must(b.add()) // the one client
					c.fails = 1
				}
				for i := range c.fails - 1 {
					if err := c.do(b); err != nil {
						t.Errorf("call %d: %v", i+1, err)
					}
				}
				b.want(c.do(b), store.ErrUnavailable, c.part)
			})
		})
	}
}

func TestNoCommonVersion(t *testing.T) {
	onBench(t, 2, ServerOptions{}, Options{}, func(b *bench) {
		strange := b.process("strange")
		strange.Network().Handle(methodHello, func(context.Context, []byte) ([]byte, error) {
			return welcome{min: 7, max: 9, boot: 1, limits: limits{message: MinMessage}}.encode(), nil
		})
		e, err := Open(b.host, Options{Servers: []network.Address{"strange"}})
		b.must(err)
		_, err = e.Begin(b.ctx).Get([]byte("a"))
		b.want(err, ErrVersion, "speaks 7 to 9, this client 1 to 1")
		if store.Retryable(err) {
			t.Errorf("%v is retryable", err)
		}
		e, err = Open(b.host, Options{Servers: []network.Address{"strange", "server-0"}})
		b.must(err)
		_, err = e.Begin(b.ctx).Get([]byte("a"))
		b.must(err)

		reply, err := b.host.Network().Call(b.ctx, "server-0", methodHello, hello{7, 9}.encode())
		b.must(err)
		w, _, err := decodeWelcome(reply)
		if err != nil || w.min != minVersion || w.max != maxVersion || w.client != 0 {
			t.Errorf("a client of versions 7 to 9 is answered %+v, error %v", w, err)
		}
	})
}

func TestTheClientStaysWithAServerUntilItFails(t *testing.T) {
	onBench(t, 2, ServerOptions{}, Options{CallTimeout: 100 * time.Millisecond}, func(b *bench) {
		at := func(want network.Address) {
			t.Helper()
			tx := b.begin()
			_, err := tx.Get([]byte("a"))
			b.must(err)
			if got := tx.(*attempt).link.address; got != want {
				t.Errorf("the client is at %s, want %s", got, want)
			}
		}
		at("server-0")
		at("server-0")
		b.world.Lookup("server-0").Crash()
		_, err := b.begin().Get([]byte("a"))
		b.want(err, store.ErrUnavailable, "get")
		at("server-1")
		b.world.Lookup("server-0").Restart()
		b.must(b.host.Sleep(b.ctx, 20*time.Second))
		at("server-1")
		if n := b.engine.Stats(); n != (Stats{Links: 2, Switches: 1}) {
			t.Errorf("the client counted %+v", n)
		}
		b.world.Net().Cut("client", "server-1")
		_, err = b.begin().Get([]byte("a"))
		b.want(err, store.ErrUnavailable, "get")
		at("server-0")
	})
}

// A caller that gives up soon, or whose watch does not fire, says nothing about the
// server.
func TestAServerIsNotBlamedForAnImpatientCaller(t *testing.T) {
	onBench(t, 2, ServerOptions{}, Options{}, func(b *bench) {
		ctx, cancel := b.host.WithTimeout(b.ctx, 50*time.Microsecond) // less than a round trip
		_, err := b.engine.Begin(ctx).Get([]byte("a"))
		b.want(err, context.DeadlineExceeded, "connect")
		cancel()
		w := b.watching("a")
		for range 5 {
			ctx, cancel := b.host.WithTimeout(b.ctx, 3*time.Second)
			b.want(w.Wait(ctx), context.DeadlineExceeded, "watch")
			cancel()
			ctx, cancel = b.host.WithTimeout(b.ctx, 50*time.Microsecond)
			_, err = b.engine.Begin(ctx).Get([]byte("a"))
			b.want(err, context.DeadlineExceeded, "get")
			cancel()
		}
		b.must(b.add())
		if n := b.engine.Stats(); n != (Stats{Links: 1}) {
			t.Errorf("the client counted %+v", n)
		}
	})
}

// Whoever waits for long and gives up does blame it, also before CallTimeout.
func TestAServerIsBlamedForSilence(t *testing.T) {
	onBench(t, 2, ServerOptions{}, Options{CallTimeout: 2 * time.Second}, func(b *bench) {
		b.must(b.add())
		b.world.Net().Cut("server-0", "client")
		ctx, cancel := b.host.WithTimeout(b.ctx, time.Second)
		_, err := b.engine.Begin(ctx).Get([]byte("a"))
		b.want(err, context.DeadlineExceeded, "get")
		cancel()
		b.must(b.add())
		if n := b.engine.Stats(); n != (Stats{Links: 2, Switches: 1}) {
			t.Errorf("the client counted %+v", n)
		}
	})
}

// A client that was silent for long takes a new place before the server has
// forgotten the old one: its first commit is not in doubt.
func TestASilentClientIsNotInDoubt(t *testing.T) {
	onBench(t, 1, ServerOptions{ClientIdle: time.Second}, Options{}, func(b *bench) {
		for i, pause := range []time.Duration{0, 400 * time.Millisecond, 900 * time.Millisecond, 5 * time.Second} {
			b.must(b.host.Sleep(b.ctx, pause))
			b.must(b.add())
			b.holds(uint64(i) + 1)
		}
		if st := b.last["server-0"].Stats(); st.Clients != 1 {
			t.Errorf("the server has %+v", st)
		}
	})
}

func TestAClosedServer(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		s := b.last["server-0"]
		w := b.watching("a")
		tx := b.begin()
		_, err := tx.Get([]byte("n"))
		b.must(err)
		b.must(s.Close())
		b.must(s.Close())
		if st := s.Stats(); st.Clients+st.Txns+st.Bytes+st.Watches != 0 {
			t.Errorf("a closed server has %+v", st)
		}
		_, err = tx.Get([]byte("n"))
		b.want(err, store.ErrUnavailable, "get")
		b.want(b.add(), store.ErrUnavailable, "")
		b.want(w.Wait(b.ctx), store.ErrUnavailable, "watch")
	})
}

func TestACommitUnderWayWhenTheClientCloses(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{}, func(b *bench) {
		b.must(b.add())
		b.world.Net().SetDefault(sim.Link{LatencyMin: 50 * time.Millisecond, LatencyMax: 50 * time.Millisecond})
		b.host.Go("close", func(ctx context.Context) {
			_ = b.host.Sleep(ctx, 60*time.Millisecond)
			_ = b.engine.Close()
		})
		b.want(b.add(), store.ErrCommitUnknown, "commit")
		b.holds(2)
		b.want(b.add(), store.ErrClosed, "")
	})
}

func TestWireCodes(t *testing.T) {
	for _, c := range []struct{ at, read, commit error }{
		{store.ErrConflict, store.ErrConflict, store.ErrConflict},
		{store.ErrTooOld, store.ErrTooOld, store.ErrTooOld},
		{store.ErrUnavailable, store.ErrUnavailable, store.ErrUnavailable},
		{store.ErrCommitUnknown, store.ErrUnavailable, store.ErrCommitUnknown},
		{store.ErrTooLarge, store.ErrTooLarge, store.ErrTooLarge},
		{store.ErrInvalid, store.ErrInvalid, store.ErrInvalid},
		{store.ErrUnreadable, store.ErrUnreadable, store.ErrUnreadable},
		{store.ErrTimedOut, store.ErrUnavailable, store.ErrUnavailable},
		{store.ErrUsed, store.ErrUnavailable, store.ErrUnavailable},
		{store.ErrClosed, store.ErrUnavailable, store.ErrUnavailable},
		{errors.New("some other"), store.ErrUnavailable, store.ErrCommitUnknown},
	} {
		_, f, err := decodeCommitted(encodeFault(statusFailed, errors.Join(errors.New("why"), c.at)))
		if err != nil || f == nil {
			t.Fatalf("%v: %v, error %v", c.at, f, err)
		}
		if err := f.read("get"); !errors.Is(err, c.read) || !strings.Contains(err.Error(), "why") {
			t.Errorf("%v of a read is %v, want %v", c.at, err, c.read)
		}
		if err := f.commit(); !errors.Is(err, c.commit) || !strings.Contains(err.Error(), "why") {
			t.Errorf("%v of a commit is %v, want %v", c.at, err, c.commit)
		}
	}
	unheard := fault{status: statusFailed, code: 200}
	if err := unheard.read("get"); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("an unknown code of a read is %v", err)
	}
	if err := unheard.commit(); !errors.Is(err, store.ErrCommitUnknown) {
		t.Errorf("an unknown code of a commit is %v", err)
	}
}
