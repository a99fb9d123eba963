package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"
)

// verify reads a whole data file, as of meta page m, and returns its header. It
// gives up when alive returns an error. It returns an error, [ErrCorrupt] or [ErrForeign] or that of a read, unless
//
//   - every page below the high water is part of a tree, or in the list of free
//     pages, and neither twice;
//   - each page is a valid one, its keys rise, its first key is the one that the
//     branch above has for it, and its last is below the branch's next, so that a
//     search finds what is there;
//   - each row has its own check value, and their number and the sum of their
//     hashes are those of the header, so that none is missing.
//
// So every flipped bit that could change an answer is found, whether it hit a
// row, a page's structure or the list of free pages. Those it misses changed
// nothing that is ever read: the unused rest of a page, a free page, a meta page
// that does not count.
func verify(alive func() error, r io.ReaderAt, size int64, m meta) (header, error) {
	w := &walker{alive: alive, r: r, meta: m}
	if m.high < 2 || m.high > uint64(size)/pageBytes {
		return header{}, fmt.Errorf("%w: the data file has %d bytes, it was cut off: it should have %d pages of %d", ErrCorrupt, size, m.high, pageBytes)
	}
	w.used = make([]bool, m.high)
	w.used[0], w.used[1] = true, true

	var head, rows []byte
	if err := w.tree(m.root, nil, func(name, value []byte, flags uint32) error {
		switch {
		case flags == bucketElement && bytes.Equal(name, headerBucket):
			head = bytes.Clone(value)
		case flags == bucketElement && bytes.Equal(name, rowsBucket):
			rows = bytes.Clone(value)
		default:
			return fmt.Errorf("%w: its data file has a bucket %q", ErrForeign, clip(name))
		}
		return nil
	}); err != nil {
		return header{}, err
	}
	if head == nil || rows == nil {
		return header{}, fmt.Errorf("%w: its data file lacks the bucket %s or %s", ErrForeign, headerBucket, rowsBucket)
	}
	want, err := w.header(head)
	if err != nil {
		return header{}, err
	}
	got, err := w.rows(rows)
	if err != nil {
		return header{}, err
	}
	if err := w.free(); err != nil {
		return header{}, err
	}
	if got.rows != want.rows || got.sum != want.sum {
		return header{}, fmt.Errorf("%w: %d rows with the sum %#x, the header says %d and %#x", ErrCorrupt, got.rows, got.sum, want.rows, want.sum)
	}
	return want, nil
}

// walker reads the pages of a file and notes which are in use.
type walker struct {
	alive func() error
	r     io.ReaderAt
	meta  meta

	used    []bool
	buffers [][]byte // one for each level of a tree
	pages   int
}

// maxDepth bounds the levels of a tree. A branch page has at least two children
// when it was split, so that a deeper tree does not fit any disk.
const maxDepth = 64

// header reads the bucket with the header.
func (w *walker) header(bucket []byte) (header, error) {
	var value []byte
	err := w.bucket(bucket, func(k, v []byte, flags uint32) error {
		if flags != 0 || !bytes.Equal(k, headerKey) {
			return fmt.Errorf("%w: the bucket %s has a key %q", ErrCorrupt, headerBucket, clip(k))
		}
		value = bytes.Clone(v)
		return nil
	})
	if err != nil {
		return header{}, err
	}
	return decodeHeader(value)
}

// rows reads all rows and returns their number and sum.
func (w *walker) rows(bucket []byte) (header, error) {
	var (
		h header
		d xxhash.Digest
	)
	err := w.bucket(bucket, func(k, v []byte, flags uint32) error {
		if flags != 0 {
			return fmt.Errorf("%w: row %q has flags %#x", ErrCorrupt, clip(k), flags)
		}
		_, _, hash, err := decodeRow(&d, k, v)
		h.rows++
		h.sum += hash
		return err
	})
	return h, err
}

// free reads the list of free pages. Every page must be in it or in use.
func (w *walker) free() error {
	raw, err := w.read(w.meta.freelist, 0)
	if err != nil {
		return err
	}
	ids, err := decodeFreelist(raw, w.meta.freelist)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := w.use(id); err != nil {
			return err
		}
	}
	for id, used := range w.used {
		if !used {
			return fmt.Errorf("%w: page %d is neither in use nor free", ErrCorrupt, id)
		}
	}
	return nil
}

// leaf is called for each element of a tree's leaves, in key order. The slices
// are good until it returns.
type leaf func(key, value []byte, flags uint32) error

// bucket reads the tree of a bucket.
func (w *walker) bucket(value []byte, visit leaf) error {
	if len(value) < bucketHeader {
		return fmt.Errorf("%w: a bucket header of %d bytes", ErrCorrupt, len(value))
	}
	root := native.Uint64(value)
	if root == 0 {
		return w.tree(0, value[bucketHeader:], visit)
	}
	return w.tree(root, nil, visit)
}

