package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/kelpie-registry/kelpie/host"
	"github.com/kelpie-registry/kelpie/registry"
	"github.com/kelpie-registry/kelpie/store"
)

// node serves counters.
type node struct {
	id       registry.NodeID
	host     *host.System
	db       *store.DB
	registry *registry.Registry
	server   *http.Server
	address  string
	client   *http.Client // to the other nodes

	mu       sync.Mutex
	session  *registry.Session
	stopping bool // it does not join again
}

// startNode joins the registry and serves HTTP on a free port of the loopback
// interface.
func startNode(ctx context.Context, id registry.NodeID, engine store.Engine, ttl time.Duration) (*node, error) {
	h, err := host.NewSystem(host.SystemOptions{Name: string(id)})
	if err != nil {
		return nil, err
	}
	n := &node{id: id, host: h, client: &http.Client{}}
	if err := n.open(ctx, engine, ttl); err != nil {
		n.stop()
		return nil, fmt.Errorf("start %s: %w", id, err)
	}
	return n, nil
}

func (n *node) open(ctx context.Context, engine store.Engine, ttl time.Duration) (err error) {
	if n.db, err = store.Open(engine, n.host, n.host.Rand(), store.Options{}); err != nil {
		return err
	}
	if n.registry, err = registry.Open(n.host, n.db, registry.Options{TTL: ttl}); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	n.address = listener.Addr().String()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /counters/{name}", n.handleAdd)
	n.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = n.server.Serve(listener) }() // ends with ErrServerClosed
	_, err = n.join(ctx)
	return err
}

// join returns the node's session, a new one when the last has ended.
func (n *node) join(ctx context.Context) (*registry.Session, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.session != nil && n.session.Health() != registry.Lost {
		return n.session, nil
	}
	if n.stopping {
		return nil, errStopping
	}
	s, err := n.registry.Join(ctx, n.id, registry.JoinOptions{Address: n.address, Wait: true})
	if err != nil {
		return nil, err
	}
	n.session = s
	return s, nil
}

// drain gives all counters to other nodes and leaves. A counter has an owner all the
// time: whoever asks it meanwhile is answered by the old one or the new one.
func (n *node) drain(ctx context.Context) (registry.Drained, error) {
	s, err := n.join(ctx)
	if err != nil {
		return registry.Drained{}, err
	}
	moved, err := s.Drain(ctx, registry.DrainOptions{})
	if err != nil {
		return moved, err
	}
	n.mu.Lock()
	n.stopping = true
	n.mu.Unlock()
	return moved, s.Leave(ctx)
}

var errStopping = errors.New("the node is about to stop")

// stop ends the node as a crash would: it leaves nothing in order.
func (n *node) stop() {
	if n.server != nil {
		_ = n.server.Close() // connections break
	}
	n.client.CloseIdleConnections()
	_ = n.host.Close(context.Background()) // waits for its tasks, which its end interrupts
}

// claim makes this node the owner of a counter. The error wraps
// [registry.ErrHeld], and names the owner, when another node still is after the
// time to wait.
func (n *node) claim(ctx context.Context, name string, wait time.Duration) (*registry.Claim, error) {
	for {
		s, err := n.join(ctx)
		if err != nil {
			return nil, err
		}
		c, err := n.claimIn(ctx, s, registry.ActorID(name), wait)
		if !errors.Is(err, registry.ErrSessionLost) {
			return c, err
		}
	}
}

func (n *node) claimIn(ctx context.Context, s *registry.Session, actor registry.ActorID, wait time.Duration) (*registry.Claim, error) {
	if wait == 0 {
		return s.Claim(ctx, actor)
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return s.ClaimWait(ctx, actor)
}
