package fdb

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/kelpie-registry/kelpie/store"
)

func TestOptionsOutOfRangeAreNamed(t *testing.T) {
	for _, c := range []struct {
		field string
		o     Options
	}{
		{"Namespace", Options{Namespace: strings.Repeat("n", MaxNamespaceBytes+1)}},
		{"Namespace", Options{Namespace: "a\x00b"}},
		{"Namespace", Options{Namespace: "\xff"}},
		{"OpenTimeout", Options{OpenTimeout: -1}},
		{"OpenTimeout", Options{OpenTimeout: MaxTimeout + 1}},
		{"Timeout", Options{Timeout: time.Microsecond}},
		{"Timeout", Options{Timeout: -time.Second}},
		{"Timeout", Options{Timeout: MaxTimeout + 1}},
		{"SizeLimit", Options{SizeLimit: MinSizeLimit - 1}},
		{"SizeLimit", Options{SizeLimit: store.MaxTxnBytes + 1}},
	} {
		if _, err := c.o.withDefaults(); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "Options."+c.field+" ") {
			t.Errorf("%+v: %v, want %v about %s", c.o, err, store.ErrInvalid, c.field)
		}
	}
	o, err := Options{}.withDefaults()
	if err != nil || o.Namespace != DefaultNamespace || o.OpenTimeout != DefaultOpenTimeout {
		t.Errorf("the zero Options become %+v, error %v", o, err)
	}
}

func TestMillisecondsRoundUp(t *testing.T) {
	for d, want := range map[time.Duration]int64{1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second: 1000} {
		if got := milliseconds(d); got != want {
			t.Errorf("%v is %d ms, want %d", d, got, want)
		}
	}
}

// The client's option is an int of milliseconds; more than it holds is an error
// that every call of the transaction would get.
func TestFarDeadlinesNeedNoTimeout(t *testing.T) {
	for _, c := range []struct{ left, limit, want time.Duration }{
		{100 * 365 * 24 * time.Hour, 0, 0},
		{100 * 365 * 24 * time.Hour, time.Minute, time.Minute},
		{-time.Hour, 0, timeoutSlack},
		{-time.Hour, time.Millisecond, time.Millisecond},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.left)
		if got := timeoutOf(ctx, c.limit); got != c.want {
			t.Errorf("%v left and a limit of %v: timeout %v, want %v", c.left, c.limit, got, c.want)
		}
		cancel()
	}
	if most := milliseconds(MaxTimeout + timeoutSlack); most > math.MaxInt32 {
		t.Errorf("timeouts of %d ms, more than the client takes", most)
	}
}

// Keys of different namespaces never meet, and those of one keep their order.
func TestSubspacesAreApartAndKeepTheOrder(t *testing.T) {
	namespace := rapid.StringMatching(`[a-c]{1,3}`)
	key := rapid.SliceOfN(rapid.SampledFrom([]byte{0x00, 0x01, 'a', 'b', 0xfe, 0xff}), 0, 4)
	rapid.Check(t, func(t *rapid.T) {
		n, m := namespace.Draw(t, "namespace"), namespace.Draw(t, "other namespace")
		k, l := key.Draw(t, "key"), key.Draw(t, "other key")
		s, o := newSubspace(n), newSubspace(m)
		if !bytes.Equal(s.strip(s.key(k)), k) {
			t.Fatalf("%q comes back as %q", k, s.strip(s.key(k)))
		}
		if got, want := bytes.Compare(s.key(k), s.key(l)), bytes.Compare(k, l); got != want {
			t.Fatalf("%q and %q compare as %d, want %d", s.key(k), s.key(l), got, want)
		}
		if n != m && bytes.HasPrefix(s.key(k), o) {
			t.Fatalf("%q of namespace %q lies in namespace %q", s.key(k), n, m)
		}
	})
}

// What one namespace holds is not there for another, and is not removed by it.
func TestEnginesOfTwoNamespacesDoNotMeet(t *testing.T) {
	s := newStandIn()
	a, ab := s.engine(Options{Namespace: "a"}), s.engine(Options{Namespace: "ab"})
	put(t, a, "key", "of a")
	put(t, ab, "key", "of ab")
	put(t, ab, "\xff", "of ab")
	tx := a.Begin(t.Context())
	defer tx.Cancel()
	rows, more, err := tx.GetRange(nil, []byte("\xff\xff"), store.RangeOptions{})
	if err != nil || more || len(rows) != 1 || string(rows[0].Key) != "key" || string(rows[0].Value) != "of a" {
		t.Errorf("rows %q, more %v, error %v", rows, more, err)
	}
	tx.ClearRange(nil, []byte("\xff\xff"))
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if string(has(t, ab, "key")) != "of ab" || has(t, ab, "\xff") == nil || has(t, a, "key") != nil {
		t.Error("clearing one namespace cleared another, or not itself")
	}
}

// An answer without a limit is cut, and read on behind its last row.
func TestLongRangesComeInPieces(t *testing.T) {
	e := newStandIn().engine(Options{})
	tx := e.Begin(t.Context())
	const n = answerRows + 10
	for i := range n {
		tx.Set([]byte{byte(i >> 8), byte(i)}, nil)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	tx = e.Begin(t.Context())
	defer tx.Cancel()
	rows, more, err := tx.GetRange(nil, []byte{0xff}, store.RangeOptions{})
	if err != nil || !more || len(rows) != answerRows {
		t.Fatalf("%d rows, more %v, error %v; want %d and more", len(rows), more, err, answerRows)
	}
	rows, more, err = tx.GetRange(append(rows[answerRows-1].Key, 0), []byte{0xff}, store.RangeOptions{})
	if err != nil || more || len(rows) != n-answerRows {
		t.Fatalf("%d rows behind them, more %v, error %v; want %d and no more", len(rows), more, err, n-answerRows)
	}
}

func TestOpeningNamesTheClusterFile(t *testing.T) {
	o := Options{ClusterFile: "some/fdb.cluster"}
	for _, c := range []struct {
		codes []int
		want  error
	}{
		{[]int{1515}, store.ErrInvalid},
		{[]int{2104}, store.ErrInvalid},
		{[]int{1031}, store.ErrUnavailable},
		{[]int{1037, 1009, 4100}, nil},
	} {
		s := newStandIn()
		s.failNext("get", c.codes...)
		err := s.engine(o).probe(t.Context())
		last := c.codes[len(c.codes)-1]
		if !errors.Is(err, Error{last}) || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), o.ClusterFile) {
			t.Errorf("%v: %v, want %v with the file's name", c.codes, err, c.want)
		}
	}
	s := newStandIn()
	s.failNext("get", 1037, 1039)
	if err := s.engine(o).probe(t.Context()); err != nil {
		t.Errorf("a cluster that answers at the third try: %v", err)
	}
}

func TestOpeningEnds(t *testing.T) {
	s := newStandIn()
	defer s.block()()
	o := Options{ClusterFile: "some/fdb.cluster", OpenTimeout: time.Millisecond}
	if err := s.engine(o).probe(t.Context()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), o.ClusterFile) {
		t.Errorf("a cluster that does not answer: %v, want %v with the file's name", err, store.ErrUnavailable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.engine(o).probe(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended: %v, want %v", err, context.Canceled)
	}
	// The caller's deadline says nothing about the cluster.
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	o.OpenTimeout = time.Hour
	if err := s.engine(o).probe(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a context at its deadline: %v, want %v and not %v", err, context.DeadlineExceeded, store.ErrUnavailable)
	}
}