// tree reads the tree below a page, or the inline page when root is 0.
func (w *walker) tree(root uint64, inline []byte, visit leaf) error {
	var previous []byte
	ordered := func(key, value []byte, flags uint32) error {
		if previous != nil && bytes.Compare(previous, key) >= 0 {
			return fmt.Errorf("%w: key %q behind %q", ErrCorrupt, clip(key), clip(previous))
		}
		previous = append(previous[:0], key...)
		return visit(key, value, flags)
	}
	if root != 0 {
		return w.subtree(root, 0, nil, nil, ordered)
	}
	p, err := decodePage(inline, 0)
	if err != nil {
		return err
	}
	if p.flags != flagLeaf {
		return fmt.Errorf("%w: an inline bucket that is no leaf", ErrCorrupt)
	}
	return p.visit(nil, ordered)
}

// subtree reads the tree below a page, whose first key is low and whose keys are
// below high; nil for the root's, which have no bounds.
func (w *walker) subtree(id uint64, depth int, low, high []byte, visit leaf) error {
	if depth >= maxDepth {
		return fmt.Errorf("%w: page %d is %d levels down", ErrCorrupt, id, depth)
	}
	raw, err := w.read(id, depth)
	if err != nil {
		return err
	}
	p, err := decodePage(raw, id)
	if err != nil {
		return err
	}
	if low != nil && (p.count == 0 || !bytes.Equal(p.key(0), low)) {
		return fmt.Errorf("%w: page %d does not begin with key %q", ErrCorrupt, id, clip(low))
	}
	if p.flags == flagLeaf {
		return p.visit(high, visit)
	}
	for i := range p.count {
		from, to := p.key(i), high
		if i+1 < p.count {
			to = p.key(i + 1)
		}
		if to != nil && bytes.Compare(from, to) >= 0 {
			return fmt.Errorf("%w: page %d: key %d is out of order", ErrCorrupt, id, i)
		}
		if err := w.subtree(p.child(i), depth+1, from, to, visit); err != nil {
			return err
		}
	}
	return nil
}

// visit calls f for each element of a leaf, whose keys are below high.
func (p page) visit(high []byte, f leaf) error {
	for i := range p.count {
		key := p.key(i)
		if high != nil && bytes.Compare(key, high) >= 0 {
			return fmt.Errorf("%w: key %q is in the wrong page", ErrCorrupt, clip(key))
		}
		if err := f(key, p.value(i), p.elementFlags(i)); err != nil {
			return err
		}
	}
	return nil
}

// read returns a page with its overflow, and notes that they are in use. The
// result is good until the next read at the same depth.
func (w *walker) read(id uint64, depth int) ([]byte, error) {
	if w.pages++; w.pages%256 == 0 {
		if err := w.alive(); err != nil {
			return nil, fmt.Errorf("disk: verification given up: %w", err)
		}
	}
	if err := w.use(id); err != nil {
		return nil, err
	}
	for len(w.buffers) <= depth {
		w.buffers = append(w.buffers, make([]byte, pageBytes))
	}
	b := w.buffers[depth][:pageBytes]
	if err := readFull(w.r, b, id); err != nil {
		return nil, err
	}
	overflow := uint64(native.Uint32(b[12:]))
	if overflow == 0 {
		return b, nil
	}
	if overflow >= w.meta.high-id {
		return nil, fmt.Errorf("%w: page %d goes on for %d pages of %d", ErrCorrupt, id, overflow, w.meta.high)
	}
	for i := range overflow {
		if err := w.use(id + 1 + i); err != nil {
			return nil, err
		}
	}
	if n := int(overflow+1) * pageBytes; n > cap(b) {
		b = make([]byte, n)
		w.buffers[depth] = b
	} else {
		b = b[:n]
	}
	return b, readFull(w.r, b, id)
}

func readFull(r io.ReaderAt, b []byte, id uint64) error {
	if n, err := r.ReadAt(b, int64(id)*pageBytes); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: page %d is cut off", ErrCorrupt, id)
		}
		return fmt.Errorf("disk: page %d: %w", id, err)
	}
	return nil
}

// use notes that a page is in use.
func (w *walker) use(id uint64) error {
	if id < 2 || id >= w.meta.high {
		return fmt.Errorf("%w: page %d of %d is referred to", ErrCorrupt, id, w.meta.high)
	}
	if w.used[id] {
		return fmt.Errorf("%w: page %d is used twice", ErrCorrupt, id)
	}
	w.used[id] = true
	return nil
}
