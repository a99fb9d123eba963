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
		return min(key[len(p):], firstSystemKey)
	case key < string(p):
		return ""
	default:
		return firstSystemKey
	}
}

// guardsEach is how many guards there are on each side: more than any selector
// goes beyond the last key.
const guardsEach = 5

// Guards returns keys in front of the program's keys and behind them. A store
// has to hold them, so that selectors that run off the ends find the same in an
// empty cluster and among other programs.
func (p Prefix) Guards() [][]byte {
	front := string(p[:len(p)-1]) + "." // the byte before "/"
	var keys [][]byte
	for i := range guardsEach {
		keys = append(keys, fmt.Appendf(nil, "%s%d", front, i), fmt.Appendf(nil, "%s\xff%d", p, i))
	}
	return keys
}

// Space returns the range of all keys of the program and its guards.
func (p Prefix) Space() Span {
	return Span{string(p[:len(p)-1]) + ".", string(p[:len(p)-1]) + "0"} // the bytes around "/"
}

// Rows returns the program's rows of those that a range read found, without the
// prefix.
func (p Prefix) Rows(rows []store.KeyValue) []store.KeyValue {
	own := rows[:0]
	for _, kv := range rows {
		key := string(kv.Key)
		if strings.HasPrefix(key, string(p)) && key < string(p)+firstSystemKey {
			own = append(own, store.KeyValue{Key: kv.Key[len(p):], Value: kv.Value})
		}
	}
	return own
}

// Spans returns the ranges that rows of a special key space describe: a key behind
// the space is a boundary, with "1" where a range begins and "0" where it ends.
func (p Prefix) Spans(space string, rows []store.KeyValue) []Span {
	var spans []Span
	for _, kv := range rows {
		key := p.Strip(string(kv.Key[len(space):]))
		switch {
		case string(kv.Value) == "1":
			spans = append(spans, Span{Begin: key})
		case len(spans) > 0:
			spans[len(spans)-1].End = key
		}
	}
	return spans
}
