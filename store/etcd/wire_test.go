package etcd_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// wire stands between an engine and its cluster: it counts requests, breaks
// them and holds them up.
type wire struct {
	etcdserverpb.KVClient
	state *wireState
}

type wireState struct {
	reads, writes atomic.Int64 // requests

	mu     sync.Mutex
	rand   *rand.Rand
	faults bool
	hold   func(*etcdserverpb.TxnRequest) <-chan struct{} // nil to let a request pass
}

// between returns the wire as options want it.
func (s *wireState) between(inner etcdserverpb.KVClient) etcdserverpb.KVClient {
	return wire{inner, s}
}

// fate of a request.
type fate uint8

const (
	passes  fate = iota
	dropped      // never sent
	unheard      // carried out, the answer is lost
)

func (s *wireState) draw() fate {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.faults {
		return passes
	}
	switch s.rand.IntN(120) {
	case 0:
		return dropped
	case 1:
		return unheard
	default:
		return passes
	}
}

func (s *wireState) holding(r *etcdserverpb.TxnRequest) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hold == nil {
		return nil
	}
	return s.hold(r)
}

func (s *wireState) holdIf(hold func(*etcdserverpb.TxnRequest) <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
}

var errCut = status.Error(codes.Unavailable, "the wire is cut")

func (w wire) Range(ctx context.Context, r *etcdserverpb.RangeRequest, o ...grpc.CallOption) (*etcdserverpb.RangeResponse, error) {
	w.state.reads.Add(1)
	if w.state.draw() != passes {
		return nil, errCut
	}
	return w.KVClient.Range(ctx, r, o...)
}

func (w wire) Txn(ctx context.Context, r *etcdserverpb.TxnRequest, o ...grpc.CallOption) (*etcdserverpb.TxnResponse, error) {
	if isRead(r) {
		w.state.reads.Add(1)
	} else {
		w.state.writes.Add(1)
	}
	if held := w.state.holding(r); held != nil {
		<-held
		ctx = context.WithoutCancel(ctx) // it is on its way, whoever gives up
	}
	switch w.state.draw() {
	case dropped:
		return nil, errCut
	case unheard:
		if _, err := w.KVClient.Txn(ctx, r, o...); err != nil {
			return nil, err
		}
		return nil, errCut
	default:
		return w.KVClient.Txn(ctx, r, o...)
	}
}

// isRead reports whether a transaction writes nothing, whatever holds.
func isRead(r *etcdserverpb.TxnRequest) bool {
	for _, o := range append(r.Success[:len(r.Success):len(r.Success)], r.Failure...) {
		if o.GetRequestRange() == nil {
			return false
		}
	}
	return true
}
