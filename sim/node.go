package sim

// node is a place in a [nodeList]: that of a task that waits, of a child
// context, or of a function that a context runs when it ends.
type node struct {
	list       *nodeList
	prev, next *node
	task       *task
	ctx        *simContext
	f          func()
}

// nodeList is a list in the order of appending. The zero value is empty.
type nodeList struct{ first, last *node }

func (l *nodeList) append(n *node) {
	n.list, n.prev, n.next = l, l.last, nil
	if l.last != nil {
		l.last.next = n
	} else {
		l.first = n
	}
	l.last = n
}

// remove takes the node off its list, if it is on one, and reports whether it
// was.
func (n *node) remove() bool {
	l := n.list
	if l == nil {
		return false
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.last = n.prev
	}
	n.list, n.prev, n.next = nil, nil, nil
	return true
}
