package linearizability

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func benchmarkHistory(s shape) *History {
	return generate(drawRand(rand.New(rand.NewPCG(7, 7))), s)
}

func BenchmarkCheck(b *testing.B) {
	for _, s := range []shape{
		{ops: 60, nodes: 3, actors: 2, width: 2},
		{ops: 60, nodes: 3, actors: 2, width: 4, openPercent: 10},
		{ops: 300, nodes: 5, actors: 8, width: 6, openPercent: 5},
		{ops: 2000, nodes: 8, actors: 40, width: 8, openPercent: 3},
	} {
		h := benchmarkHistory(s)
		b.Run(fmt.Sprintf("operations=%d/open=%d%%", s.ops, s.openPercent), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r := Check(h, Options{}); r.Verdict != Ok {
					b.Fatal(r)
				}
			}
		})
	}
}

// BenchmarkCheckers times the parts of a check of 60 operations on 3 nodes.
func BenchmarkCheckers(b *testing.B) {
	h := benchmarkHistory(shape{ops: 60, nodes: 3, actors: 2, width: 4, openPercent: 10})
	c := newChecker()
	b.Run("validate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = h.Validate()
		}
	})
	b.Run("index", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.x.build(h)
		}
	})
	b.Run("witness", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.witness.run(c.x)
		}
	})
	b.Run("certify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.x.certify(&c.prover.search, c.witness.order)
		}
	})
	b.Run("porcupine-whole", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.prover.whole(defaultSteps)
		}
	})
	b.Run("porcupine-parts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.prover.parts(defaultSteps)
		}
	})
	b.Run("rules", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.rules.run(c.x, nil)
		}
	})
}

func BenchmarkWitnessScales(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		h := benchmarkHistory(shape{ops: n, nodes: 20, actors: 200, width: 10, openPercent: 2})
		b.Run(fmt.Sprintf("operations=%d", n), func(b *testing.B) {
			c := newChecker()
			c.x.build(h)
			b.ReportAllocs()
			for b.Loop() {
				if v := c.witness.run(c.x); v != Ok {
					b.Fatal(v)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/operation")
		})
	}
}

func BenchmarkRecorder(b *testing.B) {
	r := NewRecorder(Header{}, 1000)
	op := Op{Client: "c", Kind: KindClaim, Node: "n1", Incarnation: 5, Actor: "a"}
	b.ReportAllocs()
	for b.Loop() {
		if r.Len() == 1000 {
			r.Reset(Header{})
		}
		id := r.Invoke(time.Second, op)
		r.Return(2*time.Second, id, Result{Outcome: OutcomeOK, Token: 9})
	}
}
