package litmus_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/litmus"
	"github.com/kelpie-registry/kelpie/litmus/onsimfdb"
	"github.com/kelpie-registry/kelpie/sim"
)

// TestEachLineIsDetermined runs each program in worlds with other latencies,
// other batches and a network that reorders and repeats messages: every line
// must come out the same.
func TestEachLineIsDetermined(t *testing.T) {
	slow := sim.Link{LatencyMin: time.Millisecond, LatencyMax: 20 * time.Millisecond, TailProb: 0.05, TailMax: 200 * time.Millisecond}
	rough := sim.Link{LatencyMax: 5 * time.Millisecond, Duplicate: 0.1, Reorder: 0.1, ReorderMax: 20 * time.Millisecond}
	worlds := []litmus.Store{
		onsimfdb.New(onsimfdb.Options{}),
		onsimfdb.New(onsimfdb.Options{Salt: 1 << 40}),
		onsimfdb.New(onsimfdb.Options{Salt: 2 << 40, ClientLink: slow, ServerLink: slow}),
		onsimfdb.New(onsimfdb.Options{Salt: 3 << 40, ClientLink: rough, ServerLink: rough}),
	}
	for _, w := range worlds {
		defer w.Close()
	}
	for _, g := range generations {
		for seed := range uint64(250) {
			p := litmus.Generate(g, seed)
			var first []byte
			for i, w := range worlds {
				lines, err := w.Run(p, nil)
				switch {
				case err != nil:
					t.Fatal(err)
				case i == 0:
					first = lines
				case !bytes.Equal(lines, first):
					t.Fatalf("world %d:\n%s", i, differ(first, lines))
				}
			}
		}
	}
}

// generations are all kinds of programs.
var generations = []litmus.Generation{{Level: litmus.Port}, {Level: litmus.Port, Slow: true}, {Level: litmus.Client}, {Level: litmus.Client, Slow: true}}

// differ prints two programs' lines as Compare does.
func differ(a, b []byte) string {
	lines := func(text []byte) (list []string) {
		for _, l := range bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")) {
			list = append(list, string(l))
		}
		return list
	}
	return (&litmus.Difference{A: lines(a), B: lines(b)}).String()
}
