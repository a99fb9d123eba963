package etcd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
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
	r, err := e.client.Get(ctx, e.keys.horizon())
	if err != nil {
		return err
	}
	e.saw(r.Header.Revision)
	if len(r.Kvs) > 0 {
		return nil
	}
	made, err := e.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(e.keys.horizon()), "=", 0)).
		Then(clientv3.OpPut(e.keys.horizon(), revisionText(r.Header.Revision))).
		Commit()
	if err != nil {
		return err
	}
	e.saw(made.Header.Revision)
	return nil
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
	r, err := e.client.Get(e.ctx, e.keys.horizon())
	if err != nil || len(r.Kvs) == 0 {
		return samples, 0
	}
	e.saw(r.Header.Revision)
	now := e.o.Clock.Monotonic()
	samples = append(samples, sample{at: now, revision: r.Header.Revision})
	var due, overdue int64
	for i, s := range samples {
		if now-s.at < e.o.Window {
			break
		}
		due = s.revision
		if now-s.at >= e.o.Window+e.o.Window/4 {
			overdue = s.revision
			samples = samples[i:]
		}
	}
	if at, ok := parseRevision(r.Kvs[0].Value); !ok || at >= overdue {
		return samples, 0
	}
	return samples, due
}

// moveHorizon moves the horizon forward, never back.
func (e *Engine) moveHorizon(ctx context.Context, revision int64) (bool, error) {
	r, err := e.client.Txn(ctx).
		If(clientv3.Compare(clientv3.Value(e.keys.horizon()), "<", revisionText(revision))).
		Then(clientv3.OpPut(e.keys.horizon(), revisionText(revision))).
		Commit()
	if err != nil {
		return false, e.readError(ctx, err)
	}
	e.saw(r.Header.Revision)
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
func (e *Engine) sweepRange(ctx context.Context, horizon int64, bounds func() (string, string), drop func(*mvccpb.KeyValue) ([]clientv3.Op, error)) error {
	begin, end := bounds()
	for {
		r, err := e.client.Get(ctx, begin, clientv3.WithRange(end), clientv3.WithLimit(sweepRows))
		if err != nil {
			return e.readError(ctx, err)
		}
		var ops []clientv3.Op
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
func dropIf(begin, end string, cmps ...clientv3.Cmp) clientv3.Op {
	return clientv3.OpTxn(cmps, []clientv3.Op{clientv3.OpDelete(begin, clientv3.WithRange(end))}, nil)
}

func (e *Engine) dropRecord(row *mvccpb.KeyValue) ([]clientv3.Op, error) {
	key := string(row.Key)
	return []clientv3.Op{dropIf(key, key+"\x00", clientv3.Compare(clientv3.ModRevision(key), "=", row.ModRevision))}, nil
}

// followTrail removes the tombstones of one commit and then their list. A key
// goes only while its tombstone is what that commit wrote and no row is
// younger: lanes that are older than the tombstone go along, and would count
// again without it.
func (e *Engine) followTrail(row *mvccpb.KeyValue) ([]clientv3.Op, error) {
	keys, err := decodeTexts(row.Value)
	if err != nil {
		return nil, fmt.Errorf("%w, of tombstones", err)
	}
	var ops []clientv3.Op
	for _, key := range keys {
		begin, end := e.keys.rows(key)
		ops = append(ops, dropIf(
			begin, end,
			clientv3.Compare(clientv3.ModRevision(e.keys.base(key)), "=", row.ModRevision),
			clientv3.Compare(clientv3.Value(e.keys.base(key)), "=", tombstone()),
			clientv3.Compare(clientv3.ModRevision(begin), "<", row.ModRevision+1).WithRange(end),
		))
	}
	last, err := e.dropRecord(row)
	return append(ops, last...), err
}

// carryOut runs operations, in order, in as many transactions of etcd as it
// takes.
func (e *Engine) carryOut(ctx context.Context, ops []clientv3.Op) error {
	for len(ops) > 0 {
		n := min(len(ops), e.o.MaxTxnOps/2)
		r, err := e.client.Txn(ctx).Then(ops[:n]...).Commit()
		if err != nil {
			return e.readError(ctx, err)
		}
		e.saw(r.Header.Revision)
		ops = ops[n:]
	}
	return nil
}
