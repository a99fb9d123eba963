package simfdb

import (
	"context"
	"slices"

	"github.com/kelpie-registry/kelpie/clock"
	"github.com/kelpie-registry/kelpie/store"
)

// maxWatches bounds the watches of a client that have not fired.
const maxWatches = 10_000

// Watch waits for a key to have another value than the transaction saw. It
// outlives crashes of the storage server.
type Watch struct {
	client  *Client
	key     string
	value   string
	present bool
	version Version // the version from which on the storage server may compare

	set   bool // the storage server is to know of it
	event clock.Event
	ended bool
	err   error // nil: it fired
}

// Watch implements store.Tx. It adds no read conflict range; see
// [Transaction.WatchConflicting].
func (t *Transaction) Watch(key []byte) (store.Watch, error) {
	w, err := t.watch(key, true)
	if err != nil {
		return nil, err
	}
	return w, nil
}

// WatchConflicting is Watch as FoundationDB's client has it: the key counts as
// read.
func (t *Transaction) WatchConflicting(key []byte) (*Watch, error) { return t.watch(key, false) }

func (t *Transaction) watch(key []byte, snapshot bool) (*Watch, error) {
	value, err := t.get(key, snapshot)
	if err != nil {
		return nil, err
	}
	w := &Watch{
		client:  t.client,
		key:     string(key),
		value:   string(value),
		present: value != nil,
		event:   t.client.h.NewEvent(),
	}
	t.watches = append(t.watches, w)
	t.client.watches = append(t.client.watches, w)
	return w, nil
}

// setWatches sets the transaction's watches once it has committed.
func (t *Transaction) setWatches() {
	if len(t.watches) == 0 {
		return
	}
	cl := t.client
	version := t.committed
	if version == invalidVersion {
		version = t.base
	}
	for _, w := range t.watches {
		switch {
		case w.ended:
		case cl.watching >= maxWatches:
			w.end(Error{CodeTooManyWatches})
		default:
			w.version, w.set = version, true
			cl.watching++
		}
	}
	t.watches = nil
	cl.sendWatches()
	cl.renewWatches()
}

func (t *Transaction) endWatches(err error) {
	for _, w := range t.watches {
		w.end(err)
	}
	t.watches = nil
}

// sendWatches tells the storage server which watches the client has.
func (cl *Client) sendWatches() {
	cl.watchSerial++
	r := &watchRequest{serial: cl.watchSerial, watches: make([]*Watch, 0, cl.watching)}
	for _, w := range cl.watches {
		if w.set {
			r.watches = append(r.watches, w)
		}
	}
	cl.h.SendTo(cl.port, cl.c.storageName, portName, r)
}

// renewWatches starts the timer that sends the watches again, unless it runs.
func (cl *Client) renewWatches() {
	if cl.renewing {
		return
	}
	cl.renewing = true
	cl.h.After(cl.c.o.Keepalive, func() {
		cl.renewing = false
		if cl.watching > 0 {
			cl.sendWatches()
			cl.renewWatches()
		}
	})
}

// end ends a watch, unless it has ended, and takes it off the client's list.
func (w *Watch) end(err error) {
	if w.ended {
		return
	}
	w.ended, w.err = true, err
	w.event.Set()
	cl := w.client
	if i := slices.Index(cl.watches, w); i >= 0 {
		cl.watches = slices.Delete(cl.watches, i, i+1)
	}
	if w.set {
		cl.watching--
	}
}

// Wait implements store.Watch.
func (w *Watch) Wait(ctx context.Context) error {
	if err := w.event.Wait(ctx); err != nil {
		return err
	}
	return w.err
}

// Cancel implements store.Watch.
func (w *Watch) Cancel() {
	if w.ended {
		return
	}
	w.end(Error{CodeOperationCancelled})
	if w.set {
		w.client.sendWatches()
	}
}
