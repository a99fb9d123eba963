package simfdb

// sequenceWindow remembers which numbers it has seen: of the last 64 up to the
// highest exactly, and all below count as seen.
type sequenceWindow struct {
	highest uint64
	mask    uint64 // bit i: highest-i was seen
}

// add records n and reports whether it is new.
func (w *sequenceWindow) add(n uint64) bool {
	if n > w.highest {
		w.mask = w.mask<<min(n-w.highest, 64) | 1
		w.highest = n
		return true
	}
	bit := w.highest - n
	if bit >= 64 || w.mask&(1<<bit) != 0 {
		return false
	}
	w.mask |= 1 << bit
	return true
}
