package onport_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onport"
	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/memory"
)

const window = 64

// counted is a memory engine that tells how many are open.
type counted struct {
	store.Engine
	open *int
}

func (c counted) Close() error {
	*c.open--
	return c.Engine.Close()
}

func openCounted(open *int) func() (store.Engine, error) {
	return func() (store.Engine, error) {
		*open++
		return counted{memory.New(memory.Options{Window: window}), open}, nil
	}
}

func TestAKeptEngineAnswersAsAFreshOne(t *testing.T) {
	freshOpen, keptOpen := 0, 0
	fresh := onport.New(onport.Options{Open: openCounted(&freshOpen), Age: onport.AgeByCommits(window)})
	kept := onport.New(onport.Options{Open: openCounted(&keptOpen), Age: onport.AgeByCommits(window), Keep: true})
	for seed := range uint64(400) {
		p := litmus.Generate(litmus.Generation{Level: litmus.Port, Slow: seed%4 == 0}, seed)
		a, err := fresh.Run(p, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := kept.Run(p, nil)
		if err != nil || !bytes.Equal(a, b) {
			t.Fatalf("error %v\n%s\n%s", err, a, b)
		}
		if freshOpen != 0 || keptOpen != 1 {
			t.Fatalf("%d fresh and %d kept engines are open", freshOpen, keptOpen)
		}
	}
	if err := errors.Join(fresh.Close(), kept.Close(), kept.Close()); err != nil || keptOpen != 0 {
		t.Errorf("close: %v, %d engines are open", err, keptOpen)
	}
}

func TestAStoreThatCannotBeOpenedFails(t *testing.T) {
	broken := errors.New("no disk")
	s := onport.New(onport.Options{Open: func() (store.Engine, error) { return nil, broken }})
	if _, err := s.Run(litmus.Generate(litmus.Generation{Level: litmus.Port}, 1), nil); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func TestSlowProgramsNeedAWayToAge(t *testing.T) {
	s := onport.New(onport.Options{Open: func() (store.Engine, error) { return memory.New(memory.Options{}), nil }})
	if _, err := s.Run(litmus.Generate(litmus.Generation{Level: litmus.Port, Slow: true}, 1), nil); err == nil {
		t.Error("a program that waits came through a store that does not age")
	}
}

// failing is an engine whose commits end with an error.
type failing struct {
	store.Engine
	err error
}

type failingTxn struct {
	store.Txn
	err error
}

func (f failing) Begin(ctx context.Context) store.Txn {
	return failingTxn{f.Engine.Begin(ctx), f.err}
}

func (t failingTxn) Commit() error { return fmt.Errorf("commit: %w", t.err) }

func TestWhatNoProgramBringsAboutIsInterference(t *testing.T) {
	for _, c := range []struct {
		err         error
		interfering bool
	}{
		{store.ErrCommitUnknown, true},
		{store.ErrUnavailable, true},
		{store.ErrTimedOut, true},
		{store.ErrClosed, true},
		{store.ErrConflict, false},
		{store.ErrTooOld, false},
	} {
		for _, keep := range []bool{false, true} {
			s := onport.New(onport.Options{Keep: keep, Open: func() (store.Engine, error) {
				return failing{memory.New(memory.Options{}), c.err}, nil
			}})
			lines, err := s.Run(litmus.Generate(litmus.Generation{Level: litmus.Port}, 1), nil)
			if got := errors.Is(err, litmus.ErrInterfered); got != c.interfering {
				t.Errorf("%v, keep %v: error %v, lines\n%s", c.err, keep, err, lines)
			}
			if keep {
				continue
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestAwait(t *testing.T) {
	c := clock.System()
	e := memory.New(memory.Options{})
	put := func(value string) {
		tx := e.Begin(t.Context())
		tx.Set([]byte("a"), []byte(value))
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	set := func() store.Watch {
		tx := e.Begin(t.Context())
		w, err := tx.Watch([]byte("a"))
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := set()
	for _, quiet := range []time.Duration{0, time.Millisecond} {
		if err := onport.Await(c, w, false, time.Hour, quiet); !errors.Is(err, litmus.ErrQuiet) {
			t.Errorf("a watch of a key that nobody changed: %v", err)
		}
	}
	if err := onport.Await(c, w, true, time.Millisecond, 0); !errors.Is(err, litmus.ErrQuiet) {
		t.Errorf("out of patience: %v", err)
	}
	put("1")
	for _, must := range []bool{true, false} {
		if err := onport.Await(c, w, must, time.Hour, 0); err != nil {
			t.Errorf("a watch that has fired: %v", err)
		}
	}
	w = set()
	w.Cancel()
	if err := onport.Await(c, w, true, time.Hour, 0); err == nil || errors.Is(err, litmus.ErrQuiet) {
		t.Errorf("a watch that was canceled: %v", err)
	}
}

func TestErrorsHaveTheNamesOfTheirSentinels(t *testing.T) {
	s := onport.Session{}
	for want, err := range map[string]error{
		"conflict": store.ErrConflict, "too old": store.ErrTooOld, "too large": store.ErrTooLarge, "invalid": store.ErrInvalid,
		"used": store.ErrUsed, "unreadable": store.ErrUnreadable, "canceled": context.Canceled, "unknown: x: y": errors.New("y"),
	} {
		if got := s.ErrorName(fmt.Errorf("x: %w", err)); got != want {
			t.Errorf("%v is called %q, want %q", err, got, want)
		}
	}
}
