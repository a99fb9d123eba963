package simfdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// The recorded experiment: workers that contend for a counter while all servers
// are killed and restarted again and again. Each transaction adds to a counter of
// its own as well, so that it can be seen how often it was applied.

const (
	killWorkers = 12
	killEvery   = 1500 * time.Millisecond
	killFor     = 20 * time.Second
)

// killed is one transaction of a worker and what became of it.
type killed struct {
	key   string
	err   error
	met   map[int]bool // error numbers on the way
	atGet bool         // err is of the read
}

type kills struct {
	*lab
	done []*killed
}

// runKills runs the experiment with transactions that work makes.
func runKills(t *testing.T, seed uint64, work func(cl *Client, k *killed)) *kills {
	t.Helper()
	s := &kills{lab: newLab(t, seed, Options{RecoveryMin: 100 * time.Millisecond, RecoveryMax: 600 * time.Millisecond, SyncMin: time.Millisecond, SyncMax: 5 * time.Millisecond})}
	finished := 0
	s.client("workers", func(h *sim.Host, cl *Client) error {
		for i := range killWorkers {
			h.Go(fmt.Sprint("worker-", i), func(context.Context) {
				for n := 0; s.Now() < killFor; n++ {
					k := &killed{key: fmt.Sprintf("own/%d/%d", i, n), met: map[int]bool{}}
					s.done = append(s.done, k)
					work(cl, k)
				}
				finished++
			})
		}
		return nil
	})
	r := s.Rand("kills")
	var kill func()
	kill = func() {
		if s.Now() >= killFor {
			return
		}
		for _, name := range s.c.Servers() {
			s.Lookup(name).Restart()
		}
		s.After(killEvery+time.Duration(r.Int64N(int64(killEvery))), "kill", kill)
	}
	s.After(killEvery, "kill", kill)
	s.run(killFor + 20*time.Second)
	if finished != killWorkers {
		t.Fatalf("%d of %d workers finished", finished, killWorkers)
	}
	return s
}

// bump reads and raises the common counter, and the transaction's own.
func (k *killed) bump(t *Transaction) error {
	hot, err := t.Get([]byte("hot")).Get()
	if err != nil {
		k.atGet = true
		return err
	}
	k.atGet = false
	var count [8]byte
	copy(count[:], hot)
	binary.LittleEndian.PutUint64(count[:], binary.LittleEndian.Uint64(count[:])+1)
	t.Set([]byte("hot"), count[:])
	t.Add([]byte(k.key), []byte{1, 0, 0, 0, 0, 0, 0, 0})
	return nil
}

// loop is the retry loop of the binding, which notes the errors that it meets.
func (k *killed) loop(t *Transaction, prepare func(t *Transaction)) {
	for {
		prepare(t)
		err := k.bump(t)
		if err == nil {
			err = t.Commit().Get()
		}
		k.err = err
		var e Error
		if !errors.As(err, &e) {
			return
		}
		k.met[e.Code] = true
		if k.err = t.OnError(e).Get(); k.err != nil {
			return
		}
	}
}

// applied returns how often a transaction was, and checks that the counters agree.
func (s *kills) applied() map[*killed]uint64 {
	s.t.Helper()
	counts := map[*killed]uint64{}
	var sum uint64
	for _, k := range s.done {
		counts[k] = 0
		if v := read(s.lab, k.key); v != nil {
			counts[k] = binary.LittleEndian.Uint64(v)
		}
		sum += counts[k]
	}
	if hot := read(s.lab, "hot"); hot == nil || binary.LittleEndian.Uint64(hot) != sum {
		s.t.Errorf("the counter is %x, the transactions applied are %d", hot, sum)
	}
	return counts
}

