package litmus

import (
	"fmt"
	"strings"

	"github.com/kelpie-registry/kelpie/store"
)

// PrefixBytes is the length of the prefix that stands in front of every key at
// the level Client. It is the same for every store, because sizes and limits
// count it.
const PrefixBytes = 16

// Prefix is what stands in front of a program's keys, so that programs do not
// meet in one cluster. Keys from \xff on are not the program's own and stay as
// they are; \xff itself as the end of a range is the end of the program's keys.
type Prefix string

// NewPrefix returns the n-th prefix; those of n and n+2³² are the same.
func NewPrefix(n uint64) Prefix { return Prefix(fmt.Sprintf("litmus/%08x/", uint32(n))) }

// Key returns the store's key for a program's key.
func (p Prefix) Key(key string) []byte {
	if key >= firstSystemKey {
		return []byte(key)
	}
	return []byte(string(p) + key)
}

// Bound returns the store's key for an end of a range.
func (p Prefix) Bound(key string) []byte {
	if key > firstSystemKey {
		return []byte(key)
	}
	return []byte(string(p) + key)
}

// Shift returns the place in the store's key of a place in a program's key.
func (p Prefix) Shift(key string, at int64) int {
	return int(at) + len(p.Key(key)) - len(key)
}

// Strip returns the program's key for one of the store's. What lies before the
// program's keys is their beginning, what lies behind them their end.
func (p Prefix) Strip(key string) string {
	switch {
	case strings.HasPrefix(key, string(p)):
		return key[len(p):]
	case key < string(p):
		return ""
	default:
		return firstSystemKey
	}
}

// StripRows takes the prefix off the rows of a range.
func (p Prefix) StripRows(rows []store.KeyValue) {
	for i := range rows {
		rows[i].Key = []byte(p.Strip(string(rows[i].Key)))
	}
}
