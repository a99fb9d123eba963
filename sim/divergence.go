package sim

import (
	"bytes"
	"fmt"
)

// maxRecorded bounds the events that a search for a divergence records.
const maxRecorded = 1 << 20

// recording is a run, event by event.
type recording struct {
	text   bytes.Buffer
	hashes []uint64
	ends   []int // of each event's lines in text
}

// options makes o record.
func (r *recording) options(o Options) Options {
	o.Trace = r
	o.OnEvent = func(_, hash uint64) {
		if len(r.hashes) < maxRecorded {
			r.hashes = append(r.hashes, hash)
			r.ends = append(r.ends, r.text.Len())
		}
	}
	return o
}

func (r *recording) Write(p []byte) (int, error) {
	if len(r.hashes) < maxRecorded {
		r.text.Write(p)
	}
	return len(p), nil
}

// lines returns what event i, from 0, wrote.
func (r *recording) lines(i int) string {
	switch {
	case i >= len(r.ends):
		return "  (no event)\n"
	case i == 0:
		return string(r.text.Bytes()[:r.ends[0]])
	}
	return string(r.text.Bytes()[r.ends[i-1]:r.ends[i]])
}

// divergence runs a seed twice more, whose runs came to a and b, and says where
// the two part.
func (r *runner) divergence(seed uint64, o Options, a, b outcome) string {
	head := fmt.Sprintf("two runs differ: hash %s after %d events, then %s after %d", a.hash, a.events, b.hash, b.events)
	if a.failure != nil || b.failure != nil {
		head += fmt.Sprintf("\nfirst run: %v\nsecond run: %v", a.failure, b.failure)
	}
	var x, y recording
	r.once(seed, x.options(o))
	r.once(seed, y.options(o))
	for i := range max(len(x.hashes), len(y.hashes)) {
		if i < len(x.hashes) && i < len(y.hashes) && x.hashes[i] == y.hashes[i] {
			continue
		}
		return fmt.Sprintf("%s\nthe first event that differs between two more runs is %d:\n%s and then\n%s", head, i+1, x.lines(i), y.lines(i))
	}
	return head + fmt.Sprintf("\ntwo more runs agree on the first %d events", len(x.hashes))
}
