// Package proxy is a bad network between a node and its server: a TCP proxy on the
// loopback interface that passes bytes on, or drops, delays, slows or cuts them.
package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Mode is what the proxy does with connections.
type Mode string

// Modes.
const (
	Pass   Mode = "pass"   // bytes go through
	Refuse Mode = "refuse" // connections are reset, and new ones as soon as they are there
	Drop   Mode = "drop"   // half-open: bytes of either side go nowhere, connections stay
	Deaf   Mode = "deaf"   // requests arrive, replies go nowhere
	Delay  Mode = "delay"  // all bytes come later
	Slow   Mode = "slow"   // few bytes a second
	Cut    Mode = "cut"    // every connection is reset once; new ones pass
)

// Modes returns all modes but Pass.
func Modes() []Mode { return []Mode{Refuse, Drop, Deaf, Delay, Slow, Cut} }

// slowBytes is how many bytes Slow lets through in slowPause: some kilobytes a
// second, so that a renewal takes a noticeable part of a second.
const (
	slowBytes = 128
	slowPause = 25 * time.Millisecond
)

// buffer is how many bytes are read at once.
const buffer = 32 << 10

// dialTimeout bounds the making of a connection to the server.
const dialTimeout = 2 * time.Second

// Proxy is a listener on the loopback interface. It is safe for use from several
// goroutines.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup
	dropped  atomic.Uint64 // bytes
	cut      atomic.Uint64 // connections

	mu     sync.Mutex
	closed bool
	to     string
	mode   Mode
	delay  time.Duration
	change chan struct{} // closed at the next change of mode
	links  map[*link]struct{}
}

// link is one connection and its continuation.
type link struct{ node, server *net.TCPConn }

// Listen returns a proxy to an address, which passes.
func Listen(to string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{listener: l, to: to, mode: Pass, change: make(chan struct{}), links: make(map[*link]struct{})}
	p.running.Go(p.accept)
	return p, nil
}

// Address is where nodes connect to.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// To sets the server's address for connections from now on.
func (p *Proxy) To(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = address
}

// Set sets the mode; delay is of use to Delay only.
func (p *Proxy) Set(m Mode, delay time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m == Refuse || m == Cut {
		for l := range p.links {
			p.reset(l)
		}
	}
	if m == Cut {
		m = Pass
	}
	p.mode, p.delay = m, delay
	close(p.change)
	p.change = make(chan struct{})
}

// Stats returns how many bytes went nowhere and how many connections were reset.
func (p *Proxy) Stats() (dropped, cut uint64) { return p.dropped.Load(), p.cut.Load() }

// Close ends all connections and waits for their tasks.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	for l := range p.links {
		p.reset(l)
	}
	close(p.change)
	p.change = make(chan struct{})
	p.mu.Unlock()
	err := p.listener.Close()
	p.running.Wait()
	return err
}

// reset ends a link as a machine does that knows nothing of it. The caller holds
// the lock.
func (p *Proxy) reset(l *link) {
	p.cut.Add(1)
	for _, c := range []*net.TCPConn{l.node, l.server} {
		_ = c.SetLinger(0) // a connection that is gone already needs no reset
		_ = c.Close()
	}
	delete(p.links, l)
}

// now returns the mode and what is closed at its end.
func (p *Proxy) now() (mode Mode, delay time.Duration, over <-chan struct{}, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.delay, p.change, p.closed
}

func (p *Proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // out of descriptors, or the peer has gone
		}
		p.running.Go(func() { p.serve(c.(*net.TCPConn)) })
	}
}

// serve connects a node to the server, unless there is none.
func (p *Proxy) serve(node *net.TCPConn) {
	p.mu.Lock()
	to, refuse := p.to, p.mode == Refuse || p.closed
	p.mu.Unlock()
	if refuse {
		_ = node.SetLinger(0)
		_ = node.Close()
		return
	}
	server, err := net.DialTimeout("tcp", to, dialTimeout)
	if err != nil {
		_ = node.SetLinger(0)
		_ = node.Close()
		return
	}
	l := &link{node: node, server: server.(*net.TCPConn)}
	p.mu.Lock()
	p.links[l] = struct{}{}
	if p.closed || p.mode == Refuse {
		p.reset(l)
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(l.server, l.node, false) })
	both.Go(func() { p.copy(l.node, l.server, true) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// copy passes bytes on until one side ends, and ends both.
func (p *Proxy) copy(to, from *net.TCPConn, reply bool) {
	defer func() {
		_ = to.Close() // either may be closed already
		_ = from.Close()
	}()
	b := make([]byte, buffer)
	for {
		n, err := from.Read(b)
		if n > 0 && !p.pass(to, b[:n], reply) {
			return
		}
		if err != nil {
			return
		}
	}
}

// pass hands bytes on as the mode has it, and reports whether to go on. Bytes are
// never lost out of a stream that goes on: a link that has lost some is over as soon
// as others would follow.
func (p *Proxy) pass(to *net.TCPConn, b []byte, reply bool) bool {
	mode, delay, over, closed := p.now()
	switch {
	case closed:
		return false
	case mode == Drop, mode == Deaf && reply:
		p.dropped.Add(uint64(len(b)))
		<-over
		return false
	case mode == Delay:
		wait(delay, over)
	case mode == Slow:
		for len(b) > slowBytes {
			if _, err := to.Write(b[:slowBytes]); err != nil {
				return false
			}
			b = b[slowBytes:]
			if wait(slowPause, over) {
				break
			}
		}
	}
	_, err := to.Write(b)
	return err == nil
}

// wait waits for d, or for over, of which it reports whether it came first.
func wait(d time.Duration, over <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-over:
		return true
	case <-t.C:
		return false
	}
}