func TestTransactAppliesDoubtfulCommitsAgain(t *testing.T) {
	doubtful, twice := 0, 0
	for seed := range uint64(4) {
		s := runKills(t, seed, func(cl *Client, k *killed) {
			k.loop(cl.CreateTransaction(), func(*Transaction) {})
		})
		for k, n := range s.applied() {
			switch {
			case k.err != nil || n == 0:
				t.Errorf("seed %d: %s: %v, applied %d times", seed, k.key, k.err, n)
			case !k.met[CodeCommitUnknownResult] && n != 1:
				t.Errorf("seed %d: %s was never in doubt and applied %d times", seed, k.key, n)
			case k.met[CodeCommitUnknownResult]:
				doubtful++
				twice += int(min(n-1, 1))
			}
		}
	}
	if doubtful < 20 || twice == 0 || twice == doubtful {
		t.Errorf("of %d doubtful transactions %d were applied more than once; want some and some not", doubtful, twice)
	}
	t.Logf("of %d doubtful transactions %d were applied more than once", doubtful, twice)
}

func TestIdentifiedCommitsAreNeverInDoubt(t *testing.T) {
	tooOld, rescued := 0, uint64(0)
	for seed := range uint64(4) {
		s := runKills(t, seed, func(cl *Client, k *killed) {
			k.loop(cl.CreateTransaction(), func(t *Transaction) { _ = t.Options().SetAutomaticIdempotency() })
		})
		for k, n := range s.applied() {
			if k.err != nil || n != 1 || k.met[CodeCommitUnknownResult] {
				t.Errorf("seed %d: %s: %v %v, applied %d times", seed, k.key, k.err, k.met, n)
			}
			if k.met[CodeTransactionTooOld] {
				tooOld++
			}
		}
		rescued += s.c.Counts().Fences
	}
	if tooOld == 0 || rescued == 0 {
		t.Errorf("%d transactions met 1007, %d connections were lost; want some of both", tooOld, rescued)
	}
}

func TestTimeoutsLeaveCommitsInDoubt(t *testing.T) {
	type share struct{ n, applied int }
	var get, commit share
	for seed := range uint64(4) {
		s := runKills(t, seed, func(cl *Client, k *killed) {
			tr := cl.CreateTransaction()
			_ = tr.Options().SetTimeout(100)
			if k.err = k.bump(tr); k.err == nil {
				k.err = tr.Commit().Get()
			}
		})
		for k, n := range s.applied() {
			of := &get
			switch {
			case k.err == nil && n != 1, k.err != nil && n > 1,
				errors.Is(k.err, Error{CodeNotCommitted}) && n != 0, errors.Is(k.err, Error{CodeTransactionTooOld}) && n != 0:
				t.Errorf("seed %d: %s: %v, applied %d times", seed, k.key, k.err, n)
				continue
			case !errors.Is(k.err, Error{CodeTransactionTimedOut}):
				continue
			case !k.atGet:
				of = &commit
			}
			of.n++
			of.applied += int(n)
		}
	}
	if get.n == 0 || get.applied != 0 {
		t.Errorf("timed out at the read: %+v; want none applied", get)
	}
	if commit.n == 0 || commit.applied == 0 || commit.applied == commit.n {
		t.Errorf("timed out at the commit: %+v; want some applied and some not", commit)
	}
	t.Logf("timed out at the read %+v, at the commit %+v", get, commit)
}

// TestContentionMakesTheLastWait lets clients raise one counter with the retry
// loop: with more of them the rate stays, and the slowest waits much longer.
func TestContentionMakesTheLastWait(t *testing.T) {
	rate, slowest := map[int]int{}, map[int]time.Duration{}
	for _, clients := range []int{1, 64} {
		l := newLab(t, 1, Options{})
		l.client("client", func(h *sim.Host, cl *Client) error {
			for range clients {
				h.Go("worker", func(context.Context) {
					for l.Now() < 10*time.Second {
						began := l.Now()
						if _, err := cl.Transact(func(t *Transaction) (any, error) {
							return nil, (&killed{key: "own"}).bump(t)
						}); err != nil {
							l.Fail("transact", err)
						}
						rate[clients]++
						slowest[clients] = max(slowest[clients], l.Now()-began)
					}
				})
			}
			return nil
		})
		l.run(30 * time.Second)
	}
	if rate[64] < rate[1]/2 || rate[64] > 2*rate[1] || slowest[64] < 100*slowest[1] {
		t.Errorf("rates %v, slowest %v", rate, slowest)
	}
	t.Logf("rates %v, slowest %v", rate, slowest)
}
