package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/network"
)

// errUnsent: a request has never left. It comes with the error of its context.
var errUnsent = errors.New("remote: the request was not sent")

// A request that gathers others lets the tasks run that are ready, until none has
// come with a request in so many turns, and for so many turns at most.
const (
	quietTurns = 3
	maxTurns   = 64
)

// lane lets small requests of one kind travel together on one link. The first of
// them gathers: it waits a moment, and leaves in one batch with what has come
// meanwhile. Engine.mu guards it.
type lane struct {
	link      *link
	kind      partKind
	waiting   []*part // never more than one request has room for
	bytes     int     // of those
	gathering bool    // a task will let all leave that wait
}

// part is a small request.
type part struct {
	body  []byte
	begun time.Duration // of the host's uptime
	sent  bool          // guarded by Engine.mu

	settled clock.Event // set when answer or err is there
	answer  answer
	err     error // why there is no answer
}

// ask sends a request and returns its reply. A small one travels on a lane. Its
// errors are those of the network, and errUnsent.
func (e *Engine) ask(ctx context.Context, l *link, k partKind, small bool, req []byte) ([]byte, error) {
	if !small || len(req) > maxPart {
		return e.request(ctx, l, k.method(), req, 0)
	}
	n := &l.lanes[k]
	p := &part{body: req, begun: e.host.Uptime(), settled: e.host.NewEvent()}
	if e.join(n, p) && e.gather(ctx, n, p) {
		return e.request(ctx, l, k.method(), req, 0)
	}
	if err := p.settled.Wait(ctx); err != nil {
		return nil, e.desert(ctx, n, p, err)
	}
	return e.outcomeOf(ctx, n, p)
}

// join adds a part to those that wait, and reports whether it is the one to gather.
func (e *Engine) join(n *lane, p *part) (first bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(n.waiting) == maxParts || n.bytes+len(p.body) > maxBatch {
		e.depart(n)
	}
	n.waiting = append(n.waiting, p)
	n.bytes += len(p.body)
	first = !n.gathering
	n.gathering = true
	return first
}

// gather waits for others and lets all leave that wait. It reports whether p is the
// only one, and to be sent by its caller.
func (e *Engine) gather(ctx context.Context, n *lane, p *part) (alone bool) {
	if e.o.Gather > 0 {
		_ = e.host.Sleep(ctx, e.o.Gather)
	} else {
		e.yield(ctx, n)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	n.gathering = false
	if len(n.waiting) == 1 && n.waiting[0] == p && ctx.Err() == nil {
		p.sent = true
		n.waiting, n.bytes = nil, 0
		return true
	}
	if ctx.Err() != nil {
		n.withdraw(p)
	}
	e.depart(n)
	return false
}

// yield lets others run until none comes any more.
func (e *Engine) yield(ctx context.Context, n *lane) {
	came := 1
	for turn, quiet := 0, 0; turn < maxTurns && quiet < quietTurns; turn++ {
		_ = e.host.Sleep(ctx, 0)
		e.mu.Lock()
		now := len(n.waiting)
		e.mu.Unlock()
		if quiet++; now > came {
			quiet = 0
		}
		came = now
	}
}

// depart sends all that wait. The caller holds the lock.
func (e *Engine) depart(n *lane) {
	parts := n.waiting
	n.waiting, n.bytes = nil, 0
	if len(parts) == 0 {
		return
	}
	for _, p := range parts {
		p.sent = true
	}
	e.host.Go("remote batch", func(ctx context.Context) {
		answers, err := e.carry(ctx, n, parts)
		for i, p := range parts {
			if p.err = err; err == nil {
				p.answer = answers[i]
			}
			p.settled.Set()
		}
	})
}

// withdraw takes a part back that has not left. The caller holds the lock.
func (n *lane) withdraw(p *part) {
	if i := slices.Index(n.waiting, p); i >= 0 {
		n.waiting = slices.Delete(n.waiting, i, i+1)
		n.bytes -= len(p.body)
	}
}

// carry sends parts in one request and returns their answers.
func (e *Engine) carry(ctx context.Context, n *lane, parts []*part) ([]answer, error) {
	if len(parts) == 1 {
		reply, err := e.request(ctx, n.link, n.kind.method(), parts[0].body, 0)
		return []answer{{fateReply, reply}}, err
	}
	e.count(&e.stats.Batches)
	bodies := make([][]byte, len(parts))
	for i, p := range parts {
		bodies[i] = p.body
	}
	reply, err := e.request(ctx, n.link, methodBatch, encodeBatch(n.kind, bodies), 0)
	if n.kind == partCommit && errors.Is(err, network.ErrNoReply) {
		e.count(&e.stats.LostBatches)
	}
	switch {
	case errors.Is(err, network.ErrTooLarge):
		// It may be the reply that is: see helloPadding for why that cannot be when
		// a commit travels alone.
		return nil, fmt.Errorf("%w: a batch of %d: %w", network.ErrNoReply, len(parts), unpromised{err})
	case err != nil:
		return nil, err
	}
	return decodeAnswers(reply, len(parts))
}

// unpromised is an error whose promises do not hold: only its text counts.
type unpromised struct{ err error }

func (u unpromised) Error() string { return u.err.Error() }

// outcomeOf returns the reply to a part that has travelled, and asks for it when it
// did not come with the others.
func (e *Engine) outcomeOf(ctx context.Context, n *lane, p *part) ([]byte, error) {
	switch {
	case p.err != nil:
		return nil, p.err
	case p.answer.fate == fateReply:
		return p.answer.text, nil
	case p.answer.fate == fateError:
		return nil, &network.RemoteError{Method: n.kind.method(), Message: string(p.answer.text)}
	}
	e.count(&e.stats.AskedAgain)
	reply, err := e.request(ctx, n.link, n.kind.method(), p.body, p.begun-e.host.Uptime())
	if err != nil {
		// Whatever became of this copy, the server has taken the request up.
		return nil, fmt.Errorf("%w: asked again: %w", network.ErrNoReply, unpromised{err})
	}
	return reply, nil
}

// desert leaves a part whose context has ended with err to itself, and takes it back
// when it has not left yet.
func (e *Engine) desert(ctx context.Context, n *lane, p *part, err error) error {
	e.mu.Lock()
	sent := p.sent
	if !sent {
		n.withdraw(p)
	}
	e.mu.Unlock()
	if !sent {
		return fmt.Errorf("%w: %w", errUnsent, err)
	}
	if !e.impatient(ctx, p.begun, 0) {
		e.failed(n.link.server, nil)
	}
	return fmt.Errorf("%w: %w", network.ErrNoReply, err)
}
