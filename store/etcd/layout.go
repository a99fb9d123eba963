package etcd

import (
	"encoding/binary"
	"strings"
)

// layout names the rows of one namespace in etcd. Behind the namespace and a
// zero byte come
//
//	d ESC(key) 00 01        the value of key, or a tombstone
//	d ESC(key) 00 02 LANE   a part of the sum that was added to key
//	c RANDOM                ranges that one transaction cleared or declared written
//	t REVISION RANDOM       keys for which one commit left tombstones
//	h                       the horizon
//
// ESC writes a zero byte as 00 FF. All rows of a key lie together, and keys
// keep their order: the byte behind ESC(key) 00 is below FF, and so the rows of
// a key come before those of every longer key that begins with it.
type layout struct {
	prefix string
}

const (
	tagRecord    = "c"
	tagRecordEnd = "d" // the first text behind all that begin with tagRecord
	tagData      = "d"
	tagHorizon   = "h"
	tagTrail     = "t"
	tagTrailEnd  = "u"

	rowBase = "\x01"
	rowLane = "\x02"
	rowEnd  = "\x03"

	laneBytes = 8
)

func newLayout(namespace string) layout { return layout{prefix: namespace + "\x00"} }

// lower is the lower bound of the rows of key and of all keys behind it.
func (l layout) lower(key string) string {
	var b strings.Builder
	b.Grow(len(l.prefix) + len(key) + 8)
	b.WriteString(l.prefix)
	b.WriteString(tagData)
	for {
		i := strings.IndexByte(key, 0)
		if i < 0 {
			break
		}
		b.WriteString(key[:i])
		b.WriteString("\x00\xff")
		key = key[i+1:]
	}
	b.WriteString(key)
	b.WriteByte(0)
	return b.String()
}

// base is the row of key's value.
func (l layout) base(key string) string { return l.lower(key) + rowBase }

// lane is a row of key's sum.
func (l layout) lane(key, id string) string { return l.lower(key) + rowLane + id }

// rows returns the bounds of all rows of key.
func (l layout) rows(key string) (begin, end string) {
	begin = l.lower(key)
	return begin, begin + rowEnd
}

// rowsOf returns the bounds of all rows of the keys of s.
func (l layout) rowsOf(s span) (begin, end string) { return l.lower(s.begin), l.lower(s.end) }

// parse takes the name of a row of the data apart. lane is empty for a base row.
func (l layout) parse(row string) (key, lane string, ok bool) {
	rest, ok := strings.CutPrefix(row, l.prefix+tagData)
	if !ok {
		return "", "", false
	}
	var b strings.Builder
	for {
		i := strings.IndexByte(rest, 0)
		if i < 0 || i+1 == len(rest) {
			return "", "", false
		}
		b.WriteString(rest[:i])
		kind, tail := rest[i+1], rest[i+2:]
		switch {
		case kind == 0xff:
			b.WriteByte(0)
			rest = tail
		case kind == rowBase[0] && tail == "":
			return b.String(), "", true
		case kind == rowLane[0] && len(tail) == laneBytes:
			return b.String(), tail, true
		default:
			return "", "", false
		}
	}
}

func (l layout) horizon() string { return l.prefix + tagHorizon }

func (l layout) record(id string) string { return l.prefix + tagRecord + id }

// records returns the bounds of all records.
func (l layout) records() (begin, end string) {
	return l.prefix + tagRecord, l.prefix + tagRecordEnd
}

// trail is the row that lists tombstones. A revision that is not above that of
// the commit which writes it keeps the rows about in the order of age.
func (l layout) trail(revision int64, id string) string {
	return l.prefix + tagTrail + revisionText(revision) + id
}

func (l layout) trails() (begin, end string) {
	return l.prefix + tagTrail, l.prefix + tagTrailEnd
}

// revisionText is a revision as 8 bytes whose order is that of the numbers.
func revisionText(revision int64) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(revision)))
}

// parseRevision is the inverse of revisionText.
func parseRevision(text []byte) (int64, bool) {
	if len(text) != 8 {
		return 0, false
	}
	r := int64(binary.BigEndian.Uint64(text))
	return r, r >= 0
}
