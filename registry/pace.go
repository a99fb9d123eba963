package registry

import (
	"sync/atomic"
	"time"
)

// The turns of those who want to write the same are apart by more than what it takes
// to read and commit, or the second reads before the first has committed. What it
// takes, each process learns from the transactions that it makes anyhow: its joins
// and renewals, which read and write as a claim does.

// pace is what a transaction of this process takes, by what it last saw: the longest,
// which each shorter one lowers by an eighth. It is safe for use from several tasks.
type pace struct{ longest atomic.Int64 }

// paceDecay divides what one shorter transaction takes off.
const paceDecay = 8

// see notes that a transaction, all of one attempt, took d.
func (p *pace) see(d time.Duration) {
	for {
		was := p.longest.Load()
		if p.longest.CompareAndSwap(was, max(int64(d), was-was/paceDecay)) {
			return
		}
	}
}

// time returns what a transaction takes; zero before the first.
func (p *pace) time() time.Duration { return time.Duration(p.longest.Load()) }

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
