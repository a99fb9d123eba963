package etcd

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// recall remembers what keys held, for guesses. What it says is true as of a
// revision, and may have changed since: whoever uses it has the store judge it.
//
// It also guesses about keys of which it knows nothing: that they are not
// there, as long as that has mostly turned out right. A registry asks mostly for
// actors that nobody owns, a program that guards its own data does not.
type recall struct {
	mu      sync.Mutex
	keys    *simplelru.LRU[string, *remembered]
	absence int // how well guesses of absence did lately; guessed while above 0
	asked   int // guesses of absence wanted while absence was not above 0
}

// remembered is what one key held at a revision.
type remembered struct {
	value    []byte
	revision int64
	trust    int  // how well guesses of this key did lately; guessed while above 0
	fresh    bool // learnt from a refused commit: good for the attempt that follows
}

const (
	// maxRemembered bounds a value that is remembered, in bytes.
	maxRemembered = 1024

	// A wrong guess costs a round trip through consensus, a right one saves a
	// read: it takes about as many right ones as wrong ones to pay.
	rightGuess   = 1
	wrongGuess   = 2
	mostTrust    = 4
	leastTrust   = -4
	mostAbsence  = 64
	leastAbsence = -8

	// probeAbsence is how often absence is guessed although it has not paid: the
	// program may do other things by then.
	probeAbsence = 64
)

// newRecall returns nil, which stands for no memory, for a size below 1.
func newRecall(size int) (*recall, error) {
	if size < 1 {
		return nil, nil
	}
	keys, err := simplelru.NewLRU[string, *remembered](size, nil)
	return &recall{keys: keys, absence: mostAbsence}, err
}

// guess returns a guess about key, or nil where it would not pay. latest is a
// revision that the store has reached.
func (r *recall) guess(key string, latest int64) *pointRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m, ok := r.keys.Get(key); ok {
		if m.trust <= 0 && !m.fresh {
			m.trust++
			return nil
		}
		m.fresh = false
		return &pointRead{value: m.value, rows: m.revision, since: m.revision, guessed: true}
	}
	if r.absence <= 0 {
		if r.asked++; r.asked%probeAbsence != 0 {
			return nil
		}
	}
	// No row of the key at all: whatever wrote one, however long ago, proves the
	// guess wrong.
	return &pointRead{rows: 0, since: latest, guessed: true}
}

// learn notes what key held at a revision.
func (r *recall) learn(key string, value []byte, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry(key, value, revision)
}

// entry returns what is remembered of key, with the newer of that and the
// arguments, or nil when the value is too big.
func (r *recall) entry(key string, value []byte, revision int64) *remembered {
	m, ok := r.keys.Get(key)
	if ok && m.revision > revision {
		return m
	}
	if len(value) > maxRemembered {
		r.keys.Remove(key)
		return nil
	}
	if !ok {
		m = &remembered{trust: rightGuess}
		r.keys.Add(key, m)
	}
	m.value, m.revision = value, revision
	return m
}

// forget drops a key whose value is not known any more.
func (r *recall) forget(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys.Remove(key)
}

// confirmed notes that what p says of key was so at a revision, too.
func (r *recall) confirmed(key string, p *pointRead, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entry(key, p.value, revision)
	r.credit(key, p)
}

// right notes that what p says of key was so until it was written.
func (r *recall) right(key string, p *pointRead) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.credit(key, p)
}

// credit counts a guess that was right. The caller holds the lock.
func (r *recall) credit(key string, p *pointRead) {
	if !p.guessed {
		return
	}
	if p.rows == 0 {
		r.absence = min(r.absence+rightGuess, mostAbsence)
	}
	if m, ok := r.keys.Peek(key); ok {
		m.trust = min(m.trust+rightGuess, mostTrust)
	}
}

// refuted notes that key held value at a revision, which is not what p says.
func (r *recall) refuted(key string, p *pointRead, value []byte, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.entry(key, value, revision)
	if m != nil {
		m.fresh = true
	}
	if !p.guessed {
		return
	}
	if p.rows == 0 {
		r.absence = max(r.absence-wrongGuess, leastAbsence)
	} else if m != nil {
		m.trust = max(m.trust-wrongGuess, leastTrust)
	}
}
