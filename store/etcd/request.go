package etcd

import (
	"context"
	"errors"
	"math"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

// The messages of etcd's transactions, made without the detours of the client's
// builders, which copy each condition several times.
type (
	compare = *etcdserverpb.Compare
	op      = *etcdserverpb.RequestOp
)

// modBelow holds when no row in [key, end) has a mod revision of limit or above.
// An empty end stands for key alone.
func modBelow(key, end string, limit int64) compare {
	c := &etcdserverpb.Compare{
		Result: etcdserverpb.Compare_LESS, Target: etcdserverpb.Compare_MOD,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: limit},
	}
	if end != "" {
		c.RangeEnd = []byte(end)
	}
	return c
}

// modIs holds when the row key has this mod revision; zero for no row.
func modIs(key string, revision int64) compare {
	return &etcdserverpb.Compare{
		Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_MOD,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: revision},
	}
}

// valueIs holds when the row key has this value.
func valueIs(key, value string) compare {
	return &etcdserverpb.Compare{
		Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_VALUE,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_Value{Value: []byte(value)},
	}
}

// valueBelow holds when the row key is there and its value comes before limit.
func valueBelow(key, limit string) compare {
	return &etcdserverpb.Compare{
		Result: etcdserverpb.Compare_LESS, Target: etcdserverpb.Compare_VALUE,
		Key: []byte(key), TargetUnion: &etcdserverpb.Compare_Value{Value: []byte(limit)},
	}
}

func put(key, value string) op {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{
		RequestPut: &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte(value)},
	}}
}

// remove removes the rows in [key, end).
func remove(key, end string) op {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestDeleteRange{
		RequestDeleteRange: &etcdserverpb.DeleteRangeRequest{Key: []byte(key), RangeEnd: []byte(end)},
	}}
}

// inner is a transaction inside another one.
func inner(r *etcdserverpb.TxnRequest) op {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestTxn{RequestTxn: r}}
}

// look reads the rows in [key, end), as changed by set.
func look(key, end string, set ...func(*etcdserverpb.RangeRequest)) op {
	r := &etcdserverpb.RangeRequest{Key: []byte(key)}
	if end != "" {
		r.RangeEnd = []byte(end)
	}
	for _, f := range set {
		f(r)
	}
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: r}}
}

func keysOnly(r *etcdserverpb.RangeRequest) { r.KeysOnly = true }

// youngerThan leaves out the rows whose mod revision is not above revision.
func youngerThan(revision int64) func(*etcdserverpb.RangeRequest) {
	return func(r *etcdserverpb.RangeRequest) { r.MinModRevision = revision + 1 }
}

func atRevision(revision int64) func(*etcdserverpb.RangeRequest) {
	return func(r *etcdserverpb.RangeRequest) { r.Revision = revision }
}

func atMost(rows int) func(*etcdserverpb.RangeRequest) {
	return func(r *etcdserverpb.RangeRequest) { r.Limit = int64(rows) }
}

// downwards has a range answered from its end.
func downwards(r *etcdserverpb.RangeRequest) {
	r.SortTarget, r.SortOrder = etcdserverpb.RangeRequest_KEY, etcdserverpb.RangeRequest_DESCEND
}

// rows returns what look found.
func rows(r *etcdserverpb.ResponseOp) []*mvccpb.KeyValue { return r.GetResponseRange().GetKvs() }

// kv makes requests with the client's rules for retries: a read goes to another
// member, a write only when it cannot have been sent.
type kv struct {
	client etcdserverpb.KVClient
	calls  []grpc.CallOption
}

func newKV(c *clientv3.Client, o *Options) kv {
	client := clientv3.RetryKVClient(c)
	if o.wire != nil {
		client = o.wire(client)
	}
	return kv{
		client: client,
		calls: []grpc.CallOption{
			grpc.WaitForReady(false),
			grpc.MaxCallSendMsgSize(o.MaxRequestBytes + messageSlack),
			grpc.MaxCallRecvMsgSize(math.MaxInt32),
		},
	}
}

// txn runs a transaction. It notes the revision of the answer.
func (e *Engine) txn(ctx context.Context, at kv, r *etcdserverpb.TxnRequest) (*etcdserverpb.TxnResponse, error) {
	a, err := at.client.Txn(ctx, r, at.calls...)
	if err != nil {
		return nil, clientv3.ContextError(ctx, err)
	}
	if err := errors.Join(e.heard(a.GetHeader()), answersTxn(r, a)); err != nil {
		return nil, err
	}
	e.leadership.sawTerm(a.GetHeader().GetRaftTerm())
	return a, nil
}

// get reads one range. It notes the revision of the answer.
func (e *Engine) get(ctx context.Context, o op) (*etcdserverpb.RangeResponse, error) {
	r := o.GetRequestRange()
	a, err := e.kv.client.Range(ctx, r, e.kv.calls...)
	if err != nil {
		return nil, clientv3.ContextError(ctx, err)
	}
	if err := errors.Join(e.heard(a.GetHeader()), answersRange(r, a)); err != nil {
		return nil, err
	}
	return a, nil
}
