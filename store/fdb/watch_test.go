package fdb

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// put sets a key in one transaction.
func put(t *testing.T, e *Engine, key, value string) {
	t.Helper()
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	tx.Set([]byte(key), []byte(value))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// watched returns a watch of key from a transaction that has committed.
func watched(t *testing.T, e *Engine, key string) store.Watch {
	t.Helper()
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	w, err := tx.Watch([]byte(key))
	if err == nil {
		err = tx.Commit()
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// A client that can be tried again is: the watch survives, and does not miss
// what happened meanwhile.
func TestAWatchOutlivesFailuresOfTheClient(t *testing.T) {
	for _, call := range []string{"get", "commit", "watch"} {
		s := newStandIn()
		e := s.engine(Options{})
		put(t, e, "a", "1")
		tx := e.Begin(t.Context())
		w, err := tx.Watch([]byte("a"))
		if err != nil {
			t.Fatal(err)
		}
		s.failNext(call, 1007, 1037, 1039)
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		other := s.inner.Begin(t.Context()) // another client, which does not fail
		other.Set(e.space.key([]byte("a")), []byte("2"))
		if err := other.Commit(); err != nil {
			t.Fatal(err)
		}
		if err := w.Wait(t.Context()); err != nil {
			t.Errorf("%s fails three times: the watch ended with %v", call, err)
		}
	}
}

func TestAWatchThatCannotBeSetSaysWhy(t *testing.T) {
	for code, want := range map[int]error{1032: store.ErrTooLarge, 2000: store.ErrInvalid} {
		s := newStandIn()
		e := s.engine(Options{})
		s.failNext("watch", code)
		if err := watched(t, e, "a").Wait(t.Context()); !isOnly(err, want) || !errors.Is(err, Error{code}) {
			t.Errorf("%d: the watch ended with %v, want %v", code, err, want)
		}
	}
}

// A change that lasts is seen even when it comes between the commit and the
// moment at which the client's watch is set.
func TestAWatchSeesWhatComesBeforeItIsSet(t *testing.T) {
	s := newStandIn()
	e := s.engine(Options{})
	put(t, e, "a", "1")
	tx := e.Begin(t.Context())
	w, err := tx.Watch([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, e, "a", "2")
	release := s.block()
	if err := tx.Commit(); err != nil { // it wrote nothing
		t.Fatal(err)
	}
	release()
	if err := w.Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

// The engine closes between the read and the watch.
func TestAWatchOfAnEngineThatClosesEnds(t *testing.T) {
	for range 100 {
		s := newStandIn()
		e := s.engine(Options{})
		s.got = func() { e.Close() }
		tx := e.Begin(t.Context())
		w, err := tx.Watch([]byte("a"))
		if err == nil {
			err = w.Wait(t.Context())
		}
		if !errors.Is(err, store.ErrClosed) {
			t.Fatalf("%v, want %v", err, store.ErrClosed)
		}
		tx.Cancel()
	}
}

// The transactions of watches are not bounded as those of the user are.
func TestAWatchHasNoTimeout(t *testing.T) {
	s := newStandIn()
	e := s.engine(Options{Timeout: time.Hour})
	w := watched(t, e, "a")
	put(t, e, "a", "1")
	if err := w.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var timeouts []time.Duration
	for _, o := range s.options {
		timeouts = append(timeouts, o.timeout)
	}
	slices.Sort(timeouts)
	if want := []time.Duration{0, time.Hour, time.Hour}; !slices.Equal(timeouts, want) {
		t.Errorf("timeouts %v, want %v", timeouts, want)
	}
}

func TestValuesAreToldApart(t *testing.T) {
	for _, c := range []struct {
		a, b []byte
		want bool
	}{
		{nil, nil, true},
		{[]byte{}, []byte{}, true},
		{nil, []byte{}, false},
		{[]byte("a"), []byte("a"), true},
		{[]byte("a"), []byte("b"), false},
	} {
		if same(c.a, c.b) != c.want || same(c.b, c.a) != c.want {
			t.Errorf("%q and %q are the same: %v, want %v", c.a, c.b, !c.want, c.want)
		}
	}
}
