package simfdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// storm is a cluster under load and under every fault that the world has: the
// experiment with kill -9 that fdb-facts records, with more kinds of trouble.
// Each transaction adds 1 to a counter that all contend for and to a key of its
// own, so that it can be seen how often it was applied.
type storm struct {
	*lab
	attempts []*attempted
	finished int
}

// attempted is one attempt and what its client was told.
type attempted struct {
	key     string
	err     error // of the commit
	settled bool  // err is all there is to come: the count may not change any more
	count   uint64
}

const (
	stormClients = 4
	stormEach    = 40
)

func runStorm(t *testing.T, seed uint64) *storm {
	t.Helper()
	rough := sim.Link{
		LatencyMin: 50 * time.Microsecond, LatencyMax: time.Millisecond, TailProb: 0.05, TailMax: 300 * time.Millisecond,
		Loss: 0.01, Duplicate: 0.05, Reorder: 0.1, ReorderMax: 3 * time.Second,
	}
	o := Options{ServerLink: rough, ClientLink: rough, RecoveryMin: time.Millisecond, RecoveryMax: time.Second}
	if seed%2 == 0 {
		o.SyncMin, o.SyncMax = 100*time.Microsecond, 20*time.Millisecond
	}
	s := &storm{lab: newLab(t, seed, o)}
	for i := range stormClients {
		s.client(fmt.Sprint("client-", i), s.work)
	}
	s.blow(15 * time.Second)
	s.run(15 * time.Second)
	s.calm()
	for limit := s.Now() + 5*time.Minute; s.finished < stormClients; {
		if s.Now() > limit {
			t.Fatalf("%d of %d clients have not finished 5 minutes after the last fault", stormClients-s.finished, stormClients)
		}
		s.run(time.Second)
	}
	s.run(10 * time.Second) // nothing is in flight any more
	return s
}

// blow makes trouble now and then for a while.
func (s *storm) blow(d time.Duration) {
	r := s.Rand("storm")
	servers := s.c.Servers()
	var all []string
	for _, p := range s.Processes() {
		all = append(all, p.Name())
	}
	end := s.Now() + d
	lasting := func(n time.Duration) time.Duration { return time.Duration(r.Int64N(int64(n))) }
	var next func()
	next = func() {
		if s.Now() >= end {
			return
		}
		server := s.Lookup(servers[r.IntN(len(servers))])
		a, b := all[r.IntN(len(all))], all[r.IntN(len(all))]
		switch r.IntN(6) {
		case 0, 1:
			server.Crash()
			s.After(lasting(time.Second), "restart", func() {
				if !server.Alive() {
					server.Restart()
				}
			})
		case 2:
			for _, name := range servers {
				s.Lookup(name).Crash()
			}
			s.After(lasting(time.Second), "restart all", func() {
				for _, name := range servers {
					if !s.Lookup(name).Alive() {
						s.Lookup(name).Restart()
					}
				}
			})
		case 3:
			if a != b {
				s.Net().Cut(a, b)
				s.After(lasting(4*time.Second), "heal", func() { s.Net().Heal(a, b) })
			}
		case 4:
			p := s.Lookup(a)
			p.Pause()
			s.After(lasting(4*time.Second), "resume", p.Resume)
		case 5:
			s.Lookup(a).SetRate(r.Int64N(200_000_000) - 100_000_000)
		}
		s.After(lasting(time.Second), "trouble", next)
	}
	s.After(lasting(time.Second), "trouble", next)
}

// calm ends all trouble.
func (s *storm) calm() {
	s.Net().HealAll()
	for _, p := range s.Processes() {
		if !p.Alive() {
			p.Restart()
		}
		p.Resume()
	}
	for _, a := range s.Processes() {
		for _, b := range s.Processes() {
			if a != b {
				s.Net().ClearLink(a.Name(), b.Name())
			}
		}
	}
}

