package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// crowd is how many tasks send at once; their requests have room in one batch.
const crowd = 20

// gather is Options.Gather of the tests.
const gather = time.Millisecond

// together runs f in so many tasks at once, of which the first is a little ahead, and
// returns their errors.
func (b *bench) together(tasks int, f func(ctx context.Context, i int) error) []error {
	b.t.Helper()
	errs := make([]error, tasks)
	left := tasks
	done := b.host.NewEvent()
	for i := range tasks {
		b.host.Go("caller", func(ctx context.Context) {
			if i > 0 {
				_ = b.host.Sleep(ctx, 10*gather)
			}
			errs[i] = f(ctx, i)
			if left--; left == 0 {
				done.Set()
			}
		})
	}
	b.must(done.Wait(b.ctx))
	return errs
}

// adding adds 1 to key n.
func (b *bench) adding(ctx context.Context, _ int) error {
	tx := b.engine.Begin(ctx)
	tx.Add([]byte("n"), 1)
	return tx.Commit()
}

func TestSmallRequestsTravelTogether(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{Gather: gather}, func(b *bench) {
		b.must(b.add())
		sent := map[string]int{}
		b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
			sent[method]++
			return call()
		}
		for _, err := range b.together(crowd, b.adding) {
			b.must(err)
		}
		b.holds(crowd + 1)
		if sent[methodCommit] != 1 || sent[methodBatch] != 1 || b.engine.Stats().Batches != 1 {
			t.Errorf("%d commits travelled as %v", crowd, sent)
		}
	})
}

func TestEachRequestOfABatchGetsItsOwnAnswer(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{Gather: gather}, func(b *bench) {
		tx := b.begin()
		for i := range crowd {
			tx.Set(fmt.Append(nil, i), fmt.Append(nil, "value of ", i))
		}
		b.must(tx.Commit())
		for i, err := range b.together(crowd, func(ctx context.Context, i int) error {
			v, err := b.engine.Begin(ctx).Get(fmt.Append(nil, i))
			if want := fmt.Sprint("value of ", i); string(v) != want {
				t.Errorf("key %d is %q", i, v)
			}
			return err
		}) {
			if err != nil {
				t.Errorf("key %d: %v", i, err)
			}
		}
		if b.engine.Stats().Batches == 0 {
			t.Error("none travelled together")
		}
	})
}

func TestACopyOfABatchIsNotAppliedTwice(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{Gather: gather}, func(b *bench) {
		b.must(b.add())
		b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
			reply, err := call()
			if method != methodBatch || err != nil {
				return reply, err
			}
			second, err := call()
			if !slices.Equal(second, reply) {
				t.Errorf("the copy was answered %x, the first %x", second, reply)
			}
			return second, err
		}
		for _, err := range b.together(crowd, b.adding) {
			b.must(err)
		}
		b.holds(crowd + 1)
		if n := b.last["server-0"].Stats().Copies; n != crowd-1 {
			t.Errorf("%d copies were counted", n)
		}
	})
}

// What becomes of a batch becomes of each of its requests.
func TestTheFateOfABatch(t *testing.T) {
	for _, c := range []struct {
		name         string
		arrives      bool
		reply        []byte
		err          error
		commit, read error
	}{
		{"lost", false, nil, network.ErrNoReply, store.ErrCommitUnknown, store.ErrUnavailable},
		{"lost on the way back", true, nil, network.ErrNoReply, store.ErrCommitUnknown, store.ErrUnavailable},
		{"refused", false, nil, network.ErrRefused, store.ErrUnavailable, store.ErrUnavailable},
		{"nobody there", false, nil, network.ErrUnknownAddress, store.ErrUnavailable, store.ErrUnavailable},
		{"its reply too large", true, nil, network.ErrTooLarge, store.ErrCommitUnknown, store.ErrUnavailable},
		{"a panic", true, nil, &network.RemoteError{Message: "it panicked"}, store.ErrCommitUnknown, store.ErrUnavailable},
		{"a malformed reply", true, []byte("?"), nil, store.ErrCommitUnknown, store.ErrUnavailable},
		{"too few answers", true, encodeAnswers([]answer{{}}, MinMessage), nil, store.ErrCommitUnknown, store.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			onBench(t, 1, ServerOptions{}, Options{Gather: gather}, func(b *bench) {
				b.must(b.add())
				b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
					if method != methodBatch {
						return call()
					}
					if c.arrives {
						_, _ = call()
					}
					return c.reply, c.err
				}
				for i, err := range b.together(crowd, b.adding) {
					if i == 0 {
						b.must(err) // it was alone
					} else if !errors.Is(err, c.commit) || errors.Is(err, store.ErrCommitUnknown) != (c.commit == store.ErrCommitUnknown) {
						t.Errorf("commit %d ended with %v, want %v", i, err, c.commit)
					}
				}
				if c.arrives {
					b.holds(crowd + 1)
				} else {
					b.holds(2)
				}
				b.must(b.host.Sleep(b.ctx, 10*time.Second)) // the server is not avoided any more
				for i, err := range b.together(crowd, func(ctx context.Context, _ int) error {
					_, err := b.engine.Begin(ctx).Get([]byte("n"))
					return err
				}) {
					if i > 0 && !errors.Is(err, c.read) {
						t.Errorf("read %d ended with %v, want %v", i, err, c.read)
					}
				}
			})
		})
	}
}

