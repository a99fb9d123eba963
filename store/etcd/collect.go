package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// Tombstones and records serve transactions that read before they were written.
// The horizon is a revision that no transaction with an older read gets past:
// every commit with reads demands that it is not above them. So what is not
// younger than the horizon can go.
//
// The horizon follows the cluster's revision at a distance of Options.Window, on
// the clock of whichever engine moves it. Clocks decide only how old a
// transaction may grow; that a late one fails is up to the horizon alone.

// sample is a revision that the cluster had reached at a time.
type sample struct {
	at       time.Duration // on the engine's clock
	revision int64
}

// restoreHorizon makes a horizon at the present revision where there is none.
func (e *Engine) restoreHorizon(ctx context.Context) error {
	r, err := e.get(ctx, look(e.keys.horizon(), ""))
	if err != nil {
		return err
	}
	if len(r.Kvs) > 0 {
		return nil
	}
	_, err = e.txn(ctx, e.kv, &etcdserverpb.TxnRequest{
		Compare: []compare{modIs(e.keys.horizon(), 0)},
		Success: []op{put(e.keys.horizon(), revisionText(r.Header.Revision))},
	})
	return err
}

// collect moves the horizon and removes what is behind it, until the engine
// closes. Failures are made good by the next round.
func (e *Engine) collect() {
	var samples []sample
	for {
		pause := e.o.Window/4 + rand.N(e.o.Window/16)
		if e.o.Clock.Sleep(e.ctx, pause) != nil {
			return
		}
		var horizon int64
		samples, horizon = e.takeSample(samples)
		if horizon == 0 {
			continue
		}
		if moved, err := e.moveHorizon(e.ctx, horizon); err == nil && moved {
			_ = e.sweep(e.ctx, horizon) // an error: the next round goes on from here
		}
	}
}

// takeSample notes the present revision, and returns where the horizon ought to
// be; zero when that is not known, or close enough to where it is.
//
// It is close enough until it lags by a quarter more than it has to: of several
// engines one moves it, and that one sweeps.
func (e *Engine) takeSample(samples []sample) ([]sample, int64) {
	r, err := e.get(e.ctx, look(e.keys.horizon(), ""))
	if err != nil || len(r.Kvs) == 0 {
		return samples, 0
	}
	now := e.o.Clock.Monotonic()
	samples = append(samples, sample{at: now, revision: r.Header.Revision})
	var due, overdue int64
	spent := 0 // samples that a later one makes superfluous
	for i, s := range samples {
		if now-s.at >= e.o.Window {
			due = s.revision
		}
		if now-s.at >= e.o.Window+e.o.Window/4 {
			overdue, spent = s.revision, i
		}
	}
	samples = samples[spent:]
	if at, ok := parseRevision(r.Kvs[0].Value); !ok || at >= overdue {
		return samples, 0
	}
	return samples, due
}

// moveHorizon moves the horizon forward, never back.
func (e *Engine) moveHorizon(ctx context.Context, revision int64) (bool, error) {
	r, err := e.txn(ctx, e.kv, &etcdserverpb.TxnRequest{
		Compare: []compare{valueBelow(e.keys.horizon(), revisionText(revision))},
		Success: []op{put(e.keys.horizon(), revisionText(revision))},
	})
	if err != nil {
		return false, e.readError(ctx, err)
	}
	return r.Succeeded, nil
}

// sweepRows bounds the trails and the records of one step of a sweep.
const sweepRows = 256

// sweep removes tombstones and records that are not younger than the horizon.
// Several sweeps at a time do no harm: each removal has its condition.
func (e *Engine) sweep(ctx context.Context, horizon int64) error {
	return errors.Join(e.sweepRange(ctx, horizon, e.keys.records, e.dropRecord), e.sweepRange(ctx, horizon, e.keys.trails, e.followTrail))
}

// sweepRange calls drop for each row of a kind that is not younger than the
// horizon, and has what it returns carried out.
func (e *Engine) sweepRange(ctx context.Context, horizon int64, bounds func() (string, string), drop func(*mvccpb.KeyValue) ([]op, error)) error {
	begin, end := bounds()
	for {
		r, err := e.get(ctx, look(begin, end, atMost(sweepRows)))
		if err != nil {
			return e.readError(ctx, err)
		}
		var ops []op
		for _, row := range r.Kvs {
			begin = string(row.Key) + "\x00"
			if row.ModRevision > horizon {
				continue
			}
			more, err := drop(row)
			if err != nil {
				return err
			}
			ops = append(ops, more...)
		}
		if err := e.carryOut(ctx, ops); err != nil {
			return err
		}
		if !r.More || len(ops) == 0 {
			return nil // rows come about in the order of their age
		}
	}
}

// dropIf removes a range of rows if a condition holds.
func dropIf(begin, end string, cmps ...compare) op {
	return inner(&etcdserverpb.TxnRequest{Compare: cmps, Success: []op{remove(begin, end)}})
}

func (e *Engine) dropRecord(row *mvccpb.KeyValue) ([]op, error) {
	key := string(row.Key)
	return []op{dropIf(key, key+"\x00", modIs(key, row.ModRevision))}, nil
}

// followTrail removes the tombstones of one commit and then their list. A key
// goes only while its tombstone is what that commit wrote and no row is
// younger: lanes that are older than the tombstone go along, and would count
// again without it.
func (e *Engine) followTrail(row *mvccpb.KeyValue) ([]op, error) {
	keys, err := decodeTexts(row.Value)
	if err != nil {
		return nil, fmt.Errorf("%w, of tombstones", err)
	}
	var ops []op
	for _, key := range keys {
		begin, end := e.keys.rows(key)
		ops = append(ops, dropIf(
			begin, end,
			modIs(e.keys.base(key), row.ModRevision),
			valueIs(e.keys.base(key), tombstone()),
			modBelow(begin, end, row.ModRevision+1),
		))
	}
	last, err := e.dropRecord(row)
	return append(ops, last...), err
}

// carryOut runs operations, in order, in as many transactions of etcd as it
// takes.
func (e *Engine) carryOut(ctx context.Context, ops []op) error {
	for len(ops) > 0 {
		n := min(len(ops), e.o.MaxTxnOps/2)
		if _, err := e.txn(ctx, e.kv, &etcdserverpb.TxnRequest{Success: ops[:n]}); err != nil {
			return e.readError(ctx, err)
		}
		ops = ops[n:]
	}
	return nil
}
