package registry

import "math/bits"

// shortID is how long an id may be, in bytes, for its words to hold all of it.
const shortID = 24

// cacheKey is an actor's id as a cache compares it.
type cacheKey struct {
	id    ActorID
	words idWords
	hash  uint64
}

func keyOf(id ActorID) cacheKey {
	w := wordsOf(id)
	return cacheKey{id, w, w.hash(len(id))}
}

// idWords are the bytes of an id. Two short ids are the same if their lengths and
// words are. The words of a longer one are its hash and zeros.
type idWords struct{ a, b, c uint64 }

// wordsOf returns the words of an id. They overlap where it has no bytes to fill
// them.
func wordsOf(id ActorID) idWords {
	switch n := len(id); {
	case n > shortID:
		return idWords{a: longHash(id)}
	case n > 16:
		return idWords{word(id), word(id[8:]), word(id[n-8:])}
	case n >= 8:
		return idWords{a: word(id), b: word(id[n-8:])}
	case n >= 4:
		return idWords{a: half(id) | half(id[n-4:])<<32}
	case n > 0:
		return idWords{a: uint64(id[0]) | uint64(id[n/2])<<8 | uint64(id[n-1])<<16}
	}
	return idWords{}
}

// hash returns the hash of an id of n bytes. It depends on every byte, and on
// nothing else: no seed, so that which entries share a shard, and so which are
// evicted, is the same in every process.
func (w idWords) hash(n int) uint64 {
	if n > shortID {
		return w.a
	}
	return fold(fold(w.a^secret0, w.b^secret1)^w.c^secret2, uint64(n)^secret3)
}

// The hashes are made as wyhash makes them, of products of 128 bits folded into 64:
// Wang Yi, Diego Barrios Romero et al., "Modern non-cryptographic hash function
// and pseudorandom number generator", 2020, https://github.com/wangyi-fudan/wyhash.
// The constants are the default secret of its version 4.
const (
	secret0 = 0x2d358dccaa6c78a5
	secret1 = 0x8bb84b93962eacc9
	secret2 = 0x4b33a62ed433d4a3
	secret3 = 0x4d5a2da51de1aa47
)

func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

// longHash is the hash of an id of more than 16 bytes.
func longHash(id ActorID) uint64 {
	var h uint64
	for rest := id; ; rest = rest[16:] {
		if len(rest) <= 16 {
			rest = id[len(id)-16:]
			h = fold(word(rest)^secret0, word(rest[8:])^secret1^h)
			return fold(h^secret2, uint64(len(id))^secret3)
		}
		h = fold(word(rest)^secret0, word(rest[8:])^secret1^h)
	}
}

// word returns the first eight bytes.
func word(a ActorID) uint64 {
	_ = a[7]
	return uint64(a[0]) | uint64(a[1])<<8 | uint64(a[2])<<16 | uint64(a[3])<<24 |
		uint64(a[4])<<32 | uint64(a[5])<<40 | uint64(a[6])<<48 | uint64(a[7])<<56
}

// half returns the first four bytes.
func half(a ActorID) uint64 {
	_ = a[3]
	return uint64(a[0]) | uint64(a[1])<<8 | uint64(a[2])<<16 | uint64(a[3])<<24
}
