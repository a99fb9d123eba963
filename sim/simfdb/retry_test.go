package simfdb

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

// What the recording states as a count or as delays, of a client and its calls.

// inClient runs f as the main task of a process and waits for its end.
func inClient(t *testing.T, o Options, f func(l *lab, h *sim.Host, cl *Client) error) *lab {
	t.Helper()
	l := newLab(t, 1, o)
	done := false
	l.client("client", func(h *sim.Host, cl *Client) error {
		err := f(l, h, cl)
		done = true
		return err
	})
	l.run(10 * time.Minute)
	if !done {
		t.Error("not finished")
	}
	return l
}

func TestOnErrorRetriesWhatIsWorthIt(t *testing.T) {
	want := []int{1007, 1009, 1020, 1021, 1037, 1038, 1042, 1051, 1078, 1079, 1213, 1223}
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		var got []int
		for code := range 3000 {
			err := cl.CreateTransaction().OnError(Error{code}).Get()
			wrong := Error{code}
			switch code {
			case CodeBrokenPromise:
				wrong.Code = CodeTransactionCancelled
			case 0:
				wrong.Code = CodeInvalidOperation
			}
			switch {
			case err == nil:
				got = append(got, code)
			case !errors.Is(err, wrong):
				t.Errorf("%d: %v", code, err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		return nil
	})
}

// TestBackoff holds the delays of OnError in a row to their bounds.
func TestBackoff(t *testing.T) {
	ms := time.Millisecond
	doubling := []time.Duration{10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, time.Second, time.Second, time.Second}
	for _, c := range []struct {
		code, maxDelay int
		most           []time.Duration
		fixed          bool
	}{
		{1020, 1000, doubling, false},
		{1021, 1000, doubling, false},
		{1037, 1000, doubling, false},
		{1213, 1000, append(slices.Clone(doubling[:7]), 1280*ms, 2560*ms, 5120*ms), false},
		{1007, 1000, slices.Repeat([]time.Duration{10 * ms}, 10), true},
		{1009, 1000, slices.Repeat([]time.Duration{10 * ms}, 10), true},
		{1007, 5, slices.Repeat([]time.Duration{5 * ms}, 10), true},
		{1020, 5, slices.Repeat([]time.Duration{5 * ms}, 10), false},
	} {
		inClient(t, Options{}, func(l *lab, _ *sim.Host, cl *Client) error {
			var sum, most time.Duration
			for range 40 {
				tr := cl.CreateTransaction()
				_ = tr.Options().SetMaxRetryDelay(int64(c.maxDelay))
				for i, bound := range c.most {
					began := l.Now()
					if err := tr.OnError(Error{c.code}).Get(); err != nil {
						return err
					}
					waited := l.Now() - began
					if waited > bound+ms || c.fixed && waited < bound-ms {
						t.Errorf("%d: delay %d is %v, bound %v", c.code, i, waited, bound)
					}
					sum += waited
					most += bound
				}
			}
			if share := float64(sum) / float64(most); !c.fixed && (share < 0.4 || share > 0.6) {
				t.Errorf("%d: the delays are %.2f of their bounds, want half", c.code, share)
			}
			return nil
		})
	}
}

// TestCallsDuringCommit makes a call at once and some time after Commit. The
// commit is applied each time, whatever it answers.
func TestCallsDuringCommit(t *testing.T) {
	used, cancelled := Error{CodeUsedDuringCommit}, Error{CodeTransactionCancelled}
	for _, c := range []struct {
		name   string
		call   func(tr *Transaction) error
		answer error // of the call
		commit error // when the call is made in time
	}{
		{"nothing", func(*Transaction) error { return nil }, nil, nil},
		{"get", func(tr *Transaction) error { _, err := tr.Get([]byte("a")).Get(); return err }, used, used},
		{"snapshot get", func(tr *Transaction) error { _, err := tr.Snapshot().Get([]byte("a")).Get(); return err }, used, used},
		{"set", func(tr *Transaction) error { tr.Set([]byte("late"), nil); return nil }, nil, used},
		{"second commit", func(tr *Transaction) error { return tr.Commit().Get() }, used, used},
		{"read version", func(tr *Transaction) error { _, err := tr.GetReadVersion().Get(); return err }, nil, nil},
		{"versionstamp", func(tr *Transaction) error { _, err := tr.GetVersionstamp().Get(); return err }, used, used},
		{"special key", func(tr *Transaction) error { _, err := tr.Get([]byte(specialReadConflicts)).Get(); return err }, nil, nil},
		{"reset", func(tr *Transaction) error { tr.Reset(); return nil }, nil, cancelled},
		{"cancel", func(tr *Transaction) error { tr.Cancel(); return nil }, nil, cancelled},
	} {
		t.Run(c.name, func(t *testing.T) {
			caught := 0
			l := inClient(t, Options{}, func(l *lab, h *sim.Host, cl *Client) error {
				for i := range 50 {
					key := []byte(fmt.Sprint("key/", i))
					tr := cl.CreateTransaction()
					tr.Set(key, []byte("x"))
					commit := tr.Commit()
					if i%2 == 1 {
						if err := h.Sleep(h.Context(), time.Duration(i)*30*time.Microsecond); err != nil {
							return err
						}
					}
					inTime := !commit.IsReady()
					if err := c.call(tr); err != c.answer { //nolint:errorlint // exactly this error
						return fmt.Errorf("the call: %w", err)
					}
					err := commit.Get()
					switch {
					case inTime && err != c.commit, !inTime && err != nil: //nolint:errorlint // exactly this error
						t.Errorf("commit %d: %v, want %v (in time %v)", i, err, c.commit, inTime)
					case inTime:
						caught++
					}
					if err := h.Sleep(h.Context(), 100*time.Millisecond); err != nil {
						return err
					}
					if read(l, string(key)) == nil {
						t.Errorf("commit %d was not applied", i)
					}
				}
				return nil
			})
			if caught < 25 {
				t.Errorf("%d of 50 calls were made during the commit", caught)
			}
			if read(l, "late") != nil {
				t.Error("the late write was applied")
			}
		})
	}
}

func TestReadOnlyCommitHasNoVersion(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, _ *sim.Host, cl *Client) error {
		tr := cl.CreateTransaction()
		if _, err := tr.Get([]byte("a")).Get(); err != nil {
			return err
		}
		if err := tr.Commit().Get(); err != nil || tr.GetCommittedVersion() != -1 {
			t.Errorf("committed at %d (%v)", tr.GetCommittedVersion(), err)
		}
		return nil
	})
}

