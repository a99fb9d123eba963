package registry

// cacheQueue is the order in which the entries of a table came: a doubly linked
// list in a slice. Places are indexes of the slice; place 0 is both ends.
type cacheQueue struct {
	places []queuePlace
	free   uint32 // the first that is, linked by after; 0: none
	n      int    // how many are taken
}

type queuePlace struct {
	slot          uint32 // of the table
	before, after uint32
}

// add appends an entry that is in a slot of the table, and returns its place.
func (q *cacheQueue) add(slot int) uint32 {
	if len(q.places) == 0 {
		q.places = make([]queuePlace, 1)
	}
	p := q.free
	if p == 0 {
		p = uint32(len(q.places))
		q.places = append(q.places, queuePlace{})
	} else {
		q.free = q.places[p].after
	}
	last := q.places[0].before
	q.places[p] = queuePlace{slot: uint32(slot), before: last}
	q.places[last].after = p
	q.places[0].before = p
	q.n++
	return p
}

// first returns the slot of the entry that came first. There is one.
func (q *cacheQueue) first() (slot int) { return int(q.places[q.places[0].after].slot) }

// remove takes an entry out of the order.
func (q *cacheQueue) remove(p uint32) {
	was := q.places[p]
	q.places[was.before].after = was.after
	q.places[was.after].before = was.before
	q.places[p] = queuePlace{after: q.free}
	q.free = p
	q.n--
}

// moved notes that an entry is in another slot now.
func (q *cacheQueue) moved(p uint32, slot int) { q.places[p].slot = uint32(slot) }
