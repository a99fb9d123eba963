package remote

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
)

// The answers to a batch wait for those that are not there yet, once the first is,
// for twice the time that the first took, and for so long at least and at most.
const (
	minStraggle = 100 * time.Millisecond
	maxStraggle = time.Second
)

// serving is a batch that is being served.
type serving struct {
	ready clock.Event // the answers can leave

	mu      sync.Mutex
	left    int // requests without an answer
	answers []answer
	begun   time.Duration // of the host's uptime
	timer   clock.Timer   // not nil: an answer is there
}

// serveBatch serves each request of a batch in a task of its own, as if it had come
// alone, and answers them together. One that takes much longer than the others is
// not waited for.
func (s *Server) serveBatch(ctx context.Context, body []byte) ([]byte, error) {
	kind, bodies, err := decodeBatch(body)
	if err != nil {
		return nil, err
	}
	serve := s.serveRead
	if kind == partCommit {
		serve = s.serveCommit
	}
	b := &serving{ready: s.host.NewEvent(), left: len(bodies), answers: make([]answer, len(bodies)), begun: s.host.Uptime()}
	for i, part := range bodies {
		part = bytes.Clone(part) // a transaction keeps its own request only
		s.crew.run(func() {
			b.settle(s.host, i, answerTo(serve(ctx, part)))
		})
	}
	if err := b.ready.Wait(ctx); err != nil {
		return nil, err
	}
	return encodeAnswers(b.soFar(), s.o.MessageBytes), nil
}

// answerTo returns the answer that a handler's reply makes.
func answerTo(reply []byte, err error) answer {
	if err != nil {
		text := []byte(err.Error())
		return answer{fateError, text[:min(len(text), maxText)]}
	}
	return answer{fateReply, reply}
}

// settle notes an answer.
func (b *serving) settle(c clock.Clock, i int, a answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[i] = a
	b.left--
	switch {
	case b.left == 0:
		if b.timer != nil {
			b.timer.Stop()
		}
		b.ready.Set()
	case b.timer == nil:
		b.timer = c.AfterFunc(min(max(2*(c.Uptime()-b.begun), minStraggle), maxStraggle), b.ready.Set)
	}
}

// soFar returns the answers that are there. Later ones change nothing in them.
func (b *serving) soFar() []answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]answer(nil), b.answers...)
}
