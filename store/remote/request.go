package remote

import "github.com/kelpie-registry/kelpie/store"

// The methods of version 1, and the one of every version, which finds the version.
const (
	methodHello  = "kelpie.store.hello"
	methodRead   = "kelpie.store.v1.read"
	methodCommit = "kelpie.store.v1.commit"
	methodWatch  = "kelpie.store.v1.watch"
	methodBatch  = "kelpie.store.v1.batch"
)

// Versions of the protocol that this package speaks.
const (
	minVersion = 1
	maxVersion = 1
)

// Bounds of requests.
const (
	// maxKey is the longest key on the wire, in bytes. A longer one is cut to this
	// length: no key in a store is between the two.
	maxKey = store.MaxKeyBytes + 1
	// maxKeys bounds the keys of one request.
	maxKeys = 512
	// maxOver bounds each list of what a request says is over.
	maxOver = 64
	// maxWrites bounds the mutations of one request; the bytes of a request bound
	// them more tightly.
	maxWrites = 1 << 20
)

// hello asks which versions a server speaks, and for a place at it. Its form is
// the same in all versions.
type hello struct{ min, max int }

func (h hello) encode() []byte { return putU16(putU16(nil, h.min), h.max) }

func decodeHello(b []byte) (hello, error) {
	in := input{rest: b}
	h := hello{min: in.u16(), max: in.u16()}
	return h, in.end()
}

// header begins each request but hello.
type header struct {
	boot   uint64 // of the server that the client believes to talk to
	client uint64 // its number there
	// What is over, so that the server may forget it: transactions that need no
	// commit, and watches that nobody waits for.
	txns, watches []uint64
}

func (h header) append(b []byte) []byte {
	b = putU64(putU64(b, h.boot), h.client)
	for _, over := range [...][]uint64{h.txns, h.watches} {
		b = putU16(b, len(over))
		for _, n := range over {
			b = putU64(b, n)
		}
	}
	return b
}

func (in *input) header() header {
	h := header{boot: in.u64(), client: in.u64()}
	for _, over := range [...]*[]uint64{&h.txns, &h.watches} {
		for range in.count(uint32(in.u16()), "numbers of what is over", maxOver, 8) {
			*over = append(*over, in.u64())
		}
	}
	return h
}

// writeKind is a mutation, or a conflict that is said to be.
type writeKind byte

const (
	writeSet writeKind = iota
	writeClear
	writeClearRange
	writeAdd
	writeStamped
	writeReadConflict
	writeWriteConflict
	writeKinds // how many there are
)

// write is one call of a mutation. end is that of a range.
type write struct {
	kind       writeKind
	key        []byte
	end, value []byte
	delta      int64
	offset     int
}

func (w write) append(b []byte) []byte {
	b = putBytes(append(b, byte(w.kind)), w.key)
	switch w.kind {
	case writeSet:
		b = putBytes(b, w.value)
	case writeClearRange, writeReadConflict, writeWriteConflict:
		b = putBytes(b, w.end)
	case writeAdd:
		b = putU64(b, uint64(w.delta))
	case writeStamped:
		b = putU32(putBytes(b, w.value), w.offset)
	case writeClear, writeKinds:
	}
	return b
}

func (in *input) write() write {
	w := write{kind: writeKind(in.u8())}
	w.key = in.bytes("a key", maxKey)
	switch w.kind {
	case writeSet:
		w.value = in.bytes("a value", store.MaxValueBytes)
	case writeClear:
	case writeClearRange, writeReadConflict, writeWriteConflict:
		w.end = in.bytes("a key", maxKey)
	case writeAdd:
		w.delta = int64(in.u64())
	case writeStamped:
		w.value = in.bytes("a value", store.MaxValueBytes)
		offset := in.u32()
		if offset > store.MaxValueBytes {
			in.fail("a stamp is at offset %d", offset)
			offset = 0
		}
		w.offset = int(offset)
	case writeKinds:
		fallthrough
	default:
		in.fail("unknown mutation %d", w.kind)
	}
	return w
}

// apply makes the mutation.
func (w write) apply(tx store.Tx) {
	switch w.kind {
	case writeSet:
		tx.Set(w.key, w.value)
	case writeClear:
		tx.Clear(w.key)
	case writeClearRange:
		tx.ClearRange(w.key, w.end)
	case writeAdd:
		tx.Add(w.key, w.delta)
	case writeStamped:
		tx.SetStamped(w.key, w.value, w.offset)
	case writeReadConflict:
		tx.AddReadConflict(w.key, w.end)
	case writeWriteConflict:
		tx.AddWriteConflict(w.key, w.end)
	case writeKinds:
	}
}

