package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/kelpie-registry/kelpie/store"
)

// format is the version of everything that this package writes. It grows with
// each change that an older version of the package would misread.
const format = 1

// Names of the buckets and of the one key in the first.
var (
	headerBucket = []byte("kelpie")
	headerKey    = []byte("header")
	rowsBucket   = []byte("rows")
)

// header says what the data file holds. It is written with each batch, in the
// same bbolt transaction.
//
//	magic 8 | format 4 | version 8 | rows 8 | sum 8 | check 8, big-endian
//
// check is the xxHash64 of what is before it.
type header struct {
	version store.Version // of the last commit
	rows    uint64        // how many there are
	sum     uint64        // of the rows' hashes, modulo 2^64: no row is missing, none too many
}

const (
	headerMagic = "kelpied\x00"
	headerBytes = len(headerMagic) + 4 + 4*8
)

func (h header) encode() []byte {
	b := make([]byte, 0, headerBytes)
	b = append(b, headerMagic...)
	b = binary.BigEndian.AppendUint32(b, format)
	b = binary.BigEndian.AppendUint64(b, uint64(h.version))
	b = binary.BigEndian.AppendUint64(b, h.rows)
	b = binary.BigEndian.AppendUint64(b, h.sum)
	return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
}

// decodeHeader returns [ErrForeign], [ErrNewerFormat] or [ErrCorrupt]. A newer
// format may go on behind the format number as it likes.
func decodeHeader(b []byte) (header, error) {
	at := len(headerMagic)
	if len(b) < at+4 || string(b[:at]) != headerMagic {
		return header{}, fmt.Errorf("%w: its data file has the header of another program", ErrForeign)
	}
	if f := binary.BigEndian.Uint32(b[at:]); f != format {
		return header{}, otherFormat(uint64(f))
	}
	if len(b) != headerBytes || binary.BigEndian.Uint64(b[headerBytes-8:]) != xxhash.Sum64(b[:headerBytes-8]) {
		return header{}, fmt.Errorf("%w: the header of the data file has %d bytes with a wrong check value", ErrCorrupt, len(b))
	}
	h := header{
		version: store.Version(binary.BigEndian.Uint64(b[at+4:])),
		rows:    binary.BigEndian.Uint64(b[at+12:]),
		sum:     binary.BigEndian.Uint64(b[at+20:]),
	}
	if h.version == 0 {
		return header{}, fmt.Errorf("%w: the header of the data file says version 0", ErrCorrupt)
	}
	return h, nil
}

// otherFormat is the error for a format that is not ours.
func otherFormat(f uint64) error {
	if f > format {
		return fmt.Errorf("%w: format %d, this program knows format %d", ErrNewerFormat, f, format)
	}
	return fmt.Errorf("%w: format %d, which never was", ErrCorrupt, f)
}

// A row is one key of the store:
//
//	key:   'r' | key
//	value: check 4, big-endian | value
//
// The leading byte is there because bbolt has no empty keys. check are the low
// 32 bits of the row's hash.
const (
	rowTag   = 'r'
	rowCheck = 4
)

// rowHash is the xxHash64 of key and value, seeded with the length of the key so
// that no byte can move from one to the other unseen.
func rowHash(d *xxhash.Digest, key, value []byte) uint64 {
	d.ResetWithSeed(uint64(len(key)))
	_, _ = d.Write(key) // a hash does not fail
	_, _ = d.Write(value)
	return d.Sum64()
}

func appendRowKey(b, key []byte) []byte { return append(append(b, rowTag), key...) }

func appendRowValue(b, value []byte, hash uint64) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(hash)), value...)
}

// decodeRow returns the key and the value of a row, which stay part of it, and
// the row's hash; [ErrCorrupt] when they do not belong together.
func decodeRow(d *xxhash.Digest, rowKey, rowValue []byte) (key, value []byte, hash uint64, err error) {
	if len(rowKey) < 1 || rowKey[0] != rowTag || len(rowKey)-1 > store.MaxKeyBytes ||
		len(rowValue) < rowCheck || len(rowValue)-rowCheck > store.MaxValueBytes {
		return nil, nil, 0, fmt.Errorf("%w: a row with a key of %d and a value of %d bytes", ErrCorrupt, len(rowKey), len(rowValue))
	}
	key, value = rowKey[1:], rowValue[rowCheck:]
	hash = rowHash(d, key, value)
	if binary.BigEndian.Uint32(rowValue) != uint32(hash) {
		return nil, nil, 0, fmt.Errorf("%w: the value of %q has a wrong check value", ErrCorrupt, clip(key))
	}
	return key, value, hash, nil
}

// clip shortens a key for an error text.
func clip(key []byte) []byte {
	const longest = 40
	return key[:min(len(key), longest)]
}

// A mark is the highest version whose commit is known to have been acknowledged:
//
//	version 8 | check 8, big-endian
//
// check is the xxHash64 of the version's bytes.
const markBytes = 16

func encodeMark(v store.Version) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, markBytes), uint64(v))
	return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
}

// decodeMark returns [ErrCorrupt] for what is no mark.
func decodeMark(b []byte) (store.Version, error) {
	if len(b) != markBytes || binary.BigEndian.Uint64(b[8:]) != xxhash.Sum64(b[:8]) {
		return 0, fmt.Errorf("%w: the file %s has %d bytes with a wrong check value", ErrCorrupt, markName, len(b))
	}
	return store.Version(binary.BigEndian.Uint64(b)), nil
}

// The format file is text, for people and for programs of every version:
//
//	kelpie data directory
//	format 1
//
// with a line "creating" or "restoring" behind it until the directory is
// complete.
const formatTitle = "kelpie data directory\n"

func encodeFormat(s state) []byte {
	b := fmt.Appendf(nil, "%sformat %d\n", formatTitle, format)
	switch s {
	case stateCreating:
		b = append(b, "creating\n"...)
	case stateRestoring:
		b = append(b, "restoring\n"...)
	default:
	}
	return b
}

// decodeFormat returns [ErrForeign], [ErrNewerFormat] or [ErrCorrupt].
func decodeFormat(b []byte) (state, error) {
	rest, ours := bytes.CutPrefix(b, []byte(formatTitle))
	if !ours {
		return 0, fmt.Errorf("%w: its file %s is of another program", ErrForeign, formatName)
	}
	line, rest, _ := bytes.Cut(rest, []byte("\n"))
	var f uint64
	if n, err := fmt.Sscanf(string(line), "format %d", &f); n != 1 || err != nil {
		return 0, fmt.Errorf("%w: the file %s names no format", ErrCorrupt, formatName)
	}
	if f != format {
		return 0, otherFormat(f)
	}
	for _, s := range []state{stateReady, stateCreating, stateRestoring} {
		if bytes.Equal(b, encodeFormat(s)) {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%w: the file %s goes on with %q", ErrCorrupt, formatName, clip(rest))
}
