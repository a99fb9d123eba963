package simfdb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/sim"
	"github.com/kelpie-registry/kelpie/store"
)

// clientTick is how often a client looks after requests without an answer: it
// repeats reads, and asks the proxy about commits.
const clientTick = 500 * time.Millisecond

// Client is the client library in one life of a process: a database, as the
// official binding has it. It implements store.Engine as well. It must be used from tasks of that process, and dies with it.
type Client struct {
	c    *Cluster
	h    *sim.Host
	port *sim.Port

	generation generation    // the latest that the client has heard of
	heard      time.Duration // when the proxy was last heard, on the process's clock
	ids        requestID
	calls      []*call                         // outstanding, in the order in which they were sent
	lately     struct{ version, base Version } // the last read version
	ticking    bool
	closed     bool
	tickEnds   func() // of the timer

	defaults  defaults
	gathering *versionBatch // that more transactions may join; nil: none

	watches     []*Watch // not ended, in the order of the calls
	watching    int      // of them, those that are set
	watchSerial uint64
	renewing    bool
}

var (
	_ store.Engine = (*Client)(nil)
	_ store.Txn    = (*portTransaction)(nil)
	_ store.Watch  = (*Watch)(nil)
)

// Client returns a new client in the life of a process that h stands for.
func (c *Cluster) Client(h *sim.Host) *Client {
	cl := &Client{c: c, h: h, defaults: newDefaults()}
	cl.tickEnds = cl.endTick
	n := c.connect(h)
	cl.ids = requestID(h.Process().Life()<<48 | n<<40)
	cl.port = h.Bind(clientPort(c.o.Name, n), cl.deliver)
	cl.port.OnReset(cl.reset)
	return cl
}

// clientPort names the port of a life's n-th client.
func clientPort(cluster string, n uint64) string {
	if n == 1 {
		return cluster
	}
	return fmt.Sprintf("%s-%d", cluster, n)
}

// Close implements store.Engine.
func (cl *Client) Close() error {
	if cl.closed {
		return nil
	}
	cl.closed = true
	for _, k := range cl.calls {
		k.finish(codeClosed)
	}
	cl.calls = nil
	watching := cl.watching
	for _, w := range slices.Clone(cl.watches) {
		w.end(fmt.Errorf("simfdb: watch: %w", store.ErrClosed))
	}
	if watching > 0 {
		cl.sendWatches()
	}
	cl.port.Close()
	return nil
}

// What a call can end with beside 0, an error number and connectionLost.
const (
	codeClosed   = -2 // the client was closed
	codeCanceled = -3 // the transaction's life ended
)

// call is a request that its client waits for.
type call struct {
	server string
	body   any
	life   *life         // that ends the call with its own end; nil: none
	sent   time.Duration // on the process's clock; of the last sending
	event  clock.Event   // nil: nobody waits
	done   bool
	code   int
	reply  any
}

func (k *call) finish(code int) {
	if k.done {
		return
	}
	k.done, k.code = true, code
	if k.event != nil {
		k.event.Set()
	}
}

// do sends a request and waits for the end of its call. It returns ctx.Err()
// when ctx ended first; the request may then still take effect.
func (cl *Client) do(ctx context.Context, k *call, server string, body any) error {
	if cl.closed {
		k.finish(codeClosed)
		return nil
	}
	k.server, k.body, k.sent = server, body, cl.h.Monotonic()
	k.event = cl.h.NewEvent()
	cl.calls = append(cl.calls, k)
	cl.h.SendTo(cl.port, server, portName, body)
	cl.tick()
	err := k.event.Wait(ctx)
	if i := slices.Index(cl.calls, k); i >= 0 {
		cl.calls = slices.Delete(cl.calls, i, i+1)
	}
	if k.done {
		return nil
	}
	k.done = true // an answer that comes later is nobody's
	return err
}

// nextID returns the identity of a new request.
func (cl *Client) nextID() requestID {
	cl.ids++
	return cl.ids
}

// draw returns random bits for one event of the client.
func (cl *Client) draw(stream string) uint64 {
	return cl.c.world.Draw(stream+" "+cl.h.Name(), uint64(cl.nextID()))
}

func (cl *Client) deliver(m sim.Message) {
	switch b := m.Body.(type) {
	case *grvReply:
		cl.hearProxy(b.generation)
		if k := &b.request.call; !k.done {
			k.reply = b
			k.finish(b.code)
		}
	case *readReply:
		if k := &b.request.call; !k.done {
			k.reply = b
			k.finish(b.code)
		}
	case *commitReply:
		cl.hearProxy(b.generation)
		if k := &b.request.call; !k.done {
			k.reply = b
			k.finish(b.code)
		}
	case *pingReply:
		cl.hearProxy(b.generation)
		for _, r := range b.unknown {
			r.call.finish(connectionLost)
		}
	case *generationNotice:
		cl.hearProxy(b.generation)
	case *watchFired:
		b.watch.end(nil)
	default:
		panic(unexpected("a client", m))
	}
}

// hearProxy notes that the proxy lives, and in which generation. Commits sent to
// an earlier generation have lost their connection.
func (cl *Client) hearProxy(g generation) {
	cl.heard = cl.h.Monotonic()
	if g <= cl.generation {
		return
	}
	cl.generation = g
	for _, k := range cl.calls {
		if r, ok := k.body.(*commitRequest); ok && r.generation < g {
			k.finish(connectionLost)
		}
	}
}

// tick starts the timer that looks after outstanding calls, unless it runs.
func (cl *Client) tick() {
	if cl.ticking {
		return
	}
	cl.ticking = true
	cl.h.After(clientTick, cl.tickEnds)
}

func (cl *Client) endTick() {
	cl.ticking = false
	if cl.closed || len(cl.calls) == 0 {
		return
	}
	cl.lookAfterCalls()
	cl.tick()
}

func (cl *Client) lookAfterCalls() {
	now := cl.h.Monotonic()
	var commits []*commitRequest
	for _, k := range cl.calls {
		if k.done || now-k.sent < clientTick/2 {
			continue
		}
		r, ok := k.body.(*commitRequest)
		switch {
		case !ok:
			// To read twice does no harm.
			cl.c.counts.Restarted++
			cl.h.SendTo(cl.port, k.server, portName, k.body)
		case now-max(k.sent, cl.heard) >= cl.c.o.FailureTimeout:
			k.finish(connectionLost)
		default:
			commits = append(commits, r)
		}
	}
	if len(commits) > 0 {
		cl.h.SendTo(cl.port, cl.c.proxyName, portName, &pingRequest{commits})
	}
}

// endOf turns the end of a read's call into its error. err is that of do.
func endOf(k *call, err error, doing string) error {
	switch {
	case err != nil:
		return fmt.Errorf("simfdb: %s: %w", doing, err)
	case k.code == 0:
		return nil
	case k.code == codeClosed:
		return fmt.Errorf("simfdb: %s: %w", doing, store.ErrClosed)
	case k.code == codeCanceled:
		return k.life.over
	default:
		return Error{k.code}
	}
}