func TestWatchesAreBounded(t *testing.T) {
	for _, perTransaction := range []int{150, 1} {
		inClient(t, Options{}, func(_ *lab, h *sim.Host, cl *Client) error {
			if err := cl.Options().SetMaxWatches(100); err != nil {
				return err
			}
			var watches []*Watch
			for len(watches) < 150 {
				tr := cl.CreateTransaction()
				for range perTransaction {
					watches = append(watches, tr.Watch([]byte(fmt.Sprint("w", len(watches)))))
				}
				if err := tr.Commit().Get(); err != nil {
					return err
				}
			}
			refused := 0
			for _, w := range watches {
				if w.IsReady() {
					if err := w.Get(); !errors.Is(err, Error{CodeTooManyWatches}) {
						t.Errorf("ended with %v", err)
					}
					refused++
				}
			}
			if refused != 50 {
				t.Errorf("%d of 150 watches were refused by a bound of 100", refused)
			}
			for _, w := range watches {
				w.Cancel()
			}
			return h.Sleep(h.Context(), time.Second)
		})
	}
}

func TestManyWatchesOfOneKeyAllFire(t *testing.T) {
	fired := 0
	inClient(t, Options{}, func(l *lab, h *sim.Host, cl *Client) error {
		tr := cl.CreateTransaction()
		var watches []*Watch
		for range 1000 {
			watches = append(watches, tr.Watch([]byte("w")))
		}
		if err := tr.Commit().Get(); err != nil {
			return err
		}
		if _, err := cl.Transact(func(t *Transaction) (any, error) {
			t.Set([]byte("w"), []byte("B"))
			return nil, nil
		}); err != nil {
			return err
		}
		ctx, cancel := h.WithTimeout(h.Context(), 20*time.Millisecond)
		defer cancel()
		for _, w := range watches {
			if err := w.Wait(ctx); err != nil {
				return err
			}
			fired++
		}
		return nil
	})
	if fired != 1000 {
		t.Errorf("%d of 1000 fired", fired)
	}
}

// TestFutures looks at the futures themselves.
func TestFutures(t *testing.T) {
	inClient(t, Options{}, func(_ *lab, h *sim.Host, cl *Client) error {
		tr := cl.CreateTransaction()
		f := tr.Get([]byte("a"))
		if f.IsReady() {
			t.Error("ready before the server answered")
		}
		f.Cancel()
		if _, err := f.Get(); !errors.Is(err, Error{CodeOperationCancelled}) {
			t.Errorf("canceled: %v", err)
		}
		waited := 0
		g := tr.GetReadVersion()
		for range 3 { // several tasks may wait for one future
			h.Go("waiter", func(context.Context) {
				if v, err := g.Get(); err != nil || v <= 0 {
					t.Errorf("read version %d, %v", v, err)
				}
				waited++
			})
		}
		g.BlockUntilReady()
		if err := h.Sleep(h.Context(), time.Millisecond); err != nil {
			return err
		}
		if !g.IsReady() || waited != 3 {
			t.Errorf("ready %v, %d of 3 woken", g.IsReady(), waited)
		}
		c := tr.Commit()
		c.BlockUntilReady()
		if !c.IsReady() || c.Get() != nil {
			t.Errorf("commit: %v", c.Get())
		}
		c.Cancel()
		return c.Get()
	})
}
