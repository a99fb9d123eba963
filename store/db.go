package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kelpie-registry/kelpie/clock"
)

// Options of a [DB]. The zero value is ready for use.
type Options struct {
	// Backoff spaces the attempts. Default: 2 ms to 500 ms.
	Backoff clock.Backoff
	// AttemptTimeout bounds one attempt; above 0. Default: [AttemptTimeout].
	AttemptTimeout time.Duration
	// MaxAttempts bounds the attempts of one transaction; 0 means that only the
	// context does. Default: 0.
	MaxAttempts int
}

// DB runs transactions on an engine, with retries. It is safe for use from
// several tasks.
type DB struct {
	engine Engine
	clock  clock.Clock
	rand   *rand.Rand
	o      Options
}

// Open wraps an engine. r must be safe for use from several tasks, as that of a
// host is. Open returns an error that names the field when an
// option is out of its range.
func Open(e Engine, c clock.Clock, r *rand.Rand, o Options) (*DB, error) {
	if o.Backoff == (clock.Backoff{}) {
		o.Backoff = clock.Backoff{Initial: 2 * time.Millisecond, Max: 500 * time.Millisecond}
	}
	if err := o.Backoff.Validate(); err != nil {
		return nil, fmt.Errorf("store: Options.Backoff: %w", err)
	}
	if o.AttemptTimeout == 0 {
		o.AttemptTimeout = AttemptTimeout
	}
	if o.AttemptTimeout < 0 {
		return nil, fmt.Errorf("store: Options.AttemptTimeout is %v, must be above 0", o.AttemptTimeout)
	}
	if o.MaxAttempts < 0 {
		return nil, fmt.Errorf("store: Options.MaxAttempts is %d, must be 0 or more", o.MaxAttempts)
	}
	return &DB{engine: e, clock: c, rand: r, o: o}, nil
}

// Transact runs fn in a transaction and commits it, and does so again with
// backoff while the error is [Retryable] and ctx lasts. It returns the commit
// version, zero when fn wrote nothing.
//
// fn may run several times and must have no effect but through tx, which may be
// a [Guesser] that guesses. An error that fn returns ends the transaction
// without applying it, unless the error is itself a retryable one from tx.
//
// An error that is not [ErrCommitUnknown] promises that no attempt was applied.
func (db *DB) Transact(ctx context.Context, fn func(Tx) error) (Version, error) {
	return db.transact(ctx, maxGuesses, fn)
}

// TransactFresh is Transact of which no attempt guesses, also where the engine can. It is
// for what many may do at the same time, each hoping to find that another has done it:
// who guesses learns that only from a commit in vain.
func (db *DB) TransactFresh(ctx context.Context, fn func(Tx) error) (Version, error) {
	return db.transact(ctx, 0, fn)
}

// transact is Transact with guesses in the first attempts, where the engine can.
func (db *DB) transact(ctx context.Context, guesses int, fn func(Tx) error) (Version, error) {
	for attempt := 0; ; attempt++ {
		v, err := db.attempt(ctx, attempt < guesses, fn)
		if err == nil {
			return v, nil
		}
		if !Retryable(err) {
			return 0, err
		}
		if err := db.backOff(ctx, attempt, err); err != nil {
			return 0, err
		}
	}
}

// Read runs fn against one consistent version, with the same retries. It
// commits nothing.
func (db *DB) Read(ctx context.Context, fn func(Reader) error) error {
	_, err := db.transact(ctx, 0, func(tx Tx) error { return fn(tx) })
	return err
}

func (db *DB) attempt(ctx context.Context, mayGuess bool, fn func(Tx) error) (Version, error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("store: transaction not started: %w", err)
	}
	actx, cancel := db.clock.WithTimeout(ctx, db.o.AttemptTimeout)
	defer cancel()
	tx := db.engine.Begin(actx)
	defer tx.Cancel()
	guesser, guesses := tx.(Guesser)
	if guesses = guesses && mayGuess; guesses {
		guesser.Guess()
	}
	err := fn(tx)
	switch {
	case err == nil:
		err = tx.Commit()
	case guesses && !Retryable(err):
		// The body may have failed because of a wrong guess.
		if wrong := guesser.Confirm(); wrong != nil {
			err = wrong
		}
	}
	if err == nil {
		return tx.Committed(), nil
	}
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimedOut)
	if late && actx.Err() != nil && ctx.Err() == nil && !errors.Is(err, ErrCommitUnknown) {
		// The attempt ran out of time, the caller did not: worth another one.
		return 0, fmt.Errorf("%w: attempt timed out after %v: %w", ErrUnavailable, db.o.AttemptTimeout, err)
	}
	return 0, err
}

func (db *DB) backOff(ctx context.Context, attempt int, cause error) error {
	if n := db.o.MaxAttempts; n > 0 && attempt+1 >= n {
		return fmt.Errorf("store: gave up after %d attempts: %w", n, cause)
	}
	if err := db.clock.Sleep(ctx, db.o.Backoff.Delay(attempt, db.rand)); err != nil {
		return fmt.Errorf("store: gave up after %d attempts: %w (last error: %w)", attempt+1, err, cause)
	}
	return nil
}

func errInvalidStamp(value []byte, offset int) error {
	return fmt.Errorf("%w: no stamp of %d bytes at offset %d of a %d-byte value", ErrInvalid, StampBytes, offset, len(value))
}
