package simfdb

import (
	"context"
	"slices"

	"github.com/kelpie-registry/kelpie/clock"
)

// versionBatch is a request for a read version that several transactions share.
type versionBatch struct {
	request grvRequest
	reply   *grvReply
	err     error
	done    clock.Event
}

// batchedReadVersion waits for the read version of the batch that is being
// gathered for transactions like l.
func (cl *Client) batchedReadVersion(l *life) (*grvReply, error) {
	b := cl.gathering
	if b == nil || b.request.priority != l.grv.priority || !slices.Equal(b.request.tags, l.grv.tags) {
		b = &versionBatch{request: grvRequest{priority: l.grv.priority, tags: l.grv.tags}, done: cl.h.NewEvent()}
		cl.gathering = b
		cl.h.Go("fdb read versions", func(ctx context.Context) {
			if b.err = cl.h.Sleep(ctx, cl.c.o.ReadVersionBatch); b.err == nil {
				if cl.gathering == b {
					cl.gathering = nil
				}
				b.reply, b.err = cl.grv(ctx, &b.request)
			}
			b.done.Set()
		})
	}
	if err := b.done.Wait(l.ctx); err != nil {
		return nil, err
	}
	if l.over != nil && !l.detached {
		return nil, l.over
	}
	return b.reply, b.err
}
