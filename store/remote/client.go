package remote

import (
	"container/list"
	"context"
	"fmt"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// client is what the server remembers of a client. The server's lock guards it.
type client struct {
	number uint64
	used   time.Duration // of the host's uptime
	place  *list.Element // in Server.byUse
	busy   int           // requests under way: while there are any it is not idle
	gone   bool          // it was forgotten

	txns    map[uint64]*txn
	byUse   *list.List // of *txn, the longest idle first
	bytes   int        // that its transactions hold
	watches map[uint64]store.Watch

	outcomes map[uint64]*outcome // of its commits, by number
	arrived  []uint64            // their numbers, in the order in which they came
	floor    uint64              // commits below it that are not in outcomes are forgotten
}

func newClient(number uint64, now time.Duration) *client {
	return &client{
		number: number, used: now, txns: make(map[uint64]*txn), byUse: list.New(),
		watches: make(map[uint64]store.Watch), outcomes: make(map[uint64]*outcome),
	}
}

// touch notes that a client is in use.
func (s *Server) touch(c *client) {
	c.used = s.host.Uptime()
	if !c.gone {
		s.byUse.MoveToBack(c.place)
	}
}

// outcome is what became of a request: a commit, or a step of a transaction.
type outcome struct {
	reply []byte      // nil while the request is under way
	done  clock.Event // set when reply is there; nil until a copy waits for it
}

// settle notes the reply, and returns what lets copies know, without the lock.
func (o *outcome) settle(reply []byte) (tell func()) {
	o.reply = reply
	if o.done == nil {
		return func() {}
	}
	return o.done.Set
}

// txn is a transaction at the server.
type txn struct {
	client *client
	number uint64
	place  *list.Element // in client.byUse
	used   time.Duration

	inner  store.Txn
	cancel context.CancelFunc

	step    uint32   // the last that was begun
	last    *outcome // of it, for its copies
	busy    bool     // it is under way
	dropped bool     // the server forgot it
	bytes   int      // of its mutations
	watches map[uint64]store.Watch
}

// grow counts bytes that a transaction holds, fewer when n is negative.
func (s *Server) grow(t *txn, n int) {
	t.client.bytes += n
	s.bytes += n
}

// drop forgets a transaction. One that is under way is ended by who serves it.
func (s *Server) drop(t *txn, over *leftovers) {
	c := t.client
	delete(c.txns, t.number)
	c.byUse.Remove(t.place)
	s.txns--
	s.grow(t, -t.bytes-len(t.last.reply))
	t.dropped = true
	if !t.busy {
		over.txns = append(over.txns, t)
	}
}

// begin makes a transaction, unless that is over a limit.
func (s *Server) begin(c *client, number uint64) (*txn, error) {
	for _, l := range [...]struct {
		n, most int
		what    string
	}{
		{len(c.txns), s.o.TxnsPerClient, "transactions of one client"},
		{s.txns, s.o.Txns, "transactions"},
	} {
		if l.n >= l.most {
			return nil, fmt.Errorf("%w: the limit of %d %s is reached", store.ErrUnavailable, l.most, l.what)
		}
	}
	ctx, cancel := s.host.WithTimeout(s.ctx, s.o.TxnLife)
	t := &txn{client: c, number: number, used: s.host.Uptime(), inner: s.inner.Begin(ctx), cancel: cancel, last: &outcome{}}
	t.place = c.byUse.PushBack(t)
	c.txns[number] = t
	s.txns++
	return t, nil
}

// hold counts the bytes of a step's mutations, unless that is over a limit.
func (s *Server) hold(t *txn, n int) error {
	for _, l := range [...]struct {
		n, most int
		what    string
	}{
		{t.client.bytes, s.o.BytesPerClient, "bytes of one client's transactions"},
		{s.bytes, s.o.Bytes, "bytes of transactions"},
	} {
		if l.n+n > l.most {
			return fmt.Errorf("%w: the limit of %d %s is reached", store.ErrUnavailable, l.most, l.what)
		}
	}
	t.bytes += n
	s.grow(t, n)
	return nil
}

// remember makes room for the outcome of a commit that is new.
func (s *Server) remember(c *client, number uint64) *outcome {
	for len(c.arrived) >= s.o.Outcomes {
		oldest := c.arrived[0]
		if c.outcomes[oldest].reply == nil {
			break // under way; the limit of transactions bounds those
		}
		c.arrived = c.arrived[1:]
		delete(c.outcomes, oldest)
		c.floor = max(c.floor, oldest+1)
	}
	o := &outcome{}
	c.outcomes[number] = o
	c.arrived = append(c.arrived, number)
	return o
}