// slowCommits is an engine whose commits take their time.
type slowCommits struct {
	store.Engine
	host host.Host
	took func(tx *slowCommit) time.Duration
}

func (e slowCommits) Begin(ctx context.Context) store.Txn {
	return &slowCommit{Txn: e.Engine.Begin(ctx), ctx: ctx, engine: e}
}

type slowCommit struct {
	store.Txn
	ctx    context.Context
	engine slowCommits
	slow   bool // it has set the key "slow"
}

func (t *slowCommit) Set(key, value []byte) {
	t.slow = t.slow || string(key) == "slow"
	t.Txn.Set(key, value)
}

func (t *slowCommit) Commit() error {
	if err := t.engine.host.Sleep(t.ctx, t.engine.took(t)); err != nil {
		return err
	}
	return t.Txn.Commit()
}

// onSlowBench runs f as the client of a server whose commits of the key "slow" take
// a second.
func onSlowBench(t *testing.T, f func(b *bench)) {
	t.Helper()
	onBench(t, 0, ServerOptions{}, Options{Servers: []network.Address{"slow"}, Gather: gather}, func(b *bench) {
		b.world.Process("slow", sim.ProcessOptions{}).Start(func(_ context.Context, h *sim.Host) {
			took := func(tx *slowCommit) time.Duration {
				if tx.slow {
					return time.Second
				}
				return 0
			}
			if _, err := NewServer(h, slowCommits{b.inner, h, took}, ServerOptions{}); err != nil {
				t.Error(err)
			}
		})
		b.must(b.host.Sleep(b.ctx, time.Millisecond))
		f(b)
	})
}

// slowly sets the key "slow" in task 1, and adds 1 to n in each.
func (b *bench) slowly(ctx context.Context, i int) error {
	tx := b.engine.Begin(ctx)
	tx.Add([]byte("n"), 1)
	if i == 1 {
		tx.Set([]byte("slow"), nil)
	}
	return tx.Commit()
}

func TestABatchDoesNotWaitForAStraggler(t *testing.T) {
	for _, c := range []struct {
		name string
		lost error // what becomes of asking again
		want error
	}{
		{"that is asked for", nil, nil},
		{"that is asked for and lost", network.ErrNoReply, store.ErrCommitUnknown},
		{"that is asked for and refused", network.ErrRefused, store.ErrCommitUnknown},
		{"that is asked for and too large", network.ErrTooLarge, store.ErrCommitUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			onSlowBench(t, func(b *bench) {
				b.must(b.add())
				asking := false
				b.host.tamper = func(method string, _ []byte, call func() ([]byte, error)) ([]byte, error) {
					if asking && c.lost != nil {
						return nil, c.lost
					}
					reply, err := call()
					asking = asking || method == methodBatch
					return reply, err
				}
				took := make([]time.Duration, crowd)
				errs := b.together(crowd, func(ctx context.Context, i int) error {
					defer func(begun time.Duration) { took[i] = b.host.Monotonic() - begun }(b.host.Monotonic())
					return b.slowly(ctx, i)
				})
				for i, err := range errs {
					switch {
					case i != 1:
						b.must(err)
						if took[i] > 200*time.Millisecond {
							t.Errorf("commit %d took %v", i, took[i])
						}
					case c.want == nil:
						b.must(err)
					case !errors.Is(err, c.want) || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrTooLarge):
						t.Errorf("the straggler ended with %v", err)
					}
				}
				if n := b.engine.Stats().AskedAgain; n != 1 {
					t.Errorf("%d were asked for again", n)
				}
				b.must(b.host.Sleep(b.ctx, 2*time.Second))
				b.holds(crowd + 1)
			})
		})
	}
}

