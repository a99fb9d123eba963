package registry

import (
	"fmt"
	"strings"
	"testing"
)

func TestKeyDependsOnEveryByteOfAnID(t *testing.T) {
	seen := make(map[cacheKey]string)
	note := func(id string) {
		k := keyOf(ActorID(id))
		k.id = "" // the words alone must tell them apart, and the hash besides
		if other, ok := seen[k]; ok {
			t.Errorf("%q and %q have one key", id, other)
		}
		seen[k] = id
	}
	hashes := make(map[uint64]bool)
	for n := range 3*shortID + 1 {
		base := strings.Repeat("a", n)
		note(base)
		hashes[keyOf(ActorID(base)).hash] = true
		for at := range n {
			for bit := range 8 {
				id := []byte(base)
				id[at] ^= 1 << bit
				note(string(id))
				hashes[keyOf(ActorID(id)).hash] = true
			}
		}
	}
	if len(hashes) != len(seen) {
		t.Errorf("%d hashes of %d ids", len(hashes), len(seen))
	}
}

// TestHashIsTheSameInEveryProcess: which entries share a shard is decided by the
// hash, and so is which of them are evicted.
func TestHashIsTheSameInEveryProcess(t *testing.T) {
	for id, want := range map[ActorID]uint64{
		"a":                                    0xa0242c8e9be76640,
		"actor":                                0xa3c6c5812d4c8229,
		"player/0000001":                       0x65eb3376d8ae0b5d,
		"a-room/0000000000001":                 0x95d327b3958d6c64,
		"123e4567-e89b-12d3-a456-426614174000": 0x88f5554c0063e012,
	} {
		if got := keyOf(id).hash; got != want {
			t.Errorf("%q: %#x, want %#x", id, got, want)
		}
	}
}

func TestHashSpreadsIDsOverShardsAndSlots(t *testing.T) {
	const n = 1 << 16
	for _, format := range []string{"%d", "player/%07d", "a-very-long-prefix-of-ids/%09d", "%09d/a-very-long-end-of-ids", "same-start/%09d/same-end"} {
		var shards, slots [maxCacheShards]int
		for i := range n {
			h := keyOf(ActorID(fmt.Sprintf(format, i))).hash
			shards[h>>(64-cacheShardBits)]++
			slots[h%maxCacheShards]++
		}
		for i := range maxCacheShards {
			// Six standard deviations on either side.
			for _, got := range []int{shards[i], slots[i]} {
				if mean := n / maxCacheShards; got < mean*4/5 || got > mean*6/5 {
					t.Errorf("%s: %d of %d in a part of %d", format, got, n, maxCacheShards)
				}
			}
		}
	}
}
