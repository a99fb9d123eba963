package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/kelpie-registry/kelpie/litmus"
)

// fake is a store that answers with the seed. Failing seeds fail, interfered
// ones at their first attempts.
type fake struct {
	mu         *sync.Mutex
	open       *int
	fails      func(seed uint64) error
	interfered map[uint64]int // attempts that are still to fail
}

func (f *fake) Run(p *litmus.Program, out []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.interfered[p.Seed] > 0 {
		f.interfered[p.Seed]--
		return out, fmt.Errorf("busy: %w", litmus.ErrInterfered)
	}
	if f.fails != nil {
		if err := f.fails(p.Seed); err != nil {
			return out, err
		}
	}
	return fmt.Appendf(out, "%d 1 A begin -> ok\n", p.Seed), nil
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	*f.open--
	return nil
}

// options of a run over n programs on fakes.
func options(t *testing.T, n uint64, workers int, fails func(seed uint64) error, interfered map[uint64]int) (Options, *int) {
	t.Helper()
	h, err := litmus.NewHeader(litmus.Generation{Level: litmus.Port}, 3, n)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	open := 0
	return Options{Header: h, Workers: workers, Open: func() (litmus.Store, error) {
		open++
		return &fake{&mu, &open, fails, interfered}, nil
	}}, &open
}

func TestEachWorkerHasPrograms(t *testing.T) {
	for _, c := range []struct {
		n       uint64
		workers int
		want    uint64
	}{{1, 1, 1}, {100, 100, 1}, {100, 8, 6}, {10_000, 8, chunkPrograms}, {100_000, 2, chunkPrograms}} {
		got := chunkOf(c.n, c.workers)
		if got != c.want || (c.n+got-1)/got < uint64(c.workers) {
			t.Errorf("%d programs and %d workers: %d at a time, want %d", c.n, c.workers, got, c.want)
		}
	}
}

func TestFileDoesNotDependOnWorkers(t *testing.T) {
	for _, n := range []uint64{1, chunkPrograms - 1, chunkPrograms, chunkPrograms + 1, 20 * chunkPrograms} {
		var first Result
		for workers := 1; workers <= 9; workers += 4 {
			o, open := options(t, n, workers, nil, map[uint64]int{3: 1, 40: maxTries - 1})
			var b bytes.Buffer
			ticks := uint64(0)
			o.Out, o.Tick = &b, func() { ticks++ }
			res, err := Run(t.Context(), o)
			if err != nil || res.Programs != n || res.Lines != n || res.Bytes != uint64(b.Len()) || ticks != n || *open != 0 {
				t.Fatalf("%d programs, %d workers: %+v, %v, %d ticks, %d stores open", n, workers, res, err, ticks, *open)
			}
			if first == (Result{}) {
				first = res
			}
			if res != first {
				t.Errorf("%d workers: %+v, want %+v", workers, res, first)
			}
			if _, _, err := litmus.Compare(bytes.NewReader(b.Bytes()), bytes.NewReader(b.Bytes())); err != nil {
				t.Errorf("%d programs: the file is broken: %v", n, err)
			}
		}
	}
}

func TestFirstErrorEndsTheRun(t *testing.T) {
	broken := errors.New("broken")
	fails := func(seed uint64) error {
		if seed == 200 || seed == 700 {
			return fmt.Errorf("%w at %d", broken, seed)
		}
		return nil
	}
	o, open := options(t, 1000, 4, fails, nil)
	_, err := Run(t.Context(), o)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "seed 200") || *open != 0 {
		t.Errorf("%v, %d stores open", err, *open)
	}
}

func TestInterferenceThatLastsEndsTheRun(t *testing.T) {
	o, _ := options(t, 10, 1, nil, map[uint64]int{5: maxTries})
	if _, err := Run(t.Context(), o); !errors.Is(err, litmus.ErrInterfered) {
		t.Error(err)
	}
}

func TestEndedContextEndsTheRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o, open := options(t, 1_000_000, 2, nil, nil)
	n := 0
	o.Tick = func() {
		if n++; n == 100 {
			cancel()
		}
	}
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) || *open != 0 {
		t.Errorf("%v, %d stores open", err, *open)
	}
}

// fullDisk fails after some bytes.
type fullDisk struct{ left int }

var errFull = errors.New("disk full")

func (d *fullDisk) Write(p []byte) (int, error) {
	if d.left -= len(p); d.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteErrorEndsTheRun(t *testing.T) {
	for _, left := range []int{0, 100, 5000, 18_000} {
		o, open := options(t, 1000, 3, nil, nil)
		o.Out = &fullDisk{left}
		if _, err := Run(t.Context(), o); !errors.Is(err, errFull) || *open != 0 {
			t.Errorf("room for %d bytes: %v, %d stores open", left, err, *open)
		}
	}
}

func TestStoreThatCannotBeOpened(t *testing.T) {
	o, open := options(t, 1000, 3, nil, nil)
	inner, n := o.Open, 0
	o.Open = func() (litmus.Store, error) {
		if n++; n == 3 {
			return nil, errors.New("no")
		}
		return inner()
	}
	var b bytes.Buffer
	o.Out = &b
	if _, err := Run(t.Context(), o); !errors.Is(err, ErrOpen) || *open != 0 || b.Len() > 0 {
		t.Errorf("%v, %d stores open, %d bytes written", err, *open, b.Len())
	}
}

// TestStoresAgree runs some programs on every store of this build that needs no
// cluster of its own.
func TestStoresAgree(t *testing.T) {
	sums := map[string]string{}
	for _, s := range Stores() {
		if s.Name == "fdb" {
			continue
		}
		for _, level := range s.Levels {
			for _, slow := range []bool{false, true} {
				h, err := litmus.NewHeader(litmus.Generation{Level: level, Slow: slow}, 1, 400)
				if err != nil {
					t.Fatal(err)
				}
				res, err := Run(t.Context(), Options{Header: h, Workers: 2, Open: func() (litmus.Store, error) { return s.Open(level) }})
				if err != nil {
					t.Fatalf("%s: %v", s.Name, err)
				}
				kind := fmt.Sprint(level, slow)
				if sums[kind] == "" {
					sums[kind] = res.SHA256
				}
				if sums[kind] != res.SHA256 {
					t.Errorf("%s does not agree with the stores before it on %s", s.Name, h)
				}
			}
		}
	}
	if len(sums) != 4 {
		t.Errorf("%d kinds of programs, want 4", len(sums))
	}
}
