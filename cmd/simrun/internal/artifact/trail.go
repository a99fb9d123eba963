package artifact

import (
	"encoding/binary"
	"fmt"
)

// MaxTrail bounds the events of which a trail keeps the digest.
const MaxTrail = 4 << 20

// digestBytes is what a trail keeps of each event's 64-bit running hash. The
// hash runs on, so two runs that parted stay apart: one that agrees by accident
// (once in 2^32) names the event after the right one. Digests are noise to a
// compressor; cutting them is the compression.
const digestBytes = 4

// Trail is a digest of a run's trace after each of its first [MaxTrail] events.
type Trail struct {
	digests []uint32
}

// Record appends the running hash after an event. Call it for events 1, 2, …
// in turn.
func (t *Trail) Record(_, hash uint64) {
	if len(t.digests) < MaxTrail {
		t.digests = append(t.digests, uint32(hash))
	}
}

// Len returns how many events the trail knows.
func (t *Trail) Len() uint64 { return uint64(len(t.digests)) }

// Agrees reports whether the running hash after event index, from 1, is the one
// recorded. It is true of events that the trail does not know.
func (t *Trail) Agrees(index, hash uint64) bool {
	if index < 1 || index > t.Len() {
		return true
	}
	return t.digests[index-1] == uint32(hash)
}

func (t *Trail) bytes() []byte {
	b := make([]byte, 0, digestBytes*len(t.digests))
	for _, d := range t.digests {
		b = binary.LittleEndian.AppendUint32(b, d)
	}
	return b
}

// trailOf is the inverse of bytes for a run of so many events.
func trailOf(b []byte, events uint64) (Trail, error) {
	if want := digestBytes * min(events, MaxTrail); uint64(len(b)) != want {
		return Trail{}, fmt.Errorf("%w: event_hashes has %d bytes, %d events make %d", ErrMalformed, len(b), events, want)
	}
	t := Trail{digests: make([]uint32, 0, len(b)/digestBytes)}
	for ; len(b) > 0; b = b[digestBytes:] {
		t.digests = append(t.digests, binary.LittleEndian.Uint32(b))
	}
	return t, nil
}
