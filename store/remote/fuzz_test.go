package remote

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

// Each target holds its decoder to this: it does not panic, what it takes is
// written back as it was, and what it refuses it calls malformed.

var (
	someHeader = header{boot: 1, client: 2, txns: []uint64{3}, watches: []uint64{4, 5}}
	someWrites = []write{
		{kind: writeSet, key: []byte("a"), value: []byte("1")},
		{kind: writeClear, key: []byte("b")},
		{kind: writeClearRange, key: []byte("c"), end: []byte("d")},
		{kind: writeAdd, key: []byte("e"), delta: -1},
		{kind: writeStamped, key: []byte("f"), value: make([]byte, 10), offset: 0},
		{kind: writeReadConflict, key: nil, end: []byte{0xff}},
		{kind: writeWriteConflict, key: []byte("g"), end: []byte("g")},
	}
	someReads = []read{
		{},
		{kind: readKeys, snapshot: true, keys: [][]byte{[]byte("a"), nil}},
		{kind: readRange, begin: []byte("a"), end: []byte("b"), limit: 7, reverse: true},
		{kind: readVersion},
		{kind: readWatch, watch: 9, keys: [][]byte{[]byte("w")}},
	}
)

func encoded(ws []write) writes {
	w := writes{n: len(ws)}
	for _, x := range ws {
		w.data = x.append(w.data)
	}
	return w
}

// same fails unless b is what was decoded, written again.
func same(t *testing.T, b, again []byte, err error) {
	t.Helper()
	switch {
	case err != nil && !errors.Is(err, errMalformed):
		t.Errorf("error %v is not that of a malformed message", err)
	case err == nil && !bytes.Equal(b, again):
		t.Errorf("%x is written back as %x", b, again)
	}
}

func FuzzHello(f *testing.F) {
	f.Add(hello{1, 1}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHello(b)
		same(t, b, h.encode(), err)
	})
}

func FuzzRead(f *testing.F) {
	for _, r := range someReads {
		f.Add(encodeRead(someHeader, 6, 1, encoded(someWrites), r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRead(b)
		if err != nil {
			same(t, b, nil, err)
			return
		}
		same(t, b, encodeRead(r.header, r.txn, r.step, encoded(r.writes), r.read), nil)
	})
}

func FuzzCommit(f *testing.F) {
	f.Add(encodeCommit(someHeader, 6, 1, 7, encoded(someWrites)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeCommit(b)
		same(t, b, encodeCommit(r.header, r.txn, r.step, r.number, encoded(r.writes)), err)
	})
}

func FuzzWatch(f *testing.F) {
	f.Add(watchRequest{header: someHeader, watch: 1, forMsec: 1000}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeWatch(b)
		same(t, b, r.encode(), err)
	})
}

func FuzzBatch(f *testing.F) {
	f.Add(encodeBatch(partRead, [][]byte{encodeRead(someHeader, 6, 1, writes{}, read{})}))
	f.Add(encodeBatch(partCommit, [][]byte{nil, encodeCommit(someHeader, 6, 1, 7, encoded(someWrites))}))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, bodies, err := decodeBatch(b)
		same(t, b, encodeBatch(k, bodies), err)
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add(3, encodeAnswers([]answer{{}, {fateReply, someFault()}, {fateError, []byte("why")}}, MinMessage))
	f.Fuzz(func(t *testing.T, n int, b []byte) {
		answers, err := decodeAnswers(b, min(max(n, 1), maxParts))
		same(t, b, encodeAnswers(answers, MaxMessage), err)
	})
}

func someFault() []byte { return encodeFault(statusRefused, store.ErrConflict) }

// sameFault is same for a reply that is a fault.
func sameFault(t *testing.T, b []byte, f *fault) {
	t.Helper()
	same(t, b, putBytes([]byte{byte(f.status), byte(f.code)}, []byte(f.text)), nil)
}

func FuzzWelcome(f *testing.F) {
	f.Add(someFault())
	f.Add(welcome{min: 1, max: 2, boot: 3, client: 4, limits: limits{message: MinMessage, poll: time.Second, idle: time.Minute}}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		w, fault, err := decodeWelcome(b)
		if fault != nil {
			sameFault(t, b, fault)
			return
		}
		same(t, b, w.encode(), err)
	})
}

