package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Forget makes every read version so far too old, as time does: the horizon
// moves to the present, what is behind it goes, and the history is compacted.
func (e *Engine) Forget(ctx context.Context) error {
	tx := e.Begin(ctx)
	defer tx.Cancel()
	tx.Set([]byte("\xffage"), nil)
	if err := tx.Commit(); err != nil {
		return err
	}
	revision := int64(tx.Committed())
	if err := e.Sweep(ctx, revision); err != nil {
		return err
	}
	_, err := e.client.Compact(ctx, revision)
	return err
}

// Sweep moves the horizon to a revision and removes what is behind it.
func (e *Engine) Sweep(ctx context.Context, revision int64) error {
	if _, err := e.moveHorizon(ctx, revision); err != nil {
		return err
	}
	return e.sweep(ctx, revision)
}

// Horizon returns the horizon.
func (e *Engine) Horizon(ctx context.Context) (int64, error) {
	r, err := e.get(ctx, look(e.keys.horizon(), ""))
	if err != nil || len(r.Kvs) == 0 {
		return 0, err
	}
	at, _ := parseRevision(r.Kvs[0].Value)
	return at, nil
}

// Rows returns the names of all rows but the horizon, without the namespace.
func (e *Engine) Rows(ctx context.Context) ([]string, error) {
	r, err := e.get(ctx, look(e.keys.prefix, e.keys.prefix+"\xff", keysOnly))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, kv := range r.Kvs {
		if string(kv.Key) != e.keys.horizon() {
			names = append(names, string(kv.Key[len(e.keys.prefix):]))
		}
	}
	return names, nil
}

// WithWire returns options with something between the engine and the cluster.
func WithWire(o Options, wire func(etcdserverpb.KVClient) etcdserverpb.KVClient) Options {
	o.wire = wire
	return o
}

// Wipe removes all rows of the namespace behind the engine's back.
func (e *Engine) Wipe(ctx context.Context) error {
	_, err := e.txn(ctx, e.kv, &etcdserverpb.TxnRequest{Success: []op{remove(e.keys.prefix, e.keys.prefix+"\xff")}})
	return err
}

// Leader returns the endpoint that commits go to, or "" when no leader is known.
func (e *Engine) Leader() string {
	if at := e.leadership.at.Load(); at != nil {
		return at.endpoint
	}
	return ""
}
