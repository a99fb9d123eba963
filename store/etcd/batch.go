package etcd

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"go.etcd.io/etcd/api/v3/etcdserverpb"

	"github.com/kelpie-registry/kelpie/store"
)

// batcher sends proposals. Those that come while others are on their way wait,
// and travel together: one request, one entry in the log of the cluster, one
// revision. Each is a transaction of its own inside the request, with its own
// conditions, and is applied or refused on its own.
//
// etcd judges the conditions of all before it applies any. So proposals share a
// request only when none writes what another reads or writes: then it does not
// matter in which order they take effect, and they may share a version.
type batcher struct {
	engine *Engine

	mu       sync.Mutex
	queue    []*proposal
	inFlight int
	closed   bool
}

const (
	// maxInFlight bounds the requests under way at a time. Few make for large
	// batches, and one at a time for a commit that always waits for the one
	// before.
	maxInFlight = 2

	// maxBatch bounds the proposals of one request: their stamps differ by their
	// order in it.
	maxBatch = 64
)

// submit sends a proposal and waits for the answer, or until ctx ends. The error
// is store.ErrCommitUnknown, or promises that the proposal was not applied.
func (b *batcher) submit(ctx context.Context, p *proposal) (*answer, error) {
	p.ctx, p.done = ctx, make(chan struct{})
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil, errClosed
	}
	if b.inFlight < maxInFlight && len(b.queue) == 0 {
		// Nobody to travel with: at once, and without another goroutine.
		b.inFlight++
		b.mu.Unlock()
		b.sendOne(ctx, p)
		b.landed()
		return &p.answer, p.err
	}
	b.queue = append(b.queue, p)
	b.launch()
	b.mu.Unlock()
	select {
	case <-p.done:
		return &p.answer, p.err
	case <-ctx.Done():
	}
	b.mu.Lock()
	taken := p.taken
	if !taken {
		b.queue = slices.DeleteFunc(b.queue, func(q *proposal) bool { return q == p })
	}
	b.mu.Unlock()
	if !taken {
		return nil, ended(ctx.Err())
	}
	return nil, fmt.Errorf("etcd: %w: %w", store.ErrCommitUnknown, ctx.Err())
}

// launch starts requests while there may be more of them. The caller holds the
// lock.
func (b *batcher) launch() {
	for b.inFlight < maxInFlight && len(b.queue) > 0 {
		batch := b.take()
		b.inFlight++
		b.engine.tasks.Go(func() {
			b.send(batch)
			b.landed()
		})
	}
}

// landed ends a request, and starts the next.
func (b *batcher) landed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inFlight--
	b.launch()
}

// take removes the first proposal from the queue and those that can travel with
// it.
func (b *batcher) take() []*proposal {
	l := load{o: &b.engine.o}
	b.queue = slices.DeleteFunc(b.queue, func(p *proposal) bool {
		if !l.add(p) {
			return false
		}
		p.taken = true
		return true
	})
	return l.batch
}

// load is a request that is being put together.
type load struct {
	o       *Options
	batch   []*proposal
	size    int
	read    map[string]bool
	written map[string]bool
	added   map[string]bool
}

// add takes p along, or reports that it cannot.
func (l *load) add(p *proposal) bool {
	if len(l.batch) == 0 {
		l.read, l.written, l.added = map[string]bool{}, map[string]bool{}, map[string]bool{}
		l.put(p)
		return true
	}
	first := l.batch[0]
	if first.alone || p.alone || len(l.batch) == min(maxBatch, l.o.MaxTxnOps/2) || l.size+p.size > l.o.MaxRequestBytes/2 {
		return false
	}
	// A transaction inside another one is allowed what the outer one leaves.
	within := l.o.MaxTxnOps / 4
	for _, q := range []*proposal{first, p} {
		if max(len(q.cmps), q.ops) > within {
			return false
		}
	}
	if l.meets(p) {
		return false
	}
	l.put(p)
	return true
}

// meets reports whether p and a proposal of the batch are in each other's way.
func (l *load) meets(p *proposal) bool {
	for _, k := range p.reads {
		if l.written[k] || l.added[k] {
			return true
		}
	}
	for _, k := range p.writes {
		if l.read[k] || l.written[k] || l.added[k] {
			return true
		}
	}
	for _, u := range p.lanes {
		if l.read[u.key] || l.written[u.key] {
			return true
		}
	}
	return false
}

func (l *load) put(p *proposal) {
	l.batch = append(l.batch, p)
	l.size += p.size
	for _, k := range p.reads {
		l.read[k] = true
	}
	for _, k := range p.writes {
		l.written[k] = true
	}
	for _, u := range p.lanes {
		l.added[u.key] = true
	}
}

// sendOne makes a request of one proposal.
func (b *batcher) sendOne(ctx context.Context, p *proposal) {
	ctx, d := tracked(ctx)
	d.once = true
	r, err := b.engine.commitTxn(ctx, d, &etcdserverpb.TxnRequest{Compare: p.cmps, Success: append(p.puts(0), b.trail(p)...)})
	if err != nil {
		p.err = b.engine.commitError(ctx, d, err)
		return
	}
	p.answer = answer{succeeded: r.Succeeded, revision: r.Header.Revision}
}

// send makes a request of a batch, and hands out the answers.
func (b *batcher) send(batch []*proposal) {
	defer func() {
		for _, p := range batch {
			close(p.done)
		}
	}()
	if len(batch) == 1 {
		b.sendOne(batch[0].ctx, batch[0])
		return
	}
	ctx, cancel := whileAny(batch)
	defer cancel()
	ctx, d := tracked(ctx)
	d.once = true
	ops := make([]op, 0, len(batch)+1)
	for i, p := range batch {
		ops = append(ops, inner(&etcdserverpb.TxnRequest{Compare: p.cmps, Success: p.puts(uint16(i))}))
	}
	r, err := b.engine.commitTxn(ctx, d, &etcdserverpb.TxnRequest{Success: append(ops, b.trail(batch...)...)})
	for i, p := range batch {
		switch {
		case err == nil:
			p.answer = answer{succeeded: r.Responses[i].GetResponseTxn().GetSucceeded(), revision: r.Header.Revision, order: uint16(i)}
		case refused(err):
			b.sendOne(p.ctx, p) // one spoilt it for all: each for itself
		default:
			p.err = b.engine.commitError(p.ctx, d, err)
		}
	}
}

// trail returns the operation that lists the tombstones of a batch, if there
// are any. Those of proposals that are refused are on the list, too, and will
// not be found.
func (b *batcher) trail(batch ...*proposal) []op {
	var keys []string
	for _, p := range batch {
		keys = append(keys, p.tombs...)
	}
	if len(keys) == 0 {
		return nil
	}
	return []op{put(b.engine.keys.trail(b.engine.latest(), randomID()), encodeTexts(keys))}
}

// close refuses what waits and what comes.
func (b *batcher) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, p := range b.queue {
		p.err = errClosed
		close(p.done)
	}
	b.queue = nil
}

// whileAny returns a context that ends when those of all proposals have.
func whileAny(batch []*proposal) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	var mu sync.Mutex
	left := len(batch)
	for _, p := range batch {
		p.stop = context.AfterFunc(p.ctx, func() {
			mu.Lock()
			defer mu.Unlock()
			if left--; left == 0 {
				cancel(fmt.Errorf("etcd: every caller has given up: %w", context.Canceled))
			}
		})
	}
	return ctx, func() {
		for _, p := range batch {
			p.stop()
		}
		cancel(nil)
	}
}
