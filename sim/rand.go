package sim

import (
	"math/bits"
	"math/rand/v2"
	"time"
)

// source is whatever causes events: a task, a callback, the driver. Draws made
// on its behalf are keyed by its identity and by how many it made before, so
// that they do not depend on what other sources do.
type source struct {
	ident uint64 // who
	ord   uint64 // draws made so far
}

// draw returns the source's next number.
func (s *source) draw() uint64 {
	s.ord++
	return mix(s.ident + s.ord*golden)
}

// Rand returns the random stream of that name, seeded from the world's seed
// and the name. One name always returns the same stream, which goes on where
// the last user left it.
func (w *World) Rand(stream string) *rand.Rand {
	if r := w.streams[stream]; r != nil {
		return r
	}
	r := newRand(hashString(w.ident, stream))
	w.streams[stream] = r
	return r
}

// Draw returns a number that depends on the seed, the stream and the ids only:
// not on what was drawn before. It decides the fate of something that has an
// identity, so that removing one such thing leaves the fates of the others.
func (w *World) Draw(stream string, ids ...uint64) uint64 {
	h := hashString(w.ident, stream)
	for _, id := range ids {
		h = mix(h + golden ^ mix(id+golden))
	}
	return mix(h)
}

func newRand(seed uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, mix(seed^golden)))
}

// below maps a draw to [0, n); n > 0.
func below(draw uint64, n time.Duration) time.Duration {
	hi, _ := bits.Mul64(draw, uint64(n))
	return time.Duration(hi)
}

// chance reports whether a draw falls under probability p.
func chance(draw uint64, p float64) bool {
	return p > 0 && float64(draw>>11) < p*(1<<53)
}