// writes are mutations in their order, as they are on the wire.
type writes struct {
	n    int
	data []byte
}

func (in *input) writes() []write {
	var ws []write
	for range in.count(in.u32(), "mutations", maxWrites, 5) {
		ws = append(ws, in.write())
	}
	return ws
}

// readKind is what a read reads.
type readKind byte

const (
	readNothing readKind = iota // it only brings mutations
	readKeys
	readRange
	readVersion
	readWatch
)

// read is one call of a reader.
type read struct {
	kind       readKind
	snapshot   bool
	keys       [][]byte // of readKeys; the one of readWatch
	begin, end []byte
	limit      int // 0: none
	reverse    bool
	watch      uint64 // the number that the client gives the watch
}

func (r read) append(b []byte) []byte {
	b = append(b, byte(r.kind))
	switch r.kind {
	case readKeys:
		b = putU16(putBool(b, r.snapshot), len(r.keys))
		for _, k := range r.keys {
			b = putBytes(b, k)
		}
	case readRange:
		b = putBytes(putBytes(putBool(b, r.snapshot), r.begin), r.end)
		b = putBool(putU32(b, r.limit), r.reverse)
	case readWatch:
		b = putBytes(putU64(b, r.watch), r.keys[0])
	case readNothing, readVersion:
	}
	return b
}

func (in *input) read() read {
	r := read{kind: readKind(in.u8())}
	switch r.kind {
	case readNothing, readVersion:
	case readKeys:
		r.snapshot = in.bool()
		for range in.count(uint32(in.u16()), "keys", maxKeys, 4) {
			r.keys = append(r.keys, in.bytes("a key", maxKey))
		}
	case readRange:
		r.snapshot = in.bool()
		r.begin, r.end = in.bytes("a key", maxKey), in.bytes("a key", maxKey)
		limit := in.u32()
		if limit > maxLimit {
			in.fail("a limit of %d rows, at most %d are allowed", limit, maxLimit)
			limit = 0
		}
		r.limit, r.reverse = int(limit), in.bool()
	case readWatch:
		r.watch = in.u64()
		r.keys = [][]byte{in.bytes("a key", maxKey)}
	default:
		in.fail("unknown read %d", r.kind)
	}
	return r
}

// maxLimit is the largest limit of a range on the wire. It is more than any reply
// holds.
const maxLimit = 1 << 30

// readRequest is one step of a transaction. The steps of one are numbered from 1;
// each is sent once the one before has its answer.
type readRequest struct {
	header
	txn    uint64
	step   uint32
	writes []write
	read   read
}

// encodeRead encodes a step whose mutations are encoded already.
func encodeRead(h header, txn uint64, step uint32, w writes, r read) []byte {
	b := putU32(putU64(h.append(nil), txn), int(step))
	return r.append(append(putU32(b, w.n), w.data...))
}

func decodeRead(b []byte) (readRequest, error) {
	in := input{rest: b}
	r := readRequest{header: in.header(), txn: in.u64(), step: in.u32()}
	r.writes, r.read = in.writes(), in.read()
	return r, in.end()
}

// commitRequest ends a transaction. Step 1 means that the server has not heard of
// it before.
type commitRequest struct {
	header
	txn    uint64
	step   uint32
	number uint64 // of the commit, among those of the client; from 1
	writes []write
}

func encodeCommit(h header, txn uint64, step uint32, number uint64, w writes) []byte {
	b := putU64(putU32(putU64(h.append(nil), txn), int(step)), number)
	return append(putU32(b, w.n), w.data...)
}

func decodeCommit(b []byte) (commitRequest, error) {
	in := input{rest: b}
	r := commitRequest{header: in.header(), txn: in.u64(), step: in.u32(), number: in.u64()}
	r.writes = in.writes()
	return r, in.end()
}

// watchRequest waits for a watch, for a while.
type watchRequest struct {
	header
	watch   uint64
	forMsec uint32
}

func (r watchRequest) encode() []byte {
	return putU32(putU64(r.append(nil), r.watch), int(r.forMsec))
}

func decodeWatch(b []byte) (watchRequest, error) {
	in := input{rest: b}
	r := watchRequest{header: in.header(), watch: in.u64(), forMsec: in.u32()}
	return r, in.end()
}
