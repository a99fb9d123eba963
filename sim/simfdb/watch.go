package simfdb

import (
	"context"
	"slices"

	"github.com/kelpie-registry/kelpie/clock"
)

// Watch waits for a key to have another value than the transaction saw. It
// outlives crashes of the storage server.
type Watch struct {
	client  *Client
	key     string
	value   string
	present bool
	known   bool    // value and present
	version Version // the version from which on the storage server may compare

	// port: writes of the transaction itself fire it only once they are committed.
	port bool

	// A later write in the transaction gave the key this value.
	later        bool
	laterPresent bool
	laterValue   string

	set   bool // the storage server is to know of it
	event clock.Event
	ended bool
	err   error // nil: it fired
}

// Watch returns a watch of key, which counts as read. It is set when the
// transaction has committed, and ends when the key's value differs from what the
// transaction saw at the call, its own writes included: at once, when the
// transaction itself writes another value afterwards. Its error is that of the
// read or the commit, if they fail; 1025 after a Cancel, OnError or Reset before
// the commit; 1032 when the client has too many watches; 1034 with the option
// read_your_writes_disable; 1101 after a Cancel of the watch.
func (t *Transaction) Watch(key []byte) *Watch {
	l := t.life
	w := l.newWatch(key)
	look := &lookup{KeyRange: pointOf(key)}
	err := l.usable("watch")
	switch {
	case err != nil:
	case l.options.unreadWrites:
		err = Error{CodeWatchesDisabled}
	case len(key) > maxKeyBytes(key):
		err = Error{CodeKeyTooLarge}
	default:
		err = l.look(look, false)
	}
	if err != nil {
		w.end(err)
		return w
	}
	l.watches = append(l.watches, w)
	if look.known {
		w.saw(look)
		return w
	}
	look.keepOwn()
	later(newFuture[struct{}](l), func() (struct{}, error) {
		if err := l.fetch(look); err != nil {
			w.end(err)
		} else if !w.ended {
			w.saw(look)
		}
		return struct{}{}, nil
	})
	return w
}

func (l *life) newWatch(key []byte) *Watch {
	return &Watch{client: l.client, key: string(key), event: l.client.h.NewEvent()}
}

// saw notes the value that the watch compares with.
func (w *Watch) saw(k *lookup) {
	w.value, w.present, w.known = k.value, k.present, true
	cl := w.client
	switch {
	case w.later && (w.laterPresent != w.present || w.laterValue != w.value):
		w.end(nil)
	case len(cl.watches) >= cl.defaults.maxWatches:
		w.end(Error{CodeTooManyWatches})
	default:
		cl.watches = append(cl.watches, w)
	}
}

// triggerWatches ends the transaction's watches of keys in r whose value a write
// changes, or may change when the value is not known.
func (l *life) triggerWatches(r KeyRange, value string, present, known bool) {
	for _, w := range l.watches {
		switch {
		case w.ended || w.port || !r.contains(w.key):
		case !known,
			w.known && (w.present != present || w.value != value),
			w.later && (w.laterPresent != present || w.laterValue != value):
			w.end(nil)
		default:
			w.later, w.laterPresent, w.laterValue = true, present, value
		}
	}
}

// setWatches sets the transaction's watches once it has committed.
func (l *life) setWatches() {
	if len(l.watches) == 0 {
		return
	}
	cl := l.client
	version := l.committed
	if version == invalidVersion {
		version = l.base
	}
	for _, w := range l.watches {
		if !w.ended {
			w.version, w.set = version, true
			cl.watching++
		}
	}
	l.watches = nil
	cl.sendWatches()
	cl.renewWatches()
}

func (l *life) endWatches(err error) {
	for _, w := range l.watches {
		w.end(err)
	}
	l.watches = nil
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

// Get waits until the watch has ended and returns its error; nil when it fired.
func (w *Watch) Get() error { return w.Wait(w.client.h.Context()) }

// IsReady reports whether the watch has ended.
func (w *Watch) IsReady() bool { return w.ended }

// Cancel implements store.Watch: the watch ends with error 1101.
func (w *Watch) Cancel() {
	if w.ended {
		return
	}
	w.end(Error{CodeOperationCancelled})
	if w.set {
		w.client.sendWatches()
	}
}
