package remote

import (
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// status says what became of a request.
type status byte

const (
	statusOK status = iota
	// statusFailed: the request was served, and the engine answered with an error.
	statusFailed
	// statusRefused: the request was not served. Its transaction cannot go on.
	statusRefused
	// statusGone: the server does not know the client, or not any more. It cannot
	// tell what became of other copies of the request.
	statusGone
)

// maxText bounds the text of an error on the wire, in bytes.
const maxText = 400

// helloPadding makes the reply to hello longer than any reply to a commit: a
// network that lets it pass lets those pass too. So when a commit is too large,
// it is the request that is.
const helloPadding = 1024

// maxRows bounds the rows that a client takes from one reply.
const maxRows = 100_000

// encodeFault returns a reply that says what went wrong.
func encodeFault(s status, err error) []byte {
	text := err.Error()
	return putBytes([]byte{byte(s), byte(codeOf(err))}, []byte(text[:min(len(text), maxText)]))
}

// fault is what went wrong at the server; nil when nothing did.
type fault struct {
	status status
	code   code
	text   string
}

func (in *input) fault() *fault {
	f := &fault{status: status(in.u8())}
	switch {
	case f.status == statusOK:
		return nil
	case f.status > statusGone:
		in.fail("unknown status %d", f.status)
		return nil
	}
	f.code = code(in.u8())
	f.text = string(in.bytes("a text", maxText))
	if err := in.end(); err != nil {
		return nil
	}
	return f
}

// welcome is the answer to hello. Its form is the same in all versions.
type welcome struct {
	min, max int    // versions that the server speaks
	boot     uint64 // drawn when the server started
	client   uint64 // the number of the client; 0: no version is common to both
	limits   limits
}

// limits are what a client needs to know of a server.
type limits struct {
	message int           // bytes of a request or a reply
	poll    time.Duration // longest wait of one request for a watch; whole ms
	idle    time.Duration // after which the server forgets a client; whole ms
}

func (w welcome) encode() []byte {
	b := putU16(putU16([]byte{byte(statusOK)}, w.min), w.max)
	b = putU64(putU64(b, w.boot), w.client)
	b = putU32(b, w.limits.message)
	b = putU32(putU32(b, int(w.limits.poll.Milliseconds())), int(w.limits.idle.Milliseconds()))
	return append(b, make([]byte, helloPadding)...)
}

func decodeWelcome(b []byte) (welcome, *fault, error) {
	in := input{rest: b}
	if f := in.fault(); f != nil || in.err != nil {
		return welcome{}, f, in.err
	}
	w := welcome{min: in.u16(), max: in.u16(), boot: in.u64(), client: in.u64()}
	w.limits.message = int(in.u32())
	w.limits.poll = time.Duration(in.u32()) * time.Millisecond
	w.limits.idle = time.Duration(in.u32()) * time.Millisecond
	for _, p := range in.take(helloPadding) {
		if p != 0 {
			in.fail("the padding is not empty")
		}
	}
	if err := in.end(); err != nil {
		return welcome{}, nil, err
	}
	if w.limits.message < MinMessage {
		return welcome{}, nil, fmt.Errorf("%w: messages of %d bytes, at least %d are needed", errMalformed, w.limits.message, MinMessage)
	}
	return w, nil, nil
}

// result is what a read found. Which fields count depends on the read.
type result struct {
	values  [][]byte // of the first keys; nil where there is none
	rows    []store.KeyValue
	more    bool
	version store.Version
}

func (r result) append(b []byte, kind readKind) []byte {
	switch kind {
	case readKeys:
		b = putU16(b, len(r.values))
		for _, v := range r.values {
			b = putBool(b, v != nil)
			if v != nil {
				b = putBytes(b, v)
			}
		}
	case readRange:
		b = putU32(putBool(b, r.more), len(r.rows))
		for _, kv := range r.rows {
			b = putBytes(putBytes(b, kv.Key), kv.Value)
		}
	case readVersion:
		b = putU64(b, uint64(r.version))
	case readNothing, readWatch:
	}
	return b
}

// decodeResult reads the answer to a read. The result shares no memory with b.
func decodeResult(b []byte, kind readKind) (result, *fault, error) {
	in := input{rest: b}
	if f := in.fault(); f != nil || in.err != nil {
		return result{}, f, in.err
	}
	var r result
	switch kind {
	case readKeys:
		for range in.count(uint32(in.u16()), "values", maxKeys, 1) {
			var v []byte
			if in.bool() {
				v = append([]byte{}, in.bytes("a value", store.MaxValueBytes)...)
			}
			r.values = append(r.values, v)
		}
	case readRange:
		r.more = in.bool()
		for range in.count(in.u32(), "rows", maxRows, 8) {
			key := append([]byte{}, in.bytes("a key", store.MaxKeyBytes)...)
			value := append([]byte{}, in.bytes("a value", store.MaxValueBytes)...)
			r.rows = append(r.rows, store.KeyValue{Key: key, Value: value})
		}
	case readVersion:
		r.version = store.Version(in.u64())
	case readNothing, readWatch:
	}
	if err := in.end(); err != nil {
		return result{}, nil, err
	}
	return r, nil, nil
}

// decodeCommitted reads the answer to a commit.
func decodeCommitted(b []byte) (store.Version, *fault, error) {
	in := input{rest: b}
	if f := in.fault(); f != nil || in.err != nil {
		return 0, f, in.err
	}
	v := store.Version(in.u64())
	return v, nil, in.end()
}

// decodeFired reads the answer to a wait for a watch.
func decodeFired(b []byte) (fired bool, f *fault, err error) {
	in := input{rest: b}
	if f := in.fault(); f != nil || in.err != nil {
		return false, f, in.err
	}
	fired = in.bool()
	return fired, nil, in.end()
}