func FuzzResult(f *testing.F) {
	f.Add(byte(readKeys), someFault())
	f.Add(byte(readKeys), result{values: [][]byte{nil, {}, []byte("v")}}.append([]byte{0}, readKeys))
	f.Add(byte(readRange), result{rows: []store.KeyValue{{Key: []byte("k"), Value: []byte("v")}}, more: true}.append([]byte{0}, readRange))
	f.Add(byte(readVersion), result{version: 7}.append([]byte{0}, readVersion))
	f.Add(byte(readWatch), []byte{0})
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		r, fault, err := decodeResult(b, readKind(kind))
		if fault != nil {
			sameFault(t, b, fault)
			return
		}
		same(t, b, r.append([]byte{0}, readKind(kind)), err)
	})
}

func FuzzCommitted(f *testing.F) {
	f.Add(someFault())
	f.Add(putU64([]byte{0}, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, fault, err := decodeCommitted(b)
		if fault != nil {
			sameFault(t, b, fault)
			return
		}
		same(t, b, putU64([]byte{0}, uint64(v)), err)
	})
}

func FuzzFired(f *testing.F) {
	f.Add(someFault())
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		fired, fault, err := decodeFired(b)
		if fault != nil {
			sameFault(t, b, fault)
			return
		}
		same(t, b, putBool([]byte{0}, fired), err)
	})
}

func TestDecodersRefuse(t *testing.T) {
	whole := encodeCommit(someHeader, 6, 1, 7, encoded(someWrites))
	many := putU64(putU64(nil, 1), 2)
	for _, c := range []struct {
		name string
		b    []byte
	}{
		{"nothing", nil},
		{"cut short", whole[:len(whole)-1]},
		{"a byte too many", append(bytes.Clone(whole), 0)},
		{"too much that is over", putU16(many, maxOver+1)},
		{"an unknown mutation", encodeCommit(header{}, 1, 1, 1, writes{1, putBytes([]byte{byte(writeKinds)}, nil)})},
		{"a key over the limit", encodeCommit(header{}, 1, 1, 1, encoded([]write{{kind: writeClear, key: make([]byte, maxKey+1)}}))},
		{"a value over the limit", encodeCommit(header{}, 1, 1, 1, encoded([]write{{value: make([]byte, store.MaxValueBytes+1)}}))},
		{"a stamp beyond", encodeCommit(header{}, 1, 1, 1, encoded([]write{{kind: writeStamped, offset: store.MaxValueBytes + 1}}))},
		{"more mutations than bytes", encodeCommit(header{}, 1, 1, 1, writes{1000, nil})},
	} {
		if _, err := decodeCommit(c.b); !errors.Is(err, errMalformed) {
			t.Errorf("%s: error %v", c.name, err)
		}
	}
	for name, b := range map[string][]byte{
		"a batch of nothing":       encodeBatch(partRead, nil),
		"an unknown kind":          encodeBatch(partKinds, [][]byte{nil}),
		"too many requests":        encodeBatch(partRead, make([][]byte, maxParts+1)),
		"a request over the limit": encodeBatch(partRead, [][]byte{make([]byte, maxPart+1)}),
		"a batch and a byte":       append(encodeBatch(partRead, [][]byte{nil}), 0),
	} {
		if _, _, err := decodeBatch(b); !errors.Is(err, errMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, answers := range map[string][]answer{
		"an answer too few":         {{fateReply, nil}},
		"an answer too many":        {{fateReply, nil}, {fateReply, nil}, {fateReply, nil}},
		"an unknown fate":           {{fateReply, nil}, {fates, nil}},
		"an answer that is not yet": {{fateReply, nil}, {fateLater, []byte("x")}},
	} {
		if _, err := decodeAnswers(encodeAnswers(answers, MinMessage), 2); !errors.Is(err, errMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if _, err := decodeRead(encodeRead(header{}, 1, 1, writes{}, read{kind: 99})); !errors.Is(err, errMalformed) {
		t.Errorf("an unknown read: error %v", err)
	}
	if _, err := decodeRead(encodeRead(header{}, 1, 1, writes{}, read{kind: readRange, limit: maxLimit + 1})); !errors.Is(err, errMalformed) {
		t.Errorf("a limit over the limit: error %v", err)
	}
	if _, _, err := decodeFired([]byte{0, 2}); !errors.Is(err, errMalformed) {
		t.Errorf("a truth value of 2: error %v", err)
	}
	if _, _, err := decodeFired([]byte{99, 0, 0, 0, 0, 0}); !errors.Is(err, errMalformed) {
		t.Errorf("an unknown status: error %v", err)
	}
}
