package simfdb

import (
	"errors"
	"time"
)

// How long OnError waits: a random share of a bound that doubles with each call,
// up to the option max_retry_delay; for 1007 and 1009, always the same.
const (
	firstBackoff    = 10 * time.Millisecond
	maxBackoff      = time.Second      // the default of max_retry_delay
	maxBusyBackoff  = 30 * time.Second // for 1042, 1051, 1078, 1213 and 1223, whatever max_retry_delay is
	tooOldRetryWait = 10 * time.Millisecond
)

// OnError ends the present life of the transaction, waits, and begins the next
// one, so that the transaction can be tried again. It returns e itself for an
// error that another try will not cure, and when the retry limit is reached; the
// transaction is then canceled until Reset. The next life has the timeout, the
// retry limit and the maximal retry delay of this one, and no other option.
func (t *Transaction) OnError(e Error) FutureNil {
	l := t.life
	f := newFuture[struct{}](l)
	if l.over != nil {
		return FutureNil{f.fail(l.over)}
	}
	limited := t.kept.retryLimit >= 0 && t.retries >= t.kept.retryLimit
	t.retries++
	if limited || !e.retriedByOnError() {
		l.end(Error{CodeTransactionCancelled})
		switch e.Code {
		case CodeBrokenPromise:
			e.Code = CodeTransactionCancelled
		case 0:
			e.Code = CodeInvalidOperation
		}
		return FutureNil{f.fail(e)}
	}
	wait := t.nextDelay(e)
	l.breakStamps()
	if !l.started {
		l.endWatches(Error{CodeTransactionCancelled})
	}
	f.wait()
	l.client.h.AfterFunc(wait, func() {
		if l.over == nil && t.life == l {
			f.finish(struct{}{}, nil)
			t.renew()
		}
	})
	return FutureNil{f}
}

// nextDelay returns how long to wait after e.
func (t *Transaction) nextDelay(e Error) time.Duration {
	if e.Code == CodeTransactionTooOld || e.Code == CodeFutureVersion {
		return min(tooOldRetryWait, t.kept.maxRetryDelay)
	}
	const bits = 53
	share := float64(t.client.draw("fdb backoff")>>(64-bits)) / (1 << bits)
	wait := time.Duration(float64(t.backoff) * share)
	most := t.kept.maxRetryDelay
	switch e.Code {
	case CodeProxyMemoryLimit, CodeGRVProxyMemoryLimit, CodeBatchRateLimit, CodeTagThrottled, CodeProxyTagThrottled:
		most = maxBusyBackoff
	}
	t.backoff = min(2*t.backoff, most)
	return wait
}

// Transact calls f with a transaction and commits it, again and again, with
// OnError between, until the commit succeeds or an error comes that OnError
// returns. An error of f that is, or wraps, an [Error] is treated like one of the
// commit; any other is returned at once, and nothing is written. A transaction
// whose commit ended in error 1021 may thus be applied more than once.
func (cl *Client) Transact(f func(t *Transaction) (any, error)) (any, error) {
	t := cl.CreateTransaction()
	for {
		result, err := f(t)
		if err == nil {
			err = t.Commit().Get()
		}
		if err == nil {
			return result, nil
		}
		var e Error
		if !errors.As(err, &e) {
			return nil, err
		}
		if err := t.OnError(e).Get(); err != nil {
			return nil, err
		}
	}
}
