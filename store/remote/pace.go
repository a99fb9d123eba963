package remote

import "time"

// pace decides for how many requests a batch waits once it could leave. Those who
// have just got their answers together often come back together with their next
// requests. A batch that does not wait for them is small, and a group of callers
// falls into several that take turns, each with a round trip and a sync of its own.
// So a batch waits for as many as the last one had and as came while that one was
// under way, but not for longer than a part of the time that a round trip takes,
// and not when it has lately been in vain. Who is alone waits for nobody.
type pace struct {
	want     int           // requests that the last batch had, and that came meanwhile
	took     time.Duration // by the last round trip
	failures int           // batches in a row that waited in vain
	rest     int           // batches until the next try, after maxFailures
}

const (
	patienceShare = 2  // a batch waits for at most this part, 1/2, of a round trip
	maxFailures   = 3  // in a row; then most batches do not wait
	restBatches   = 32 // batches that do not wait, then
)

// wanted returns the number of requests to wait for, at least 1.
func (p *pace) wanted() int {
	if p.rest > 0 {
		return 1
	}
	return min(max(p.want, 1), maxParts)
}

// patience returns for how long.
func (p *pace) patience() time.Duration { return min(p.took/patienceShare, maxHold) }

// left notes how many left in the end. Three quarters are worth the wait.
func (p *pace) left(n int) {
	want := p.wanted()
	switch {
	case p.rest > 0:
		p.rest--
	case n >= want-want/4:
		p.failures = 0
	default:
		if p.failures++; p.failures >= maxFailures {
			p.rest = restBatches
		}
	}
}

// answered notes that a batch of so many has its answers after so long, and how many
// wait behind it.
func (p *pace) answered(parts, waiting int, took time.Duration) {
	p.want, p.took = parts+waiting, took
}
