package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/kelpie-registry/kelpie/store"
)

// The first byte of a row's value says what the rest is. A stamp is not stored:
// etcd cannot write its own revision into a value. What is stored is where it
// goes; the version is the row's mod revision, which is the revision of the
// commit that wrote it, and a reader puts it there.
const (
	valuePlain     = 0 // the value
	valueTombstone = 1 // nothing: the key was removed
	valueStamped   = 2 // ORDER 2 | offset uvarint | the value without its stamp
	valueSummed    = 3 // ORDER 2 | offset uvarint | DELTA 8 | the same, to be added to
	valueLane      = 4 // SUM 8, in little-endian order
)

// ErrCorrupt: the store holds a row that no engine of this version wrote.
var ErrCorrupt = errors.New("etcd: corrupt row")

func plainValue(v []byte) string { return string(append([]byte{valuePlain}, v...)) }

func tombstone() string { return string([]byte{valueTombstone}) }

func laneValue(sum uint64) string {
	return string(binary.LittleEndian.AppendUint64([]byte{valueLane}, sum))
}

// stampedValue is a value whose stamp is the commit's version and then order.
func stampedValue(w *write, order uint16) string {
	b := make([]byte, 0, 16+len(w.value))
	if w.added {
		b = append(b, valueSummed)
	} else {
		b = append(b, valueStamped)
	}
	b = binary.BigEndian.AppendUint16(b, order)
	b = binary.AppendUvarint(b, uint64(w.offset))
	if w.added {
		b = binary.LittleEndian.AppendUint64(b, w.delta)
	}
	return string(append(b, w.value...))
}

// fillStamp returns value with the stamp at offset.
func fillStamp(value []byte, offset int, version store.Version, order uint16) []byte {
	v := clone(value)
	binary.BigEndian.PutUint64(v[offset:], uint64(version))
	binary.BigEndian.PutUint16(v[offset+8:], order)
	return v
}

// decodeValue returns the value that a base row stands for, nil for a
// tombstone. The result belongs to the caller.
func decodeValue(raw []byte, modRevision int64) ([]byte, error) {
	if len(raw) == 0 {
		return nil, fmt.Errorf("%w: an empty value", ErrCorrupt)
	}
	kind, rest := raw[0], raw[1:]
	switch kind {
	case valuePlain:
		return clone(rest), nil
	case valueTombstone:
		return nil, nil
	case valueStamped, valueSummed:
		if len(rest) < 2 {
			return nil, fmt.Errorf("%w: a stamped value of %d bytes", ErrCorrupt, len(raw))
		}
		order := binary.BigEndian.Uint16(rest)
		offset, n := binary.Uvarint(rest[2:])
		if n <= 0 {
			return nil, fmt.Errorf("%w: a stamped value without an offset", ErrCorrupt)
		}
		rest = rest[2+n:]
		var delta uint64
		if kind == valueSummed {
			if len(rest) < 8 {
				return nil, fmt.Errorf("%w: a stamped value without its sum", ErrCorrupt)
			}
			delta, rest = binary.LittleEndian.Uint64(rest), rest[8:]
		}
		if len(rest) < store.StampBytes || offset > uint64(len(rest)-store.StampBytes) {
			return nil, fmt.Errorf("%w: a stamp at offset %d of a %d-byte value", ErrCorrupt, offset, len(rest))
		}
		v := fillStamp(rest, int(offset), store.Version(modRevision), order)
		if kind == valueSummed {
			return addTo(v, delta), nil
		}
		return v, nil
	default:
		return nil, fmt.Errorf("%w: a value of kind %d", ErrCorrupt, kind)
	}
}

func decodeLane(raw []byte) (uint64, error) {
	if len(raw) != 9 || raw[0] != valueLane {
		return 0, fmt.Errorf("%w: a lane of %d bytes", ErrCorrupt, len(raw))
	}
	return binary.LittleEndian.Uint64(raw[1:]), nil
}

// addTo returns the 8 little-endian bytes of base plus delta; base counts as
// zero when there is none, is extended with zeros and cut to 8 bytes.
func addTo(base []byte, delta uint64) []byte {
	out := make([]byte, 8)
	copy(out, base)
	binary.LittleEndian.PutUint64(out, binary.LittleEndian.Uint64(out)+delta)
	return out
}

// keyValue is a key with what its rows stand for; a nil value for none.
type keyValue struct {
	key   string
	value []byte
}

// decodeRows joins rows, in the order of their names, to keys, with nil values
// for keys that have none. A lane counts only when it is younger than its base:
// whoever writes the base thereby sets the sum back, and need not know the
// lanes.
func (l layout) decodeRows(rows []*mvccpb.KeyValue) ([]keyValue, error) {
	var out []keyValue
	var baseRevision int64
	for _, row := range rows {
		key, lane, ok := l.parse(string(row.Key))
		if !ok {
			return nil, fmt.Errorf("%w: its key is %q", ErrCorrupt, clip(string(row.Key)))
		}
		if n := len(out); n == 0 || out[n-1].key != key {
			out = append(out, keyValue{key: key})
			baseRevision = 0
		}
		last := &out[len(out)-1]
		var err error
		if lane == "" {
			baseRevision = row.ModRevision
			last.value, err = decodeValue(row.Value, row.ModRevision)
		} else {
			var sum uint64
			if sum, err = decodeLane(row.Value); err == nil && row.ModRevision > baseRevision {
				last.value = addTo(last.value, sum)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%w, of key %q", err, clip(key))
		}
	}
	return out, nil
}

// decodeOne is decodeRows of the rows of one key.
func (l layout) decodeOne(rows []*mvccpb.KeyValue) ([]byte, error) {
	kvs, err := l.decodeRows(rows)
	if err != nil || len(kvs) == 0 {
		return nil, err
	}
	return kvs[0].value, nil
}

// clone returns a copy that is not nil.
func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
