package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/store"
)

const (
	// askEvery is how often the store is asked to answer a read.
	askEvery = time.Second
	// askTimeout is how long it may take.
	askTimeout = 2 * time.Second
	// staleAfter is how old its last answer may be: it has not come, or late.
	staleAfter = askEvery + 2*askTimeout
)

// readiness is whether a process can serve.
type readiness struct {
	mu     sync.Mutex
	reason string // why not; empty: it can
	since  time.Time
	ended  bool // it will not again
}

// set says why the process is not ready; empty means that it is. It reports whether
// that is news.
func (r *readiness) set(reason string) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	news = reason != r.reason
	r.reason, r.since = reason, time.Now()
	return news
}

// end is a set that stays.
func (r *readiness) end(reason string) {
	r.set(reason)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
}

// get returns why the process is not ready, or "".
func (r *readiness) get() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if age := time.Since(r.since); r.reason == "" && age > staleAfter {
		return fmt.Sprintf("the store has not answered for %v", age.Round(time.Second))
	}
	return r.reason
}

// probe is a key that nobody has: to read it asks the store for an answer.
var probe = []byte("kelpied/probe")

// ask has the store answer a read. It returns why it cannot serve, or "".
func (p *process) ask(ctx context.Context) string {
	if err := p.read(ctx); err != nil {
		return "the store does not answer: " + err.Error()
	}
	return ""
}

func (p *process) read(ctx context.Context) error {
	ctx, cancel := p.host.WithTimeout(ctx, askTimeout)
	defer cancel()
	tx := p.engine.Begin(ctx)
	defer tx.Cancel()
	_, err := tx.Get(probe)
	return err
}

// watch looks after the process until it is told to end, which is no error, or
// cannot serve any more.
func (p *process) watch(ctx context.Context) error {
	failed := make(chan error, 1)
	looking, cancel := context.WithCancel(ctx)
	defer cancel()
	go p.look(looking, failed)
	select {
	case <-ctx.Done():
		return nil
	case <-p.net.Stopped():
		return errors.New("the listener failed")
	case err := <-failed:
		return err
	}
}

// look asks the store, and reads files again, until ctx ends or the store has failed
// for good.
func (p *process) look(ctx context.Context, failed chan<- error) {
	for p.host.Sleep(ctx, askEvery) == nil {
		if p.tokens != nil {
			p.tokens.Refresh()
		}
		if p.certificates != nil {
			p.certificates.Refresh()
		}
		err := p.read(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, store.ErrClosed): // disk.ErrFailed is one: only to open it again helps
			failed <- fmt.Errorf("the store has failed: %w", err)
			return
		case err != nil:
			if p.readiness.set("the store does not answer: " + err.Error()) {
				p.log.Error("not ready", "error", err)
			}
		case p.readiness.set(""):
			p.log.Info("ready again")
		}
	}
}
