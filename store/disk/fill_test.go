package disk

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// TestPagesAreFilled makes rows in several orders and looks at the room that
// they take beside what they hold.
func TestPagesAreFilled(t *testing.T) {
	const rows = 6000
	value := []byte(strings.Repeat("v", 60))
	rising := make([]int, rows)
	for i := range rising {
		rising[i] = i
	}
	var turns []int // four rising sequences in turns
	for i := range rows / 4 {
		for s := range 4 {
			turns = append(turns, s*rows/4+i)
		}
	}
	for _, tc := range []struct {
		name  string
		order []int
		most  float64 // bytes of pages by bytes of rows
	}{
		{"rising", rising, 1.4},
		{"four sequences", turns, 1.4},
		{"scattered", rand.New(rand.NewPCG(8, 8)).Perm(rows), 1.7},
	} {
		for _, txn := range []int{1, 50} {
			t.Run(fmt.Sprintf("%s by %d", tc.name, txn), func(t *testing.T) {
				e := openSample(t, t.TempDir())
				defer e.Close()
				for i := 0; i < rows; i += txn {
					tx := e.Begin(context.Background())
					for _, id := range tc.order[i : i+txn] {
						tx.Set(fmt.Appendf(nil, "actor/%08d", id), value)
					}
					if err := tx.Commit(); err != nil {
						t.Fatal(err)
					}
				}
				high := pagesOf(t, e)
				s, err := e.Stats()
				if err != nil {
					t.Fatal(err)
				}
				used := float64(high*pageBytes - s.FreeBytes)
				held := float64(rows * (pageElement + 1 + 14 + rowCheck + len(value)))
				if used/held > tc.most {
					t.Errorf("%.0f bytes of rows take %.0f bytes of pages, %.2f times as many, want at most %.2f", held, used, used/held, tc.most)
				}
			})
		}
	}
}

// pagesOf returns how many pages an open file has used so far.
func pagesOf(t *testing.T, e *Engine) int64 {
	t.Helper()
	var m meta
	if err := e.reading(func(s *snapshot) error { m = s.meta; return nil }); err != nil {
		t.Fatal(err)
	}
	return int64(m.high)
}

// TestPace plays what a writer sees.
func TestPace(t *testing.T) {
	const took = 4 * time.Millisecond
	t.Run("one that is alone waits for nobody", func(t *testing.T) {
		var p pace
		for range 5 {
			if n, _ := p.gather(); n != 1 {
				t.Fatalf("waits for %d", n)
			}
			p.wrote(1, 0, took)
		}
	})
	t.Run("two groups become one", func(t *testing.T) {
		var p pace
		p.wrote(32, 32, took)
		if n, patience := p.gather(); n != 64 || patience != took/patienceShare {
			t.Errorf("waits for %d and %v, want 64 and %v", n, patience, took/patienceShare)
		}
		p.gathered(64)
		p.wrote(64, 0, took)
		if n, _ := p.gather(); n != 64 {
			t.Errorf("waits for %d, want 64", n)
		}
	})
	t.Run("waiting in vain is given up, and tried again", func(t *testing.T) {
		var p pace
		tries := 0
		for range maxFailures + 3*(restBatches+1) {
			p.wrote(10, 0, took)
			if n, _ := p.gather(); n > 1 {
				tries++
				p.gathered(1)
			}
		}
		if want := maxFailures + 3; tries != want {
			t.Errorf("tried %d times, want %d", tries, want)
		}
		p.wrote(10, 0, took)
		for n, _ := p.gather(); n == 1; n, _ = p.gather() {
			p.wrote(10, 0, took)
		}
		p.gathered(8) // worth it
		for range 5 {
			p.wrote(10, 0, took)
			if n, _ := p.gather(); n != 10 {
				t.Errorf("waits for %d, want 10", n)
			}
			p.gathered(9)
		}
	})
}
