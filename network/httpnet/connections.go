package httpnet

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections is a listener that bounds the connections that are open. When there
// are as many as allowed, a new one takes the place of another: of the oldest that
// never had an accepted request, else of the one that has been without one for
// longest. Those with an accepted request under way are left alone; when all are,
// the new one is closed.
//
// A request is accepted when Options.Authorize, if any, lets it pass. So no number
// of callers without leave keeps out one that has it.
type connections struct {
	net.Listener
	most  int
	evict func(remote net.Addr, refused bool) // called without the lock

	mu        sync.Mutex
	open      int
	strangers list.List // of *connection, the oldest first
	idle      list.List // of *connection, the longest idle first
}

// connection is one that is open. The lock of its connections guards it.
type connection struct {
	net.Conn
	all   *connections
	place *list.Element // nil: with an accepted request under way, or closed
	in    *list.List    // that has place
	known bool          // it had an accepted request
	gone  bool          // it is closed

	// reading: the first byte of a request has come, and its header not as a whole.
	// Only the connection's own goroutine of net/http uses it.
	reading bool
}

// Accept implements net.Listener.
func (cs *connections) Accept() (net.Conn, error) {
	for {
		raw, err := cs.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c, victim := cs.admit(raw)
		if victim != nil {
			cs.evict(victim.RemoteAddr(), false) // whoever sees it closed finds it counted
			_ = victim.Close()
		}
		if c != nil {
			return c, nil
		}
		cs.evict(raw.RemoteAddr(), true)
		_ = raw.Close()
	}
}

// admit makes room for a connection. It returns nil when there is none, and the
// connection to close for it otherwise.
func (cs *connections) admit(raw net.Conn) (c, victim *connection) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.open >= cs.most {
		front := cs.strangers.Front()
		if front == nil {
			front = cs.idle.Front()
		}
		if front == nil {
			return nil, nil
		}
		victim = front.Value.(*connection)
		victim.forget()
	}
	cs.open++
	c = &connection{Conn: raw, all: cs}
	c.wait(&cs.strangers)
	return c, victim
}

// wait puts a connection at the end of a list.
func (c *connection) wait(in *list.List) {
	c.leave()
	c.in, c.place = in, in.PushBack(c)
}

// leave takes a connection out of its list.
func (c *connection) leave() {
	if c.place != nil {
		c.in.Remove(c.place)
		c.in, c.place = nil, nil
	}
}

// forget counts a connection out, once.
func (c *connection) forget() {
	if !c.gone {
		c.gone = true
		c.leave()
		c.all.open--
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.all.mu.Lock()
	c.forget()
	c.all.mu.Unlock()
	return c.Conn.Close()
}

// CloseWrite ends what is sent. net/http does so before it closes a connection with
// unread bytes, lest the answer be lost with them.
func (c *connection) CloseWrite() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.CloseWrite()
	}
	return nil
}

// accepted keeps a connection open while a request is under way.
func (c *connection) accepted() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	c.known = true
	c.leave()
}

// answered is called when a request of any kind is over and the next may come.
func (c *connection) answered() {
	c.all.mu.Lock()
	defer c.all.mu.Unlock()
	if c.known && !c.gone {
		c.wait(&c.all.idle)
	}
}

// count returns how many connections are open.
func (cs *connections) count() int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.open
}

// connectionOf returns the connection under what net/http serves; nil when that is
// none of a connections.
func connectionOf(c net.Conn) *connection {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	own, _ := c.(*connection)
	return own
}

type connectionKey struct{}

// withConnection is a http.Server.ConnContext.
func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, connectionOf(c))
}

// changed is a http.Server.ConnState. net/http says nothing of a request whose
// header it refuses or never gets as a whole: it is one that was begun, and not
// served before its connection ended.
func (n *Net) changed(raw net.Conn, state http.ConnState) {
	c := connectionOf(raw)
	switch state {
	case http.StateActive:
		c.reading = true
	case http.StateIdle:
		c.answered()
	case http.StateClosed:
		if c.reading {
			n.complaints.warn(complainHeader, "remote", c.RemoteAddr().String())
		}
	default:
	}
}
