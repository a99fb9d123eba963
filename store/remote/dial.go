package remote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/network"
	"github.com/kelpie-registry/kelpie/store"
)

// connect returns a link to a server, made if need be. It tries each server once.
// Its errors promise that nothing was sent but a request for a place.
func (e *Engine) connect(ctx context.Context) (*link, error) {
	var (
		tried []int
		errs  []error
	)
	for {
		l, i, dialling, err := e.choose(tried)
		switch {
		case err != nil:
			return nil, err
		case l != nil:
			return l, nil
		case i < 0:
			return nil, errors.Join(errs...)
		case dialling != nil: // another task is at it
			if err := dialling.Wait(ctx); err != nil {
				return nil, fmt.Errorf("remote: connect: %w", err)
			}
			if e.linked(i) {
				continue
			}
			tried = append(tried, i)
			errs = append(errs, fmt.Errorf("remote: %s: %w", e.servers[i].address, store.ErrUnavailable))
			continue
		}
		l, err = e.dial(ctx, i)
		switch {
		case err == nil:
			return l, nil
		case ctx.Err() != nil:
			return nil, fmt.Errorf("remote: connect: %w", ctx.Err())
		case e.isClosed():
			return nil, errClosed
		}
		tried = append(tried, i)
		errs = append(errs, err)
	}
}

// choose returns the link to use; or the server to make one to, and what to wait
// for when that is under way. i is negative when all have been tried.
func (e *Engine) choose(tried []int) (l *link, i int, dialling clock.Event, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, 0, nil, errClosed
	}
	now := e.host.Uptime()
	best := -1
	for k := range e.servers {
		i := (e.current + k) % len(e.servers)
		if slices.Contains(tried, i) {
			continue
		}
		if e.servers[i].notBefore <= now {
			best = i
			break
		}
		if best < 0 || e.servers[i].notBefore < e.servers[best].notBefore {
			best = i
		}
	}
	if best < 0 {
		return nil, best, nil, nil
	}
	s := &e.servers[best]
	if s.link != nil && now-s.link.used > s.link.limits.idle/2 {
		s.link = nil // the server may have forgotten it
	}
	if s.link != nil {
		e.use(best)
		return s.link, best, nil, nil
	}
	if s.dialling != nil {
		return nil, best, s.dialling, nil
	}
	s.dialling = e.host.NewEvent()
	return nil, best, nil, nil
}

// use makes a server the one that is used. The caller holds the lock.
func (e *Engine) use(i int) {
	e.current = i
	if e.inUse != i {
		e.inUse = i
		e.stats.Switches++
	}
}

func (e *Engine) linked(i int) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.servers[i].link != nil
}

// dial makes a link to a server, and lets those who wait for it know.
func (e *Engine) dial(ctx context.Context, i int) (*link, error) {
	begun := e.host.Uptime()
	l, err := e.greet(ctx, i)
	e.mu.Lock()
	s := &e.servers[i]
	dialling := s.dialling
	s.dialling = nil
	if err == nil {
		s.link, s.failures = l, 0
		e.stats.Links++
		e.use(i)
	}
	e.mu.Unlock()
	dialling.Set()
	if err != nil && !e.impatient(ctx, begun, 0) {
		e.failed(i, nil)
	}
	return l, err
}

// greet asks a server for a place.
func (e *Engine) greet(ctx context.Context, i int) (*link, error) {
	at := e.servers[i].address
	reply, err := e.call(ctx, at, methodHello, hello{minVersion, maxVersion}.encode(), e.o.CallTimeout)
	if err != nil {
		return nil, fmt.Errorf("remote: connect to %s: %w: %w", at, store.ErrUnavailable, err)
	}
	w, f, err := decodeWelcome(reply)
	switch {
	case err != nil:
		return nil, fmt.Errorf("remote: connect to %s: %w: %w", at, store.ErrUnavailable, err)
	case f != nil:
		return nil, f.read("connect to " + string(at))
	case w.max < minVersion || w.min > maxVersion:
		return nil, fmt.Errorf("%w: the server at %s speaks %d to %d, this client %d to %d", ErrVersion, at, w.min, w.max, minVersion, maxVersion)
	case w.client == 0:
		return nil, fmt.Errorf("remote: connect to %s: %w: it gave no place", at, store.ErrUnavailable)
	}
	l := &link{server: i, address: at, boot: w.boot, client: w.client, limits: w.limits, used: e.host.Uptime()}
	for k := range l.lanes {
		l.lanes[k] = lane{link: l, kind: partKind(k)}
	}
	return l, nil
}

// failed makes a server one to avoid for a while, and forgets the link, if it is
// the one in use.
func (e *Engine) failed(i int, forget *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := &e.servers[i]
	s.notBefore = e.host.Uptime() + e.o.Backoff.Delay(s.failures, e.host.Rand())
	s.failures++
	if s.link == forget {
		s.link = nil
	}
	if e.current == i {
		e.current = (i + 1) % len(e.servers)
	}
}

// answered notes that a server has answered.
func (e *Engine) answered(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.used = e.host.Uptime()
	e.servers[l.server].failures = 0
}

// forget gives a link up that its server does not know any more.
func (e *Engine) forget(l *link) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := &e.servers[l.server]; s.link == l {
		s.link = nil
	}
}

// header returns the header of the next request on a link.
func (e *Engine) header(l *link) header {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := header{boot: l.boot, client: l.client}
	h.txns, l.over.txns = split(l.over.txns)
	h.watches, l.over.watches = split(l.over.watches)
	return h
}

func split(ns []uint64) (first, rest []uint64) {
	n := min(len(ns), maxOver)
	return ns[:n:n], ns[n:]
}

// maxRemembered bounds what a link remembers to be over: the server ends by itself
// what it is not told of.
const maxRemembered = 1 << 16

// overTxn has the server forget a transaction with one of the next requests.
func (e *Engine) overTxn(l *link, n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(l.over.txns) < maxRemembered {
		l.over.txns = append(l.over.txns, n)
	}
}

// overWatch is overTxn for a watch.
func (e *Engine) overWatch(l *link, n uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(l.over.watches) < maxRemembered {
		l.over.watches = append(l.over.watches, n)
	}
}

// patience is the part of Options.CallTimeout after which a server is blamed when a
// caller gives up on it.
const patience = 4

// impatient reports whether a call that began then has no reply because its caller
// did not wait for long.
func (e *Engine) impatient(ctx context.Context, begun, longer time.Duration) bool {
	return ctx.Err() != nil && e.host.Uptime()-begun < longer+e.o.CallTimeout/patience
}

// request sends a request on a link, whose answer may take so long as the server
// says and Options.CallTimeout more, and judges the server by what comes back.
func (e *Engine) request(ctx context.Context, l *link, method string, req []byte, longer time.Duration) ([]byte, error) {
	begun := e.host.Uptime()
	reply, err := e.call(ctx, l.address, method, req, longer+e.o.CallTimeout)
	switch {
	case err == nil:
		e.answered(l)
		return reply, nil
	case errors.Is(err, network.ErrTooLarge), e.isClosed():
		return nil, err // it says nothing about the server
	case e.impatient(ctx, begun, longer):
		return nil, err
	case errors.Is(err, network.ErrRefused), errors.Is(err, network.ErrUnknownAddress):
		e.failed(l.server, l)
	default:
		e.failed(l.server, nil)
	}
	return nil, err
}
