package etcd_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kelpie-registry/kelpie/store"
	"github.com/kelpie-registry/kelpie/store/etcd"
)

// member answers as an etcd member does that has an empty namespace, but for
// the transactions that write, which end with an error.
type member struct {
	etcdserverpb.UnimplementedKVServer
	server *grpc.Server
	answer atomic.Pointer[error]
	asked  atomic.Int64 // transactions that write
}

func (m *member) Range(_ context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	a := &etcdserverpb.RangeResponse{Header: &etcdserverpb.ResponseHeader{Revision: 7}}
	if len(r.RangeEnd) == 0 {
		a.Kvs = []*mvccpb.KeyValue{{Key: r.Key, Value: make([]byte, 8), ModRevision: 1}}
	}
	return a, nil
}

var errHangUp = errors.New("hang up")

func (m *member) Txn(ctx context.Context, _ *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	m.asked.Add(1)
	err := *m.answer.Load()
	if errors.Is(err, errHangUp) {
		go m.server.Stop()
		<-ctx.Done() // never answered
	}
	return nil, err
}

// startMember serves on a free port until the test ends.
func startMember(t *testing.T) (*member, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &member{server: grpc.NewServer()}
	etcdserverpb.RegisterKVServer(m.server, m)
	go func() { _ = m.server.Serve(l) }()
	t.Cleanup(m.server.Stop)
	return m, l.Addr().String()
}

// TestErrorsOfCommitsSayWhetherTheyMayHaveBeenApplied goes through what a
// member answers to a transaction that writes.
func TestErrorsOfCommitsSayWhetherTheyMayHaveBeenApplied(t *testing.T) {
	m, address := startMember(t)
	e := open(t, etcd.Options{Endpoints: []string{address}})
	for _, tc := range []struct {
		answer error
		want   error // nil: an error of its own, which is no sentinel
	}{
		{rpctypes.ErrGRPCTooManyOps, store.ErrTooLarge},
		{rpctypes.ErrGRPCRequestTooLarge, store.ErrTooLarge},
		{rpctypes.ErrGRPCRequestTooManyRequests, store.ErrUnavailable},
		{rpctypes.ErrGRPCPermissionDenied, nil},
		{rpctypes.ErrGRPCInvalidAuthToken, nil},
		{rpctypes.ErrGRPCDuplicateKey, nil},

		{rpctypes.ErrGRPCNoSpace, store.ErrCommitUnknown}, // also the answer to the last one that fits
		{rpctypes.ErrGRPCTimeout, store.ErrCommitUnknown},
		{rpctypes.ErrGRPCTimeoutDueToLeaderFail, store.ErrCommitUnknown},
		{rpctypes.ErrGRPCTimeoutDueToConnectionLost, store.ErrCommitUnknown},
		{rpctypes.ErrGRPCLeaderChanged, store.ErrCommitUnknown},
		{rpctypes.ErrGRPCNoLeader, store.ErrCommitUnknown},
		{rpctypes.ErrGRPCStopped, store.ErrCommitUnknown},
		{rpctypes.ErrGRPCCorrupt, store.ErrCommitUnknown},
		{status.Error(codes.Unknown, "raft proposal dropped"), store.ErrCommitUnknown},
		{status.Error(codes.Internal, "a handler's panic"), store.ErrCommitUnknown},
		{status.Error(codes.DeadlineExceeded, "the member's own"), store.ErrCommitUnknown},
		{status.Error(codes.Canceled, "the member's own"), store.ErrCommitUnknown},
		{errHangUp, store.ErrCommitUnknown}, // last: nobody answers after it
	} {
		m.answer.Store(&tc.answer)
		asked := m.asked.Load()
		tx := e.Begin(t.Context())
		tx.Set([]byte("k"), nil)
		err := tx.Commit()
		switch {
		case tc.want != nil && !errors.Is(err, tc.want):
			t.Errorf("%v: error %v, want %v", tc.answer, err, tc.want)
		case tc.want == nil && (err == nil || errors.Is(err, store.ErrCommitUnknown) || store.Retryable(err)):
			t.Errorf("%v: error %v, want a final one", tc.answer, err)
		case errors.Is(err, store.ErrCommitUnknown) && m.asked.Load() != asked+1:
			t.Errorf("%v: sent %d times, want once", tc.answer, m.asked.Load()-asked)
		}
	}
	m.server.Stop()
	for range 3 {
		tx := e.Begin(t.Context())
		tx.Set([]byte("k"), nil)
		// Until the connection is known to be gone, a request may be on it.
		if err := tx.Commit(); errors.Is(err, store.ErrUnavailable) {
			return
		} else if !errors.Is(err, store.ErrCommitUnknown) {
			t.Fatalf("with nobody there: %v", err)
		}
	}
	t.Error("with nobody there a commit is still in doubt, although it cannot have been sent")
}

func TestACommitEndsWithItsContext(t *testing.T) {
	var s wireState
	e := open(t, withWire(fresh(t), &s))
	held, arrived := make(chan struct{}), make(chan struct{}, 100)
	s.holdIf(func(*etcdserverpb.TxnRequest) <-chan struct{} {
		arrived <- struct{}{}
		return held
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const sent, queued = 2, 3 // two requests travel at a time
	errs := make(chan error, sent+queued)
	begin := func(ctx context.Context) {
		tx := e.Begin(ctx)
		tx.Set([]byte("k"), nil)
		go func() { errs <- tx.Commit() }()
	}
	for range sent {
		begin(t.Context())
		<-arrived
	}
	for range queued {
		begin(ctx)
	}
	cancel()
	for range queued {
		if err := <-errs; !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrCommitUnknown) {
			t.Errorf("a commit that had not been sent: error %v, want %v and no doubt", err, context.Canceled)
		}
	}
	close(held)
	for range sent {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestReadsOfADeadClusterAreUnavailable(t *testing.T) {
	m, address := startMember(t)
	e := open(t, etcd.Options{Endpoints: []string{address}})
	m.server.Stop()
	tx := e.Begin(t.Context())
	defer tx.Cancel()
	if _, err := tx.Get([]byte("k")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("error %v, want %v", err, store.ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	<-ctx.Done()
	late := e.Begin(ctx)
	defer late.Cancel()
	if _, err := late.Get([]byte("k")); !errors.Is(err, store.ErrTimedOut) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v and %v", err, store.ErrTimedOut, context.DeadlineExceeded)
	}
}
