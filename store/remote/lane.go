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

// maxHold bounds for how long a small request waits for room, and then for others to
// travel with.
const maxHold = 20 * time.Millisecond

// maxUnderWay is how many requests of a lane are under way before others wait.
const maxUnderWay = 1

// lane lets small requests of one kind travel together on one link: while a batch
// is under way, those that come wait for the next. Engine.mu guards it.
type lane struct {
	link     *link
	kind     partKind
	underWay int     // requests; above 1 only when maxHold was over
	waiting  []*part // never more than one request has room for
	bytes    int     // of those
	pace     pace
	timer    clock.Timer // lets all leave; not nil while any wait
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
	p := &part{body: req, begun: e.host.Uptime()}
	if e.join(n, p) {
		defer e.returned(n, 1, p.begun)
		return e.request(ctx, l, k.method(), req, 0)
	}
	if err := p.settled.Wait(ctx); err != nil {
		return nil, e.desert(ctx, n, p, err)
	}
	return e.outcomeOf(ctx, n, p)
}

// join adds a part to those that wait, or reports that it is to leave at once, alone.
func (e *Engine) join(n *lane, p *part) (alone bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n.underWay < maxUnderWay && len(n.waiting) == 0 && n.pace.wanted() <= 1 {
		n.underWay++
		n.pace.left(1)
		return true
	}
	if len(n.waiting) == maxParts || n.bytes+len(p.body) > maxBatch {
		e.depart(n)
	}
	p.settled = e.host.NewEvent()
	n.waiting = append(n.waiting, p)
	n.bytes += len(p.body)
	switch {
	case n.underWay < maxUnderWay && len(n.waiting) >= n.pace.wanted():
		e.depart(n)
	case len(n.waiting) > 1: // the timer runs
	case n.underWay < maxUnderWay:
		e.hold(n, n.pace.patience())
	default:
		e.hold(n, maxHold)
	}
	return false
}

// hold lets those that wait leave after d. The caller holds the lock.
func (e *Engine) hold(n *lane, d time.Duration) {
	if n.timer != nil {
		n.timer.Stop()
	}
	var t clock.Timer
	t = e.host.AfterFunc(d, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if n.timer == t {
			e.depart(n)
		}
	})
	n.timer = t
}

// depart sends all that wait. The caller holds the lock.
func (e *Engine) depart(n *lane) {
	if n.timer != nil {
		n.timer.Stop()
		n.timer = nil
	}
	parts := n.waiting
	n.waiting, n.bytes = nil, 0
	for _, p := range parts {
		p.sent = true
	}
	if len(parts) == 0 {
		return // all have given up
	}
	n.underWay++
	n.pace.left(len(parts))
	e.host.Go("remote batch", func(ctx context.Context) {
		begun := e.host.Uptime()
		answers, err := e.carry(ctx, n, parts)
		e.returned(n, len(parts), begun)
		for i, p := range parts {
			if p.err = err; err == nil {
				p.answer = answers[i]
			}
			p.settled.Set()
		}
	})
}

// returned notes that so many parts, which left together, have their answers or
// will get none. Those that wait may have room now.
func (e *Engine) returned(n *lane, parts int, begun time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n.underWay--
	n.pace.answered(parts, len(n.waiting), e.host.Uptime()-begun)
	switch {
	case n.underWay >= maxUnderWay || len(n.waiting) == 0:
	case len(n.waiting) >= n.pace.wanted():
		e.depart(n)
	default:
		e.hold(n, n.pace.patience())
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
		n.waiting = slices.DeleteFunc(n.waiting, func(w *part) bool { return w == p })
		n.bytes -= len(p.body)
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
