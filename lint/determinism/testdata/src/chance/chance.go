// Package chance draws from sources that no seed governs.
package chance

import (
	"crypto/rand"  // want `import of crypto/rand: take random numbers from the host`
	"hash/maphash" // want `import of hash/maphash`
	old "math/rand"
	mrand "math/rand/v2"
)

func global() {
	_ = mrand.IntN(3)                   // want `math/rand/v2\.IntN: it draws from the global source`
	_ = mrand.Uint64()                  // want `math/rand/v2\.Uint64`
	_ = mrand.N(10)                     // want `math/rand/v2\.N`
	mrand.Shuffle(1, func(int, int) {}) // want `math/rand/v2\.Shuffle`
	_ = old.Intn(3)                     // want `math/rand\.Intn`
	old.Seed(1)                         // want `math/rand\.Seed`
	_, _ = rand.Read(nil)
	_ = maphash.MakeSeed()
}

var draw = mrand.Float64 // want `math/rand/v2\.Float64`

func seeded(r *mrand.Rand) {
	r = mrand.New(mrand.NewPCG(1, 2))
	_ = r.IntN(3)
	_ = mrand.New(mrand.NewChaCha8([32]byte{})).Perm(4)
	_ = mrand.NewZipf(r, 2, 1, 10).Uint64()
	_ = old.New(old.NewSource(1)).Intn(3)
}
