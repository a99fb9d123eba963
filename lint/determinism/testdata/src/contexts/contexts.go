// Package contexts derives contexts that start timers and goroutines.
package contexts

import (
	"context"
	"time"
)

func derives(ctx context.Context) {
	_, _ = context.WithCancel(ctx)                          // want `context\.WithCancel: derive the context from the host's clock`
	_, _ = context.WithCancelCause(ctx)                     // want `context\.WithCancelCause`
	_, _ = context.WithTimeout(ctx, 1)                      // want `context\.WithTimeout`
	_, _ = context.WithTimeoutCause(ctx, 1, nil)            // want `context\.WithTimeoutCause`
	_, _ = context.WithDeadline(ctx, time.Time{})           // want `context\.WithDeadline`
	_, _ = context.WithDeadlineCause(ctx, time.Time{}, nil) // want `context\.WithDeadlineCause`
	_ = context.AfterFunc(ctx, func() {})                   // want `context\.AfterFunc`
}

var derive = context.WithCancel // want `context\.WithCancel`

func fine(ctx context.Context) (context.Context, error) {
	ctx = context.WithValue(context.WithoutCancel(ctx), 1, 2)
	if ctx == context.Background() {
		return nil, context.Canceled
	}
	return ctx, context.Cause(ctx)
}
