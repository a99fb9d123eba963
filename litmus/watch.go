package litmus

import (
	"bytes"
	"errors"

	"github.com/kelpie-registry/kelpie/store"
)

// watchState is what a driver knows of a watch.
type watchState uint8

const (
	watchNone    watchState = iota // the call returned an error
	watchPending                   // its transaction is open
	watchSet                       // its transaction has committed
	watchFailed                    // its transaction has not, and never will
	watchUnknown                   // nothing is known of how it ends
	watchOver                      // canceled when it had not
)

// watch is a watch of a program.
type watch struct {
	store.Watch

	client int
	key    string
	seen   []byte // what it compares with
	state  watchState
	since  int // of a set watch: how many commits there were, its own included
}

// endWatches notes what became of the pending watches of a client.
func (d *driver) endWatches(client int, state watchState) {
	for i := range d.watches {
		if w := &d.watches[i]; w.client == client && w.state == watchPending {
			w.state, w.since = state, len(d.ledger.touched)
		}
	}
}

// watchDuty is what a watch has to do by now.
type watchDuty uint8

const (
	mustBeQuiet watchDuty = iota
	mustBeOver            // it has to have fired, or to have ended with an error
	mayBeEither           // the key was written, and has the value that it had
)

// duty finds out what a watch has to do: it must have fired when the key has
// another value than the watch compares with, and must be silent when nobody
// wrote the key.
func (d *driver) duty(w *watch) (watchDuty, error) {
	switch w.state {
	case watchPending:
		return mustBeQuiet, nil
	case watchFailed, watchOver:
		return mustBeOver, nil
	case watchUnknown:
		return mayBeEither, nil
	default:
	}
	tx := d.s.Begin(w.client)
	defer tx.Close()
	now := tx.Do(&Step{Kind: Get, Key: w.key}, 0)
	switch {
	case now.Err != nil:
		return 0, errors.Join(ErrInterfered, now.Err)
	case (now.Value == nil) != (w.seen == nil) || !bytes.Equal(now.Value, w.seen):
		return mustBeOver, nil
	}
	for _, spans := range d.ledger.touched[w.since:] {
		for _, s := range spans {
			if s.contains(w.key) {
				return mayBeEither, nil
			}
		}
	}
	return mustBeQuiet, nil
}

// fired answers whether watch n has fired, as far as that is determined.
func (d *driver) fired(n int) (string, error) {
	w, duty, err := d.lookAt(n)
	if w == nil || err != nil {
		return "no watch", err
	}
	if duty == mayBeEither {
		return "not determined", nil
	}
	err = d.s.Await(w.Watch, duty == mustBeOver)
	switch {
	case err == nil:
		return "fired", nil
	case errors.Is(err, ErrQuiet):
		return "quiet", nil
	case errors.Is(err, ErrInterfered):
		return "", err
	case w.state == watchOver && d.p.Level == Port:
		return "ended", nil // the port does not say with which error
	default:
		return "error " + d.s.ErrorName(err), nil
	}
}

// cancelWatch cancels watch n, after it has fired if it must.
func (d *driver) cancelWatch(n int) (string, error) {
	w, duty, err := d.lookAt(n)
	if w == nil || err != nil {
		return "no watch", err
	}
	switch {
	case duty == mayBeEither:
		w.state = watchUnknown
	case duty == mustBeQuiet:
		w.state = watchOver
	default:
		if err := d.s.Await(w.Watch, true); errors.Is(err, ErrInterfered) {
			return "", err
		}
	}
	w.Cancel()
	return "ok", nil
}

// lookAt returns watch n with its duty, or nil when there is none.
func (d *driver) lookAt(n int) (*watch, watchDuty, error) {
	if n < 1 || n > len(d.watches) || d.watches[n-1].state == watchNone {
		return nil, 0, nil
	}
	w := &d.watches[n-1]
	duty, err := d.duty(w)
	return w, duty, err
}
