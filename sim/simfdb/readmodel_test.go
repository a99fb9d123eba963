package simfdb

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// The reads of the client are held to the plainest model: a map of the stored
// values, with the transaction's own changes applied to a copy of it.

// modelRead is a read and its answer, as a line.
type modelRead struct {
	name string
	real func(tr *Transaction) string
	want func(state map[string]string) string
}

func showRow(k, v string) string { return fmt.Sprintf("%q=%q", k, v) }

func showRows(rows []KeyValue, err error) string {
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, kv := range rows {
		out = append(out, showRow(string(kv.Key), string(kv.Value)))
	}
	return strings.Join(out, " ")
}

func sortedModel(state map[string]string) []string {
	var keys []string
	for k := range state {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// selectIn returns the place of the key that s selects among keys: -1 and
// len(keys) when there are too few.
func selectIn(keys []string, s KeySelector) int {
	n := 0
	for n < len(keys) && (keys[n] < string(s.Key) || s.OrEqual && keys[n] == string(s.Key)) {
		n++
	}
	return min(max(n-1+s.Offset, -1), len(keys))
}

func randomSelector(r *rand.Rand) KeySelector {
	s := KeySelector{Key: []byte(modelKeys[r.IntN(len(modelKeys))]), OrEqual: r.IntN(2) == 0, Offset: 1}
	if r.IntN(2) == 0 {
		s.Offset = r.IntN(7) - 3
	}
	return s
}

// randomRead draws a read of one key, of a selector or of a range.
func randomRead(r *rand.Rand, snapshot bool) modelRead {
	switch r.IntN(4) {
	case 0:
		return readOfKey(modelKeys[r.IntN(len(modelKeys))], snapshot)
	case 1:
		return readOfSelector(randomSelector(r), snapshot)
	default:
		o := RangeOptions{Limit: r.IntN(5), Reverse: r.IntN(2) == 0, Mode: StreamingMode(r.IntN(7) - 1)}
		if o.Mode == StreamingModeExact && o.Limit == 0 {
			o.Mode = StreamingModeSmall
		}
		return readOfRange(randomSelector(r), randomSelector(r), o, r.IntN(2) == 0, snapshot)
	}
}

func readOfKey(key string, snapshot bool) modelRead {
	return modelRead{
		name: fmt.Sprintf("get %q", key),
		real: func(tr *Transaction) string {
			f := tr.Get([]byte(key))
			if snapshot {
				f = tr.Snapshot().Get([]byte(key))
			}
			v, err := f.Get()
			return fmt.Sprintf("%q %v %v", v, v != nil, err)
		},
		want: func(state map[string]string) string {
			v, ok := state[key]
			return fmt.Sprintf("%q %v %v", v, ok, nil)
		},
	}
}

func readOfSelector(s KeySelector, snapshot bool) modelRead {
	return modelRead{
		name: fmt.Sprintf("key %q %v %+d", s.Key, s.OrEqual, s.Offset),
		real: func(tr *Transaction) string {
			f := tr.GetKey(s)
			if snapshot {
				f = tr.Snapshot().GetKey(s)
			}
			k, err := f.Get()
			return fmt.Sprintf("%q %v", k, err)
		},
		want: func(state map[string]string) string {
			keys := sortedModel(state)
			switch i := selectIn(keys, s); i {
			case -1:
				return `"" <nil>`
			case len(keys):
				return `"\xff" <nil>`
			default:
				return fmt.Sprintf("%q <nil>", keys[i])
			}
		},
	}
}

func readOfRange(begin, end KeySelector, o RangeOptions, byRow, snapshot bool) modelRead {
	return modelRead{
		name: fmt.Sprintf("range %q %v %+d to %q %v %+d %+v", begin.Key, begin.OrEqual, begin.Offset, end.Key, end.OrEqual, end.Offset, o),
		real: func(tr *Transaction) string {
			get := tr.GetRange
			if snapshot {
				get = tr.Snapshot().GetRange
			}
			rr := get(begin, end, o)
			if !byRow {
				return showRows(rr.GetSliceWithError())
			}
			var rows []KeyValue
			for it := rr.Iterator(); it.Advance(); {
				kv, err := it.Get()
				if err != nil {
					return err.Error()
				}
				rows = append(rows, kv)
			}
			return showRows(rows, nil)
		},
		want: func(state map[string]string) string {
			keys := sortedModel(state)
			lo, hi := max(selectIn(keys, begin), 0), max(selectIn(keys, end), 0)
			if lo >= hi {
				return ""
			}
			keys = keys[lo:hi]
			if o.Reverse {
				slices.Reverse(keys)
			}
			if o.Limit > 0 && len(keys) > o.Limit {
				keys = keys[:o.Limit]
			}
			var out []string
			for _, k := range keys {
				out = append(out, showRow(k, state[k]))
			}
			return strings.Join(out, " ")
		},
	}
}

// write makes a mutation of the model in a transaction.
func (m mutation) write(tr *Transaction) {
	switch m.kind {
	case mutationSet:
		tr.Set([]byte(m.key), []byte(m.param))
	case mutationClearRange:
		if m.key <= m.param {
			tr.ClearRange([]byte(m.key), []byte(m.param))
		}
	default:
		tr.Atomic(m.kind, []byte(m.key), []byte(m.param))
	}
}

func copyModel(state map[string]string) map[string]string {
	c := map[string]string{}
	for k, v := range state {
		c[k] = v
	}
	return c
}

// store makes the stored values those of the model.
func storeModel(cl *Client, state map[string]string) error {
	_, err := cl.Transact(func(tr *Transaction) (any, error) {
		tr.ClearRange(nil, []byte(firstSystemKey))
		for k, v := range state {
			tr.Set([]byte(k), []byte(v))
		}
		return nil, nil
	})
	return err
}

func randomState(r *rand.Rand) map[string]string {
	state := map[string]string{}
	for _, k := range modelKeys {
		if r.IntN(2) == 0 {
			state[k] = strings.Repeat("v", r.IntN(3)*60) // so that the small modes stop between
		}
	}
	return state
}
