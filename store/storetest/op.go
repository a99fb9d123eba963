package storetest

import (
	"fmt"
	"math/rand/v2"

	"github.com/kelpie-registry/kelpie/store"
)

// opKind is a call that a random transaction makes.
type opKind uint8

const (
	opGet opKind = iota
	opRange
	opSet
	opClear
	opClearRange
	opAdd
	opStamp
	opReadConflict
	opWriteConflict
)

// op is one call with its arguments. Keys are bounds, too: those of the
// universe.
type op struct {
	kind     opKind
	key, end string
	value    string
	delta    int64
	offset   int
	limit    int
	reverse  bool
	snapshot bool
}

// String prints the call as it would be written.
func (o op) String() string {
	tx := "tx."
	if o.snapshot {
		tx = "tx.Snapshot()."
	}
	switch o.kind {
	case opGet:
		return fmt.Sprintf("%sGet(%q)", tx, o.key)
	case opRange:
		return fmt.Sprintf("%sGetRange(%q, %q, limit %d, reverse %v)", tx, o.key, o.end, o.limit, o.reverse)
	case opSet:
		return fmt.Sprintf("tx.Set(%q, %q)", o.key, o.value)
	case opClear:
		return fmt.Sprintf("tx.Clear(%q)", o.key)
	case opClearRange:
		return fmt.Sprintf("tx.ClearRange(%q, %q)", o.key, o.end)
	case opAdd:
		return fmt.Sprintf("tx.Add(%q, %d)", o.key, o.delta)
	case opStamp:
		return fmt.Sprintf("tx.SetStamped(%q, %q, %d)", o.key, o.value, o.offset)
	case opReadConflict:
		return fmt.Sprintf("tx.AddReadConflict(%q, %q)", o.key, o.end)
	case opWriteConflict:
		return fmt.Sprintf("tx.AddWriteConflict(%q, %q)", o.key, o.end)
	default:
		return fmt.Sprintf("op %d", o.kind)
	}
}

// answer is what a call returned.
type answer struct {
	value []byte // of opGet
	rows  []store.KeyValue
	more  bool
	err   error
}

func (a answer) String() string {
	switch {
	case a.err != nil:
		return fmt.Sprintf("error %v", a.err)
	case a.rows != nil:
		return fmt.Sprintf("%s, more %v", showRows(a.rows), a.more)
	default:
		return fmt.Sprintf("%q", show(a.value))
	}
}

// do makes the call.
func (o op) do(tx store.Txn) answer {
	var r store.Reader = tx
	if o.snapshot {
		r = tx.Snapshot()
	}
	var a answer
	key, end := []byte(o.key), []byte(o.end)
	switch o.kind {
	case opGet:
		a.value, a.err = r.Get(key)
	case opRange:
		a.rows, a.more, a.err = r.GetRange(key, end, store.RangeOptions{Limit: o.limit, Reverse: o.reverse})
		if a.rows == nil {
			a.rows = []store.KeyValue{}
		}
	case opSet:
		tx.Set(key, []byte(o.value))
	case opClear:
		tx.Clear(key)
	case opClearRange:
		tx.ClearRange(key, end)
	case opAdd:
		tx.Add(key, o.delta)
	case opStamp:
		tx.SetStamped(key, []byte(o.value), o.offset)
	case opReadConflict:
		tx.AddReadConflict(key, end)
	case opWriteConflict:
		tx.AddWriteConflict(key, end)
	}
	return a
}

// needsVersion reports whether the call makes the transaction take a read
// version.
func (o op) needsVersion() bool { return o.reads() || o.kind == opReadConflict }

// reads reports whether the call returns data.
func (o op) reads() bool { return o.kind == opGet || o.kind == opRange }

// universe are the keys that random transactions touch, in order.
var universe = []string{"a", "b", "c", "d", "e", "f", "g", "h"}

// beyond is a bound behind the universe and in front of everything else that
// the random cases write.
const beyond = "i"

// generator draws random calls that an engine supports.
type generator struct {
	rand  *rand.Rand
	kinds []opKind
	made  int // values made
}

// newGenerator returns a generator. Calls that the engine lacks are not drawn.
func newGenerator(r *rand.Rand, h *Harness) *generator {
	kinds := []opKind{opGet, opGet, opGet, opGet, opRange, opRange, opRange, opSet, opSet, opSet, opClear, opClearRange, opAdd, opAdd}
	if h.has(Stamps) {
		kinds = append(kinds, opStamp)
	}
	if h.has(ExplicitConflicts) {
		kinds = append(kinds, opReadConflict, opWriteConflict)
	}
	return &generator{rand: r, kinds: kinds}
}

func (g *generator) key() string { return universe[g.rand.IntN(len(universe))] }

// op draws a call.
func (g *generator) op() op {
	o := op{kind: g.kinds[g.rand.IntN(len(g.kinds))], key: g.key()}
	switch o.kind {
	case opGet:
		o.snapshot = g.rand.IntN(4) == 0
	case opRange:
		g.bounds(&o)
		o.snapshot = g.rand.IntN(4) == 0
		o.reverse = g.rand.IntN(2) == 0
		if g.rand.IntN(2) == 0 {
			o.limit = 1 + g.rand.IntN(4)
		}
	case opSet:
		g.made++
		o.value = fmt.Sprintf("v%d", g.made)
		if g.rand.IntN(8) == 0 {
			o.value = ""
		}
	case opAdd:
		o.delta = g.rand.Int64N(600) - 200
	case opStamp:
		o.offset = g.rand.IntN(4)
		o.value = "stamped-value-"[:10+o.offset+g.rand.IntN(2)]
	case opClearRange, opReadConflict, opWriteConflict:
		g.bounds(&o)
	case opClear:
	}
	return o
}

// bounds draws a range, sometimes an empty one.
func (g *generator) bounds(o *op) {
	o.end = g.key()
	if o.end < o.key {
		o.key, o.end = o.end, o.key
	}
	if g.rand.IntN(8) == 0 {
		o.end = beyond
	}
}
