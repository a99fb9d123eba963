package sim

// Arena holds the memory that one world after another can use: coroutine
// stacks, the event heap, the records of tasks and events. Its size is that of
// the largest world it served. It serves one world at a time and belongs to
// one goroutine at a time; use one arena for each worker.
type Arena struct {
	world      *World // the world that uses it now; nil between worlds
	driver     coroutine
	coroutines []*coroutine
	idle       []*coroutine
	heap       eventHeap
	tasks      []*task
	deliveries []*delivery
	closing    bool
	lost       bool // a coroutine ended by runtime.Goexit
}

// NewArena returns an empty arena. Close it after the last world.
func NewArena() *Arena {
	a := &Arena{}
	a.driver.arena = a
	return a
}

// Close ends the arena's coroutines. The world that uses the arena must have
// been closed before.
func (a *Arena) Close() {
	if a.closing {
		return
	}
	if a.world != nil {
		panic("sim: Arena.Close before World.Close")
	}
	a.closing = true
	if !a.lost {
		a.unwind()
		return
	}
	// A coroutine that ended by runtime.Goexit spreads it to whichever one
	// runs next: let that be a goroutine made for the purpose.
	for !a.unwound() {
		finished := make(chan struct{}) //determinism:allow no world is running
		go func() {                     //determinism:allow no world is running
			defer close(finished) //determinism:allow no world is running
			a.unwind()
		}()
		<-finished //determinism:allow no world is running
	}
}

// unwind ends every coroutine. One that ends resumes the one parked in its
// slot, which ends as well, until the driver's turn comes.
func (a *Arena) unwind() {
	for _, c := range a.coroutines {
		if !c.done {
			switchTo(&a.driver, c)
		}
	}
}

func (a *Arena) unwound() bool {
	for _, c := range a.coroutines {
		if !c.done {
			return false
		}
	}
	return true
}

// coroutine returns an idle coroutine, a new one when there is none.
func (a *Arena) coroutine() *coroutine {
	if n := len(a.idle); n > 0 {
		c := a.idle[n-1]
		a.idle = a.idle[:n-1]
		return c
	}
	c := newCoroutine(a)
	a.coroutines = append(a.coroutines, c)
	return c
}

func (a *Arena) task() *task {
	if n := len(a.tasks); n > 0 {
		t := a.tasks[n-1]
		a.tasks = a.tasks[:n-1]
		return t
	}
	t := &task{}
	t.init()
	return t
}

func (a *Arena) release(t *task) {
	*t = task{}
	t.init()
	a.tasks = append(a.tasks, t)
}

func (a *Arena) delivery() *delivery {
	if n := len(a.deliveries); n > 0 {
		d := a.deliveries[n-1]
		a.deliveries = a.deliveries[:n-1]
		return d
	}
	d := &delivery{}
	d.pending.delivery = d
	return d
}

func (a *Arena) recycle(d *delivery) {
	*d = delivery{}
	d.pending.delivery = d
	a.deliveries = append(a.deliveries, d)
}
