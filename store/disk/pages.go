package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
)

// This file reads bbolt's file format (bbolt/internal/common: page.go, meta.go,
// bucket.go) without trust in a single byte. bbolt itself trusts its file: a
// flipped bit can make it panic, run in circles or find nothing where something
// is. Integers have the byte order of the machine.
const (
	pageBytes = 4096 // of every file that this package makes

	pageHeader    = 16 // id 8, flags 2, count 2, overflow 4
	pageElement   = 16 // branch: pos 4, key size 4, page 8; leaf: flags 4, pos 4, key size 4, value size 4
	bucketHeader  = 16 // root page 8, sequence 8; a root of 0 has its page inline, behind the header
	metaBytes     = 64 // magic 4, version 4, page size 4, flags 4, root bucket 16, freelist 8, high water 8, transaction 8, checksum 8
	metaChecksum  = metaBytes - 8
	boltMagic     = 0xED0CDAED
	boltVersion   = 2
	bucketElement = 1 // flag of a leaf element

	flagBranch   = 0x01
	flagLeaf     = 0x02
	flagMeta     = 0x04
	flagFreelist = 0x10
)

var native = binary.NativeEndian

// meta is one of the two roots of a file; the valid one of the higher
// transaction counts.
type meta struct {
	root     uint64 // page of the root bucket
	freelist uint64 // page
	high     uint64 // pages from here on have never been used
	txid     uint64
}

// readMeta returns the meta page that counts.
func readMeta(r io.ReaderAt) (meta, error) {
	var found []meta
	magic, blank := false, true
	for id := range uint64(2) {
		b := make([]byte, pageHeader+metaBytes)
		if _, err := r.ReadAt(b, int64(id)*pageBytes); err != nil && err != io.EOF {
			return meta{}, err
		}
		magic = magic || native.Uint32(b[pageHeader:]) == boltMagic
		blank = blank && len(bytes.Trim(b, "\x00")) == 0
		if m, ok := decodeMeta(b); ok {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 2 && found[0].txid > found[1].txid:
		return found[0], nil
	case len(found) == 2:
		return found[1], nil
	case len(found) == 1:
		return found[0], nil
	case magic:
		return meta{}, fmt.Errorf("%w: neither of the data file's two meta pages is valid", ErrCorrupt)
	case blank: // a file system that lost what it was given leaves this
		return meta{}, fmt.Errorf("%w: the data file is empty, or has zeros where its meta pages belong", ErrCorrupt)
	default:
		return meta{}, fmt.Errorf("%w: its data file is of another program", ErrForeign)
	}
}

// decodeMeta reports whether b is a meta page that bbolt would accept, of the
// page size of our files.
func decodeMeta(b []byte) (meta, bool) {
	if len(b) < pageHeader+metaBytes {
		return meta{}, false
	}
	b = b[pageHeader : pageHeader+metaBytes]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaChecksum]) // a hash does not fail
	if native.Uint32(b) != boltMagic || native.Uint32(b[4:]) != boltVersion || native.Uint32(b[8:]) != pageBytes ||
		native.Uint64(b[metaChecksum:]) != sum.Sum64() {
		return meta{}, false
	}
	return meta{
		root:     native.Uint64(b[16:]),
		freelist: native.Uint64(b[32:]),
		high:     native.Uint64(b[40:]),
		txid:     native.Uint64(b[48:]),
	}, true
}

// page is a page of a tree whose elements lie within it.
type page struct {
	raw   []byte
	flags uint16
	count int
}

// decodePage checks everything about a page of a tree but the order of its keys.
// raw is the whole page, with its overflow, or what is behind the header of a
// bucket with its page inline, which has id 0.
func decodePage(raw []byte, id uint64) (page, error) {
	bad := func(format string, args ...any) (page, error) {
		return page{}, fmt.Errorf("%w: page %d: "+format, append([]any{ErrCorrupt, id}, args...)...)
	}
	if len(raw) < pageHeader {
		return bad("%d bytes", len(raw))
	}
	p := page{raw: raw, flags: native.Uint16(raw[8:]), count: int(native.Uint16(raw[10:]))}
	if got := native.Uint64(raw); got != id {
		return bad("it says that it is page %d", got)
	}
	if p.flags != flagBranch && p.flags != flagLeaf {
		return bad("flags %#x are not those of a branch or a leaf", p.flags)
	}
	first := pageHeader + p.count*pageElement
	if first > len(raw) || (p.flags == flagBranch && p.count == 0) {
		return bad("%d elements in %d bytes", p.count, len(raw))
	}
	for i := range p.count {
		from, key, value := p.extent(i)
		if from < uint64(first) || key == 0 || from+key+value > uint64(len(raw)) {
			return bad("element %d of %d+%d bytes at byte %d is not within it", i, key, value, from)
		}
	}
	return p, nil
}

// extent returns where an element's key begins, and the sizes of key and value.
// The sums do not overflow: the parts have 32 bits.
func (p page) extent(i int) (from, key, value uint64) {
	at := pageHeader + i*pageElement
	e := p.raw[at : at+pageElement]
	if p.flags == flagBranch {
		return uint64(at) + uint64(native.Uint32(e)), uint64(native.Uint32(e[4:])), 0
	}
	return uint64(at) + uint64(native.Uint32(e[4:])), uint64(native.Uint32(e[8:])), uint64(native.Uint32(e[12:]))
}

// key returns the key of an element.
func (p page) key(i int) []byte {
	from, size, _ := p.extent(i)
	return p.raw[from : from+size]
}

// value returns the value of an element of a leaf.
func (p page) value(i int) []byte {
	from, key, size := p.extent(i)
	return p.raw[from+key : from+key+size]
}

// elementFlags returns the flags of an element of a leaf.
func (p page) elementFlags(i int) uint32 { return native.Uint32(p.raw[pageHeader+i*pageElement:]) }

// child returns the page of an element of a branch.
func (p page) child(i int) uint64 { return native.Uint64(p.raw[pageHeader+i*pageElement+8:]) }

// decodeFreelist returns the pages that a freelist page names.
func decodeFreelist(raw []byte, id uint64) ([]uint64, error) {
	if len(raw) < pageHeader || native.Uint64(raw) != id || native.Uint16(raw[8:]) != flagFreelist {
		return nil, fmt.Errorf("%w: page %d is not the list of free pages", ErrCorrupt, id)
	}
	count, b := uint64(native.Uint16(raw[10:])), raw[pageHeader:]
	if count == 0xffff && len(b) >= 8 { // a long list has its length as the first entry
		count, b = native.Uint64(b), b[8:]
	}
	if count > uint64(len(b)/8) {
		return nil, fmt.Errorf("%w: page %d: a list of %d free pages in %d bytes", ErrCorrupt, id, count, len(raw))
	}
	ids := make([]uint64, count)
	for i := range ids {
		ids[i] = native.Uint64(b[i*8:])
	}
	return ids, nil
}
