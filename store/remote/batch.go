package remote

import "fmt"

// Bounds of batches.
const (
	// maxPart is the longest request that travels in a batch, in bytes. A longer one
	// travels alone.
	maxPart = 4 << 10
	// maxPartKeys bounds the keys of a read that travels in a batch.
	maxPartKeys = 32
	// maxParts bounds the requests of a batch, and maxBatch their bytes. Commits are
	// answered in fewer bytes than MinMessage even when all of them fail.
	maxParts = 128
	maxBatch = 64 << 10
)

// small reports whether the server answers the read soon, and shortly as a rule.
func (r read) small() bool {
	switch r.kind {
	case readNothing, readVersion:
		return true
	case readKeys:
		return len(r.keys) <= maxPartKeys
	case readRange, readWatch:
	}
	return false
}

// partKind is what a request in a batch is.
type partKind byte

const (
	partRead partKind = iota
	partCommit
	partKinds // how many there are
)

// method returns the method that serves such a request when it travels alone.
func (k partKind) method() string {
	if k == partCommit {
		return methodCommit
	}
	return methodRead
}

// encodeBatch encodes requests of one kind, which are encoded already.
func encodeBatch(k partKind, bodies [][]byte) []byte {
	size := 3
	for _, b := range bodies {
		size += 4 + len(b)
	}
	b := putU16(append(make([]byte, 0, size), byte(k)), len(bodies))
	for _, body := range bodies {
		b = putBytes(b, body)
	}
	return b
}

// decodeBatch reads a batch. The requests in it are part of b.
func decodeBatch(b []byte) (k partKind, bodies [][]byte, err error) {
	in := input{rest: b}
	if k = partKind(in.u8()); k >= partKinds {
		in.fail("unknown kind of request %d", k)
	}
	for range in.count(uint32(in.u16()), "requests", maxParts, 4) {
		bodies = append(bodies, in.bytes("a request", maxPart))
	}
	if len(bodies) == 0 {
		in.fail("a batch of nothing")
	}
	return k, bodies, in.end()
}

// fate is what became of a request in a batch.
type fate byte

const (
	// fateLater: the answer is not there yet, or has no room here. The request has
	// been taken up; a copy of it that travels alone gets the answer.
	fateLater fate = iota
	fateReply      // the text is the reply
	fateError      // the handler failed; the text is that of its error
	fates          // how many there are
)

// answer is what became of a request in a batch, and what there is to say of it.
type answer struct {
	fate fate
	text []byte
}

// encodeAnswers encodes the answers to a batch, in the order of its requests. Those
// that have no room in so many bytes become fateLater.
func encodeAnswers(answers []answer, room int) []byte {
	room -= 2 + len(answers)*5
	var b []byte
	b = putU16(b, len(answers))
	for _, a := range answers {
		if len(a.text) > room {
			a = answer{fate: fateLater}
		}
		room -= len(a.text)
		b = putBytes(append(b, byte(a.fate)), a.text)
	}
	return b
}

// decodeAnswers reads the answers to a batch of n requests. They are part of b.
func decodeAnswers(b []byte, n int) ([]answer, error) {
	in := input{rest: b}
	if got := in.u16(); in.err == nil && got != n {
		in.fail("%d answers to %d requests", got, n)
	}
	answers := make([]answer, 0, n)
	for range n {
		a := answer{fate: fate(in.u8())}
		if a.fate >= fates {
			in.fail("unknown fate %d of a request", a.fate)
		}
		a.text = in.bytes("an answer", MaxMessage)
		if a.fate == fateLater && len(a.text) > 0 {
			in.fail("an answer that is not there has %d bytes", len(a.text))
		}
		answers = append(answers, a)
	}
	if err := in.end(); err != nil {
		return nil, fmt.Errorf("the answers to a batch: %w", err)
	}
	return answers, nil
}
