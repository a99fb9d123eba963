package disk

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
	"go.etcd.io/bbolt"
)

// How full bbolt leaves the first of the two pages that it splits one into. For
// keys that come in no order half is best: with more the second page begins
// nearly empty, and a page is split again before it is full. Keys that come in
// rising order never go into the first page again: it had better be full. See
// BenchmarkMillionActors.
const (
	fillScattered = 0.5
	fillRising    = 0.95
)

// filling recognises new keys that come in rising order, in any number of
// sequences at once, by what is before them: a key that is new itself.
type filling struct {
	recent, older map[uint64]struct{} // hashes of the last new keys
	inserts       int                 // in this batch
	rising        int                 // of them, those behind another new key
}

// recentKeys is the number of keys in one generation of the recent ones.
const recentKeys = 256

// begin begins a batch.
func (f *filling) begin() { f.inserts, f.rising = 0, 0 }

// insert notes a key that is about to be put into rows.
func (f *filling) insert(rows *bbolt.Bucket, rowKey []byte) {
	c := rows.Cursor()
	before, _ := c.Seek(rowKey)
	if before == nil {
		before, _ = c.Last()
	} else {
		before, _ = c.Prev()
	}
	if before != nil && bytes.Compare(before, rowKey) < 0 && f.isRecent(xxhash.Sum64(before)) {
		f.rising++
	}
	f.inserts++
	if f.recent == nil || len(f.recent) >= recentKeys {
		f.older, f.recent = f.recent, make(map[uint64]struct{}, recentKeys)
	}
	f.recent[xxhash.Sum64(rowKey)] = struct{}{}
}

func (f *filling) isRecent(hash uint64) bool {
	_, recent := f.recent[hash]
	_, older := f.older[hash]
	return recent || older
}

// percent returns how full pages are to be left after the batch.
func (f *filling) percent() float64 {
	if f.rising > f.inserts*3/4 {
		return fillRising
	}
	return fillScattered
}