func (s *storm) work(h *sim.Host, cl *Client) error {
	for i := range stormEach {
		key := fmt.Sprintf("own/%s/%d", h.Name(), i)
		for n := 0; ; n++ {
			a := &attempted{key: fmt.Sprintf("%s/%d", key, n)}
			s.attempts = append(s.attempts, a)
			a.err = s.attempt(h, cl, a)
			if a.err == nil || errors.Is(a.err, store.ErrCommitUnknown) {
				break
			}
			if !store.Retryable(a.err) && !errors.Is(a.err, context.DeadlineExceeded) {
				return fmt.Errorf("attempt: %w", a.err)
			}
			if err := h.Sleep(h.Context(), time.Duration(h.Rand().Int64N(int64(50*time.Millisecond)))); err != nil {
				return err
			}
		}
		if err := h.Sleep(h.Context(), time.Duration(h.Rand().Int64N(int64(time.Second)))); err != nil {
			return err
		}
	}
	s.finished++
	return nil
}

func (s *storm) attempt(h *sim.Host, cl *Client, a *attempted) error {
	ctx, cancel := h.WithTimeout(h.Context(), time.Duration(1+h.Rand().Int64N(int64(10*time.Second))))
	defer cancel()
	tx := cl.beginPort(ctx)
	defer tx.Cancel()
	hot, err := tx.Get([]byte("hot"))
	if err != nil {
		return err
	}
	var count [8]byte
	copy(count[:], hot)
	binary.LittleEndian.PutUint64(count[:], binary.LittleEndian.Uint64(count[:])+1)
	tx.Set([]byte("hot"), count[:])
	tx.Add([]byte(a.key), 1)
	err = tx.Commit()
	if err == nil || errors.Is(err, Error{CodeCommitUnknownResult}) {
		// Both are final: what is so now, stays so. The log knows it first.
		a.settled = true
		a.count = s.logged(a.key)
	}
	return err
}

// logged counts how often a key was added to, the log's unapplied entries
// included.
func (s *storm) logged(key string) uint64 {
	var n uint64
	if v := read(s.lab, key); v != nil {
		n = binary.LittleEndian.Uint64(v)
	}
	for _, e := range s.c.logDisk.behind(s.c.storageDisk.applied.version, 1<<30) {
		for _, m := range e.mutations {
			if m.key == key {
				n++
			}
		}
	}
	return n
}

func TestStorm(t *testing.T) {
	type share struct{ n, applied int }
	outcomes := map[string]*share{}
	var total Counts
	seeds := uint64(150)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		s := runStorm(t, seed)
		var sum uint64
		for _, a := range s.attempts {
			n := s.logged(a.key)
			sum += n
			kind := "refused"
			switch {
			case a.err == nil:
				kind = "acknowledged"
			case errors.Is(a.err, Error{CodeCommitUnknownResult}):
				kind = "1021"
			case errors.Is(a.err, store.ErrCommitUnknown):
				kind = "ended in flight"
			}
			if outcomes[kind] == nil {
				outcomes[kind] = &share{}
			}
			outcomes[kind].n++
			outcomes[kind].applied += int(n)
			switch {
			case n > 1:
				t.Errorf("seed %d: %s (%v) was applied %d times", seed, a.key, a.err, n)
			case a.err == nil && n != 1:
				t.Errorf("seed %d: %s was acknowledged and is lost", seed, a.key)
			case kind == "refused" && n != 0:
				t.Errorf("seed %d: %s was refused with %v and is applied", seed, a.key, a.err)
			case a.settled && a.count != n:
				t.Errorf("seed %d: %s was applied %d times when its client was told %v, %d times later", seed, a.key, a.count, a.err, n)
			}
		}
		if hot := read(s.lab, "hot"); hot == nil || binary.LittleEndian.Uint64(hot) != sum {
			t.Errorf("seed %d: the counter is %x, the transactions applied are %d", seed, hot, sum)
		}
		n := s.c.Counts()
		total.Conflicts += n.Conflicts
		total.TooOld += n.TooOld
		total.Recoveries += n.Recoveries
		total.Fences += n.Fences
		total.Restarted += n.Restarted
	}
	for _, kind := range []string{"1021", "ended in flight"} {
		if o := outcomes[kind]; o == nil || o.applied == 0 || o.applied == o.n {
			t.Errorf("%s: %+v; want some that were applied and some that were not", kind, o)
		}
	}
	for kind, o := range outcomes {
		t.Logf("%-16s %5d, applied %d", kind, o.n, o.applied)
	}
	t.Logf("%+v", total)
	if total.Conflicts == 0 || total.TooOld == 0 || total.Recoveries == 0 || total.Fences == 0 || total.Restarted == 0 {
		t.Errorf("a storm without some trouble: %+v", total)
	}
}
