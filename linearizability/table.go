package linearizability

import "slices"

// chunkOps is how many operations a table makes room for at a time.
const chunkOps = 4096

// table holds operations in the order of their calls and finds them by id. It
// grows in chunks: a growing slice would leave several times its size to the
// garbage collector.
type table struct {
	first  []Op   // never more than its capacity
	chunks [][]Op // what came after; all but the last have chunkOps
	n      int
	// place finds operations by id, once an id differs from its operation's place.
	// The ids of a recorder never do.
	place map[int32]int32
}

// reserve makes room for n operations in one piece. The table must be empty.
func (t *table) reserve(n int) { t.first = make([]Op, 0, n) }

// find returns the operation with the id, nil if there is none. The id is at
// most maxID.
func (t *table) find(id int) *Op {
	if t.place == nil {
		if id >= t.n {
			return nil
		}
		return t.at(id)
	}
	if i, ok := t.place[int32(id)]; ok {
		return t.at(int(i))
	}
	return nil
}

func (t *table) at(i int) *Op {
	if i < len(t.first) {
		return &t.first[i]
	}
	i -= len(t.first)
	return &t.chunks[i/chunkOps][i%chunkOps]
}

// add appends an operation, whose id must be new.
func (t *table) add(op *Op) {
	if t.place == nil && op.ID != t.n {
		t.place = make(map[int32]int32, t.n+1)
		for i := range t.n {
			t.place[int32(i)] = int32(i)
		}
	}
	if t.place != nil {
		t.place[int32(op.ID)] = int32(t.n)
	}
	t.n++
	if len(t.first) < cap(t.first) {
		t.first = append(t.first, *op)
		return
	}
	last := len(t.chunks) - 1
	if last < 0 || len(t.chunks[last]) == chunkOps {
		t.chunks = append(t.chunks, make([]Op, 0, min(chunkOps, t.n)))
		last++
	}
	t.chunks[last] = append(t.chunks[last], *op)
}

// all returns the operations in one piece.
func (t *table) all() []Op {
	if len(t.chunks) == 0 {
		return t.first
	}
	return slices.Concat(append([][]Op{t.first}, t.chunks...)...)
}
