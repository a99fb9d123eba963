package sim

import "time"

// entry is one place in the event heap. It stands for its pending event only
// while the two sequence numbers agree; otherwise it is dead and skipped.
type entry struct {
	at   time.Duration // true time
	prio uint64        // drawn from the identity of the cause
	seq  uint64        // order of scheduling; unique
	p    *pending
}

// before is the order of events: time, then priority, then sequence.
func (e *entry) before(f *entry) bool {
	if e.at != f.at {
		return e.at < f.at
	}
	if e.prio != f.prio {
		return e.prio < f.prio
	}
	return e.seq < f.seq
}

// eventHeap is a 4-ary min-heap of entries held by value. Its memory grows to
// the largest number of entries it held and is reused.
type eventHeap []entry

func (h *eventHeap) push(e entry) {
	*h = append(*h, e)
	h.up(len(*h) - 1)
}

// pop removes the first entry; the heap must not be empty.
func (h *eventHeap) pop() entry {
	s := *h
	first := s[0]
	last := len(s) - 1
	s[0] = s[last]
	s[last].p = nil
	*h = s[:last]
	if last > 1 {
		h.down(0)
	}
	return first
}

// init establishes the heap order over arbitrary contents.
func (h *eventHeap) init() {
	for i := (len(*h) - 2) / 4; i >= 0; i-- {
		h.down(i)
	}
}

func (h *eventHeap) up(i int) {
	s := *h
	e := s[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&s[parent]) {
			break
		}
		s[i] = s[parent]
		i = parent
	}
	s[i] = e
}

func (h *eventHeap) down(i int) {
	s := *h
	if len(s) == 0 {
		return
	}
	e := s[i]
	for {
		first := 4*i + 1
		if first >= len(s) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(s)); c++ {
			if s[c].before(&s[least]) {
				least = c
			}
		}
		if !s[least].before(&e) {
			break
		}
		s[i] = s[least]
		i = least
	}
	s[i] = e
}
