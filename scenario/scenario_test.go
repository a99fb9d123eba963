package scenario

import (
	"fmt"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/sim"
)

func TestTmp(t *testing.T) {
	arena := sim.NewArena()
	defer arena.Close()
	for _, s := range All() {
		began := time.Now()
		bad := map[string]int{}
		sum := map[string]uint64{}
		n := 1000
		ev, ops := uint64(0), 0
		for seed := range uint64(n) {
			r, err := s.Run(Config{Seed: seed, Arena: arena})
			if err != nil {
				t.Fatal(err)
			}
			ev += r.Events
			ops += r.Operations
			if r.Failure != nil {
				k := r.Failure.Signature
				if bad[k] == 0 {
					fmt.Println(s.Name, seed, r.Failure.Rule, r.Failure.Signature, r.Failure.At, r.Failure.Message)
				}
				bad[k]++
			}
			if r.Unknown != "" {
				bad["unknown"]++
			}
			for _, c := range r.Sometimes {
				sum[c.Name] += c.N
			}
		}
		fmt.Println(s.Name, time.Since(began)/time.Duration(n), ev/uint64(n), ops/n, bad, sum)
	}
}