// Answers that one reply has no room for are asked for one by one.
func TestAnswersThatHaveNoRoomTogether(t *testing.T) {
	const rows = 8
	onBench(t, 1, ServerOptions{MessageBytes: MinMessage}, Options{Gather: gather}, func(b *bench) {
		for i := range rows {
			tx := b.begin()
			tx.Set(fmt.Append(nil, i), slices.Repeat([]byte{byte(i)}, store.MaxValueBytes/2))
			b.must(tx.Commit())
		}
		for i, err := range b.together(rows, func(ctx context.Context, i int) error {
			v, err := b.engine.Begin(ctx).Get(fmt.Append(nil, i))
			if len(v) != store.MaxValueBytes/2 || v[0] != byte(i) {
				t.Errorf("row %d has %d bytes", i, len(v))
			}
			return err
		}) {
			if err != nil {
				t.Errorf("row %d: %v", i, err)
			}
		}
		if st := b.engine.Stats(); st.Batches == 0 || st.AskedAgain == 0 {
			t.Errorf("the client counted %+v", st)
		}
	})
}

// A renewal is a small commit: it does not wait for long behind commits that do.
func TestASmallCommitDoesNotWaitForTheOneBefore(t *testing.T) {
	onSlowBench(t, func(b *bench) {
		b.must(b.add())
		ended := 0
		slow := b.host.NewEvent()
		b.host.Go("slow", func(ctx context.Context) {
			b.must(b.slowly(ctx, 1))
			ended++
			slow.Set()
		})
		for range 10 {
			b.must(b.host.Sleep(b.ctx, time.Millisecond))
			begun := b.host.Monotonic()
			b.must(b.add())
			if took := b.host.Monotonic() - begun; took > 10*gather {
				t.Errorf("a renewal took %v", took)
			}
		}
		if ended > 0 {
			t.Error("the slow commit was not under way")
		}
		b.must(slow.Wait(b.ctx))
		b.holds(12)
	})
}

// A commit whose context ends while it waits for others was never sent.
func TestACommitThatHasNotLeftIsNotInDoubt(t *testing.T) {
	onBench(t, 1, ServerOptions{}, Options{Gather: gather}, func(b *bench) {
		b.must(b.add())
		errs := b.together(crowd, func(ctx context.Context, i int) error {
			if i == 5 {
				hasty, cancel := b.host.WithTimeout(ctx, gather/2)
				defer cancel()
				ctx = hasty
			}
			return b.adding(ctx, i)
		})
		for i, err := range errs {
			if i != 5 {
				b.must(err)
			} else if b.want(err, store.ErrTimedOut, "not sent"); errors.Is(err, store.ErrCommitUnknown) {
				t.Errorf("error %v", err)
			}
		}
		b.holds(crowd)
	})
}

// One whose context ends on the way is in doubt, and the others are not.
func TestACallerThatLeavesItsBatch(t *testing.T) {
	onSlowBench(t, func(b *bench) {
		b.must(b.add())
		errs := b.together(crowd, func(ctx context.Context, i int) error {
			if i == 1 {
				impatient, cancel := b.host.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				ctx = impatient
			}
			return b.slowly(ctx, i)
		})
		for i, err := range errs {
			if i != 1 {
				b.must(err)
			} else {
				b.want(err, store.ErrCommitUnknown, "commit")
			}
		}
		b.must(b.host.Sleep(b.ctx, 2*time.Second))
		b.holds(crowd + 1)
	})
}

// The tasks of a crew do one job after the other, and end when there is none.
func TestTheTasksOfACrewAreReused(t *testing.T) {
	w := sim.NewWorld(1, sim.Options{})
	defer w.Close()
	p := w.Process("server", sim.ProcessOptions{})
	p.Start(idle)
	h := p.Host()
	c := crew{host: h}
	done := 0
	job := func() { done++ }
	for i := range 10 {
		h.AfterFunc(time.Duration(i)*time.Millisecond, func() {
			c.run(job)
			c.run(job)
		})
	}
	if err := w.Run(20 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if done != 20 || len(c.idle) != 2 {
		t.Errorf("%d jobs were done, and %d tasks wait", done, len(c.idle))
	}
	if err := w.Run(2 * idleTime); err != nil {
		t.Fatal(err)
	}
	if len(c.idle) != 0 {
		t.Errorf("%d tasks still wait", len(c.idle))
	}
}
