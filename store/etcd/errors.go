package etcd

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/kelpie-registry/kelpie/store"
)

// A commit that fails may have been applied, unless one of these is the case:
//
//   - The request never had a connection to travel on.
//   - A member refused it before it proposed it to the others, or every member
//     refuses it the same way when it is applied.
//
// All else is unknown: a time-out, a lost connection or leader, a stopped
// member, and also "database space exceeded", which a member answers both when
// it refused a request and when it applied it as the last one that fits.

// delivery tells how far a request came.
type delivery struct {
	once bool  // it must not be sent again once it may have been carried out
	sent bool  // it had a connection
	last error // of the last attempt
}

type deliveryKey struct{}

// tracked returns a context that notes how far the request made with it comes.
// The request's caller must be the only one to use it.
func tracked(ctx context.Context) (context.Context, *delivery) {
	d := &delivery{}
	return context.WithValue(ctx, deliveryKey{}, d), d
}

// track is the interceptor behind tracked. gRPC fills in the peer only if an
// attempt was given a connection.
func track(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	d, ok := ctx.Value(deliveryKey{}).(*delivery)
	if !ok {
		return invoker(ctx, method, req, reply, cc, opts...)
	}
	var p peer.Peer
	err := invoker(ctx, method, req, reply, cc, append(opts, grpc.Peer(&p))...)
	if p.Addr != nil {
		d.sent = true
	}
	if err != nil && ctx.Err() == nil {
		d.last = err
	}
	if code := status.Code(err); d.once && (code == codes.Canceled || code == codes.DeadlineExceeded) && ctx.Err() == nil {
		// The client takes such an answer for the end of one attempt's context and
		// sends even a write again, which may have been applied by then.
		return status.Error(codes.Unknown, err.Error())
	}
	return err
}

// codeOf returns the gRPC code of an error of the client.
func codeOf(err error) codes.Code {
	var e rpctypes.EtcdError
	if errors.As(err, &e) {
		return e.Code()
	}
	return status.Code(err)
}

// readError describes why a read failed. Reads change nothing: what may pass is
// store.ErrUnavailable.
func (e *Engine) readError(ctx context.Context, err error) error {
	switch {
	case e.closed.Load():
		return errClosed
	case ctx.Err() != nil:
		return ended(ctx.Err())
	case errors.Is(err, rpctypes.ErrCompacted), errors.Is(err, rpctypes.ErrFutureRev):
		// A revision from the future was read before the cluster was restored from
		// an older backup.
		return fmt.Errorf("etcd: read: %w: %w", store.ErrTooOld, err)
	}
	switch codeOf(err) {
	case codes.InvalidArgument, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented, codes.DataLoss:
		return fmt.Errorf("etcd: read: %w", err)
	default:
		return fmt.Errorf("etcd: read: %w: %w", store.ErrUnavailable, err)
	}
}

// commitError describes why a commit failed.
func (e *Engine) commitError(ctx context.Context, d *delivery, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("etcd: commit: %w: the cluster's --max-txn-ops is below Options.MaxTxnOps, %d: %w", store.ErrTooLarge, e.o.MaxTxnOps, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge):
		return fmt.Errorf("etcd: commit: %w: the cluster's --max-request-bytes is below Options.MaxRequestBytes, %d: %w", store.ErrTooLarge, e.o.MaxRequestBytes, err)
	case errors.Is(err, rpctypes.ErrTooManyRequests), errors.Is(err, rpctypes.ErrAuthOldRevision):
		return fmt.Errorf("etcd: commit: %w: %w", store.ErrUnavailable, err)
	case refused(err):
		return fmt.Errorf("etcd: commit: %w", err)
	case d.sent:
		return fmt.Errorf("etcd: %w: %w", store.ErrCommitUnknown, err)
	case e.closed.Load():
		return errClosed
	case ctx.Err() != nil:
		return ended(ctx.Err())
	default:
		return fmt.Errorf("etcd: commit: %w: %w", store.ErrUnavailable, err)
	}
}

// refusals are the answers of a member that has not applied a request and never
// will, for reasons that time alone does not cure.
var refusals = []error{
	rpctypes.ErrEmptyKey, rpctypes.ErrDuplicateKey, rpctypes.ErrTooManyOps, rpctypes.ErrRequestTooLarge,
	rpctypes.ErrUserEmpty, rpctypes.ErrAuthFailed, rpctypes.ErrPermissionDenied, rpctypes.ErrInvalidAuthToken,
}

func refused(err error) bool {
	for _, r := range refusals {
		if errors.Is(err, r) {
			return true
		}
	}
	return false
}
