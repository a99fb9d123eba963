package simfdb

import (
	"context"
	"slices"

	"github.com/kelpie-registry/kelpie/clock"
)

// Future is the result of a call that may still be under way.
type Future[T any] struct {
	life  *life
	done  bool
	value T
	err   error
	event clock.Event // nil: nobody has waited yet
	read  bool        // the commit waits for it
	stamp bool        // of GetVersionstamp: it waits for the commit
}

type (
	// FutureByteSlice is the result of a read of a key; nil when there is none.
	FutureByteSlice = Future[[]byte]
	// FutureKey is a key, or a stamp.
	FutureKey = Future[[]byte]
	// FutureInt64 is a version or a size.
	FutureInt64 = Future[int64]
	// FutureKeyArray is a list of keys.
	FutureKeyArray = Future[[][]byte]
)

// FutureNil is the result of a call that has none but its error.
type FutureNil struct{ f *Future[struct{}] }

// pending is a future of any type that is not ready.
type pending interface {
	end(err error)
	waitsForCommit() bool
}

func newFuture[T any](l *life) *Future[T] { return &Future[T]{life: l} }

func (f *Future[T]) ready(value T) *Future[T] {
	f.done, f.value = true, value
	return f
}

func (f *Future[T]) fail(err error) *Future[T] {
	f.done, f.err = true, err
	return f
}

// wait puts the future on its transaction's list of those that are not ready.
func (f *Future[T]) wait() { f.life.pending = append(f.life.pending, f) }

// finish makes the future ready, unless it is.
func (f *Future[T]) finish(value T, err error) {
	if f.done {
		return
	}
	f.done, f.err = true, err
	if err == nil {
		f.value = value
	}
	if i := slices.Index(f.life.pending, pending(f)); i >= 0 {
		f.life.pending = slices.Delete(f.life.pending, i, i+1)
	}
	if f.event != nil {
		f.event.Set()
	}
}

func (f *Future[T]) end(err error) {
	var none T
	f.finish(none, err)
}

func (f *Future[T]) waitsForCommit() bool { return f.stamp }

// later makes work go on in a task of its own, and its result the future's. Its
// failure, if it is a read, fails the commit, which waits for it.
func later[T any](f *Future[T], work func() (T, error)) {
	l := f.life
	f.wait()
	l.reading++
	l.client.h.Go("fdb call", func(context.Context) {
		value, err := work()
		if f.read {
			l.noteFailure(err)
		}
		f.finish(value, err)
		if l.reading--; l.reading == 0 && l.idle != nil {
			l.idle.Set()
			l.idle = nil
		}
	})
}

// Get waits until the future is ready and returns its result.
func (f *Future[T]) Get() (T, error) {
	f.BlockUntilReady()
	return f.value, f.err
}

// BlockUntilReady waits until the future is ready.
func (f *Future[T]) BlockUntilReady() {
	if f.done {
		return
	}
	h := f.life.client.h
	if f.event == nil {
		f.event = h.NewEvent()
	}
	if err := f.event.Wait(h.Context()); err != nil {
		f.end(err) // the process ends
	}
}

// IsReady reports whether Get returns without waiting.
func (f *Future[T]) IsReady() bool { return f.done }

// Cancel makes a future that is not ready end with error 1101. What was asked
// for may still happen.
func (f *Future[T]) Cancel() { f.end(Error{CodeOperationCancelled}) }

// Get waits until the call has ended and returns its error.
func (f FutureNil) Get() error {
	_, err := f.f.Get()
	return err
}

// BlockUntilReady waits until the call has ended.
func (f FutureNil) BlockUntilReady() { f.f.BlockUntilReady() }

// IsReady reports whether the call has ended.
func (f FutureNil) IsReady() bool { return f.f.IsReady() }

// Cancel makes a future that is not ready end with error 1101. What was asked
// for may still happen.
func (f FutureNil) Cancel() { f.f.Cancel() }
