package etcd

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// What answers at an address need not be etcd, or not the cluster that it was.
// An answer is believed only when it has the shape that was asked for and comes
// from the cluster that the first one came from.

// errNonsense: an answer that no etcd gives.
var errNonsense = errors.New("etcd: what answers is not etcd")

// heard notes the revision of an answer and the cluster that it came from.
func (e *Engine) heard(h *etcdserverpb.ResponseHeader) error {
	if h.GetRevision() < 1 {
		return fmt.Errorf("%w: an answer of revision %d", errNonsense, h.GetRevision())
	}
	id := h.GetClusterId()
	if !e.cluster.CompareAndSwap(0, id) && e.cluster.Load() != id {
		return fmt.Errorf("etcd: an answer came from cluster %x, the first one from cluster %x: Options.Endpoints are of several clusters, or theirs was replaced", id, e.cluster.Load())
	}
	e.saw(h.GetRevision())
	return nil
}

// answersTxn returns an error unless a has an answer to each operation of r.
func answersTxn(r *etcdserverpb.TxnRequest, a *etcdserverpb.TxnResponse) error {
	asked := r.Success
	if !a.Succeeded {
		asked = r.Failure
	}
	if len(a.Responses) != len(asked) {
		return fmt.Errorf("%w: %d answers to %d operations", errNonsense, len(a.Responses), len(asked))
	}
	for i, o := range asked {
		if err := answersOp(o, a.Responses[i]); err != nil {
			return err
		}
	}
	return nil
}

func answersOp(o op, a *etcdserverpb.ResponseOp) error {
	ok := true
	switch o.Request.(type) {
	case *etcdserverpb.RequestOp_RequestRange:
		if r := a.GetResponseRange(); r != nil {
			return answersRange(o.GetRequestRange(), r)
		}
		ok = false
	case *etcdserverpb.RequestOp_RequestTxn:
		if r := a.GetResponseTxn(); r != nil {
			return answersTxn(o.GetRequestTxn(), r)
		}
		ok = false
	case *etcdserverpb.RequestOp_RequestPut:
		ok = a.GetResponsePut() != nil
	case *etcdserverpb.RequestOp_RequestDeleteRange:
		ok = a.GetResponseDeleteRange() != nil
	}
	if !ok {
		return fmt.Errorf("%w: an answer to another operation than was asked for", errNonsense)
	}
	return nil
}

// answersRange returns an error unless the rows of a are rows of r's range.
func answersRange(r *etcdserverpb.RangeRequest, a *etcdserverpb.RangeResponse) error {
	if a.More && len(a.Kvs) == 0 {
		return fmt.Errorf("%w: no rows, and more of them", errNonsense)
	}
	begin, end := string(r.Key), string(r.RangeEnd)
	if end == "" {
		end = begin + "\x00"
	}
	for _, row := range a.Kvs {
		if key := string(row.Key); key < begin || key >= end {
			return fmt.Errorf("%w: a row outside the range that was read", errNonsense)
		}
	}
	return nil
}
