package registry

import (
	"sync"
	"time"
)

// The turns of those who want to write the same are apart by more than what it takes
// to read and commit, or the second reads before the first has committed. What it
// takes, each process learns from the transactions that it makes anyhow: its joins
// and renewals, which read and write as a claim does.

// paceMemory is how many transactions a process remembers.
const paceMemory = 8

// pace is what a transaction of this process takes: the second longest of those that it
// remembers. The longest may be one in which the process stood still, or the store for
// once, and those who wait their turn would pay for that long after. It is safe for use
// from several tasks.
type pace struct {
	mu   sync.Mutex
	took [paceMemory]time.Duration // the newest replaces the oldest
	n    int                       // how many there have been
}

// see notes that a transaction, all of one attempt, took d.
func (p *pace) see(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[p.n%paceMemory] = d
	p.n++
}

// time returns what a transaction takes: the only one, when there was but one, and zero
// before the first.
func (p *pace) time() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	var longest, second time.Duration
	for _, d := range p.took[:min(p.n, paceMemory)] {
		if d > longest {
			longest, second = d, longest
		} else {
			second = max(second, d)
		}
	}
	if p.n == 1 {
		return longest
	}
	return second
}

// turnTransactions is how many transactions a turn is long, at least.
const turnTransactions = 2

// contendedTurn is the unit of the turns of those who wait for one thing and are told
// at one moment that it may be had.
func (o *Options) contendedTurn(transaction time.Duration) time.Duration {
	return max(o.Stagger, o.openingTurn(transaction))
}

// openingTurn is the unit of the turns of those who want a thing and have not seen
// anybody else want it: no longer than it has to be. Neither unit is so long that the
// last in rank would wait for a TTL.
func (o *Options) openingTurn(transaction time.Duration) time.Duration {
	return min(turnTransactions*transaction, o.staggerMost())
}

// staggerMost bounds Stagger, so that staggerSpan of them are below TTL.
func (o *Options) staggerMost() time.Duration { return (o.TTL - 1) / staggerSpan }
