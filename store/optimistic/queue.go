package optimistic

// queue is a first-in, first-out queue in a ring that grows, and that shrinks
// again when it is mostly empty.
type queue[T any] struct {
	ring []T // length is zero or a power of two
	head uint64
	tail uint64
}

// minRing is the length below which a ring does not shrink.
const minRing = 64

func (q *queue[T]) len() int { return int(q.tail - q.head) }

// at returns the i-th item from the front; 0 <= i < len.
func (q *queue[T]) at(i int) *T {
	return &q.ring[(q.head+uint64(i))&uint64(len(q.ring)-1)]
}

func (q *queue[T]) push(v T) {
	if q.len() == len(q.ring) {
		q.resize(max(8, 2*len(q.ring)))
	}
	q.ring[q.tail&uint64(len(q.ring)-1)] = v
	q.tail++
}

// pop removes the front; the queue must not be empty.
func (q *queue[T]) pop() T {
	slot := q.at(0)
	v := *slot
	var zero T
	*slot = zero
	q.head++
	if len(q.ring) > minRing && q.len() < len(q.ring)/8 {
		q.resize(len(q.ring) / 4)
	}
	return v
}

func (q *queue[T]) resize(n int) {
	ring := make([]T, n)
	count := q.len()
	for i := range count {
		ring[i] = *q.at(i)
	}
	q.ring, q.head, q.tail = ring, 0, uint64(count)
}
