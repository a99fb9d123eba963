package disk

import (
	"time"
)

// awake wakes the writer.
func (e *Engine) awake() {
	select {
	case e.wake <- struct{}{}:
	default: // it is awake, or about to be
	}
}

// write writes batches until the engine is closed and none waits.
func (e *Engine) write() {
	defer close(e.stopped)
	limit := time.NewTimer(0)
	limit.Stop()
	var p pace
	for e.await(1, nil) {
		if n, patience := p.gather(); n > 1 {
			limit.Reset(patience)
			e.await(n, limit.C)
			limit.Stop()
			p.gathered(e.core.WakeAt(1))
		}
		start := time.Now()
		e.writing.Lock()
		n, _ := e.core.Flush() // the commits have got the error
		e.writing.Unlock()
		p.wrote(n, e.core.WakeAt(1), time.Since(start))
	}
}

// await blocks until n commits wait, and reports whether they do: it ends early
// when the limit fires and when the engine is closed.
func (e *Engine) await(n int, limit <-chan time.Time) bool {
	for e.core.WakeAt(n) < n {
		select {
		case <-e.wake:
		case <-limit:
			return false
		case <-e.stop:
			return e.core.WakeAt(n) >= n
		}
	}
	return true
}

// pace decides for how many commits a batch waits. Those whose commits have just
// been acknowledged often come back with their next ones at once. A batch that
// does not wait for them is small, and while it is written the others come: busy
// writers fall into two groups that take turns, and each sync serves half of
// them. So a batch waits for as many commits as the last one had and as came
// while that one was written, but not for longer than a share of the time that a
// write takes, and not when it has lately been in vain. A writer that is alone
// waits for nobody.
type pace struct {
	want     int           // commits that the last batch had, and that came meanwhile
	took     time.Duration // by the last write
	failures int           // gatherings in a row that came to nothing
	rest     int           // batches until the next try, after maxFailures
}

const (
	patienceShare = 2  // a batch waits for at most this part, 1/2, of a write's time
	maxFailures   = 3  // in a row; then most batches do not wait
	restBatches   = 32 // batches that do not wait, then
)

// gather returns the number of commits to wait for, 1 when there is nothing to
// wait for, and for how long.
func (p *pace) gather() (n int, patience time.Duration) {
	if p.want <= 1 {
		return 1, 0
	}
	if p.rest > 0 {
		p.rest--
		return 1, 0
	}
	return p.want, p.took / patienceShare
}

// gathered notes how many commits there were in the end. Three quarters are worth
// the wait.
func (p *pace) gathered(n int) {
	if n >= p.want-p.want/4 {
		p.failures = 0
		return
	}
	if p.failures++; p.failures >= maxFailures {
		p.rest = restBatches
	}
}

// wrote notes that a batch of so many commits has been written, and how many
// wait behind it.
func (p *pace) wrote(commits, waiting int, took time.Duration) {
	p.want, p.took = commits+waiting, took
}
